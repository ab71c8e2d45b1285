"""Which patch of the picture goes where: exact where pictures are small, from place to place where they are large.

A field is a pair ``(rows, columns)`` of integers ``[B, h, w]``: for every place of a sample, that is every pixel with a
whole patch around it, the pixel of the picture that its patch is taken from. Along an axis on which the sample goes on
at its other side, every pixel has.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import torch
from torch import Tensor

from consingan.finish.photo import REACH, Field, Store
from consingan.grid.sizes import NOWHERE, Size, Wraps

CHUNK = 2**24  # numbers of a table of distances that are in memory at once
BALANCED = 2**23  # entries of a table up to which shares are balanced
STEPS = 30  # of Sinkhorn's iteration
SOFTNESS = 0.01  # of the balance, as a share of the mean distance
LEAST = -80.0  # exponent of a share: below -87 float32 has but subnormal numbers, with which processors are slow
WANTED = 0.1  # a: what is added to a patch's nearest distance before others are divided by it
NEIGHBOURS = (1, 2, 4)  # px to the neighbours whose correspondences a place looks at
JOINED = 0.5  # what the distance of a neighbour's continued patch counts: large pieces rather than many small ones
STRIP = 2**18  # places that are worked on together


def exact(queries: Tensor, keys: Tensor, dear: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
    """The best key of each query among all of them, so that no key is forgotten.

    Small tables are balanced: each key is taken about equally often, as by optimal transport with an entropy term
    (Cuturi, "Sinkhorn Distances", NeurIPS 2013), a key's price being its potential. Larger ones are normalised:
    ``d(q, k) / (a + min over all queries of d(., k))`` (Granot et al., CVPR 2022, eq. 1), with which a key that nobody
    is near becomes cheap.

    Args:
        queries, keys: ``[Q, D]``, ``[K, D]``.
        dear: ``[K]``, what each key's distances are multiplied by; 1 if None.
        wanted: ``[K]`` with a mean of 1, how often each key is to be taken; all alike if None. A key that is hardly
            wanted does not become cheap.

    Returns:
        ``[Q]``, indices of keys.
    """
    ones, squares = torch.ones_like(queries[:, :1]), queries.square().sum(1, keepdim=True)
    left = torch.cat([queries, squares, ones], dim=1)
    right = torch.cat([-2 * keys, torch.ones_like(keys[:, :1]), keys.square().sum(1, keepdim=True)], dim=1)
    if dear is not None:
        right = right * dear[:, None]
    if len(queries) * len(keys) <= BALANCED:
        distance = (left @ right.T).clamp_min(0)
        return (distance - prices(distance, wanted)).argmin(1)
    parts = left.split(max(1, CHUNK // len(keys)))
    nearest = torch.full((len(keys),), inf, device=keys.device)
    for part in parts:
        nearest = torch.minimum(nearest, (part @ right.T).amin(0))
    nearest = nearest.clamp_min(0) if wanted is None else nearest.clamp_min(0) * wanted.clamp_max(1)
    right = right / (WANTED + nearest)[:, None]
    return torch.cat([(part @ right.T).argmin(1) for part in parts])


def prices(distance: Tensor, wanted: Tensor | None = None) -> Tensor:
    """What each key earns in a balanced assignment, ``[K]``; subtracted from its distances ``[Q, K]``.

    Args:
        distance: ``[Q, K]``.
        wanted: ``[K]``, how often each is to be taken; all alike if None.
    """
    softness = SOFTNESS * distance.mean().clamp_min(1e-12)
    near = (distance.amin(1, keepdim=True) - distance).div_(softness).clamp_min_(LEAST).exp_()
    weight = torch.ones(distance.shape[1], device=distance.device)
    for _ in range(STEPS):
        weight = 1 / (near.T @ (1 / (near @ weight).clamp_min(1e-30))).clamp_min(1e-30)
        weight = weight if wanted is None else weight * wanted
        weight = weight / weight.mean()
    return softness * weight.clamp_min(1e-30).log()


def field_of(index: Tensor, scale: Store, grid: Size) -> Field:
    """Indices of patches ``[B * h * w]`` as a field."""
    index = index.view(-1, *grid)
    width = scale.grid[1]
    return index // width + REACH, index % width + REACH


def first_place(wrap: bool) -> int:
    """The pixel of the first place along an axis."""
    return 0 if wrap else REACH


def nearest(places: Tensor, count: int, wrap: bool) -> tuple[Tensor, Tensor]:
    """Which of ``count`` places stands for each of some, and where it lies: the nearest, or its repetition there."""
    if wrap:
        return places % count, places
    inside = places.clamp(0, count - 1)
    return inside, inside


def improved(queries: Tensor, keys: Tensor, scale: Store, field: Field, wraps: Wraps = NOWHERE) -> Field:
    """A field after every place has looked at what its neighbours found and at the pixels beside what it has.

    All places look at the field as it was, so that it does not matter in which strips they are worked on
    (Barnes et al., "PatchMatch", SIGGRAPH 2009; k-coherence: Tong et al., SIGGRAPH 2002).

    Args:
        queries: ``[B, h, w, D]``, the sample's patches.
        keys: ``[K, D]``, the picture's.
        scale: of the picture.
        field: of the places.
        wraps: along which axes the sample goes on at its other side.
    """
    field = scale.inside(field)
    strips = []
    for rows in strips_of(queries.shape[1], queries.shape[0] * queries.shape[2]):
        part = queries[:, rows.start : rows.stop]
        best = (field[0][:, rows.start : rows.stop], field[1][:, rows.start : rows.stop])
        least = distances(part, keys, scale, best)
        for candidate, share in candidates(field, rows, best, scale, wraps):
            found = share * distances(part, keys, scale, candidate)
            better = found < least
            least = torch.where(better, found, least)
            best = (torch.where(better, candidate[0], best[0]), torch.where(better, candidate[1], best[1]))
        strips.append(best)
    return torch.cat([s[0] for s in strips], dim=1), torch.cat([s[1] for s in strips], dim=1)


def distances(queries: Tensor, keys: Tensor, scale: Store, field: Field) -> Tensor:
    """Squared distances ``[B, h, w]`` of patches ``[B, h, w, D]`` to those that a field names."""
    index = (field[0] - REACH) * scale.grid[1] + (field[1] - REACH)
    return (queries - keys.index_select(0, index.flatten()).view(queries.shape)).square_().sum(3)


def candidates(
    field: Field, rows: range, best: Field, scale: Store, wraps: Wraps = NOWHERE
) -> Iterator[tuple[Field, float]]:
    """What the places of some rows look at, and what its distance counts.

    That is the continuation of their neighbours' patches, and shifts by a pixel.
    """
    for hop in NEIGHBOURS:
        for down, right in ((hop, 0), (-hop, 0), (0, hop), (0, -hop)):
            yield scale.inside(continued(field, rows, down, right, wraps)), JOINED
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down or right:
                yield scale.inside((best[0] + down, best[1] + right)), 1.0


def continued(field: Field, rows: range, down: int, right: int, wraps: Wraps = NOWHERE) -> Field:
    """The field that places would have if their patch lay beside that of a neighbour, as the two places do."""
    height, width = field[0].shape[1:]
    device = field[0].device
    at_rows = torch.arange(rows.start, rows.stop, device=device)
    at_columns = torch.arange(width, device=device)
    which_rows, from_rows = nearest(at_rows + down, height, wraps[0])
    which_columns, from_columns = nearest(at_columns + right, width, wraps[1])
    rows_found, columns_found = (each[:, which_rows][:, :, which_columns] for each in field)
    return rows_found - (from_rows - at_rows)[:, None], columns_found - (from_columns - at_columns)


def enlarged(field: Field, below: Size, size: Size, shown: Size, scale: Store, wraps: Wraps = NOWHERE) -> Field:
    """A field of the scale below, carried to a finer one: patches that lay together stay together.

    Args:
        field: of the sample at ``below``.
        below, size: ``(h, w)`` of the sample at the two scales.
        shown: ``(h, w)`` of the picture at the scale below.
        scale: of the picture at the finer one.
        wraps: along which axes the sample goes on at its other side.
    """
    device, firsts = field[0].device, [first_place(wrap) for wrap in wraps]
    along = zip(firsts, size, strict=True)
    places = [torch.arange(first, side - first, device=device) for first, side in along]
    at = [  # in integers: devices divide differently
        ((2 * place + 1) * old // (2 * new)).clamp(first, old - 1 - first)
        for place, new, old, first in zip(places, size, below, firsts, strict=True)
    ]
    rows, columns = (each[:, at[0] - firsts[0]][:, :, at[1] - firsts[1]] for each in field)
    down, right = (-1, 1), (1, -1)
    coarse, fine = ((each[0].view(down), each[1].view(right)) for each in (at, places))
    return scale.carried((rows, columns), coarse, fine, shown)


def mended(picture: Tensor, scale: Store, field: Field, wraps: Wraps = NOWHERE) -> Field:
    """A field whose seams have moved to where they show least; everything else stays.

    A place at a seam, where a neighbour's patch does not continue its own, takes the neighbour's if that is nearer.

    Args:
        picture: ``[B, C, h, w]`` in [0, 1], the sample as it is, with ``REACH`` px of its other side where it wraps.
        scale: the picture at the sample's scale.
        field: of the places.
        wraps: along which axes the sample goes on at its other side.
    """
    found = (field[0].clone(), field[1].clone())
    batch, _, height, width = picture.shape
    sample = picture.permute(0, 2, 3, 1).reshape(-1, picture.shape[1])
    for rows in strips_of(field[0].shape[1], batch * field[0].shape[2]):
        own = (field[0][:, rows.start : rows.stop], field[1][:, rows.start : rows.stop])
        others = [continued(field, rows, *hop, wraps) for hop in ((2, 0), (-2, 0), (0, 2), (0, -2))]
        seam = torch.zeros_like(own[0], dtype=torch.bool)
        for other in others:
            seam |= (other[0] != own[0]) | (other[1] != own[1])
        which, row, column = seam.nonzero(as_tuple=True)
        for part in torch.arange(len(which), device=which.device).split(STRIP // 16):
            b, r, c = which[part], row[part], column[part]
            at = (b * height + r + rows.start + REACH) * width + c + REACH
            wanted = raw(sample, at, width)
            best = (own[0][b, r, c], own[1][b, r, c])
            least = apart(wanted, scale, best)
            for other in others:
                candidate = scale.inside((other[0][b, r, c], other[1][b, r, c]))
                distance = JOINED * apart(wanted, scale, candidate)
                better = distance < least
                least = torch.where(better, distance, least)
                best = (torch.where(better, candidate[0], best[0]), torch.where(better, candidate[1], best[1]))
            found[0][b, r + rows.start, c], found[1][b, r + rows.start, c] = best
    return found


def apart(wanted: Tensor, scale: Store, places: Field) -> Tensor:
    """Squared distances ``[N]`` of patches ``[N, 49 * C]`` to those of the picture at places ``[N]``."""
    width = scale.size[1]
    return (wanted - raw(scale.pixels, places[0] * width + places[1], width)).square_().sum(1)


def raw(pixels: Tensor, at: Tensor, width: int) -> Tensor:
    """The patches ``[N, 49 * C]`` around some pixels of a picture ``[H * W, C]`` whose rows have ``width`` pixels."""
    reach = torch.arange(-REACH, REACH + 1, device=at.device)
    offsets = (reach[:, None] * width + reach).flatten()
    return pixels.index_select(0, (at[:, None] + offsets).flatten()).view(len(at), offsets.numel() * pixels.shape[1])


def strips_of(height: int, width: int) -> Iterator[range]:
    """Rows to be worked on together, of about ``STRIP`` places."""
    rows = max(1, STRIP // max(1, width))
    for first in range(0, height, rows):
        yield range(first, min(height, first + rows))
