"""A picture made of the patches of another, with its own layout: the strokes of a painting on a photo's shapes.

Where the finish of samples trusts a layout only at its coarsest, here the layout is known at every scale. What is
searched for at a scale is a mixture of what the scale below made and of the layout as it is at this scale.
"""

from __future__ import annotations

from torch import Tensor

from consingan.finish.patches import EXACT, SPREADS, UNLIKE, Told
from consingan.finish.photo import Photo, Scale
from consingan.finish.scales import Plan
from consingan.finish.search import Field, enlarged, exact, field_of, improved, mended
from consingan.finish.vote import vote
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.sizes import size_of

KEPT = 0.6  # share of the layout in what is searched for at the coarsest scale
FALLS = 0.85  # factor on it from one scale to the next


def in_manner(photo: Photo, layout: Tensor, draw: Draw, keep: float = KEPT, told: Told = lambda share: None) -> Tensor:
    """A picture made of the patches of a photo.

    Args:
        photo: whose patches.
        layout: ``[1, C, H, W]`` in [-1, 1], in the photo's colours; the result has its size.
        draw: the place of random numbers; others give other choices of patches.
        keep: from 0 to 1, how much of the layout's own detail is looked for.
        told: how far it has come, from 0 to 1.

    Returns:
        ``[1, C, H, W]`` in [-1, 1].
    """
    size = size_of(layout)
    plan = Plan.of(size, photo.size)
    own = unit(layout.to(photo.device))
    made = resize(own, plan.sample[0])
    field: Field | None = None
    done = 0
    for number, (scale, now) in enumerate(zip(photo.prepared(plan), plan.sample, strict=True)):
        share = keep * FALLS**number
        made, wanted = resize(made, now).clamp(0, 1), resize(own, now).clamp(0, 1)
        given = None
        if field is not None:
            given = enlarged(field, plan.sample[number - 1], now, plan.photo[number - 1], scale)
        if scale.searched:
            for keys, spread in zip((scale.blurred, scale.sharp), SPREADS, strict=True):
                queries = scale.patches(made.lerp(wanted, share if number else 1.0))
                if given is None or max(scale.size) <= EXACT:
                    given = nearest(queries, keys, scale, draw)
                else:
                    given = improved(queries, keys, scale, given)
                made = vote(given, now, scale, spread)
        else:
            assert given is not None
            given = mended(made.lerp(wanted, share), scale, given)
            made = vote(given, now, scale, SPREADS[-1])
        field = given
        done += now[0] * now[1]
        told(done / plan.pixels)
    return signed(resize(made, size).clamp(0, 1))


def nearest(queries: Tensor, keys: Tensor, scale: Scale, draw: Draw) -> Field:
    """The field of the nearest patches of all."""
    dear = 1 + UNLIKE * draw.at("manner", *scale.size).uniform((len(keys),)).to(keys.device)
    return field_of(exact(queries[0].flatten(0, 1), keys, dear)[None], scale, (queries.shape[1], queries.shape[2]))
