"""The few colours that stand for a picture, and other pictures in these colours.

k-means (Lloyd, "Least squares quantization in PCM", 1982) from a start of far colours (k-means++: Arthur and
Vassilvitskii, SODA 2007), in the colours as an eye sees them. Each mean gives way to the colour of the picture that is
nearest to it, so that a palette holds no colour that the picture has not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.noise import Draw
from consingan.pictures.sketches import perceived

MOST_PIXELS = 16384  # of the picture that are looked at, evenly spread
TURNS = 30  # of Lloyd's iteration
TOGETHER = 2**16  # pixels whose nearest colour is looked for together


def palette(picture: Tensor, count: int) -> Tensor:
    """Colours ``[count, C]`` in [-1, 1] of a picture, all different; the same for the same picture.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        count: how many, 2 to 256.

    Raises:
        UserError: the picture has fewer colours.
    """
    colours = picture[0].flatten(1).T
    colours = colours[:: -(-len(colours) // MOST_PIXELS)]
    distinct = torch.unique(colours, dim=0)
    if len(distinct) < count:
        raise UserError(f"--quantise is {count}, but the picture has {len(distinct)} colours; give at most as many.")
    points = seen(colours)
    means = begun(points, count)
    for _ in range(TURNS):
        nearest = torch.cdist(points, means).argmin(1)
        sums = torch.zeros_like(means).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=count).clamp_min(1)
        means = torch.where(torch.bincount(nearest, minlength=count)[:, None] > 0, sums / counts[:, None], means)
    apart = torch.cdist(means, seen(distinct))
    chosen: list[int] = []
    for row in apart:
        row[chosen] = float("inf")
        chosen.append(int(row.argmin()))
    return distinct[chosen]


def begun(points: Tensor, count: int) -> Tensor:
    """As many of some points ``[n, 3]``, each drawn with the squared distance to those before as its weight."""
    numbers = Draw(0, ("palette",)).uniform((count,))
    found = points[:1]
    for number in numbers[1:]:
        weights = torch.cdist(points, found).amin(1).square().double().cumsum(0)
        place = int(torch.searchsorted(weights, number.double() * weights[-1]))
        found = torch.cat([found, points[min(place, len(points) - 1)][None]])
    return found


def in_colours(picture: Tensor, colours: Tensor) -> Tensor:
    """A picture ``[1, C, H, W]`` in [-1, 1] with each pixel's colour replaced by the nearest of ``[N, C]``."""
    points = seen(colours)
    parts = picture[0].flatten(1).T.split(TOGETHER)
    nearest = torch.cat([torch.cdist(seen(part), points).argmin(1) for part in parts])
    return colours[nearest].T.reshape(picture.shape)


def seen(colours: Tensor) -> Tensor:
    """Colours ``[n, C]`` as points ``[n, 3]``, see ``sketches.perceived``."""
    return perceived(colours.T[None, :, :, None])
