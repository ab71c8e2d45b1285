"""Pictures as Python and notebooks show them: Pillow's, and a sheet of several as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from consingan.pictures import encoding, sheets
from consingan.pictures.arrays import to_uint8

MOST, SIDE = 9, 320  # pictures of a sheet, and the longer side of one in px at most


def as_pillow(picture: Tensor) -> Image.Image:
    """A picture ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1] as one of Pillow's, of mode L or RGB.

    Raises:
        UserError: it holds NaN.
    """
    return Image.fromarray(to_uint8(picture))


def as_png(pictures: Sequence[Tensor]) -> bytes:
    """The first pictures, ``[1, C, H, W]`` in [-1, 1], on one sheet, as the bytes of a PNG file.

    Raises:
        ValueError: there are none.
    """
    return encoding.still(to_uint8(sheets.grid([sheets.at_most(each, SIDE) for each in pictures[:MOST]])), ".png")
