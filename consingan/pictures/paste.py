"""Paste an object into a picture, and say where it went: the naive picture and its mask.

Source: "over" of Porter and Duff (1984) with premultiplied colours, so that turning and shrinking an object brings no
foreign colour to its rim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.pictures import images
from consingan.pictures.arrays import with_channels

# Places by name: how much of the room beside the object lies left of it, and above it.
PLACES = {"center": (0.5, 0.5), "left": (0, 0.5), "right": (1, 0.5), "top": (0.5, 0), "bottom": (0.5, 1)}
KEY_NEAR, KEY_FAR = 0.06, 0.2  # distance to the key colour, of full scale: below transparent, above opaque


@dataclass(frozen=True)
class Placement:
    """Where an object goes and how.

    Args:
        left, top: of the object's box on the picture, after scaling and turning; may lie outside the picture.
        scale: times the object's size.
        degrees: turned counter-clockwise.
        feather: px over which its rim fades, inwards.
    """

    left: int
    top: int
    scale: float = 1.0
    degrees: float = 0.0
    feather: float = 0.0


@dataclass(frozen=True, eq=False)
class Cutting:
    """An object without its surroundings.

    Args:
        colour: ``[1, 3, h, w]`` in [0, 1], times alpha.
        alpha: ``[1, 1, h, w]`` in [0, 1].
    """

    colour: Tensor
    alpha: Tensor


def paste_files(
    object_file: str,
    onto: str,
    out: str,
    at: tuple[int, int] | str,
    scale: float = 1.0,
    rotate: float = 0.0,
    feather: float = 0.0,
    key_color: str | None = None,
    rectangle: tuple[int, int, int, int] | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> tuple[Path, Path]:
    """Paste one file into another; writes ``out`` and ``NAME_mask.png`` beside it, and returns both paths.

    Args:
        object_file, onto, out: files.
        at: ``(x, y)`` of the object's upper left corner, or a word of ``PLACES``.
        scale, rotate, feather: as ``Placement``.
        key_color, rectangle: as ``cut``.
        say: is told what of the picture the naive one has not.

    Raises:
        UserError: a file cannot be read or written, or a number is out of range; before anything is written.
    """
    naive = Path(out)
    if not naive.suffix:
        raise UserError(f"--out {out} has no extension; give a name such as {out or 'naive'}.png.")
    mask_file = naive.with_name(f"{naive.stem}_mask.png")
    if {naive.resolve(), mask_file.resolve()} & {Path(object_file).resolve(), Path(onto).resolve()}:
        raise UserError(f"--out {out} would overwrite the object or the picture; give another name.")
    for flag, value, low, high in (
        ("scale", scale, 1e-3, 100), ("rotate", rotate, -3600, 3600), ("feather", feather, 0, 1000)
    ):  # fmt: skip
        if not low <= value <= high:  # so written, it refuses nan as well
            raise UserError(f"--{flag} is {value:g}; give a number from {low:g} to {high:g}.")
    loaded = images.load(onto)
    picture = loaded.pixels
    cutting = cut(Path(object_file), key_color, rectangle)
    pixels = round(cutting.alpha.shape[2] * scale) * round(cutting.alpha.shape[3] * scale)
    if pixels > images.MAX_PIXELS:
        raise UserError(f"--scale {scale:g} makes an object of {pixels} pixels; give a smaller number.")
    left, top = corner(at, turned(scaled(cutting, scale), rotate).alpha, picture) if isinstance(at, str) else at
    made, mask = pasted(picture, cutting, Placement(left, top, scale, rotate, feather))
    images.save(naive, made)
    images.save(mask_file, signed(mask))
    for note in loaded.lost:
        say(f"{onto}: {note}")
    return naive, mask_file


def corner(place: str, box: Tensor, picture: Tensor) -> tuple[int, int]:
    """``(left, top)`` of a box ``[1, 1, h, w]`` at a named place of a picture ``[1, C, H, W]``."""
    across, down = PLACES[place]
    return round(across * (picture.shape[3] - box.shape[3])), round(down * (picture.shape[2] - box.shape[2]))


def cut(path: Path, key_colour: str | None = None, rectangle: tuple[int, int, int, int] | None = None) -> Cutting:
    """Read an object: by its file's alpha, by the colour around it, or by a rectangle ``(x, y, width, height)``.

    Raises:
        UserError: the file cannot be read, has no alpha and nothing else says what the object is, or nothing is left.
    """
    colour = unit(images.load(path, channels=3, background="black").pixels)  # laid on black: times alpha
    alpha = images.alpha_of(path)
    alpha = torch.ones_like(colour[:, :1]) if alpha is None else alpha
    if key_colour is None and rectangle is None and bool((alpha == 1).all()):
        raise UserError(
            f"--object {path} has no transparent parts, so all of it would be pasted; "
            "give --key_color for the colour around the object, or --rectangle X,Y,WIDTH,HEIGHT."
        )
    if key_colour is not None:
        key = torch.tensor(images.parse_colour(key_colour, "--key_color")).view(1, 3, 1, 1)
        distance = (colour - key).abs().amax(dim=1, keepdim=True)
        keyed = ((distance - KEY_NEAR) / (KEY_FAR - KEY_NEAR)).clamp(0, 1)
        colour, alpha = colour * keyed, alpha * keyed
    if rectangle is not None:
        colour, alpha = (part(plane, rectangle, path) for plane in (colour, alpha))
    if not bool((alpha > 0.5).any()):
        raise UserError(f"Nothing of --object {path} is left; give another --key_color or --rectangle.")
    return Cutting(colour, alpha)


def part(plane: Tensor, rectangle: tuple[int, int, int, int], path: Path) -> Tensor:
    """The rectangle of a picture."""
    x, y, width, height = rectangle
    if min(x, y) < 0 or min(width, height) < 1 or x + width > plane.shape[3] or y + height > plane.shape[2]:
        raise UserError(
            f"--rectangle {x},{y},{width},{height} does not lie in {path}, "
            f"which has {plane.shape[3]}x{plane.shape[2]} px; give X,Y,WIDTH,HEIGHT inside it."
        )
    return plane[:, :, y : y + height, x : x + width]


def pasted(picture: Tensor, cutting: Cutting, placement: Placement) -> tuple[Tensor, Tensor]:
    """The picture with the object in it, and the mask of where it is.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        cutting: from ``cut``.
        placement: where it goes and how.

    Returns:
        ``[1, C, H, W]`` in [-1, 1], unchanged to the bit where the mask is 0, and the mask ``[1, 1, H, W]`` in [0, 1].

    Raises:
        UserError: nothing of the object lies in the picture.
    """
    object_ = feathered(turned(scaled(cutting, placement.scale), placement.degrees), placement.feather)
    height, width = picture.shape[2:]
    rows, inner_rows = overlap(placement.top, object_.alpha.shape[2], height)
    columns, inner_columns = overlap(placement.left, object_.alpha.shape[3], width)
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = object_.alpha[:, :, inner_rows, inner_columns]
    if not bool((mask > 0.5).any()):
        raise UserError(
            f"--at {placement.left},{placement.top} leaves nothing of the object in the picture of "
            f"{width}x{height} px; give the place of the object's upper left corner inside it."
        )
    colour = torch.zeros(1, 3, height, width)
    colour[:, :, rows, columns] = object_.colour[:, :, inner_rows, inner_columns]
    if picture.shape[1] == 1:
        colour = with_channels(colour, 1)
    return picture * (1 - mask) + (2 * colour - mask), mask  # 2 c a - a = a (2 c - 1)


def overlap(start: int, length: int, room: int) -> tuple[slice, slice]:
    """Where a piece that begins at ``start`` lies in ``room``, and which part of it that is."""
    low, high = max(0, start), min(room, start + length)
    high = max(low, high)
    return slice(low, high), slice(low - start, high - start)


def scaled(cutting: Cutting, scale: float) -> Cutting:
    """The object at another size."""
    if scale == 1:
        return cutting
    height, width = cutting.alpha.shape[2:]
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return bounded(resize(cutting.colour, size), resize(cutting.alpha, size))


def turned(cutting: Cutting, degrees: float) -> Cutting:
    """The object turned counter-clockwise, in a box that holds all of it; quarter turns are exact."""
    quarters, rest = divmod(degrees, 90)
    colour, alpha = (torch.rot90(x, int(quarters), (2, 3)) for x in (cutting.colour, cutting.alpha))
    if rest == 0:
        return Cutting(colour, alpha)
    height, width = alpha.shape[2:]
    sine, cosine = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    box = (math.ceil(height * cosine + width * sine), math.ceil(width * cosine + height * sine))
    y, x = torch.meshgrid(*(torch.arange(side) - (side - 1) / 2 for side in box), indexing="ij")
    # for each pixel of the box the place in the object that comes there
    grid = torch.stack([2 * (cosine * x - sine * y) / width, 2 * (sine * x + cosine * y) / height], dim=-1)[None]
    both = F.grid_sample(torch.cat([colour, alpha], dim=1), grid, align_corners=False)
    return bounded(both[:, :3], both[:, 3:])


def feathered(cutting: Cutting, feather: float) -> Cutting:
    """The object with a rim that fades over ``feather`` px, inwards, where its colours are known."""
    if feather <= 0:
        return cutting
    sigma = feather / 2
    reach = math.ceil(3 * sigma)
    wide = F.pad(cutting.alpha, [reach] * 4)
    from kornia.filters import gaussian_blur2d  # here: most commands do without kornia, which loads slowly

    soft = gaussian_blur2d(wide, (2 * reach + 1, 2 * reach + 1), (sigma, sigma), border_type="constant")
    soft = soft[:, :, reach:-reach, reach:-reach]
    fade = (2 * soft - 1).clamp(0, 1)  # the blur of a straight rim is one half at the rim
    return Cutting(cutting.colour * fade, cutting.alpha * fade)


def bounded(colour: Tensor, alpha: Tensor) -> Cutting:
    """Keep alpha in [0, 1] and premultiplied colours in [0, alpha], which resampling may leave a little."""
    alpha = alpha.clamp(0, 1)
    return Cutting(torch.minimum(colour.clamp(min=0), alpha), alpha)
