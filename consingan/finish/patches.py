"""From a layout to a sample: at every scale, patches of the sample are replaced by patches of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.finish.atlas import Atlas
from consingan.finish.blend import evened
from consingan.finish.photo import REACH, Photo, Store
from consingan.finish.regions import Regions
from consingan.finish.scales import Plan
from consingan.finish.search import Field, distances, enlarged, exact, field_of, improved, mended
from consingan.finish.vote import vote
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import NOWHERE, Size, Wraps, size_of
from consingan.grid.torus import resized, surrounded

EXACT = 80  # px of the picture's longer side up to which every patch is compared with every other
SPREADS = (0.8, 0.6)  # of the votes of the two passes of a scale
ROW, COLUMN = 3.0, 0.5  # what it costs a patch to go from one border of the picture to the other, as a distance
UNLIKE = 0.1  # share by which two finishes of one layout see distances differently
STAY = 0.7  # share of the distance so far below which a new patch has to be to take an older frame's place

Told = Callable[[float], None]


@dataclass(frozen=True)
class Finished:
    """A sample, and where its patches come from.

    Args:
        picture: ``[B, C, H, W]`` in [-1, 1].
        fields: by scale.
    """

    picture: Tensor
    fields: tuple[Field, ...]


def finish(
    photo: Photo | Atlas,
    layout: Tensor,
    size: Size,
    draws: Sequence[Draw],
    before: Sequence[Field] = (),
    told: Told = lambda share: None,
    wraps: Wraps = NOWHERE,
) -> Finished:
    """Make a layout anew of patches of the picture.

    Args:
        photo: the picture, or several.
        layout: ``[B, C, h, w]`` in [-1, 1] of any resolution; only what ``scales.TRUST`` px of the picture show counts.
        size: ``(H, W)`` of the sample.
        draws: of each picture of the batch; others give other finishes of one layout.
        before: fields of the frame before, whose patches stay where nothing is much better.
        told: how far it has come, from 0 to 1, after each scale.
        wraps: along which axes layout and sample go on at their other side.

    Returns:
        The sample; the same bits for the same draws on one device.
    """
    plan = Plan.of(size, photo.size)
    made = resized(unit(layout.to(photo.device)), plan.sample[0], wraps)
    fields: list[Field] = []
    done = 0
    stores: Sequence[Store] = photo.prepared(plan)
    for number, (scale, now) in enumerate(zip(stores, plan.sample, strict=True)):
        made = resized(made, now, wraps).clamp(0, 1)
        given = None
        if fields:
            given = enlarged(fields[-1], plan.sample[number - 1], now, plan.photo[number - 1], scale, wraps)
        if scale.searched:
            made, field = searched(scale, made, given, before[number] if before else None, plan, draws, wraps)
        else:
            assert given is not None
            field = mended(surrounded(made, REACH, wraps), scale, given, wraps)
            made = vote(field, now, scale, SPREADS[-1], wraps)
        fields.append(field)
        done += now[0] * now[1]
        told(done / plan.pixels)
    if not photo.kind.alpha:  # what is transparent stays so
        made = evened(made, fields[-1], stores[-1], SPREADS[-1], wraps)
    return Finished(signed(resized(made, size, wraps).clamp(0, 1)), tuple(fields))


def steady(photo: Photo, layouts: Iterable[Tensor], size: Size, draw: Draw) -> Iterator[Tensor]:
    """The frames of an animation, each with the draw of the one before and its patches where nothing is much better.

    Args:
        photo, size: as for ``finish``.
        layouts: of the frames.
        draw: of all frames.
    """
    made, last = Finished(torch.empty(0), ()), torch.empty(0)
    for layout in layouts:
        if not torch.equal(layout, last):  # the fields settle over a few frames; what stands still should not show it
            made, last = finish(photo, layout, size, [draw], made.fields), layout
        yield made.picture


def searched(
    scale: Store,
    made: Tensor,
    given: Field | None,
    before: Field | None,
    plan: Plan,
    draws: Sequence[Draw],
    wraps: Wraps = NOWHERE,
) -> tuple[Tensor, Field]:
    """A sample and its field after the two passes of a scale.

    In the first pass the picture is as blurred as the sample, which comes from the scale below; in the second both are
    sharp.

    Args:
        scale: of the picture.
        made: ``[B, C, h, w]`` in [0, 1].
        given: the field of the scale below, carried here; None at the coarsest.
        before: the field of an older frame.
        plan, draws, wraps: as for ``finish``.
    """
    size = size_of(made)
    for keys, spread in zip((scale.blurred, scale.sharp), SPREADS, strict=True):
        queries = scale.patches(surrounded(made, REACH, wraps))
        if given is None or scale.longest <= EXACT:
            field = compared(queries, keys, scale, plan, draws, wraps)
        else:
            field = improved(queries, keys, scale, given, wraps)
        if before is not None:
            field = steadied(field, before, queries, keys, scale)
        made, given = vote(field, size, scale, spread, wraps), field
    return made, field


def compared(
    queries: Tensor, keys: Tensor, scale: Store, plan: Plan, draws: Sequence[Draw], wraps: Wraps = NOWHERE
) -> Field:
    """The field of the best patches of all, each the dearer the further it has to go from its own place.

    Args:
        queries: ``[B, h, w, D]``.
        keys: ``[K, D]``.
        scale, plan, draws, wraps: as for ``searched``.
    """
    grid = (queries.shape[1], queries.shape[2])
    here = located(grid, plan.canvas, wraps).to(keys.device)
    there = torch.cat([located(each, plan.canvas, wraps) for each in scale.grids]).to(keys.device)
    keys = torch.cat([keys if scale.places is None else keys[scale.places], there], dim=1)
    found = []
    for query, draw in zip(queries, draws, strict=True):
        dear = 1 + UNLIKE * draw.at("finish", *scale.size).uniform((len(keys),)).to(keys.device)
        asked = torch.cat([query.flatten(0, 1), here], dim=1)
        if len(scale.grids) == 1:
            found.append(exact(asked, keys, dear))
            continue
        near = Regions.of(asked, keys, scale.grids, grid)
        asked, held = torch.cat([asked, near.places], 1), torch.cat([keys, near.patches(scale.grids)], 1)
        found.append(exact(asked, held, dear, near.wanted(scale.grids, anywhere(plan.canvas, wraps))))
    index = torch.stack(found)
    return field_of(index if scale.places is None else scale.places[index], scale, grid)


def anywhere(canvas: tuple[float, float], wraps: Wraps) -> list[bool]:
    """Along which axes a patch may lie anywhere: where the sample shows more than the picture, or has no ends."""
    return [wrap or share >= 1.1 for wrap, share in zip(wraps, canvas, strict=True)]


def located(grid: Size, canvas: tuple[float, float], wraps: Wraps = NOWHERE) -> Tensor:
    """Row and column of every patch of ``(h, w)`` as numbers to be compared like a patch's, ``[h * w, 2]``.

    Along an axis in which the sample shows more than the picture, or that has no ends, a patch may lie anywhere.
    """
    free = anywhere(canvas, wraps)
    weights = [0.0 if any_place else cost**0.5 for cost, any_place in zip((ROW, COLUMN), free, strict=True)]
    axes = [weight * torch.linspace(0, 1, side) for weight, side in zip(weights, grid, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 1)


def steadied(field: Field, before: Field, queries: Tensor, keys: Tensor, scale: Store) -> Field:
    """A frame's field that keeps the patches of the frame before, where the new ones are not much better."""
    new, old = (distances(queries, keys, scale, each) for each in (field, before))
    stays = STAY * old <= new
    return torch.where(stays, before[0], field[0]), torch.where(stays, before[1], field[1])
