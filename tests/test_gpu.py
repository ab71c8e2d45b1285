"""What must hold on CUDA as well; run with ``pytest -m gpu`` on a machine that has it."""

import pytest
import torch

from consingan import config
from consingan.model import SingleImageModel
from consingan.monitor import Monitor
from consingan.state import Training
from consingan.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TINY = {"train_stages": 3, "max_size": 40, "niter": (5,), "nfc": 16}


def picture():
    rows, columns = torch.meshgrid(torch.arange(38), torch.arange(40), indexing="ij")
    return torch.sin((rows + 2 * columns) / 4 + torch.arange(3)[:, None, None])[None]


def first_losses(device, precision):
    settings = config.resolve("generation", "x", ("test", {**TINY, "precision": precision}))[0]
    state = Training.start(settings, picture(), device)
    step = state.enter_stage()
    traces = []
    for _ in range(3):
        traces.append({name: value.item() for name, value in step(*state.draw(3)).items()})
        state.iteration += 1
    return traces


def test_cuda_float32_follows_the_cpu():
    torch.backends.cudnn.allow_tf32 = False
    for on_gpu, on_cpu in zip(first_losses("cuda", "fp32"), first_losses("cpu", "fp32"), strict=True):
        assert on_gpu == pytest.approx(on_cpu, rel=1e-2, abs=1e-3)


def test_cuda_bf16_stays_near_float32():
    on_gpu, exact = first_losses("cuda", "bf16")[0], first_losses("cuda", "fp32")[0]
    assert on_gpu == pytest.approx(exact, rel=0.05, abs=0.05)


@pytest.mark.parametrize("mode", ["generation", "retarget", "animation"])
def test_a_model_moves_between_devices(tmp_path, mode):
    settings = config.resolve(mode, "x", ("test", TINY))[0]
    model = train(Training.start(settings, picture(), "cuda"), Monitor(display="quiet"))
    model.save(tmp_path / "model.safetensors")
    on_cpu = SingleImageModel.load(tmp_path, "cpu")
    on_gpu = SingleImageModel.load(tmp_path, "cuda")
    torch.testing.assert_close(on_gpu.sample(3, seed=1).cpu(), on_cpu.sample(3, seed=1), rtol=0, atol=1e-2)
