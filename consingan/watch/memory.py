"""The most memory that a training held. torch is looked at only where the process has it already."""

from __future__ import annotations

import sys
from typing import Any


def reset_peak_memory() -> None:
    """Start a new peak on the GPUs; a process has no such reset."""
    if cuda := _cuda():
        for index in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(index)


def peak_memory() -> tuple[float | None, str]:
    """(MiB, of what): the most the fullest GPU held since the reset, else the process since its start."""
    if cuda := _cuda():
        peak = max(cuda.max_memory_allocated(index) for index in range(cuda.device_count()))
        if peak > 0:
            return peak / 2**20, "cuda"
    try:
        import resource
    except ImportError:  # Windows
        return None, "unknown"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak / (2**20 if sys.platform == "darwin" else 2**10), "process"


def _cuda() -> Any:
    """torch.cuda if this process already uses it: to look must not start a GPU, nor import torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
