"""Augmented pictures: what a harmonization or editing model learns to turn back into the picture.

Values are in [0, 1] here; ``augmented`` takes and gives [-1, 1]. Every number comes from a ``Draw``, so an
augmentation is a function of its place and can be replayed. Lengths are in pixels of a picture whose longer side is
``REFERENCE`` px, and scale with the picture.

Source: Hinz et al. (WACV 2021), section 4.4 and supplementary; the operations are those of albumentations 0.4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import pi
from typing import TYPE_CHECKING

from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import Size, size_of

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw

REFERENCE = 250  # px, the longer side for which lengths are given
COLOUR_SHARE, CUTOUT_SHARE = 0.25, 0.9  # of the pictures

Operation = Callable[["Tensor", "Draw"], "Tensor"]  # [1, C, H, W] in [0, 1] -> the same


@dataclass(frozen=True)
class Choice:
    """An operation, or a table to choose one from.

    Args:
        weight: how often it is taken, relative to its neighbours.
        what: the operation or the inner table.
        needs_colour: whether it is left out for one channel.
    """

    weight: float
    what: Operation | tuple[Choice, ...]
    needs_colour: bool = False


def augmented(picture: Tensor, draw: Draw) -> Tensor:
    """A harmonization input: colours changed with probability 0.25, holes cut with probability 0.9.

    Args:
        picture: ``[1, C, h, w]`` in [-1, 1], C = 1 or 3.
        draw: the place of its random numbers.

    Returns:
        ``[1, C, h, w]`` in [-1, 1].
    """
    x = unit(picture)
    if uniform(draw.at("colour?")) < COLOUR_SHARE:
        x = one_of(COLOURS, x, draw.at("colour"))
    if uniform(draw.at("cutout?")) < CUTOUT_SHARE:
        x = cutout(x, draw.at("cutout"))
    return signed(x.clamp(0, 1))


def shifted_tiles(picture: Tensor, draw: Draw) -> Tensor:
    """An editing input: one to five tiles of the picture laid down again a little way off.

    Args:
        picture: ``[1, C, h, w]``, any range.
        draw: the place of its random numbers.

    Returns:
        ``[1, C, h, w]``; every value is one of the picture's own.
    """
    count = 1 + int(5 * uniform(draw.at("count")))
    result = picture.clone()
    for tile in range(count):
        top, height, down = tile_on_side(picture.shape[2], count, draw.at(tile, "rows"))
        left, width, across = tile_on_side(picture.shape[3], count, draw.at(tile, "columns"))
        result[:, :, top + down :, left + across :][:, :, :height, :width] = picture[
            :, :, top : top + height, left : left + width
        ]
    return result


# By the number of tiles: the least and the most share of a side that one covers, and that it is moved by.
TILE_SHARES = {1: (0.2, 0.5), 2: (0.15, 0.3), 3: (0.1, 0.2), 4: (0.1, 0.15), 5: (0.1, 0.15)}
TILE_SHIFTS = {1: (0.05, 0.15), 2: (0.05, 0.1), 3: (0.05, 0.1), 4: (0.05, 0.1), 5: (0.05, 0.1)}


def tile_on_side(side: int, count: int, draw: Draw) -> tuple[int, int, int]:
    """Start, length and shift of a tile along a side; start and start + shift both keep it inside."""
    length = max(1, round(side * between(draw.at("length"), *TILE_SHARES[count])))
    shift = round(side * between(draw.at("shift"), *TILE_SHIFTS[count]))
    shift = -shift if uniform(draw.at("sign")) < 0.5 else shift
    room = side - length - abs(shift)
    start = int(uniform(draw.at("start")) * (room + 1)) + max(0, -shift)
    return start, length, shift


def one_of(table: tuple[Choice, ...], x: Tensor, draw: Draw) -> Tensor:
    """Apply one entry of a table, drawn by weight; entries that need colour are left out for one channel."""
    entries = [entry for entry in table if x.shape[1] == 3 or not entry.needs_colour]
    left = uniform(draw.at("which")) * sum(entry.weight for entry in entries)
    for chosen in entries:
        left -= chosen.weight
        if left < 0:
            break
    inner = draw.at("inner")
    return one_of(chosen.what, x, inner) if isinstance(chosen.what, tuple) else chosen.what(x, inner)


def multiplicative_noise(x: Tensor, draw: Draw) -> Tensor:
    """Every element times a number of its own from 0.5 to 1.5."""
    return (x * (0.5 + draw.uniform(x.shape))).clamp(0, 1)


def gaussian_noise(x: Tensor, draw: Draw) -> Tensor:
    """Normal noise whose standard deviation is between 0.01 and 0.05."""
    sigma = between(draw.at("sigma"), 0.01, 0.05)
    return (x + sigma * draw.at("noise").normal(x.shape)).clamp(0, 1)


def invert(x: Tensor, draw: Draw) -> Tensor:
    """``1 - x``."""
    return 1 - x


def sepia(x: Tensor, draw: Draw) -> Tensor:
    """The usual sepia matrix; no rescaling, which would change the matrix from picture to picture."""
    from kornia.color import sepia as tinted

    return tinted(x, rescale=False).clamp(0, 1)


def channel_drop(x: Tensor, draw: Draw) -> Tensor:
    """One channel set to 0."""
    x = x.clone()
    x[:, int(3 * uniform(draw))] = 0
    return x


def channel_shuffle(x: Tensor, draw: Draw) -> Tensor:
    """The channels in a random order."""
    order = draw.uniform((3,)).argsort()
    return x[:, order]


def hue_saturation_value(x: Tensor, draw: Draw) -> Tensor:
    """Hue turned by at most 20 / 180 of a turn; saturation shifted by at most 30 / 255, value by 20 / 255."""
    hue, saturation, value = (between(draw.at(k), -1, 1) for k in range(3))
    return shifted_hsv(x, 2 * pi * hue * 20 / 180, saturation * 30 / 255, value * 20 / 255)


def shifted_hsv(x: Tensor, hue: float, saturation: float, value: float) -> Tensor:
    """Shift hue (radians, wraps), saturation and value (clamped) of ``[1, 3, H, W]`` in [0, 1]."""
    import torch
    from kornia.color import hsv_to_rgb, rgb_to_hsv

    h, s, v = rgb_to_hsv(x).chunk(3, dim=1)
    moved = torch.cat([(h + hue) % (2 * pi), (s + saturation).clamp(0, 1), (v + value).clamp(0, 1)], dim=1)
    return hsv_to_rgb(moved).clamp(0, 1)


def cutout(x: Tensor, draw: Draw) -> Tensor:
    """One square hole of 30 to 60 px or two of 15 to 30 px, at 250 px, filled with a random colour."""
    colour = draw.at("colour").uniform((1, x.shape[1], 1, 1)).to(x)
    x = x.clone()
    for rows, columns in holes(size_of(x), draw):
        x[:, :, rows, columns] = colour
    return x


def holes(size: Size, draw: Draw) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each hole; centres are anywhere, what lies outside the picture is lost."""
    scale = max(size) / REFERENCE
    count, low, high = (1, 30, 60) if uniform(draw.at("count")) < 0.5 else (2, 15, 30)
    for hole in range(count):
        side = max(1, round(scale * between(draw.at("side", hole), low, high)))
        starts = (int(uniform(draw.at(axis, hole)) * size[axis]) - side // 2 for axis in range(2))
        rows, columns = (slice(max(0, start), start + side) for start in starts)
        yield rows, columns


def uniform(draw: Draw) -> float:
    """One number in [0, 1)."""
    return replace(draw, device="cpu").uniform().item()


def between(draw: Draw, low: float, high: float) -> float:
    """One number in [low, high)."""
    return low + (high - low) * uniform(draw)


# Weights are the published probabilities, which albumentations takes relative to each other within a choice.
COLOURS = (
    Choice(0.5, (Choice(0.2, multiplicative_noise), Choice(1.0, gaussian_noise))),
    Choice(0.5, (Choice(0.5, invert), Choice(0.5, sepia, needs_colour=True))),
    Choice(0.5, (Choice(0.5, channel_drop), Choice(0.5, channel_shuffle)), needs_colour=True),
    Choice(0.1, hue_saturation_value, needs_colour=True),
)
