"""One picture in the manner of another, without training: its structure, painted with the other's patches.

The content gets the colours of the style first (``colours``), and is then made anew of the style's patches, coarse to
fine. Other than for a layout that was generated, the content is believed at every scale: what is looked for at a place
is mostly the content there (``GUIDE``), and for the rest what lies there already, so that neighbouring patches join.
The places of the two pictures mean nothing to each other, so no patch pays for where it comes from.

Sources: patches from coarse to fine after Granot et al. ("Drop the GAN", CVPR 2022, style transfer in section 4), the
content that guides the choice after image analogies (Hertzmann et al., SIGGRAPH 2001), the random search after
PatchMatch (Barnes et al., SIGGRAPH 2009, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from consingan.finish.colours import matched
from consingan.finish.patches import SPREADS, UNLIKE, Told
from consingan.finish.photo import REACH, Photo, Scale
from consingan.finish.scales import Plan
from consingan.finish.search import (
    Field,
    candidates,
    distances,
    enlarged,
    exact,
    field_of,
    mended,
    strips_of,
)
from consingan.finish.vote import vote
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of

GUIDE = 0.8  # share of the content in what is looked for at a place
ROUNDS = 2  # of the search from place to place, in each pass of a larger scale
FARTHEST = 0.5  # of the style's longer side: radius of the random search, which is halved from one trial to the next


@torch.no_grad()
def restyled(
    style: Photo,
    content: Tensor,
    draw: Draw,
    size: Size | None = None,
    strength: float = 1.0,
    told: Told = lambda share: None,
) -> Tensor:
    """A picture in the manner of another.

    Args:
        style: whose patches and colours; it is never enlarged.
        content: ``[1, C, h, w]`` in [-1, 1], C that of the style.
        draw: other ones choose differently among patches that are nearly as good.
        size: ``(H, W)`` of the result; the content's unless given.
        strength: from 0, the content itself, to 1, patches of the style alone; between them less of the structure
            is left to the patches, and the content shows through.
        told: hears how far it has come, from 0 to 1, after each scale.

    Returns:
        ``[1, C, H, W]`` in [-1, 1]; the same bits for the same arguments on one device. Beside the two pictures the
        memory is linear in the pixels of the result and of the style, and the search works on strips.
    """
    size = size or size_of(content)
    content = resize(content.to(style.device), size).clamp(-1, 1)
    if strength == 0:
        return content
    plan = Plan.of(size, style.size)
    recoloured = matched(unit(content), style.at(style.size))
    made, done = resize(recoloured, plan.sample[0]).clamp(0, 1), 0
    field: Field | None = None
    for number, (scale, now) in enumerate(zip(style.prepared(plan), plan.sample, strict=True)):
        guide, made = (resize(x, now).clamp(0, 1) for x in (recoloured, made))
        given = None
        if field is not None:
            given = enlarged(field, plan.sample[number - 1], now, plan.photo[number - 1], scale)
        made, field = painted(scale, made, guide, given, 1 - strength * (1 - GUIDE), draw.at("style", number))
        done += now[0] * now[1]
        told(done / plan.pixels)
    return content + strength * (signed(resize(made, size).clamp(0, 1)) - content)


def painted(
    scale: Scale, made: Tensor, guide: Tensor, given: Field | None, share: float, draw: Draw
) -> tuple[Tensor, Field]:
    """The picture and its field after the passes of a scale.

    Args:
        scale: of the style.
        made, guide: ``[1, C, h, w]`` in [0, 1], the picture so far and the content.
        given: the field of the scale below, carried here; None at the coarsest.
        share: of the content in what is looked for.
        draw: of this scale.
    """
    size = size_of(made)
    if not scale.searched:
        assert given is not None
        field = mended(torch.lerp(made, guide, share), scale, given)
        return vote(field, size, scale, SPREADS[-1]), field
    for number, (keys, spread) in enumerate(zip((scale.blurred, scale.sharp), SPREADS, strict=True)):
        wanted = torch.lerp(made, guide, share)
        if given is None:
            given = compared(wanted, keys, scale, draw)
        for turn in range(ROUNDS):
            given = sought(wanted, keys, scale, given, draw.at(number, turn))
        made = vote(given, size, scale, spread)
    assert given is not None
    return made, given


def compared(wanted: Tensor, keys: Tensor, scale: Scale, draw: Draw) -> Field:
    """The field of the best patches of all, balanced (``search.exact``)."""
    queries = scale.patches(wanted)
    dear = 1 + UNLIKE * draw.at("dear").uniform((len(keys),)).to(keys.device)
    return field_of(exact(queries[0].flatten(0, 1), keys, dear), scale, (queries.shape[1], queries.shape[2]))


def sought(wanted: Tensor, keys: Tensor, scale: Scale, field: Field, draw: Draw) -> Field:
    """A field after every place has looked at its neighbours' patches, at those beside its own, and far around.

    All places look at the field as it was, strip by strip.

    Args:
        wanted: ``[1, C, h, w]`` in [0, 1], what is looked for.
        keys: ``[K, D]``, the style's patches.
        scale: of the style.
        field: of the places.
        draw: of the random search.
    """
    field = scale.inside(field)
    strips = []
    for rows in strips_of(*field[0].shape[1:]):
        queries = scale.patches(wanted[:, :, rows.start : rows.stop + 2 * REACH])
        best = (field[0][:, rows.start : rows.stop], field[1][:, rows.start : rows.stop])
        least = distances(queries, keys, scale, best)
        far = afar(best, scale, draw.at(rows.start))
        for candidate, count in (*candidates(field, rows, best, scale), *far):
            found = count * distances(queries, keys, scale, candidate)
            better = found < least
            least = torch.where(better, found, least)
            best = (torch.where(better, candidate[0], best[0]), torch.where(better, candidate[1], best[1]))
        strips.append(best)
    return torch.cat([s[0] for s in strips], dim=1), torch.cat([s[1] for s in strips], dim=1)


def afar(best: Field, scale: Scale, draw: Draw) -> Iterator[tuple[Field, float]]:
    """Patches at random around those of a field, nearer from one trial to the next, and what their distance counts."""
    radius = FARTHEST * max(scale.size)
    trial = 0
    while radius > 2:
        shift = (radius * (2 * draw.at(trial).uniform((2, *best[0].shape)) - 1)).round().long().to(best[0].device)
        yield scale.inside((best[0] + shift[0], best[1] + shift[1])), 1.0
        radius, trial = radius / 2, trial + 1
