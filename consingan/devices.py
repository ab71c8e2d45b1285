"""Which device to compute on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from consingan.errors import UserError

ALONE = 64 * 64  # pixels of a stage up to which a second CPU thread gains nothing


def pick(wanted: str = "auto", gpu: int | None = None, not_cuda: bool = False) -> torch.device:
    """The device that the flags ask for.

    Args:
        wanted: ``--device``: auto, cpu, cuda, cuda:N or mps. Auto takes CUDA, then MPS, then the CPU.
        gpu: ``--gpu``: which CUDA device auto takes; without any CUDA device it is not looked at.
        not_cuda: ``--not_cuda``: auto takes the CPU.

    Raises:
        UserError: the flags contradict each other or name a device that this machine lacks.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", wanted):
        raise UserError(f"--device is {wanted!r}; give auto, cpu, mps, cuda or cuda:N.")
    if not_cuda and wanted.startswith("cuda"):
        raise UserError(f"--not_cuda and --device {wanted} contradict each other; give one of them.")
    if wanted == "auto":
        wanted = _automatic(gpu or 0, not_cuda)
    device = torch.device(wanted)
    if device.type == "cuda":
        return _existing_cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps is not available on this machine; give --device cpu.")
    return device


def choose(
    wanted: str = "auto", gpu: int | None = None, not_cuda: bool = False, deterministic: bool = False
) -> tuple[torch.device, list[str]]:
    """The device that the flags ask for, and a sentence where a GPU was asked for and there is none.

    Args:
        wanted, not_cuda: as ``pick``.
        gpu: 0 or more; None where none was asked for.
        deterministic: as ``make_deterministic``, for the whole process.

    Raises:
        UserError: as ``pick`` and ``make_deterministic``.
    """
    if gpu is not None and gpu < 0:
        raise UserError(f"--gpu is {gpu}; give the number of a GPU, 0 for the first, or --not_cuda.")
    device = pick(wanted, gpu, not_cuda)
    if deterministic:
        make_deterministic(device)
    if gpu is None or not_cuda or wanted != "auto" or device.type == "cuda":
        return device, []
    return device, [f"No CUDA GPU was found for --gpu {gpu}: this runs on {describe(device)}."]


def make_deterministic(device: torch.device) -> None:
    """Let every computation of this process give the same bits each time, at some cost in speed on a GPU.

    Raises:
        UserError: the device has no such mode.
    """
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--deterministic cannot be kept on {device.type}; leave it out or give --device cpu.")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def release(device: torch.device) -> None:
    """Give memory back that torch keeps for later, after it ran out."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


class Products(AbstractContextManager):
    """Whether CUDA's float32 convolutions and matrix products may round their factors to TF32."""

    def __init__(self, tf32: bool):
        self.tf32 = tf32

    def __enter__(self) -> None:
        self.before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        self._set(self.tf32, self.tf32)

    def __exit__(self, *error: object) -> None:
        self._set(*self.before)

    def _set(self, convolutions: bool, products: bool) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def describe(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    return f"the CPU ({threads} thread{'s' if threads > 1 else ''})" if device.type == "cpu" else str(device)


def _automatic(gpu: int, not_cuda: bool) -> str:
    if not_cuda:
        return "cpu"
    if torch.cuda.is_available():
        return f"cuda:{gpu}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _existing_cuda(device: torch.device) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= count:
        have = f"has {count} CUDA device{'s' if count > 1 else ''}" if count else "has no CUDA device"
        raise UserError(f"{device} is asked for, but this machine {have}; give --device auto or another --gpu.")
    return device


@contextmanager
def threads_for(size: tuple[int, int], device: torch.device) -> Iterator[None]:
    """On a CPU one thread where a picture of ``(H, W)`` is too small for several to gain; elsewhere all there are.

    At 40 px two threads take as long as one, and many times as long where another program wants a core.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and size[0] * size[1] <= ALONE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
