"""The painting's hand: its strokes, facets and grain, laid over an object whose colours and edges stay.

Painting and object are each split into a base, smooth but for its edges, and a texture. The object's base is covered
with blocks of the painting's texture as a mosaic: each block comes from where the painting has a similar colour and is
worked as much as it is elsewhere, and continues the blocks beside it. A block counts only where the object has the
colour of the block's middle, so that none reaches over an edge; and where the object has structure of its own, a
window, a rail, it keeps it.

Sources: the filtered picture that guides the choice is that of image analogies (Hertzmann et al., SIGGRAPH 2001), the
mosaic that of image quilting (Efros and Freeman, SIGGRAPH 2001), base and texture are split by the guided filter (He,
Sun and Tang, PAMI 2013) with coefficients from a smaller picture (fast guided filter, 1505.00996).

All lengths are in pixels of a picture of at most ``WORKING_SIDE``: larger ones are looked at smaller, by a whole
number, and the texture is copied at full size, so that the strokes of a large painting stay as sharp as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.noise import Draw
from consingan.grid.resize import resize

WORKING_SIDE = 512  # px, the longer side up to which every pixel is looked at
STROKE = 9  # px, radius of the window that base and texture are split by: texture is what is smaller
PAINTED = 0.1  # of the squared range [-1, 1]: contrast of the painting below its root is texture
DRAWN = 0.01  # the same of the object, whose base keeps more
STEP = 9  # px from one block to the next
REACH = 13  # px, half a block; blocks three steps apart do not touch
EVERY = 3  # px between the painting's blocks to choose from, and between the pixels that are compared
NEAR = 2  # px, radius of the window in which the object's own structure is measured
STRUCTURE = 0.02  # of the squared range: structure at which half of the painting's texture is laid over it
KEPT = 0.3  # share of the object's own texture that stays under the painting's
SAME_SIDE = 0.02  # of the squared range: difference of colour at which a block counts e times less
SHARPNESS = 6  # power of the blocks' weights: their seams are narrow
FREE = 0.25  # share of the painting, nearest in colour, among which colour does not decide
COLOUR, OVERLAP, DULLNESS, EDGES, VARIETY = 3.0, 8.0, 3.0, 4.0, 0.03  # weights in the choice of a block
TINT = 0.3  # of the squared range: difference of colour at which a block's own tints count e times less
LARGEST_GAIN = 2.0  # by which the texture of places that the painter left quiet is raised at most
LEAST = 1e-6  # of the squared range: power of a texture that is none
BUDGET = 2**23  # numbers in memory at once, about


@dataclass(frozen=True, eq=False)
class Blocks:
    """The painting's blocks to choose from.

    Args:
        texture: ``[C, H, W]``, the painting's texture at full size.
        places: ``[n, 2]``, the blocks' middles as row and column, px of the working size.
        colours: ``[n, C]``, their mean colours.
        patterns: ``[n, d]``, their brightness at every ``EVERY``-th pixel, of the texture.
        against: ``[n]``, what speaks against a block wherever it may go.
        gains: ``[n]``, what its texture is multiplied by.
        variety: ``[n]``, uniform numbers.
    """

    texture: Tensor
    places: Tensor
    colours: Tensor
    patterns: Tensor
    against: Tensor
    gains: Tensor
    variety: Tensor


@torch.no_grad()
def painted(
    harmonized: Tensor, painting: Tensor, mask: Tensor, strength: float = 1.0, hidden: Tensor | None = None
) -> Tensor:
    """The picture with the painting's hand inside the mask.

    Args:
        harmonized: ``[1, C, H, W]`` in [-1, 1], C 1 or 3, an object in the painting's colours.
        painting: ``[1, C, h, w]`` in [-1, 1], any size; it is brought to the longer side of ``harmonized``.
        mask: ``[1, 1, H, W]`` in [0, 1], where the object is.
        strength: 0 to 1, share of the change that is made.
        hidden: ``[1, 1, h, w]``, above 0 where the painting cannot be seen; nothing is taken from there, unless it
            is nearly everywhere.

    Returns:
        ``[1, C, H, W]`` in [-1, 1]; ``harmonized`` to the bit where the mask is 0. The same arguments give the same.
    """
    if strength == 0 or not bool((mask > 0).any()):
        return harmonized
    longer = max(harmonized.shape[2:])
    factor = ceil(longer / WORKING_SIDE)
    rows, columns = (span(mask, dim, 2 * REACH * factor) for dim in (2, 3))
    part, inside = harmonized[:, :, rows, columns], mask[:, :, rows, columns]
    hand = textured(part, inside, blocks_of(at_side(painting, longer), factor, hidden), factor)
    result = harmonized.clone()
    result[:, :, rows, columns] = torch.where(inside > 0, part + strength * inside * (hand - part), part)
    return result


def span(mask: Tensor, dim: int, margin: int) -> slice:
    """The rows (2) or columns (3) that the mask has, and a margin around them within the picture."""
    found = (mask > 0).any(dim=5 - dim).flatten().nonzero()
    return slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin)


def at_side(painting: Tensor, longer: int) -> Tensor:
    """The painting with a longer side of so many pixels."""
    scale = longer / max(painting.shape[2:])
    height, width = (max(1, round(side * scale)) for side in painting.shape[2:])
    return resize(painting, (height, width)).clamp(-1, 1)


def textured(picture: Tensor, mask: Tensor, blocks: Blocks, factor: int) -> Tensor:
    """A picture with the blocks' texture instead of most of its own, all but its structure: ``[1, C, H, W]``."""
    base = smoothed(picture, DRAWN, factor)
    texture = mosaic(base, mask, blocks, factor)
    small = shrunk(picture, factor)
    room = STRUCTURE / (STRUCTURE + mean_of(spread(small, NEAR), 1))
    room = F.interpolate(room, size=picture.shape[2:], mode="bilinear")
    return (base + (1 - room * (1 - KEPT)) * (picture - base) + room * texture).clamp(-1, 1)


