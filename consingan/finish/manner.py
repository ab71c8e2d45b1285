"""A picture made of the patches of another, with its own layout: the strokes of a painting on a photo's shapes.

Where the finish of samples trusts a layout only at its coarsest, here the layout is known at every scale. What is
searched for at a scale is a mixture of what the scale below made and of the layout as it is at this scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consingan.finish.patches import SPREADS, UNLIKE, Told
from consingan.finish.photo import Photo, Scale
from consingan.finish.scales import Plan
from consingan.finish.search import Field, enlarged, exact, field_of, improved, mended
from consingan.finish.vote import vote
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.sizes import size_of

PALETTE = 0.6  # share of the way to the photo's own histogram: at 1 sunlit parts of a path become a wall
KEPT = 0.8  # share of the layout in what is searched for at the scale after the first
START = 130  # px, the photo's longer side at which patches are first taken: coarser ones lose doors and windows
FALLS = 0.92  # factor on it from one scale to the next


def in_manner(photo: Photo, layout: Tensor, draw: Draw, keep: float = 1.0, told: Told = lambda share: None) -> Tensor:
    """A picture made of the patches of a photo.

    Args:
        photo: whose patches.
        layout: ``[1, C, H, W]`` in [-1, 1], in the photo's colours; the result has its size.
        draw: the place of random numbers; others give other choices of patches.
        keep: from 0 to 1, how much of the layout's own detail is looked for; 1 keeps most.
        told: how far it has come, from 0 to 1.

    Returns:
        ``[1, C, H, W]`` in [-1, 1].
    """
    size = size_of(layout)
    plan = Plan.of(size, photo.size)
    first = next((n for n, shown in enumerate(plan.photo) if max(shown) >= START), len(plan.photo) - 1)
    scales = list(zip(photo.prepared(plan), plan.sample, plan.photo, strict=True))[first:]
    own = unit(layout.to(photo.device))
    made, field = own, (torch.empty(0), torch.empty(0))
    below = scales[0]
    done, whole = 0, sum(height * width for _, (height, width), _ in scales)
    for number, (scale, now, shown) in enumerate(scales):
        share = KEPT * FALLS**number if number else 1.0
        wanted = resize(own, now).clamp(0, 1)
        made = resize(made, now).clamp(0, 1)
        if number:
            field = enlarged(field, below[1], now, below[2], scale)
        if scale.searched:
            for keys, spread in zip((scale.blurred, scale.sharp), SPREADS, strict=True):
                queries = scale.patches(made.lerp(wanted, keep * share))
                field = improved(queries, keys, scale, field) if number else nearest(queries, keys, scale, draw)
                made = vote(field, now, scale, spread)
        else:
            field = mended(made.lerp(wanted, keep * share), scale, field)
            made = vote(field, now, scale, SPREADS[-1])
        below = (scale, now, shown)
        done += now[0] * now[1]
        told(done / whole)
    return signed(resize(made, size).clamp(0, 1))


def toward_palette(layout: Tensor, picture: Tensor, share: float = PALETTE) -> Tensor:
    """A layout whose values are, channel by channel, about as often as those of a picture.

    Args:
        layout: ``[1, C, H, W]``.
        picture: ``[1, C, h, w]``.
        share: of the way to the picture's own histogram, from 0 to 1.

    Returns:
        ``[1, C, H, W]``; larger values stay larger.
    """
    values, wanted = layout.flatten(2), picture.flatten(2).sort(dim=2).values
    count, of = values.shape[2], wanted.shape[2]
    ranks = values.argsort(dim=2, stable=True).argsort(dim=2)
    return layout.lerp(wanted.gather(2, ranks * (of - 1) // max(1, count - 1)).view_as(layout), share)


def nearest(queries: Tensor, keys: Tensor, scale: Scale, draw: Draw) -> Field:
    """The field of the nearest patches of all."""
    dear = 1 + UNLIKE * draw.at("manner", *scale.size).uniform((len(keys),)).to(keys.device)
    return field_of(exact(queries[0].flatten(0, 1), keys, dear)[None], scale, (queries.shape[1], queries.shape[2]))
