"""Picture files to tensors and back.

Inside the program a picture is a float32 tensor ``[1, C, H, W]`` with values in [-1, 1], where -1 is black, 1 is full
intensity and C is 1 (grey) or 3 (red, green, blue, sRGB encoded), or up to 8 with alpha and further channels, which
``grid.kinds.Kind`` tells of. A mask or an alpha is ``[1, 1, H, W]`` with values in
[0, 1]. What the formats are like is known to ``decoding`` and ``encoding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.kinds import Kind
from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import Size
from consingan.pictures import encoding
from consingan.pictures.arrays import (
    as_seen,
    check_channels,
    coloured,
    from_array,
    kind_of,
    levels_of,
    one_picture,
    to_uint8,
    with_channels,
)
from consingan.pictures.decoding import Decoded, decoded, name_of
from consingan.pictures.source import AnyPath
from consingan.storage import formats
from consingan.storage.files import write_bytes
from consingan.storage.formats import ANIMATED, SLOWEST, WRITABLE

MAX_PIXELS = 100_000_000  # what load decodes unless told otherwise
WHITE, KEEP_OUT = "white", "keep-out"  # what transparent parts are laid on
MIN_SIDE = 8  # pixels; on less, no patch statistics can be learned


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the program uses it.

    Args:
        pixels: float32 ``[1, C, H, W]`` in [-1, 1]; with alpha premultiplied.
        notes: whole sentences that tell what was done to the file's content on the way (transparency filled, turned
            upright, converted to grey ...); empty when nothing was.
        lost: whole sentences that tell what of the content results will not have.
        kind: what the channels are, and of how many bits results will be; 8-bit grey or colour if None.
        hole: ``[1, 1, H, W]``, above 0 where nothing is to be learned from it; nowhere if None.
    """

    pixels: Tensor
    notes: tuple[str, ...]
    lost: tuple[str, ...] = ()
    kind: Kind | None = None
    hole: Tensor | None = None

    @property
    def known(self) -> Kind:
        """Its kind."""
        return self.kind or Kind(self.pixels.shape[1])


