"""A picture enlarged by its own patches: the detail that one place lacks, another place still shows.

In small steps. Enlarged by a step, the picture is as blurred as the photo is when it is shrunk by that step and
enlarged again; of that copy we know what is missing. For every place the copy's nearest patch is looked for, near the
same place first, and the detail that is missing there is added; less of it where even the nearest patch is another
one. After each step the result is corrected so that, shrunk
again, it is the photo; between these corrections no value may go far beyond those around its place in the photo, or
what rings beside an edge would be taken for detail by the next step.

Sources: patches recur across scales (Glasner, Bagon and Irani, "Super-Resolution from a Single Image", ICCV 2009), most
of them near their own place (Freedman and Fattal, "Image and Video Upscaling from Local Self-Examples", TOG 2011, whose
small steps and added high band these are); back-projection (Irani and Peleg, 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, log

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.devices import Products
from consingan.finish.photo import REACH, Scale, components
from consingan.finish.search import Field, distances, strips_of
from consingan.finish.vote import vote
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of

STEP = 1.26  # by which a step enlarges at most: three steps double
SIDE = 2 * REACH + 1  # of a patch
NEAR = 5  # px around a place's own within which every patch is looked at
FAR, HOP = 32, 8  # px around it within which one patch in so many along each axis is, and then those near the best
DOUBT = 0.1  # what a patch's squared distance counts beside its detail: higher adds less where the patch differs
SPREAD = 2.0  # of the votes: higher blurs the detail, lower leaves seams
SMALLEST = 2 * REACH + 2  # px of a copy's sides
CORRECTIONS, LAST_CORRECTIONS = 3, 10  # of a step, and at the end
LEEWAY = 1.0  # how far a step may go beyond the photo's values around a place, as a share of their range


class Examples:
    """The photo as examples of what a step loses.

    Args:
        photo: ``[1, C, H, W]`` in [0, 1].
        step: by which it is shrunk and enlarged again.

    Attributes:
        detail: the photo less its blurred copy, as pixels to vote with.
        strength: ``[H - 6, W - 6]``, the sum of the squares of a patch's detail.
        keys: ``[(H - 6) * (W - 6), D]``, the copy's patches.
    """

    def __init__(self, photo: Tensor, step: float):
        size = size_of(photo)
        small = (max(SMALLEST, round(size[0] / step)), max(SMALLEST, round(size[1] / step)))
        copy = resize(resize(photo, small), size)
        self.detail = Scale(photo - copy, copy, searched=False)
        squares = (photo - copy).square().sum(1, keepdim=True)
        self.strength = F.avg_pool2d(squares, SIDE, stride=1)[0, 0] * SIDE**2
        self.filters, self.offset = components(copy)
        self.keys = self.patches(copy).flatten(0, 2)

    def patches(self, x: Tensor) -> Tensor:
        """Patches ``[1, h - 6, w - 6, D]`` of pictures ``[1, C, h, w]`` as ``photo.Scale.patches``."""
        with Products(tf32=False):
            return F.conv2d(x, self.filters, self.offset).permute(0, 2, 3, 1).contiguous()


@torch.no_grad()
def enlarge(photo: Tensor, size: Size, told: Callable[[float], None] = lambda share: None) -> Tensor:
    """A picture at a larger size, with detail of its own patches.

    Args:
        photo: ``[1, C, H, W]`` in [0, 1], sides of 8 px or more.
        size: ``(H', W')``, no side smaller than the photo's.
        told: how far it has come, from 0 to 1, after each step.

    Returns:
        ``[1, C, *size]`` in [0, 1]; the same bits for the same arguments on one device.
    """
    way = steps(size_of(photo), size)
    examples = Examples(photo, (size[0] * size[1] / photo[0, 0].numel()) ** (0.5 / len(way)))
    limits = Limits(photo)
    whole, done, made = sum(h * w for h, w in way), 0, photo
    for now in way:
        made = resize(made, now)
        field, least = nearest(made, examples)
        made += vote(field, now, examples.detail, SPREAD) * trust(field, least, examples)
        made = limits.keep(corrected(made.clamp_(0, 1), photo, CORRECTIONS))
        done += now[0] * now[1]
        told(done / whole)
    return corrected(made, photo, LAST_CORRECTIONS)


class Limits:
    """How dark and how bright each place of an enlarged picture may be.

    Args:
        photo: ``[1, C, H, W]`` in [0, 1], whose 3x3 pixels around a place say it, with ``LEEWAY``.
    """

    def __init__(self, photo: Tensor):
        around = F.pad(photo, (1,) * 4, mode="replicate")
        darkest, brightest = -F.max_pool2d(-around, 3, stride=1), F.max_pool2d(around, 3, stride=1)
        beyond = LEEWAY * (brightest - darkest)
        self.least, self.most = darkest - beyond, brightest + beyond

    def keep(self, made: Tensor) -> Tensor:
        """A picture ``[1, C, h, w]`` within the limits, changed in place."""
        for limit, kept in ((self.least, torch.maximum), (self.most, torch.minimum)):
            kept(made, F.interpolate(limit, size_of(made), mode="bilinear"), out=made)
        return made


def steps(photo: Size, size: Size) -> list[Size]:
    """The sizes from the photo's, which is left out, to the one wanted, in equal steps of at most ``STEP``."""
    count = max(1, ceil(log(max(size[0] / photo[0], size[1] / photo[1])) / log(STEP) - 1e-9))

    def at(step: int) -> Size:
        height, width = (round(old * (new / old) ** (step / count)) for old, new in zip(photo, size, strict=True))
        return height, width

    return [at(step) for step in range(1, count)] + [size]


