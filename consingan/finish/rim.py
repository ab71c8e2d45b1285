"""A first filling of a small hole, from its rim inwards.

Source: Criminisi, Perez and Toyama, "Region Filling and Object Removal by Exemplar-Based Inpainting" (TIP 2004).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish.hole import SIDE, Hole, axes
from consingan.finish.photo import REACH
from consingan.finish.search import raw


def rimmed(sharp: Tensor, hole: Hole, dear: Tensor) -> Tensor:
    """A picture ``[1, C, h, w]`` with its hole filled from the rim inwards, ring by ring.

    Every pixel of a ring is that in the middle of the patch of the rest which is most like what is known around it.

    Args:
        sharp: the picture.
        hole: in it.
        dear: see ``hole.prices``.
    """
    height, width = hole.size
    padded = (width + 2 * REACH, height + 2 * REACH)
    pixels = F.pad(sharp, (REACH,) * 4)[0].flatten(1).T.contiguous()  # [h' * w', C]
    known = F.pad((~hole.open).float()[None, None], (REACH,) * 4).flatten()
    sources = hole.sources.nonzero() + REACH
    sources = sources[:, 0] * padded[0] + sources[:, 1]
    keys = raw(pixels, sources, padded[0])  # [K, 49 * C]
    squares = keys.square().view(len(keys), SIDE * SIDE, -1).sum(2)
    where = axes(hole.size).to(keys)
    unpadded = hole.sources.flatten().nonzero()[:, 0]
    left = hole.open.clone()
    while bool(left.any()):
        inner = -F.max_pool2d(-F.pad(left.float()[None, None], (1,) * 4, value=1.0), 3, stride=1)[0, 0] > 0
        ring = (left & ~inner).nonzero()
        at = (ring[:, 0] + REACH) * padded[0] + ring[:, 1] + REACH
        patches = raw(pixels, at, padded[0])
        there = raw(known[:, None], at, padded[0])  # [n, 49]
        both = (patches.view(len(at), SIDE * SIDE, -1) * there[..., None]).flatten(1)
        distance = there @ squares.T - 2 * both @ keys.T + both.square().sum(1, keepdim=True)
        distance = distance * (SIDE * SIDE / there.sum(1, keepdim=True).clamp_min(1))
        place = where[ring[:, 0] * width + ring[:, 1]]
        distance = (distance.clamp_min(0) + torch.cdist(place, where[unpadded]).square()) * dear
        pixels[at] = pixels[sources[distance.argmin(1)]]
        known[at] = 1
        left &= inner
    made = pixels.T.view(1, -1, height + 2 * REACH, width + 2 * REACH)
    return made[:, :, REACH : height + REACH, REACH : width + REACH].contiguous()
