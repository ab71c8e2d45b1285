"""A picture made of the patches of another, with its own layout: the strokes of a painting on a photo's shapes.

Where the finish of samples trusts a layout only at its coarsest, here the layout is known at every scale. As in
``style``, what is searched for at a scale is a mixture of what the scale below made and of the layout at this scale;
but the search begins later, for the layout is in the photo's colours already. A little of the layout shows through.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consingan.finish.patches import Told
from consingan.finish.photo import Photo
from consingan.finish.scales import Plan
from consingan.finish.search import Field, enlarged
from consingan.finish.style import painted
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.sizes import size_of

PALETTE = 0.6  # share of the way to the photo's own histogram: at 1 sunlit parts of a path become a wall
KEPT = 0.9  # share of the layout in what is searched for: less loses thin things, more shows seams
THROUGH = 0.2  # share of the layout in the result: structure that no patch has, hardly to be seen
START = 130  # px, the photo's longer side at which patches are first taken: coarser ones lose doors and windows


@torch.no_grad()
def in_manner(photo: Photo, layout: Tensor, draw: Draw, told: Told = lambda share: None) -> Tensor:
    """A picture made of the patches of a photo.

    Args:
        photo: whose patches.
        layout: ``[1, C, H, W]`` in [-1, 1], in the photo's colours; the result has its size.
        draw: the place of random numbers; others give other choices of patches.
        told: how far it has come, from 0 to 1.

    Returns:
        ``[1, C, H, W]`` in [-1, 1].
    """
    size = size_of(layout)
    plan = Plan.of(size, photo.size)
    first = next((n for n, shown in enumerate(plan.photo) if max(shown) >= START), len(plan.photo) - 1)
    scales = list(zip(photo.prepared(plan), plan.sample, plan.photo, strict=True))[first:]
    made = own = unit(layout.to(photo.device))
    field: Field | None = None
    below, of_below = scales[0][1:]
    done, whole = 0, sum(height * width for _, (height, width), _ in scales)
    for number, (scale, now, shown) in enumerate(scales):
        guide, made = (resize(x, now).clamp(0, 1) for x in (own, made))
        given = None if field is None else enlarged(field, below, now, of_below, scale)
        made, field = painted(scale, made, guide, given, KEPT, draw.at("manner", number))
        below, of_below = now, shown
        done += now[0] * now[1]
        told(done / whole)
    return signed(resize(made, size).clamp(0, 1).lerp(own, THROUGH))


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
