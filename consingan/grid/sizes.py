"""Heights and widths: the one home of ``Size`` and ``Span``, and the arithmetic that needs no tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]  # (height, width) in pixels
Span = tuple[int, int]  # rows or columns, from the first to before the last
Wraps = tuple[bool, bool]  # whether a plane goes on at its other side: below its last row, right of its last column

# By the word that a person gives: along x a picture repeats to the right, along y downwards.
WRAPS: dict[str, Wraps] = {"off": (False, False), "x": (False, True), "y": (True, False), "xy": (True, True)}
NOWHERE = WRAPS["off"]


def size_of(x: Tensor) -> Size:
    """``(H, W)`` of ``[B, C, H, W]``."""
    return x.shape[2], x.shape[3]


def are_pictures(x: Tensor) -> bool:
    """Whether a tensor has the shape of pictures: ``[B, C, H, W]``, C = 1 or 3, with no side of 0."""
    return x.ndim == 4 and x.shape[1] in (1, 3) and x.numel() > 0


def rescaled(size: Size, scale_h: float, scale_w: float) -> Size:
    """Size times a scale per axis, rounded, at least one pixel."""
    return max(1, round(size[0] * scale_h)), max(1, round(size[1] * scale_w))


def at_most(size: Size, side: int) -> Size:
    """The size with a longer side of at most ``side`` pixels, in its own proportions; a smaller one as it is."""
    shrink = min(1.0, side / max(size))
    return rescaled(size, shrink, shrink)


def of_as_many_pixels(size: Size, own: Size) -> Size:
    """``(H, W)`` in the proportions of ``size`` and with the pixels of ``own``; ``own`` itself where it has them."""
    height, width = own
    if round(width * size[0] / size[1]) == height or round(height * size[1] / size[0]) == width:
        return own
    scale = (height * width / (size[0] * size[1])) ** 0.5
    return rescaled(size, scale, scale)
