"""Picture files to tensors and back.

Inside the program a picture is a float32 tensor ``[1, C, H, W]`` with values in [-1, 1], where -1 is black, 1 is full
intensity and C is 1 (grey) or 3 (red, green, blue, sRGB encoded). A mask or an alpha is ``[1, 1, H, W]`` with values in
[0, 1]. What the formats are like is known to ``decoding`` and ``encoding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures import encoding
from consingan.pictures.arrays import check_channels, to_uint8, with_channels
from consingan.pictures.decoding import decoded, name_of
from consingan.pictures.source import AnyPath
from consingan.storage.files import write_bytes
from consingan.storage.formats import ANIMATED, SLOWEST, WRITABLE

MAX_PIXELS = 100_000_000  # what load decodes unless told otherwise
MIN_SIDE = 8  # pixels; on less, no patch statistics can be learned


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the program uses it.

    Args:
        pixels: float32 ``[1, C, H, W]`` in [-1, 1], C = 1 or 3.
        notes: whole sentences that tell what was done to the file's content on the way (transparency filled, turned
            upright, converted to grey ...); empty when nothing was.
        lost: whole sentences that tell what of the content results will not have.
        hole: ``[1, 1, H, W]``, above 0 where nothing is to be learned from it; nowhere if None.
    """

    pixels: Tensor
    notes: tuple[str, ...]
    lost: tuple[str, ...] = ()
    hole: Tensor | None = None