def corrected(made: Tensor, photo: Tensor, times: int) -> Tensor:
    """The enlarged picture, so that it is the photo when it is shrunk (back-projection).

    Args:
        made: ``[1, C, H', W']`` in [0, 1].
        photo: ``[1, C, H, W]`` in [0, 1].
        times: corrections; what is left falls with each, and stays only where a value would leave [0, 1].
    """
    for _ in range(times):
        missing = photo - resize(made, size_of(photo))
        made = (made + resize(missing, size_of(made))).clamp_(0, 1)
    return made


def trust(field: Field, least: Tensor, examples: Examples) -> Tensor:
    """The share of its detail that each pixel gets, ``[1, 1, h, w]`` in [0, 1]: the mean of the patches around it.

    Of a patch whose detail has the squares' sum ``s`` and that differs by the squared distance ``d`` it is
    ``s / (s + DOUBT * d)``, as a Wiener filter weighs a signal beside its noise.

    Args:
        field, least: from ``nearest``.
        examples: whose patches they are.
    """
    strength = examples.strength[field[0] - REACH, field[1] - REACH]
    share = strength / (strength + DOUBT * least + 1e-12)
    return F.avg_pool2d(F.pad(share[None], [2 * REACH] * 4, mode="replicate"), SIDE, stride=1)


def nearest(made: Tensor, examples: Examples) -> tuple[Field, Tensor]:
    """The field of the copy's nearest patches and their squared distances ``[1, h - 6, w - 6]``, strip by strip.

    Args:
        made: ``[1, C, h, w]``.
        examples: whose patches.
    """
    size, strips, found = size_of(made), [], []
    for rows in strips_of(size[0] - 2 * REACH, 4 * size[1]):
        queries = examples.patches(made[:, :, rows.start : rows.stop + 2 * REACH])
        own = own_places(rows, size, examples.detail)
        best, least = own, distances(queries, examples.keys, examples.detail, own)
        for candidate in candidates(own):
            best, least = better(best, least, candidate, queries, examples)
        if min(examples.detail.size) > 2 * NEAR:
            settled = best
            for down, right in around(2, 1):
                best, least = better(best, least, (settled[0] + down, settled[1] + right), queries, examples)
        strips.append(best)
        found.append(least)
    return (torch.cat([s[0] for s in strips], dim=1), torch.cat([s[1] for s in strips], dim=1)), torch.cat(found, dim=1)


def better(best: Field, least: Tensor, candidate: Field, queries: Tensor, examples: Examples) -> tuple[Field, Tensor]:
    """The nearer of two fields at each place, and its distance."""
    candidate = examples.detail.inside(candidate)
    found = distances(queries, examples.keys, examples.detail, candidate)
    nearer = found < least
    chosen = (torch.where(nearer, candidate[0], best[0]), torch.where(nearer, candidate[1], best[1]))
    return chosen, torch.where(nearer, found, least)


def own_places(rows: range, size: Size, scale: Scale) -> Field:
    """Where in the photo the places of some rows of an enlarged picture of ``(h, w)`` lie, ``[1, rows, w]``."""
    device = scale.pixels.device
    at_rows = torch.arange(rows.start, rows.stop, device=device) + REACH
    at_columns = torch.arange(size[1] - 2 * REACH, device=device) + REACH
    down, right = (
        (2 * at + 1) * old // (2 * new) for at, old, new in zip((at_rows, at_columns), scale.size, size, strict=True)
    )  # in integers: devices divide differently
    shape = (1, len(down), len(right))
    return scale.inside((down[None, :, None].expand(shape), right[None, None].expand(shape)))


def candidates(own: Field) -> Iterator[Field]:
    """What a place looks at: every patch near its own place, and few of those farther away."""
    for reach, hop in ((NEAR, 1), (FAR, HOP)):
        for down, right in around(reach, hop):
            yield own[0] + down, own[1] + right


def around(reach: int, hop: int) -> Iterator[tuple[int, int]]:
    """Offsets in px of a square, all but the middle."""
    sides = range(-reach, reach + 1, hop)
    yield from ((down, right) for down in sides for right in sides if down or right)
