"""A hole in a picture, at any scale: which pixels are to be made, and where whole patches of the rest are.

Source: Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4, the smooth filling (pull and push).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish.patches import located
from consingan.finish.photo import REACH
from consingan.grid.noise import Draw
from consingan.grid.sizes import Size

SIDE = 2 * REACH + 1  # px of a patch
DEPTH = 24  # px from the rim from where on patches count no less
PLACE = 6.0  # what the distance from a patch's own place counts: more than where a whole layout is free
REGIONS, LESS_LIKED = 4, 3.0  # along each axis, of which a proposal likes some less: share by which, at most


@dataclass(frozen=True, eq=False)
class Hole:
    """A picture with a hole at one scale.

    Args:
        size: ``(h, w)``.
        open: ``[h, w]``, whether a pixel is to be made.
        places: ``[N]``, the pixels that patches which touch the hole have their centres at, row by row.
        sources: ``[h, w]``, whether a whole patch of the rest lies around a pixel.
        depth: ``[N]``, how far a place is from the rest, px, up to ``DEPTH``.
    """

    size: Size
    open: Tensor
    places: Tensor
    sources: Tensor
    depth: Tensor

    @classmethod
    def of(cls, open: Tensor) -> Hole:
        """Of the pixels to be made, ``[h, w]``."""
        height, width = open.shape
        touched = F.max_pool2d(open.float()[None, None], SIDE, stride=1)[0, 0] > 0
        whole = torch.zeros_like(open)
        whole[REACH : height - REACH, REACH : width - REACH] = True
        places, sources = torch.zeros_like(open), torch.zeros_like(open)
        places[whole], sources[whole] = touched.flatten(), ~touched.flatten()
        found = places.flatten().nonzero()[:, 0]
        return cls((height, width), open, found, sources, depths(open).flatten()[found])


def prices(hole: Hole, draw: Draw, unlike: float) -> Tensor:
    """What distances to the patches of the rest are multiplied by in one proposal, ``[K]``: others have other prices.

    Args:
        hole: at this scale.
        draw: of the proposal.
        unlike: share by which a patch may be dearer than the one beside it.
    """
    each = draw.at("completion", *hole.size).uniform((int(hole.sources.sum()),))
    regions = draw.at("regions").uniform((1, 1, REGIONS, REGIONS))
    liked = F.interpolate(regions, hole.size, mode="bilinear", align_corners=False)[0, 0].to(hole.sources.device)
    return (1 + unlike * each.to(liked.device)) * (1 + LESS_LIKED * liked[hole.sources])


def axes(size: Size) -> Tensor:
    """Row and column of every pixel as numbers that are compared like a patch's, ``[h * w, 2]``."""
    return PLACE**0.5 * located(size, (1.0, 1.0))


def depths(open: Tensor) -> Tensor:
    """How far the pixels of a hole are from the rest, in steps of a pixel: ``[h, w]``, up to ``DEPTH``."""
    left, found = open.float()[None, None], torch.zeros(open.shape, device=open.device)
    for _ in range(min(DEPTH, max(open.shape))):
        if not bool(left.any()):
            break
        found += left[0, 0]
        left = -F.max_pool2d(-left, 3, stride=1, padding=1)
    return found


def opened(hole: Tensor, size: Size) -> Tensor:
    """A hole ``[1, 1, H, W]`` at a size: ``[h, w]``, every pixel that any of it lies in."""
    return F.adaptive_max_pool2d(hole.float(), size)[0, 0] > 0


def smooth(picture: Tensor, hole: Tensor) -> Tensor:
    """A picture with its hole filled smoothly from the rest, ``[1, C, H, W]``: pulled small and pushed back."""
    if not bool(hole.any()):
        return picture
    share = (~hole).float()
    return torch.where(hole, pushed(torch.where(hole, 0.0, picture), share), picture)


def pushed(total: Tensor, share: Tensor) -> Tensor:
    """Means ``[1, C, h, w]`` of sums and what they are sums of; where that is nothing, of larger parts."""
    mean = total / share.clamp_min(1e-6)
    if bool((share > 0).all()) or max(share.shape[2:]) == 1:
        return mean
    smaller = [F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in (total, share)]
    below = pushed(*smaller)
    grown = F.interpolate(below, size=tuple(share.shape[2:]), mode="bilinear")
    return torch.where(share > 0, mean, grown)
