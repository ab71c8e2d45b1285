"""Which part of a sample is near which of several photos, so that each part is made of one photo's patches.

A layout that is near one photo has places whose nearest patch lies in another, by chance. Were that all that counts,
they would be islands: leaves of the one photo in the other's sky. So a part belongs to a photo as a whole: the
distances to the nearest patch of each photo are averaged over an area before they are compared. Which photo a patch is
of is then a coordinate of it, as row and column of its place are, and a patch pays for the way between photos.
What is to be shown of a photo is what lies where the sample is near it: its sky if the sample's sky is, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.sizes import Size

AREA = 0.12  # deviation of the area that distances are averaged over, as a share of the sample's longer side
DECIDED = 0.1  # difference of two mean distances, as a share of their mean, that makes a part e times nearer to one
APART = 4.0  # what it costs a patch to be of another photo than the part that it lies in, as a distance
LEAST = 1e-3  # how much a patch is wanted at least, where 1 is as much as any


@dataclass(frozen=True)
class Regions:
    """How near the parts of a sample are to each of several photos.

    Args:
        shares: ``[P, h, w]``, by photo and place; they sum to 1 over the photos.
    """

    shares: Tensor

    @classmethod
    def of(cls, queries: Tensor, keys: Tensor, sets: Sequence[Size], grid: Size) -> Regions:
        """The regions of one sample.

        Args:
            queries: ``[h * w, D]``, its patches with what counts of their places.
            keys: ``[K, D]``, those of the photos, one photo after the other.
            sets: ``(h, w)``, the patches of each photo.
            grid: ``(h, w)`` of the sample's patches.
        """
        parts = keys.split([height * width for height, width in sets])
        found = torch.stack([least(queries, part) for part in parts]).view(len(sets), 1, *grid)
        mean = averaged(found, AREA * max(grid))[:, 0]
        unlike = mean / (DECIDED * mean.mean(0).clamp_min(1e-12))
        return cls(torch.softmax(-unlike, dim=0))

    @property
    def places(self) -> Tensor:
        """Of the sample's places what is compared, ``[h * w, P]``."""
        return (APART / 2) ** 0.5 * self.shares.flatten(1).T

    def patches(self, sets: Sequence[Size]) -> Tensor:
        """Of the photos' patches what is compared, ``[K, P]``."""
        counts = torch.tensor([height * width for height, width in sets])
        own = torch.eye(len(sets)).repeat_interleave(counts, dim=0)
        return (APART / 2) ** 0.5 * own.to(self.shares.device)

    def wanted(self, sets: Sequence[Size], free: Sequence[bool]) -> Tensor:
        """How often each patch is to be taken, ``[K]`` with a mean of 1: where its place is the photo's.

        Args:
            sets: ``(h, w)``, the patches of each photo.
            free: along which axes a patch may lie anywhere.
        """
        shares = self.shares
        for axis, anywhere in enumerate(free, 1):
            shares = shares.mean(axis, keepdim=True).expand_as(shares) if anywhere else shares
        found = [
            F.interpolate(share[None, None], size, mode="bilinear", align_corners=True).flatten() / (size[0] * size[1])
            for share, size in zip(shares, sets, strict=True)
        ]
        wanted = torch.cat([each.clamp_min(LEAST / len(each)) for each in found])
        return wanted / wanted.mean()


def least(queries: Tensor, keys: Tensor) -> Tensor:
    """The squared distance of each query to the nearest of some keys, ``[Q]``."""
    return torch.cat([torch.cdist(part, keys).amin(1).square() for part in queries.split(max(1, 2**24 // len(keys)))])


def averaged(x: Tensor, spread: float) -> Tensor:
    """Means ``[N, 1, h, w]`` over areas of a deviation in pixels; the border is continued."""
    for axis in (2, 3):
        reach = min(ceil(2.5 * spread), x.shape[axis] - 1)
        kernel = torch.tensor(
            [exp(-(k * k) / (2 * spread * spread)) for k in range(-reach, reach + 1)], device=x.device
        )
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        x = F.conv2d(F.pad(x, pad, mode="replicate"), (kernel / kernel.sum()).view(shape))
    return x
