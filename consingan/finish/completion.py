"""Completion: what is under a mask is made anew of the patches of the rest, coarse to fine.

At every scale two things take turns: each patch that touches the hole looks for a like one among those that lie wholly
in the rest, and these say what the hole's pixels are, those nearer to the rest with more weight. At the coarsest scale
the hole is first filled from its rim inwards. The hole's own pixels are replaced before anything looks at them.

Sources: Wexler, Shechtman and Irani, "Space-Time Completion of Video" (PAMI 2007), search and vote with weights by the
distance from the rim; Gortler et al., "The Lumigraph" (SIGGRAPH 1996), the smooth filling (pull and push).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.finish.blend import blended, difference
from consingan.finish.hole import SIDE, Hole, axes, opened, prices, smooth
from consingan.finish.patches import Told
from consingan.finish.photo import REACH, Scale
from consingan.finish.rim import rimmed
from consingan.finish.scales import SEARCHED, TRUST, way_to
from consingan.finish.search import raw
from consingan.finish.vote import weights
from consingan.grid.noise import Draw
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of

ENOUGH = 16  # patches of the rest without which a scale is too coarse
EXACT = 2**27  # pairs of patches up to which all are compared; above, what neighbours found is looked at
CHUNK = 2**18  # numbers of a table that are worked on at once: more do not stay in the cache
ROUNDS, FEWEST = 12, 3  # of search and vote at the coarsest scale, and at fine ones
SPREAD = 0.8  # px, of the vote
INWARDS = 1.25  # what a patch says counts so many times less for each px from the rim
UNLIKE, UNLIKE_COARSE = 0.1, 0.6  # share by which two proposals see distances differently, and at the coarsest scale
JOINED = 0.5  # what the distance of a neighbour's continued patch counts
HOPS = (1, 2, 4)  # px to the neighbours that are looked at
PER_PAIR, PER_PLACE, PER_PIXEL = 1.7e-9, 1.5e-6, 2e-7  # seconds on one core, measured
PART = 2**16  # places that are worked on together


@torch.no_grad()
def completed(
    picture: Tensor,
    hole: Tensor,
    draw: Draw,
    layout: Tensor | None = None,
    told: Told = lambda share: None,
    trust: float = TRUST,
) -> Tensor:
    """A picture whose hole is made anew of its patches.

    Args:
        picture: ``[1, C, H, W]`` in [0, 1]; what it has in the hole does not count.
        hole: ``[1, 1, H, W]``, above 0 where it is to be made.
        draw: of the proposal; others give others.
        layout: ``[1, C, h, w]`` in [0, 1] of any resolution, what the hole looks like at ``trust`` px.
        told: how far it has come, from 0 to 1, after each scale.
        trust: px, the longer side at which it begins.

    Returns:
        ``[1, C, H, W]`` in [0, 1]; ``picture`` to the bit outside of the hole. The same bits for the same draw.

    Raises:
        UserError: the rest has no whole patch.
    """
    picture = smooth(picture, hole > 0)
    scales = scales_of(hole > 0, trust)
    costs, done = [work(at, number) for number, at in enumerate(scales)], 0.0
    made, field = torch.empty(0), torch.empty(0, dtype=torch.long)
    below: Hole | None = None
    for number, at in enumerate(scales):
        size = at.size
        sharp = picture if size == size_of(picture) else resize(picture, size).clamp(0, 1)
        dear = prices(at, draw, UNLIKE_COARSE if below is None and layout is None else UNLIKE)
        if below is None:
            begun = rimmed(sharp, at, dear) if layout is None else resize(layout, size).clamp(0, 1)
            made = torch.where(at.open, begun, sharp)
            field = torch.empty(0, dtype=torch.long)
        else:
            field = carried(field, below, at)
            made = voted(sharp, at, field)
        if max(size) <= SEARCHED + 1 or below is None:
            made, field = searched(sharp, made, at, field, rounds_of(number), dear)
        else:
            made = voted(sharp, at, field := mended(made, at, field))
        if number == len(scales) - 1:
            made = seamless(sharp, made, at, field)
        below = at
        done += costs[number]
        told(done / sum(costs))
    return torch.where(hole > 0, made, picture)


def rounds_of(number: int) -> int:
    """Rounds of search and vote at a scale, the coarsest being number 0."""
    return max(FEWEST, ROUNDS - 2 * number)


def work(hole: Hole, number: int) -> float:
    """What a scale costs, in seconds on one core, about."""
    pairs = len(hole.places) * int(hole.sources.sum())
    if max(hole.size) > SEARCHED + 1 and number:
        return hole.open.numel() * PER_PIXEL + len(hole.places) * PER_PLACE
    search = pairs * PER_PAIR if pairs <= EXACT else 4 * len(hole.places) * PER_PLACE
    return hole.open.numel() * PER_PIXEL + rounds_of(number) * (search + len(hole.places) * PER_PLACE)


def seconds(hole: Tensor) -> float:
    """What filling a hole ``[1, 1, H, W]`` takes on one core, about.

    Raises:
        UserError: as ``completed``.
    """
    return sum(work(at, number) for number, at in enumerate(scales_of(hole > 0)))


def scales_of(hole: Tensor, trust: float = TRUST) -> list[Hole]:
    """A hole ``[1, 1, H, W]`` from ``trust`` px to its own size, at all scales that have patches of the rest.

    Raises:
        UserError: not even the last has.
    """
    size = size_of(hole)
    sides = way_to(float(max(size)), max(trust, 2 * SIDE * max(size) / min(size)))
    sizes = [(max(1, round(size[0] * s / max(size))), max(1, round(size[1] * s / max(size)))) for s in sides]
    sizes = [each for each in sizes[:-1] if max(each) < max(size)] + [size]
    holes = [Hole.of(opened(hole, each)) for each in sizes if min(each) >= SIDE]
    found = [each for each in holes if int(each.sources.sum()) >= ENOUGH]
    if not found or found[-1].size != size:
        raise UserError(
            f"The mask leaves no whole patch of {SIDE}x{SIDE} px to fill the hole with; paint a smaller one."
        )
    return found


# ---- search


def searched(
    sharp: Tensor, made: Tensor, hole: Hole, field: Tensor, rounds: int, dear: Tensor
) -> tuple[Tensor, Tensor]:
    """A picture and its field after rounds of search and vote.

    Args:
        sharp: ``[1, C, h, w]``, whose rest patches are taken from.
        made: the same with the hole as it is so far.
        hole: at this scale.
        field: ``[N]`` of the scale below, carried here; empty at the coarsest.
        rounds: how many.
        dear: see ``prices``.
    """
    scale = Scale(sharp, sharp)
    keys = grown(scale.sharp.view(*scale.grid, -1), hole.size)
    where = axes(hole.size).to(keys)
    keys = torch.cat([keys, where], dim=1)  # [h * w, D]
    sources = hole.sources.flatten().nonzero()[:, 0]
    all_pairs = not len(field) or len(hole.places) * len(sources) <= EXACT
    for _ in range(rounds):
        queries = torch.cat([grown(scale.patches(made)[0], hole.size), where], dim=1)[hole.places]
        if all_pairs:
            found = nearest(queries, keys[sources], dear)
            field = sources[found]
        field = spreading(queries, keys, hole, field, turns=1 if all_pairs else 4)
        made = voted(sharp, hole, field)
    return made, field


def grown(patches: Tensor, size: Size) -> Tensor:
    """Vectors of the patches ``[h - 6, w - 6, D]`` by the pixels in their middles, ``[h * w, D]``; 0 at borders."""
    return F.pad(patches, (0, 0, REACH, REACH, REACH, REACH)).flatten(0, 1)


def nearest(queries: Tensor, keys: Tensor, dear: Tensor) -> Tensor:
    """The number of the key nearest to each query, ``[N]``; ``dear`` ``[K]`` is what distances are multiplied by."""
    squares = keys.square().sum(1)
    found = []
    for part in queries.split(max(1, CHUNK // len(keys))):
        distance = (part.square().sum(1, keepdim=True) + squares - 2 * part @ keys.T).clamp_min_(0)
        found.append(distance.mul_(dear).argmin(1))
    return torch.cat(found)


def spreading(queries: Tensor, keys: Tensor, hole: Hole, field: Tensor, turns: int) -> Tensor:
    """A field after every place has looked at what its neighbours found, and beside what it has.

    Args:
        queries: ``[N, D]``.
        keys: ``[h * w, D]``, by pixel.
        hole: whose places.
        field: ``[N]``, the pixels that the places take their patches from.
        turns: how often.
    """
    width = hole.size[1]
    for _ in range(turns):
        everywhere = torch.full((hole.size[0] * width,), -1, dtype=torch.long, device=field.device)
        everywhere[hole.places] = field
        found = []
        for part in torch.arange(len(field), device=field.device).split(PART):
            best, wanted, places = field[part], queries[part], hole.places[part]
            least = (wanted - keys[best]).square().sum(1)
            for candidate, share in candidates(everywhere, places, best, width):
                fits = taken(hole, candidate)
                candidate = torch.where(fits, candidate, best)
                distance = share * (wanted - keys[candidate]).square().sum(1)
                better = fits & (distance < least)
                least, best = torch.where(better, distance, least), torch.where(better, candidate, best)
            found.append(best)
        field = torch.cat(found)
    return field


def candidates(everywhere: Tensor, places: Tensor, best: Tensor, width: int) -> Iterator[tuple[Tensor, float]]:
    """What places look at, and what its distance counts: continued patches of neighbours, and shifts by a pixel."""
    last = len(everywhere) - 1
    for hop in HOPS:
        for step in (hop * width, -hop * width, hop, -hop):
            beside = everywhere[(places + step).clamp(0, last)]
            yield torch.where(beside < 0, -1, beside - step), JOINED
    for step in (width, -width, 1, -1):
        yield best + step, 1.0


def taken(hole: Hole, pixels: Tensor) -> Tensor:
    """Whether patches may be taken from around pixels, ``[N]``."""
    inside = (pixels >= 0) & (pixels < hole.sources.numel())
    return inside & hole.sources.flatten()[pixels.clamp(0, hole.sources.numel() - 1)]


def carried(field: Tensor, below: Hole, hole: Hole) -> Tensor:
    """A field of the scale below at a finer one: patches that lay together stay together."""
    everywhere = torch.full((below.open.numel(),), -1, dtype=torch.long, device=field.device)
    everywhere[below.places] = field
    width, old_width = hole.size[1], below.size[1]
    rows, columns = hole.places // width, hole.places % width
    old_rows = ((2 * rows + 1) * below.size[0] // (2 * hole.size[0])).clamp(REACH, below.size[0] - 1 - REACH)
    old_columns = ((2 * columns + 1) * old_width // (2 * width)).clamp(REACH, old_width - 1 - REACH)
    at = everywhere[old_rows * old_width + old_columns]
    down, right = at // old_width - old_rows, at % old_width - old_columns
    new_rows = rows + (down * (hole.size[0] / below.size[0])).round().long()
    new_columns = columns + (right * (width / old_width)).round().long()
    new_rows = new_rows.clamp(REACH, hole.size[0] - 1 - REACH)
    new_columns = new_columns.clamp(REACH, width - 1 - REACH)
    found = new_rows * width + new_columns
    known = (at >= 0) & taken(hole, found)
    return filled_in(found, known, hole)


def filled_in(found: Tensor, known: Tensor, hole: Hole) -> Tensor:
    """A field whose unknown places go on with what the nearest known neighbour has, and else take any patch."""
    width = hole.size[1]
    everywhere = torch.full((hole.open.numel(),), -1, dtype=torch.long, device=found.device)
    everywhere[hole.places[known]] = found[known]
    for _ in range(4 * SIDE):
        open_ = everywhere[hole.places] < 0
        if not bool(open_.any()):
            break
        places = hole.places[open_]
        best = torch.full_like(places, -1)
        for step in (width, -width, 1, -1):
            beside = everywhere[(places + step).clamp(0, len(everywhere) - 1)]
            candidate = torch.where(beside < 0, -1, beside - step)
            best = torch.where((best < 0) & taken(hole, candidate), candidate, best)
        everywhere[places] = best
    result = everywhere[hole.places]
    sources = hole.sources.flatten().nonzero()[:, 0]
    any_ = sources[torch.searchsorted(sources, hole.places).clamp_max(len(sources) - 1)]
    return torch.where(result < 0, any_, result)


def mended(made: Tensor, hole: Hole, field: Tensor) -> Tensor:
    """A field whose seams have moved to where they show least, by the pixels of the patches themselves."""
    width = hole.size[1]
    pixels = made[0].permute(1, 2, 0).reshape(-1, made.shape[1]).contiguous()
    everywhere = torch.full((hole.open.numel(),), -1, dtype=torch.long, device=field.device)
    everywhere[hole.places] = field
    result = field.clone()
    for part in torch.arange(len(field), device=field.device).split(PART):
        places, own = hole.places[part], field[part]
        others = []
        for step in (2 * width, -2 * width, 2, -2):
            beside = everywhere[(places + step).clamp(0, len(everywhere) - 1)]
            candidate = torch.where(beside < 0, -1, beside - step)
            others.append(torch.where(taken(hole, candidate), candidate, own))
        seam = torch.stack([other != own for other in others]).any(0).nonzero()[:, 0]
        for few in seam.split(PART // 16):
            wanted, best = raw(pixels, places[few], width), own[few]
            least = (wanted - raw(pixels, best, width)).square_().sum(1)
            for other in others:
                distance = JOINED * (wanted - raw(pixels, other[few], width)).square_().sum(1)
                better = distance < least
                least, best = torch.where(better, distance, least), torch.where(better, other[few], best)
            result[part[few]] = best
    return result


# ---- vote


def voted(sharp: Tensor, hole: Hole, field: Tensor, pixels_of: Tensor | None = None) -> Tensor:
    """The picture ``[1, C, h, w]`` whose hole a field fills: each pixel is the weighted mean of the patches on it.

    Args:
        sharp: the picture.
        hole: whose places.
        field: ``[N]``.
        pixels_of: ``[h, w]``, which pixels are made instead of the hole's; no further than ``REACH`` from it.
    """
    wanted = hole.open if pixels_of is None else pixels_of
    height, width = hole.size
    pixels = sharp[0].permute(1, 2, 0).reshape(-1, sharp.shape[1]).contiguous()
    slot = torch.full((height * width,), -1, dtype=torch.long, device=field.device)
    slot[hole.places] = torch.arange(len(field), device=field.device)
    counts = INWARDS**-hole.depth
    made = pixels.clone()
    for part in wanted.flatten().nonzero()[:, 0].split(PART * 4):
        rows, columns = part // width, part % width
        total = torch.zeros(len(part), pixels.shape[1], device=pixels.device)
        weight = torch.zeros(len(part), 1, device=pixels.device)
        for (down, right), share in weights(SPREAD).items():
            centre_rows = (rows + down).clamp(REACH, height - 1 - REACH)
            centre_columns = (columns + right).clamp(REACH, width - 1 - REACH)
            centre = centre_rows * width + centre_columns
            number = slot[centre]
            said = share * counts[number][:, None]
            total += said * pixels[field[number] + part - centre]
            weight += said
        made[part] = total / weight
    return made.view(1, height, width, -1).permute(0, 3, 1, 2).contiguous()


def seamless(sharp: Tensor, made: Tensor, hole: Hole, field: Tensor) -> Tensor:
    """A filled picture without steps of light between its patches, and between them and the rest (``blend``)."""
    near = F.max_pool2d(hole.open.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0
    steps = torch.cat([difference(sharp, 2), difference(sharp, 3)], dim=1)
    down, right = voted(steps, hole, field, near).chunk(2, dim=1)
    return blended(made, (down, right), hole.open).clamp(0, 1)
