"""New pictures without training: a noisy coarse copy of the picture, finished (after Granot et al., CVPR 2022).

It is what a trained model has to beat: it moves pieces of the picture, and knows of no layout but the picture's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from torch import Tensor

from consingan.finish.patches import Told, finish
from consingan.finish.photo import Photo
from consingan.finish.scales import Plan
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed
from consingan.grid.sizes import NOWHERE, Size, Wraps
from consingan.grid.torus import joined

COARSE = 25  # px, the longer side of the copy
NOISE = 3.0  # deviation of the noise where variation is 1, for a picture in [-1, 1]


def instant(
    photo: Photo,
    n: int,
    size: Size,
    variation: float,
    seed: int,
    told: Told = lambda share: None,
    wraps: Wraps = NOWHERE,
) -> Iterator[Tensor]:
    """New pictures of a picture, without a model.

    Args:
        photo: the picture.
        n: how many; the first k of n are the same for every n.
        size: ``(H, W)`` of each.
        variation: from 0, hardly different, to 1, anything goes.
        seed: of the noise.
        told, wraps: as for ``finish``.

    Yields:
        ``n`` pictures ``[1, C, H, W]`` in [-1, 1].
    """
    plan = Plan.of(size, photo.size)
    shrink = COARSE / max(photo.size)
    coarse = (ceil(photo.size[0] * shrink * plan.canvas[0]), ceil(photo.size[1] * shrink * plan.canvas[1]))
    picture = joined(signed(photo.at(coarse)), wraps)
    for number in range(n):
        draw = Draw(seed, ("instant", number), photo.device)
        layout = picture + NOISE * variation * draw.normal(picture.shape)
        yield finish(photo, layout, size, [draw], told=told, wraps=wraps).picture
