"""Holes: what of a picture is to be made anew, by a mask or by margins.

A hole is ``[1, 1, H, W]``, 1 where a pixel is to be made and 0 where the picture is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures import images


@dataclass(frozen=True)
class Margins:
    """How far a picture is to go on beyond its edges, in px."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def check(self, size: Size) -> None:
        """Refuse margins that add nothing to a picture of ``(H, W)``, or far more than it holds.

        Raises:
            UserError: names the flag and the value.
        """
        for flag, value, side in (
            ("left", self.left, size[1]), ("right", self.right, size[1]),
            ("top", self.top, size[0]), ("bottom", self.bottom, size[0]),
        ):  # fmt: skip
            if value < 0:
                raise UserError(f"--{flag} is {value}; give a number of pixels from 0 on.")
            if value > 2 * side:
                raise UserError(
                    f"--{flag} {value} is more than twice the picture's {side} px; give at most {2 * side}."
                )
        height, width = size[0] + self.top + self.bottom, size[1] + self.left + self.right
        if (height, width) == tuple(size):
            raise UserError("No margin is given; say how many pixels to add by --left, --top, --right or --bottom.")

    def around(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """A picture ``[1, C, H, W]`` on its larger canvas, and the hole, which is the margins."""
        beside = (self.left, self.right, self.top, self.bottom)
        return F.pad(picture, beside), F.pad(torch.zeros_like(picture[:, :1]), beside, value=1.0)


def read(path: Path, size: Size | None, inverted: bool = False) -> Tensor:
    """The hole of a mask file: where it is brighter than half, or darker if it is inverted.

    Args:
        path: the file.
        size: ``(H, W)`` of the picture; any if None.
        inverted: whether the mask is black where the hole is.

    Raises:
        UserError: the file cannot be read or is of another size than the picture; or the hole is empty, or everything.
    """
    mask = images.load_mask(path)
    height, width = mask.shape[2:]
    if size is not None and (height, width) != tuple(size):
        raise UserError(
            f"--mask {path} is {width}x{height} px and the picture {size[1]}x{size[0]} px; give a mask of the "
            "picture's size."
        )
    hole = ((mask < 0.5) if inverted else (mask > 0.5)).float()
    what = f"--mask {path}{' inverted' if inverted else ''}"
    colour = "black on white" if inverted else "white on black"
    if not bool(hole.any()):
        raise UserError(f"{what} is empty, so there is nothing to fill; paint what is to be made anew {colour}.")
    if bool(hole.all()):
        raise UserError(f"{what} is full, so nothing of the picture is left to fill it with; paint a part {colour}.")
    return hole