def mosaic(base: Tensor, mask: Tensor, blocks: Blocks, factor: int) -> Tensor:
    """The blocks' texture all over the mask, ``[1, C, H, W]``: chosen for the base's colours and for one another.

    Args:
        base: ``[1, C, H, W]``, what the texture will lie on.
        mask: ``[1, 1, H, W]``, blocks are laid where it is above 0.
        blocks: to choose from.
        factor: pixels of ``base`` a pixel of the working size.
    """
    channels, size = base.shape[1], base.shape[2:]
    reach = REACH * factor
    around = F.pad(base, (reach,) * 4, mode="replicate")[0]
    total = torch.zeros_like(around)
    weight = torch.zeros_like(around[0])
    offsets = grid(torch.arange(-reach, reach + 1, device=base.device))
    window = torch.exp(-2 * offsets.square().sum(dim=-1) / reach**2)  # [p]
    compared = offsets_compared(base.device) * factor
    rows_at_once = max(1, BUDGET // (2 * len(blocks.places) + 4 * channels * len(offsets)))
    for turn in turns(mask, factor):
        for middles in turn.split(rows_at_once):
            colours = base[0][:, middles[:, 0], middles[:, 1]].T
            chosen = choose(middles, colours, around, total, weight, blocks, compared + reach)
            places = blocks.places[chosen]
            y, x = pixels(places * factor + reach, offsets)
            texture = blocks.texture[:, y, x]  # [C, b, p]
            tint = torch.exp(-(colours - blocks.colours[chosen]).square().mean(dim=1) / TINT)
            grey = texture.mean(dim=0, keepdim=True)
            texture = (grey + tint[:, None] * (texture - grey)) * blocks.gains[chosen][:, None]
            y, x = pixels(middles + reach, offsets)
            share = (window * same_side(around[:, y, x], colours)) ** SHARPNESS + 1e-12
            total[:, y, x] += share * texture
            weight[y, x] += share
    laid = total / weight.clamp_min(1e-12)
    return laid[None, :, reach : reach + size[0], reach : reach + size[1]]


def choose(
    middles: Tensor, colours: Tensor, around: Tensor, total: Tensor, weight: Tensor, blocks: Blocks, compared: Tensor
) -> Tensor:
    """The number of the best block for each place, ``[b]``.

    Args:
        middles: ``[b, 2]``, where blocks are wanted.
        colours: ``[b, C]``, the base's there.
        around, total, weight: the base, the sum of what is laid already and its weights, with a border.
        blocks: to choose from.
        compared: ``[d, 2]``, pixels of a block that are compared, from its corner.
    """
    y, x = pixels(middles, compared)
    laid = weight[y, x]
    here = total.mean(dim=0)[y, x] / laid.clamp_min(1e-12)  # [b, d]
    counts = (laid > 0) * same_side(around[:, y, x], colours)
    overlap = (counts * here.square()).sum(dim=1, keepdim=True) - 2 * (counts * here) @ blocks.patterns.T
    overlap += counts @ blocks.patterns.square().T
    distance = colour_distance(colours, blocks.colours)
    few = distance[:, :: max(1, distance.shape[1] // 1024)]
    free = few.kthvalue(max(1, int(FREE * few.shape[1])), dim=1, keepdim=True).values
    numbers = torch.arange(len(blocks.places), device=middles.device)
    shuffled = (numbers + 37 * (131 * middles[:, :1] + 17 * middles[:, 1:])) % len(numbers)
    cost = COLOUR * (distance - free).clamp_min(0) + OVERLAP / len(compared) * overlap
    return (cost + blocks.against + VARIETY * blocks.variety[shuffled]).argmin(dim=1)


def colour_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference over channels of every colour to every other: ``[n, m]``."""
    product = a @ b.T
    squares = a.square().sum(dim=1, keepdim=True) + b.square().sum(dim=1)
    return (squares - 2 * product).clamp_min(0) / a.shape[1]


def same_side(colours: Tensor, middle: Tensor) -> Tensor:
    """How much pixels ``[C, b, p]`` belong to the side of an edge that the middle ``[b, C]`` is on: ``[b, p]``."""
    return torch.exp(-(colours - middle.T[:, :, None]).square().mean(dim=0) / SAME_SIDE)


def turns(mask: Tensor, factor: int) -> Iterator[Tensor]:
    """Middles ``[b, 2]`` of the blocks that meet the mask, turn by turn; blocks of one turn do not touch.

    Each block's turn comes after those above it and left of it, as one writes.
    """
    step, reach = STEP * factor, REACH * factor
    met = F.max_pool2d((mask > 0).float(), (2 * reach + 1, 1), stride=(step, 1), padding=(reach, 0))
    met = F.max_pool2d(met, (1, 2 * reach + 1), stride=(1, step), padding=(0, reach))[0, 0] > 0
    blocks = met.nonzero()
    turn = 3 * blocks[:, 0] + blocks[:, 1]
    for number in turn.unique().tolist():
        yield blocks[turn == number] * step


def blocks_of(painting: Tensor, factor: int, hidden: Tensor | None = None) -> Blocks:
    """The painting's texture in blocks.

    Args:
        painting: ``[1, C, h, w]``.
        factor: its pixels a pixel of the working size.
        hidden: as ``painted``.
    """
    height, width = painting.shape[2:]
    least = (2 * REACH + 1) * factor
    more = (max(0, least - width), max(0, least - height))
    painting = F.pad(painting, (0, more[0], 0, more[1]), mode="replicate")
    texture = painting - smoothed(painting, PAINTED, factor)
    small = shrunk(painting, factor)
    base = smoothed(small, PAINTED, 1)
    fine = small - base
    rows, columns = (torch.arange(REACH, side - REACH, EVERY, device=base.device) for side in small.shape[2:])
    places = torch.cartesian_prod(rows, columns)
    if hidden is not None:
        spoilt = F.adaptive_max_pool2d(hidden, small.shape[2:])
        spoilt = F.max_pool2d(spoilt, 2 * REACH + 1, stride=1, padding=REACH)
        seen = at(spoilt, places)[:, 0] == 0
        places = places[seen] if bool(seen.any()) else places
    power = window_mean(mean_of(fine.square(), 1), STROKE // 2)
    strength = at(power, places)[:, 0].clamp_min(LEAST).log()
    usual = (strength / 2).exp().mean().square().log()
    y, x = pixels(places, offsets_compared(base.device))
    return Blocks(
        texture=F.pad(texture, (REACH * factor,) * 4, mode="replicate")[0],
        places=places,
        colours=at(window_mean(base, STROKE // 2), places),
        patterns=fine.mean(dim=1)[0][y, x],
        against=EDGES * at(mean_of(spread(base, STROKE // 2), 1), places)[:, 0]
        + DULLNESS * (strength - usual).clamp(max=0).square(),
        gains=((usual - strength) / 2).exp().clamp(1, LARGEST_GAIN),
        variety=Draw(0, ("hand",), base.device).uniform((len(places),)),
    )


def smoothed(x: Tensor, contrast: float, factor: int) -> Tensor:
    """The picture less what is smaller than a stroke and weaker than a contrast: ``[1, C, H, W]``.

    Args:
        x: ``[1, C, H, W]``.
        contrast: of the squared range; more is kept where the picture varies by more.
        factor: its pixels a pixel of the working size.
    """
    small = shrunk(x, factor)
    mean, varies = window_mean(small, STROKE), mean_of(spread(small, STROKE), 1)
    gain = varies / (varies + contrast)
    gain, offset = window_mean(gain, STROKE), window_mean((1 - gain) * mean, STROKE)
    gain, offset = (F.interpolate(y, size=x.shape[2:], mode="bilinear") for y in (gain, offset))
    return gain * x + offset


def shrunk(x: Tensor, factor: int) -> Tensor:
    """The picture at the working size: ``[1, C, H / factor, W / factor]``, rounded up."""
    return resize(x, (ceil(x.shape[2] / factor), ceil(x.shape[3] / factor)))


def spread(x: Tensor, radius: int) -> Tensor:
    """Variance within a window: ``[1, C, H, W]``."""
    return (window_mean(x.square(), radius) - window_mean(x, radius).square()).clamp_min(0)


def window_mean(x: Tensor, radius: int) -> Tensor:
    """Mean over a window of a radius in px, of what lies inside the picture: ``[1, C, H, W]``."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(x, (side, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), stride=1, padding=(0, radius), count_include_pad=False)


def mean_of(x: Tensor, dim: int) -> Tensor:
    """Mean over a dimension, which stays as 1."""
    return x.mean(dim=dim, keepdim=True)


def at(x: Tensor, places: Tensor) -> Tensor:
    """The values ``[n, C]`` of ``[1, C, H, W]`` at places ``[n, 2]``."""
    return x[0][:, places[:, 0], places[:, 1]].T


def grid(along: Tensor) -> Tensor:
    """``[p, 2]``: all pairs of the numbers."""
    return torch.cartesian_prod(along, along)


def offsets_compared(device: torch.device) -> Tensor:
    """``[d, 2]``: the pixels of a block that are compared, from its middle."""
    return grid(torch.arange(-REACH + 1, REACH, EVERY, device=device))


def pixels(middles: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns, ``[b, p]`` each, of the pixels around middles ``[b, 2]``."""
    return middles[:, :1] + offsets[:, 0], middles[:, 1:] + offsets[:, 1]
