"""Which device the flags ask for, on machines that this one is made to look like."""

import pytest
import torch

from consingan import devices
from consingan.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this machine one with so many CUDA devices, and MPS or not."""

    def become(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {torch.device(device).index}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return become


@pytest.mark.parametrize(
    ("cuda", "mps", "flags", "expected"),
    [
        (0, False, {}, "cpu"),
        (0, True, {}, "mps"),
        (1, False, {}, "cuda:0"),
        (1, True, {}, "cuda:0"),
        (2, False, {"gpu": 1}, "cuda:1"),
        (0, False, {"gpu": 7}, "cpu"),  # the commands that people have typed for years name --gpu 0 on any machine
        (0, True, {"gpu": 7}, "mps"),
        (2, False, {"not_cuda": True}, "cpu"),
        (2, True, {"not_cuda": True, "gpu": 1}, "cpu"),  # MPS is a GPU too
        (2, False, {"wanted": "cpu"}, "cpu"),
        (2, False, {"wanted": "cpu", "not_cuda": True}, "cpu"),
        (2, False, {"wanted": "cuda:1", "gpu": 0}, "cuda:1"),
        (2, False, {"wanted": "cuda"}, "cuda"),
        (1, True, {"wanted": "mps"}, "mps"),
    ],
)
def test_the_device_that_is_picked(machine, cuda, mps, flags, expected):
    machine(cuda, mps)
    assert devices.pick(**flags) == torch.device(expected)


@pytest.mark.parametrize(
    ("cuda", "flags", "message"),
    [
        (0, {"wanted": "tpu"}, "--device is 'tpu'; give auto, cpu, mps, cuda or cuda:N."),
        (0, {"wanted": ""}, "--device is ''; give auto, cpu, mps, cuda or cuda:N."),
        (1, {"wanted": "cuda:"}, "--device is 'cuda:'; give auto, cpu, mps, cuda or cuda:N."),
        (1, {"wanted": "cuda:-1"}, "--device is 'cuda:-1'; give auto, cpu, mps, cuda or cuda:N."),
        (1, {"wanted": "cuda:0\n"}, r"--device is 'cuda:0\n'; give auto, cpu, mps, cuda or cuda:N."),
        (1, {"wanted": "CUDA"}, "--device is 'CUDA'; give auto, cpu, mps, cuda or cuda:N."),
        (
            2,
            {"wanted": "cuda:0", "not_cuda": True},
            "--not_cuda and --device cuda:0 contradict each other; give one of them.",
        ),
        (
            0,
            {"wanted": "cuda"},
            "cuda is asked for, but this machine has no CUDA device; give --device auto or another --gpu.",
        ),
        (
            1,
            {"wanted": "cuda:1"},
            "cuda:1 is asked for, but this machine has 1 CUDA device; give --device auto or another --gpu.",
        ),
        (
            2,
            {"gpu": 2},
            "cuda:2 is asked for, but this machine has 2 CUDA devices; give --device auto or another --gpu.",
        ),
        (1, {"wanted": "mps"}, "--device mps is not available on this machine; give --device cpu."),
    ],
)
def test_what_is_refused(machine, cuda, flags, message):
    machine(cuda)
    with pytest.raises(UserError) as caught:
        devices.pick(**flags)
    assert str(caught.value) == message


def test_a_device_without_deterministic_computing_is_refused():
    with pytest.raises(UserError) as caught:
        devices.make_deterministic(torch.device("mps"))
    assert str(caught.value) == "--deterministic cannot be kept on mps; leave it out or give --device cpu."
    assert not torch.are_deterministic_algorithms_enabled()


def test_no_cuda_call_is_made_for_the_cpu(monkeypatch):
    """A machine whose driver hangs or fails can still be used with --not_cuda or --device cpu."""

    def broken():
        raise RuntimeError("driver")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    monkeypatch.setattr(torch.cuda, "device_count", broken)
    assert devices.pick("cpu").type == "cpu"
    assert devices.pick(not_cuda=True, gpu=0).type == "cpu"


def test_devices_in_words(machine, monkeypatch):
    machine(2)
    assert devices.describe(torch.device("cuda:1")) == "Card 1 (cuda:1)"
    assert devices.describe(torch.device("mps")) == "mps"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert devices.describe(torch.device("cpu")) == "the CPU (1 thread)"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert devices.describe(torch.device("cpu")) == "the CPU (4 threads)"


def test_a_small_stage_has_one_thread_and_what_comes_after_all():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with devices.threads_for((64, 64), torch.device("cpu")):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with devices.threads_for((64, 65), torch.device("cpu")):
            assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), devices.threads_for((8, 8), torch.device("cpu")):
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