def load(
    path: AnyPath | Image.Image, *, channels: int | None = None, background: str = "white", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture file to look at it: in grey or colour, whatever it is. ``read`` keeps alpha and further channels.

    16 bits keep their precision (0..65535 -> [-1, 1]). 32-bit and float grey, which have no agreed full scale, are
    stretched from their own minimum and maximum. Of several frames or pages the first is used, of more than three
    channels the first three.

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
    if channels not in (None, 1, 3):
        raise UserError(f"a picture that is looked at has 1 or 3 channels, not {channels}: use a model of colours")
    paper = None if background == KEEP_OUT else parse_colour(background)
    file = decoded(path, max_pixels, smallest=MIN_SIDE)
    notes = list(file.notes)
    seen = as_seen(file.colour)
    if seen.shape[1] < file.colour.shape[1]:
        shown = "first three" if seen.shape[1] == 3 else "first"
        notes.append(f"Of {file.colour.shape[1]} channels the {shown} are looked at.")
    colour = in_channels(seen, channels, notes)
    lost = []
    if is_clear(file):
        name = name_of(path) if isinstance(path, Image.Image) else path
        colour = laid(name, colour, file, paper)
        lost.append(f"Transparent parts were laid on {_named(background)}; results have no transparency.")
    return Picture(colour.mul(2).sub_(1), (*notes, *lost), tuple(lost), Kind(colour.shape[1], depth=file.depth))


def read(
    path: AnyPath | Image.Image,
    *,
    channels: int | None = None,
    background: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Read a picture file with all that it has: alpha, 16 bits, up to 8 channels.

    An alpha that is opaque everywhere is left out.

    Args:
        path, max_pixels: as for ``load``.
        channels: of the result, its alpha among them; those of the file if None. 1 and 3 are grey and colour without
            alpha, 2 and 4 the same with it where the file has one.
        background: what alpha is laid on, as for ``load``; it is kept if None and the channels leave room for it.

    Raises:
        UserError: as ``load``; or the file cannot be brought to so many channels.
    """
    file = decoded(path, max_pixels, smallest=MIN_SIDE)
    return settled(file, name_of(path) if isinstance(path, Image.Image) else path, channels, background)


def changed(picture: Picture, channels: int | None = None, background: str | None = None) -> Picture:
    """A picture in other channels, or laid on a background; arguments and faults as for ``read``."""
    kind = picture.known
    if channels in (None, kind.channels) and (background is None or not kind.alpha):
        return picture
    straight = unit(kind.straight(picture.pixels))
    colour, alpha = straight.split([kind.colours, int(kind.alpha)], dim=1)
    file = Decoded(colour, alpha if kind.alpha else None, (), kind.depth)
    made = settled(file, "the picture", channels, background)
    return replace(made, notes=(*picture.notes, *made.notes), lost=(*picture.lost, *made.lost))


def of_array(array: np.ndarray | Tensor) -> Picture:
    """Pixel values as a picture, see ``arrays.from_array``; an alpha that is opaque everywhere is left out.

    Raises:
        UserError: another shape, type or range.
    """
    pixels = from_array(array)
    kind = kind_of(array, pixels.shape[1])
    if kind.alpha and bool((pixels[:, -1:] >= 1).all()):
        pixels, kind = pixels[:, :-1], replace(kind, channels=kind.colours, alpha=False)
    return Picture(pixels, (), kind=kind)


def of_kind(path: AnyPath, kind: Kind) -> Tensor:
    """What a file holds as a picture of a kind, ``[1, C, H, W]`` in [-1, 1].

    Raises:
        UserError: as ``load``; or it has other channels.
    """
    file = decoded(path, MAX_PIXELS, smallest=MIN_SIDE)
    if kind.alpha:
        colour = with_channels(as_seen(file.colour), kind.colours)
        return signed(kind.premultiplied(torch.cat([colour, _opaque(file)], dim=1)))
    if kind.channels in (1, 3):
        return load(path, channels=kind.channels).pixels
    if file.colour.shape[1] != kind.channels:
        raise UserError(f"{path} has {file.colour.shape[1]} channels, where {kind.channels} are wanted")
    return signed(file.colour)


def settled(file: Decoded, name: AnyPath, channels: int | None, background: str | None) -> Picture:
    """What a file holds in the channels that are wanted; arguments and faults as for ``read``."""
    check_channels(channels)
    paper = None if background in (None, KEEP_OUT) else parse_colour(str(background))
    notes, lost = list(file.notes), []
    clear, stored = is_clear(file), file.colour.shape[1]
    kept = clear and background is None and channels not in (1, 3)
    if not kept and channels in (1, 3) and stored in (1, 3):
        colour = in_channels(file.colour, channels, notes)
    elif kept and channels in (2, 4) and stored in (1, 3):
        colour = in_channels(file.colour, channels - 1, notes)
    elif channels not in (None, stored + kept):
        has = f"{stored} channels{' and alpha' if clear else ''}"
        raise UserError(f"--nc_im is {channels}, but {name} has {has}: leave the flag out, or give {stored + kept}")
    else:
        colour = in_channels(file.colour, None, notes)
    kind = Kind(colour.shape[1] + kept, kept, file.depth)
    if kept:
        notes.append("Transparency is kept: results have it too.")
        return Picture(
            kind.premultiplied(torch.cat([colour, _opaque(file)], 1)).mul_(2).sub_(1), tuple(notes), (), kind
        )
    if clear:
        on = background or WHITE
        colour = laid(name, colour, file, parse_colour(on) if background is None else paper)
        lost.append(f"Transparent parts were laid on {_named(on)}; results have no transparency.")
    return Picture(colour.mul(2).sub_(1), (*notes, *lost), tuple(lost), kind)


def is_clear(file: Decoded) -> bool:
    """Whether anything in a picture is not opaque."""
    return file.alpha is not None and bool((file.alpha < 1).any())


def in_channels(colour: Tensor, channels: int | None, notes: list[str]) -> Tensor:
    """Colours in [0, 1] as grey (1) or colour (3), or as they are (None), and the sentence for it."""
    stored = colour.shape[1]
    if channels is not None and channels < stored:
        notes.append("Colour was converted to grey.")
    elif channels is not None and channels > stored:
        notes.append("Grey was repeated into three equal channels.")
    elif stored == 1:
        notes.append("The picture is grey and is used as one channel.")
    return with_channels(colour, channels or stored)


def laid(name: AnyPath, colour: Tensor, file: Decoded, paper: tuple[float, float, float] | None) -> Tensor:
    """Colours laid on paper, or on the mean of what is opaque where that is None.

    Raises:
        UserError: everything is transparent, and there is no paper; or the colours are no colours.
    """
    if colour.shape[1] not in (1, 3) and paper is not None:
        raise UserError(f"--background is a colour, and {name} has {colour.shape[1]} channels: leave it out")
    alpha = _opaque(file)
    fill = _mean_colour(name, colour, alpha) if paper is None else _constant(paper, colour)
    return colour * alpha + fill * (1 - alpha)


def _opaque(file: Decoded) -> Tensor:
    """The alpha of a picture, ones where it has none."""
    return torch.ones_like(file.colour[:, :1]) if file.alpha is None else file.alpha


def _named(background: str) -> str:
    return "the mean colour of the opaque pixels" if background == KEEP_OUT else background


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
        UserError: as ``load``, but for small masks; says that it is a mask.
    """
    try:
        file = decoded(path, max_pixels, as_mask=True)
    except UserError as error:
        raise UserError(f"The mask {error}") from error
    mask = with_channels(as_seen(file.colour), 1)
    if file.alpha is not None:
        visible = mask[file.alpha > 0]
        one_colour = visible.numel() == 0 or bool(visible.min() == visible.max())
        mask = file.alpha if one_colour and bool((file.alpha < 1).any()) else mask * file.alpha
    if size is not None and tuple(mask.shape[2:]) != tuple(size):
        mask = F.interpolate(mask, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return mask.clamp(0, 1)


def save(path: AnyPath, x: Tensor, *, text: Mapping[str, str] | None = None, kind: Kind | None = None) -> None:
    """Write a picture; the extension decides the format, and the file appears complete or not at all.

    .png, .webp, .tif, .bmp and .npy are lossless; .jpg has quality 95 and full colour resolution.

    Args:
        path: the file, which replaces an older one.
        x: ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1].
        text: goes into PNG text chunks; the other formats do not carry it.
        kind: what its channels are and of how many bits the file is; 8-bit grey or colour if None.

    Raises:
        UserError: the extension is unknown, its format does not hold such pictures, the picture holds NaN, or the file
            cannot be written.
    """
    suffix = encoding.suffix_of(path, WRITABLE)
    pixels = to_uint8(x) if kind is None else levels_of(x, kind)
    kind = kind or Kind(x.shape[-3])
    formats.check_holds(str(path), suffix, kind)
    with encoding.refused(path):
        data = encoding.still(pixels, suffix, text, kind)
    write_bytes(Path(path), data)


def save_animation(path: AnyPath, frames: Sequence[Tensor], fps: float, kind: Kind | None = None) -> None:
    """Write an endless animation; the file appears complete or not at all.

    .webp and .png (APNG) are lossless; .gif has one palette of 255 colours for all frames (grey is exact). Frame times
    are rounded (to 10 ms in a GIF) so that their sum stays right; a run of identical frames is stored once, with the
    summed time.

    Args:
        path: the file, which replaces an older one.
        frames: equally large pictures ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1].
        fps: frames a second, 0.1 to 50 for .gif, to 1000 for the others.
        kind: what their channels are; 8-bit grey or colour if None. Animations have 8 bits; .webp and .png keep alpha,
            a .gif has it laid on white; of many channels the first three are shown.

    Raises:
        UserError: the extension is unknown, the format cannot show ``fps``, or the file cannot be written.
        ValueError: there are no frames, or frames of different shapes.
    """
    suffix = encoding.suffix_of(path, ANIMATED)
    tick, fastest = ANIMATED[suffix]
    if not SLOWEST <= fps <= fastest:
        raise UserError(f"{path} cannot show {fps:g} frames a second: choose {SLOWEST} to {fastest}")
    pixels = [as_frame(frame, kind, suffix) for frame in frames]
    if len({frame.shape for frame in pixels}) != 1:
        raise ValueError(f"an animation needs frames of one shape, not {sorted({f.shape for f in pixels})}")
    ticks = [round(k * 1000 / fps / tick) for k in range(len(pixels) + 1)]
    times = [tick * (after - before) for before, after in pairwise(ticks)]
    with encoding.refused(path):
        data = encoding.animation(pixels, times, suffix)
    write_bytes(Path(path), data)


def as_frame(frame: Tensor, kind: Kind | None, suffix: str) -> np.ndarray:
    """A frame of an animation as bytes, see ``save_animation``: of grey with alpha and of colour with alpha RGBA."""
    if kind is None or kind.plain:
        return to_uint8(frame)
    shown = one_picture(frame, kind.channels)
    if not kind.alpha or suffix == ".gif" or kind.colours not in (1, 3):
        return to_uint8(kind.seen(shown))
    return coloured(levels_of(shown, replace(kind, depth="uint8")))


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
