"""Pictures made small enough to be looked at, alone and side by side. torch is not imported with this module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consingan.pictures.pyramid import Size

if TYPE_CHECKING:
    from torch import Tensor

VIEW_SIDE = 480  # px, the longer side of a picture in a side by side view


def at_most(size: Size, side: float) -> Size:
    """``(H, W)`` shrunk so that the longer side is ``side`` px at most; no side is below one pixel."""
    shrink = min(1.0, side / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def shrunk(picture: Tensor, side: int) -> Tensor:
    """Pictures ``[B, C, H, W]`` in [-1, 1], shrunk where their longer side is above ``side`` px."""
    import torch.nn.functional as F

    size = at_most((picture.shape[2], picture.shape[3]), side)
    if size == tuple(picture.shape[2:]):
        return picture
    return F.interpolate(picture, size=size, mode="bicubic", antialias=True).clamp(-1, 1)


def side_by_side(items: Sequence[tuple[str, Tensor | None]]) -> Tensor:
    """Pictures ``[1, C, H, W]`` in [-1, 1] with captions, ``[1, C, h, w]``; those that are None are left out."""
    from consingan.pictures import images

    return images.labelled_row([(text, shrunk(picture, VIEW_SIDE)) for text, picture in items if picture is not None])