def load(
    path: AnyPath | Image.Image, *, channels: int | None = None, background: str = "white", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture file.

    16-bit grey keeps its precision (0..65535 -> [-1, 1]). 32-bit and float grey, which have no agreed full scale, are
    stretched from their own minimum and maximum. Of several frames or pages the first is used.

    Args:
        path: the file, - for standard input, or a picture of Pillow's, which is read as its file would be.
        channels: 1 converts colour to grey (luma 0.299 R + 0.587 G + 0.114 B), 3 repeats grey; None keeps what the file
            is: grey modes (1, 8, 16 or 32 bits, with or without alpha) give C = 1, everything else 3, even where red,
            green and blue happen to agree.
        background: the colour that transparent parts are laid on, a name or #rrggbb; or ``keep-out``, which lays them
            on the mean colour of the opaque pixels (of all pixels weighted by alpha where none is opaque), so that the
            fill brings in no foreign colour.
        max_pixels: more are refused before they are decoded.

    Raises:
        UserError: the file is missing, unreadable, damaged, no picture, above ``max_pixels`` or below 8 pixels on the
            shorter side; or the colour is none.
    """
    check_channels(channels)
    paper = None if background == "keep-out" else parse_colour(background)
    file = decoded(path, max_pixels, smallest=MIN_SIDE)
    name = name_of(path) if isinstance(path, Image.Image) else path
    notes = list(file.notes)
    lost = ["The picture has more than 8 bits per channel; results have 8."] if file.deep else []
    stored = file.colour.shape[1]
    colour = with_channels(file.colour, channels or stored)
    if colour.shape[1] < stored:
        notes.append("Colour was converted to grey.")
    elif colour.shape[1] > stored:
        notes.append("Grey was repeated into three equal channels.")
    elif stored == 1:
        notes.append("The picture is grey and is used as one channel.")
    if file.alpha is not None and bool((file.alpha < 1).any()):
        fill = _mean_colour(name, colour, file.alpha) if paper is None else _constant(paper, colour)
        colour = colour * file.alpha + fill * (1 - file.alpha)
        laid = "the mean colour of the opaque pixels" if paper is None else background
        lost.append(f"Transparent parts were laid on {laid}; results have no transparency.")
    return Picture(colour.mul_(2).sub_(1), (*notes, *lost), tuple(lost))


def alpha_of(path: AnyPath, *, max_pixels: int = MAX_PIXELS) -> Tensor | None:
    """Read the transparency of a picture.

    Args:
        path: the file, of any size.
        max_pixels: as for ``load``.

    Returns:
        ``[1, 1, H, W]`` in [0, 1], 1 is opaque; ones where an alpha channel is opaque everywhere; None if the file
        stores none.

    Raises:
        UserError: as ``load``, but for small pictures.
    """
    return decoded(path, max_pixels).alpha


def load_mask(path: AnyPath, size: Size | None = None, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read a mask, soft values kept.

    Colour counts by its luma. Full scale is that of the file's type, not of its content: 255 of 8 bits, 65535 of 16
    bits, true of 1 bit. Only 32-bit files, which have no agreed full scale, are divided by their largest value where
    that is above 1. Transparent parts count as 0; where all visible pixels have one colour the shape is in the alpha
    alone, and the alpha is the mask. An all-zero mask is returned as such.

    Args:
        path: the file, of any size.
        size: ``(H, W)`` that it is resized to, bilinear and antialiased; its own if None.
        max_pixels: as for ``load``.

    Returns:
        ``[1, 1, H, W]`` in [0, 1].

    Raises:
        UserError: as ``load``, but for small masks.
    """
    file = decoded(path, max_pixels, as_mask=True)
    mask = with_channels(file.colour, 1)
    if file.alpha is not None:
        visible = mask[file.alpha > 0]
        one_colour = visible.numel() == 0 or bool(visible.min() == visible.max())
        mask = file.alpha if one_colour and bool((file.alpha < 1).any()) else mask * file.alpha
    if size is not None and tuple(mask.shape[2:]) != tuple(size):
        mask = F.interpolate(mask, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return mask.clamp(0, 1)


def save(path: AnyPath, x: Tensor, *, text: Mapping[str, str] | None = None) -> None:
    """Write a picture; the extension decides the format, and the file appears complete or not at all.

    .png, .webp, .tif and .bmp are lossless at 8 bits; .jpg has quality 95 and full colour resolution.

    Args:
        path: the file, which replaces an older one.
        x: ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1].
        text: goes into PNG text chunks; the other formats do not carry it.

    Raises:
        UserError: the extension is unknown, the picture holds NaN, or the file cannot be written.
    """
    suffix = encoding.suffix_of(path, WRITABLE)
    pixels = to_uint8(x)
    with encoding.refused(path):
        data = encoding.still(pixels, suffix, text)
    write_bytes(Path(path), data)


def save_animation(path: AnyPath, frames: Sequence[Tensor], fps: float) -> None:
    """Write an endless animation; the file appears complete or not at all.

    .webp and .png (APNG) are lossless; .gif has one palette of 255 colours for all frames (grey is exact). Frame times
    are rounded (to 10 ms in a GIF) so that their sum stays right; a run of identical frames is stored once, with the
    summed time.

    Args:
        path: the file, which replaces an older one.
        frames: equally large pictures ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1].
        fps: frames a second, 0.1 to 50 for .gif, to 1000 for the others.

    Raises:
        UserError: the extension is unknown, the format cannot show ``fps``, or the file cannot be written.
        ValueError: there are no frames, or frames of different shapes.
    """
    suffix = encoding.suffix_of(path, ANIMATED)
    tick, fastest = ANIMATED[suffix]
    if not SLOWEST <= fps <= fastest:
        raise UserError(f"{path} cannot show {fps:g} frames a second: choose {SLOWEST} to {fastest}")
    pixels = [to_uint8(frame) for frame in frames]
    if len({frame.shape for frame in pixels}) != 1:
        raise ValueError(f"an animation needs frames of one shape, not {sorted({f.shape for f in pixels})}")
    ticks = [round(k * 1000 / fps / tick) for k in range(len(pixels) + 1)]
    times = [tick * (after - before) for before, after in pairwise(ticks)]
    with encoding.refused(path):
        data = encoding.animation(pixels, times, suffix)
    write_bytes(Path(path), data)


def parse_colour(text: str, flag: str = "--background") -> tuple[float, float, float]:
    """A colour name or #rrggbb as (red, green, blue), each in [0, 1].

    Args:
        text: what was typed.
        flag: where, for the message.

    Raises:
        UserError: the text is no colour.
    """
    wanted = "use a name such as white or a code such as #ffffff"
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UserError(f"{flag} is {text!r}, which is no colour: {wanted}") from error
    if max(red, green, blue) > 255:
        raise UserError(f"{flag} is {text!r}, which has a part above 255: {wanted}")
    return red / 255, green / 255, blue / 255


def _constant(rgb: tuple[float, float, float], like: Tensor) -> Tensor:
    return with_channels(torch.tensor(rgb).view(1, 3, 1, 1), like.shape[1])


def _mean_colour(path: AnyPath, colour: Tensor, alpha: Tensor) -> Tensor:
    opaque = (alpha == 1).float()
    weight = opaque if bool(opaque.any()) else alpha
    if not bool(weight.any()):
        raise UserError(f"{path} is transparent everywhere: give --background a colour instead of keep-out")
    total = (colour * weight).sum((2, 3), keepdim=True, dtype=torch.float64)
    return (total / weight.sum(dtype=torch.float64)).float()
