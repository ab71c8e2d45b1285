"""Patches side by side without a step: the colours whose differences are nearest to those that the patches have.

Patches come from places of different light, and so do the pixels around a hole. What they say of the differences of
neighbouring pixels is nearly the same on both sides of a seam, and colours are made of these: the least squares of
``D u - d``, with u as it is outside of the hole, weakly held at the colours of the patches.

Sources: Perez, Gangnet and Blake, "Poisson Image Editing" (SIGGRAPH 2003), equation 3; Darabi et al., "Image Melding"
(SIGGRAPH 2012), section 3.3, the differences by a vote of patches, and the weight of their colours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.sizes import size_of

HELD = 4.0  # the colours of patches hold over a length of the longer side divided by this
STEP = 0.06  # what a difference may be off by; more is another thing and no other light
COARSE = 128  # px, longer side up to which equations are solved to their end
ROUNDS, FEW = 500, 40  # of conjugate gradients: to the end, and where a coarser solution is known
ENOUGH = 1e-8  # of the squared residual


def forward_differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """What the next pixel downwards and to the right has more, ``[B, C, h, w]`` each; 0 at the last ones."""
    return F.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 1)), F.pad(x[:, :, :, 1:] - x[:, :, :, :-1], (0, 1, 0, 0))


def blended(made: Tensor, said: tuple[Tensor, Tensor], hole: Tensor) -> Tensor:
    """A picture whose hole has the differences that are said, and whose rest is as it is.

    Args:
        made: ``[1, C, h, w]``, in the hole the colours of patches.
        said: ``forward_differences`` of patches, wherever one of the two pixels is in the hole.
        hole: ``[h, w]``, true where colours are made.
    """
    rows, columns = (around(hole.any(axis), hole.shape[1 - axis]) for axis in (1, 0))
    own, inside = made[:, :, rows, columns], hole[rows, columns]
    off = [
        (there[:, :, rows, columns] - here).clamp(-STEP, STEP)
        for there, here in zip(said, forward_differences(own), strict=True)
    ]
    change = solved(inside * gathered(*off), inside, (HELD / max(hole.shape)) ** 2)
    found = made.clone()
    found[:, :, rows, columns] = torch.where(inside, own + change, own)
    return found


def around(taken: Tensor, length: int) -> slice:
    """From the first place that is taken to the last, and one more on either side."""
    places = taken.nonzero()[:, 0]
    return slice(max(0, int(places[0]) - 1), min(length, int(places[-1]) + 2))


def gathered(down: Tensor, right: Tensor) -> Tensor:
    """The transpose of ``forward_differences``: what pixels have to do with differences, ``[B, C, h, w]``."""
    down, right = F.pad(down[:, :, :-1], (0, 0, 1, 1)), F.pad(right[:, :, :, :-1], (1, 1, 0, 0))
    return down[:, :, :-1] - down[:, :, 1:] + right[:, :, :, :-1] - right[:, :, :, 1:]


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
    return gathered(*forward_differences(x)) + held * x
