"""Patches side by side without a step: the colours whose differences are nearest to those that the patches have.

Patches come from places of different light, and so do the pixels around a hole. What they say of the differences of
neighbouring pixels is nearly the same on both sides of a seam, and colours are made of these: the least squares of
``D u - d``, weakly held at the colours of the patches, and outside of a hole at what is there.

Sources: Perez, Gangnet and Blake, "Poisson Image Editing" (SIGGRAPH 2003), equation 3; Darabi et al., "Image Melding"
(SIGGRAPH 2012), section 3.3, the differences by a vote of patches, and the weight of their colours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish import waves
from consingan.finish.photo import Store
from consingan.finish.search import Field, strips_of
from consingan.finish.vote import said
from consingan.grid.sizes import NOWHERE, Wraps, size_of

HELD = 4.0  # the colours of patches hold over a length of the photo's longer side divided by this
STEP = 0.06  # what a difference may be off by; much more is another thing and no other light
COARSE = 128  # px, longer side up to which the equations of a hole are solved to their end
ROUNDS, FEW = 500, 40  # of conjugate gradients: to the end, and where a coarser solution is known
ENOUGH = 1e-8  # of the squared residual


def difference(x: Tensor, dim: int, wrap: bool = False) -> Tensor:
    """What the next pixel along an axis has more; 0 at the last one, unless the first one is beside it."""
    found = x.roll(-1, dim) - x
    if not wrap:
        found.select(dim, -1).zero_()
    return found


def gathered(steps: Tensor, dim: int, wrap: bool = False) -> Tensor:
    """The transpose of ``difference``: what pixels have to do with differences."""
    if not wrap:
        steps = steps.clone()
        steps.select(dim, -1).zero_()
    return steps.roll(1, dim) - steps


# ---- whole pictures


def of_light(off: Tensor) -> Tensor:
    """What of differences that are off is other light: all up to ``STEP``, less above it, nothing from twice that on.

    As residuals count in Hampel's estimates (Andrews et al., "Robust Estimates of Location", 1972).
    """
    return off.clamp(-STEP, STEP) * (2 - off.abs() / STEP).clamp_(0, 1)


def evened(made: Tensor, field: Field, store: Store, spread: float, wraps: Wraps = NOWHERE) -> Tensor:
    """A sample whose neighbouring pixels differ as they do in its patches.

    Args:
        made: ``[B, C, h, w]`` in [0, 1], what the patches say.
        field, store, spread, wraps: as for ``vote``, of which it comes.

    Returns:
        The same size, in [0, 1]; ``made`` to the bit where patches meet as they do in their photo everywhere.
    """
    steps = torch.cat([store.differences(0), store.differences(1)], dim=1)
    height, width = size = size_of(made)

    def off(rows: range) -> tuple[Tensor, Tensor]:
        """What differences downwards and to the right are off by in some rows."""
        down, right = said(steps, field, size, store, rows, spread, wraps).permute(0, 3, 1, 2).chunk(2, dim=1)
        own, last = made[:, :, rows.start : rows.stop], rows.stop == height
        below = torch.cat([own[:, :, 1:], made[:, :, :1] if last else made[:, :, rows.stop : rows.stop + 1]], dim=2)
        down = of_light(down - (below - own))
        if last and not wraps[0]:
            down[:, :, -1] = 0
        return down, of_light(right - difference(own, 3, wraps[1]))

    above, wanted = off(range(height - 1, height))[0], torch.empty_like(made)
    for rows in strips_of(height, len(made) * width):
        down, right = off(rows)
        wanted[:, :, rows.start : rows.stop] = (
            gathered(right, 3, wraps[1]) + torch.cat([above, down[:, :, :-1]], 2) - down
        )
        above = down[:, :, -1:]
    return (made + waves.solved(wanted, (HELD / store.longest) ** 2, wraps)).clamp_(0, 1)


# ---- holes


def blended(made: Tensor, steps: tuple[Tensor, Tensor], hole: Tensor) -> Tensor:
    """A picture whose hole has the differences that are said, and whose rest is as it is.

    Args:
        made: ``[1, C, h, w]``, in the hole the colours of patches.
        steps: the ``difference`` of patches downwards and to the right, wherever one of the two pixels is in the hole.
        hole: ``[h, w]``, true where colours are made.
    """
    rows, columns = (around(hole.any(axis), hole.shape[1 - axis]) for axis in (1, 0))
    own, inside = made[:, :, rows, columns], hole[rows, columns]
    wanted = torch.zeros_like(own)
    for dim, there in zip((2, 3), steps, strict=True):
        wanted += gathered((there[:, :, rows, columns] - difference(own, dim)).clamp_(-STEP, STEP), dim)
    change = solved(inside * wanted, inside, (HELD / max(hole.shape)) ** 2)
    found = made.clone()
    found[:, :, rows, columns] = torch.where(inside, own + change, own)
    return found


def around(taken: Tensor, length: int) -> slice:
    """From the first place that is taken to the last, and one more on either side."""
    places = taken.nonzero()[:, 0]
    return slice(max(0, int(places[0]) - 1), min(length, int(places[-1]) + 2))


def solved(wanted: Tensor, inside: Tensor, held: float) -> Tensor:
    """The x of ``D' D x + held * x = wanted`` that is 0 outside.

    By conjugate gradients; a large one begins with the solution at half the size (cascadic multigrid).

    Args:
        wanted: ``[1, C, h, w]``.
        inside: ``[h, w]``.
        held: in 1 / px^2.
    """
    height, width = size_of(wanted)
    x, rounds = torch.zeros_like(wanted), ROUNDS
    if max(height, width) > COARSE:
        even = (0, width % 2, 0, height % 2)
        whole = F.avg_pool2d(F.pad(inside[None, None].float(), even), 2)[0, 0] == 1
        coarse = solved(whole * F.avg_pool2d(F.pad(wanted, even), 2) * 4, whole, 4 * held)
        large = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        x, rounds = inside * large[:, :, :height, :width], FEW
    rest = inside * (wanted - applied(x, held))
    way, left = rest, rest.square().sum()
    enough = ENOUGH * wanted.square().sum()
    for _ in range(rounds):
        if left <= enough:
            break
        turned = inside * applied(way, held)
        share = left / (way * turned).sum()
        x, rest = x + share * way, rest - share * turned
        before, left = left, rest.square().sum()
        way = rest + left / before * way
    return x


def applied(x: Tensor, held: float) -> Tensor:
    """``D' D x + held * x``."""
    return gathered(difference(x, 2), 2) + gathered(difference(x, 3), 3) + held * x
