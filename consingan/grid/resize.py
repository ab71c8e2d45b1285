"""Resizing: pictures by torch's antialiased bicubic, features as two small matrix products.

Features are resized several times in every iteration. Bicubic resizing is linear and separable, so it is a pair of
weight matrices ``rows [H', H]`` and ``columns [W', W]`` and the product ``rows @ x @ columns.T``. The matrices are
built once per pair of sizes; a part of the output (a window, a tile) is a part of their rows.
"""

from __future__ import annotations

from functools import lru_cache
from math import floor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.sizes import Size, Span

# Times that CUDA's antialiased kernel may shrink: its weights have to fit into 48 KB of shared memory, which ends at
# about 46. MPS lacks the kernel.
STEEPEST = 32


def resize(x: Tensor, size: Size) -> Tensor:
    """Antialiased bicubic resize of pictures, kernel a = -0.5, as MATLAB and Pillow do it.

    Args:
        x: ``[B, C, H, W]``, any range; values may overshoot the range by a few per cent.
        size: ``(H', W')`` in pixels.

    Returns:
        ``[B, C, H', W']``.
    """
    if x.shape[2:] == size:
        return x
    steep = max(old / new for old, new in zip(x.shape[2:], size, strict=True)) > STEEPEST
    source = x.cpu() if x.device.type == "mps" or (x.device.type == "cuda" and steep) else x
    return F.interpolate(source, size, mode="bicubic", antialias=True).to(x.device)


def upsample(x: Tensor, size: Size) -> Tensor:
    """Bicubic resize of feature maps with aligned corners, kernel a = -0.75.

    Equal to ``torch.nn.functional.interpolate(mode="bicubic", align_corners=True)`` to rounding.

    Args:
        x: ``[B, C, H, W]``.
        size: ``(H', W')`` in pixels.
    """
    if isinstance(size[0], torch.SymInt):
        return _symbolic(x, size)
    if x.shape[2:] == size:
        return x
    rows = aligned_on(x.shape[2], size[0], x.device, x.dtype)
    columns = aligned_on(x.shape[3], size[1], x.device, x.dtype)
    return separable(x, rows, columns)


def upsample_part(x: Tensor, given: tuple[Span, Span], source: Size, size: Size, wanted: tuple[Span, Span]) -> Tensor:
    """A part of what ``upsample`` makes of a whole feature map, from the part of the map that it depends on.

    Args:
        x: ``[B, C, h, w]``, the map's rows and columns ``given``.
        given: holds at least ``aligned_span`` of the wanted rows and columns.
        source: ``(H, W)`` of the whole map.
        size: ``(H', W')`` of the whole result.
        wanted: rows and columns of the result.
    """
    if isinstance(size[0], torch.SymInt):
        return _symbolic(x, size)
    if source == size and given == wanted:
        return x
    rows, columns = (
        aligned_on(source[axis], size[axis], x.device, x.dtype, wanted[axis], given[axis]) for axis in (0, 1)
    )
    return separable(x, rows, columns)


def aligned_span(n_in: int, n_out: int, wanted: Span) -> Span:
    """The inputs that some outputs of ``aligned_weights`` depend on."""
    step = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    first, last = floor(wanted[0] * step), floor((wanted[1] - 1) * step)
    return max(0, first - 1), min(n_in, last + 3)


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows @ x @ columns.T`` for each picture and channel, keeping the memory format of ``x``.

    Args:
        x: ``[B, C, H, W]``.
        rows: ``[H', H]``.
        columns: ``[W', W]``.
    """
    batch, channels, height, width = x.shape
    if channels > 1 and x.is_contiguous(memory_format=torch.channels_last):
        pixels = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
        pixels = torch.bmm(rows.expand(batch, -1, -1), pixels)  # [B, H', W * C]
        pixels = pixels.view(batch * len(rows), width, channels)
        pixels = torch.bmm(columns.expand(batch * len(rows), -1, -1), pixels)  # [B * H', W', C]
        return pixels.view(batch, len(rows), len(columns), channels).permute(0, 3, 1, 2)
    planes = x.reshape(batch * channels, height, width)
    planes = torch.bmm(rows.expand(batch * channels, -1, -1), planes) @ columns.T
    return planes.view(batch, channels, len(rows), len(columns))


def _symbolic(x: Tensor, size: Size) -> Tensor:
    """``upsample`` to a size that has no number yet, while ``gan.export`` traces the whole of a picture."""
    return F.interpolate(x, size, mode="bicubic", align_corners=True)


@lru_cache(maxsize=256)
def aligned_on(n_in: int, n_out: int, device: torch.device, dtype: torch.dtype, *part: Span) -> Tensor:
    """``aligned_weights`` as a tensor, made once."""
    return torch.from_numpy(aligned_weights(n_in, n_out, *part)).to(dtype).to(device)


def aligned_weights(n_in: int, n_out: int, wanted: Span | None = None, given: Span | None = None) -> np.ndarray:
    """Weights ``[n_out, n_in]`` whose first and last samples sit on the first and last inputs (float64).

    Args:
        n_in, n_out: lengths of the whole.
        wanted, given: with these the weights are those of some outputs, from inputs that they depend on.
    """
    step = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    centres = np.arange(*(wanted or (0, n_out))) * step
    first, end = given or (0, n_in)
    taps = np.floor(centres)[:, None].astype(int) + np.arange(-1, 3)  # [n_out, 4]
    return scatter(np.clip(taps, 0, n_in - 1) - first, cubic(centres[:, None] - taps, a=-0.75), end - first)


def scatter(taps: np.ndarray, weights: np.ndarray, n_in: int) -> np.ndarray:
    """A matrix ``[n_out, n_in]`` of the weights that each output gives to its taps, both ``[n_out, taps]``."""
    matrix = np.zeros((len(taps), n_in))
    np.add.at(matrix, (np.arange(len(taps))[:, None], taps), weights)
    return matrix


def cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (IEEE Trans. ASSP 1981, eq. 15 for a = -1/2)."""
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
