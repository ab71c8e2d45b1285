"""Pictures as Python and notebooks show them: Pillow's, and a sheet of several as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image
from torch import Tensor

from consingan.grid.kinds import Kind
from consingan.pictures import encoding, sheets
from consingan.pictures.arrays import levels_of, one_picture, to_uint8

MOST, SIDE = 9, 320  # pictures of a sheet, and the longer side of one in px at most


def as_pillow(picture: Tensor, kind: Kind | None = None) -> Image.Image:
    """A picture ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1] as one of Pillow's: L, RGB, LA, RGBA, or I;16.

    Pillow has no colour of 16 bits, of which the high 8 are given, and of many channels the first three.

    Args:
        picture: of any kind.
        kind: what it is; 8-bit grey or colour if None.

    Raises:
        UserError: it holds NaN.
    """
    if kind is None or kind.plain:
        return Image.fromarray(to_uint8(picture))
    if kind.colours not in (1, 3):
        return Image.fromarray(to_uint8(kind.seen(one_picture(picture, kind.channels))))
    known = kind if kind.channels == 1 else replace(kind, depth="uint8")
    return Image.fromarray(levels_of(picture, known))


def as_png(pictures: Sequence[Tensor], kind: Kind | None = None) -> bytes:
    """The first pictures on one sheet, as the bytes of a PNG file; alpha on a checkerboard.

    Args:
        pictures: ``[1, C, H, W]`` in [-1, 1].
        kind: what they are; 8-bit grey or colour if None.

    Raises:
        ValueError: there are none.
    """
    small = [sheets.on_checks(sheets.at_most(each, SIDE), kind) for each in pictures[:MOST]]
    return encoding.still(to_uint8(sheets.grid(small)), ".png")
