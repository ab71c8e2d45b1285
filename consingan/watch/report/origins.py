"""What is copied from where: for each pixel of a sample the place in the picture that its patch comes from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.metrics.features import patches_at, place_grid
from consingan.metrics.pictures import PATCH, match, prepare
from consingan.metrics.statistics import nearest

SIDE = 112  # of the map, in pixels: all patches against all are compared, some 10 to 20 GFLOP
# the colours of the picture's corners, in between they are mixed: left to right, above and below
CORNERS = ((0.16, 0.36, 0.96), (0.93, 0.24, 0.62)), ((0.05, 0.70, 0.60), (0.98, 0.76, 0.16))


@dataclass(frozen=True)
class Origins:
    """Of every pixel of a sample, at the map's size.

    Args:
        real, sample: ``[1, 3, h, w]`` in [0, 1], as they were compared.
        rows, columns: ``[h, w]``, the pixel of ``real`` that the nearest patch has in this pixel's place.
        distance: ``[h, w]``, root mean squared difference of the two patches, in [0, 1] units.
    """

    real: Tensor
    sample: Tensor
    rows: Tensor
    columns: Tensor
    distance: Tensor

    @property
    def in_place(self) -> float:
        """Share of pixels that come from their own place."""
        height, width = self.rows.shape
        same = (self.rows == torch.arange(height)[:, None]) & (self.columns == torch.arange(width))
        return same.double().mean().item()

    @property
    def together(self) -> float:
        """Share of neighbouring pixels that come from neighbouring pixels: 1 for a copy, near 0 for a puzzle."""
        shift_r = self.rows - torch.arange(self.rows.shape[0])[:, None]
        shift_c = self.columns - torch.arange(self.rows.shape[1])
        right = (shift_r[:, 1:] == shift_r[:, :-1]) & (shift_c[:, 1:] == shift_c[:, :-1])
        below = (shift_r[1:] == shift_r[:-1]) & (shift_c[1:] == shift_c[:-1])
        return torch.cat([right.flatten(), below.flatten()]).double().mean().item()


def trace(real: Tensor, sample: Tensor, side: int = SIDE) -> Origins:
    """Where each patch of a sample is copied from: its nearest patch, 7 x 7 px at the map's size.

    Args:
        real: the picture, ``[1, C, H, W]`` in [0, 1].
        sample: ``[1, C, h, w]`` in [0, 1].
        side: longer side of the map, in pixels.

    Raises:
        UserError: the sample is smaller than a patch.
    """
    real, sample = prepare(real, sample)
    scale = min(1.0, side / max(sample.shape[2:]))
    height, width = (max(PATCH, round(length * scale)) for length in sample.shape[2:])
    real, sample = match(real, (height, width)), match(sample, (height, width))
    count_r, count_c = place_grid(sample)
    queries = patches_at(sample - 0.5, torch.arange(count_r * count_c))  # around 0, small numbers round less
    found = nearest(queries, real - 0.5)
    place_r, place_c = (
        (found.place // count_c).reshape(count_r, count_c),
        (found.place % count_c).reshape(count_r, count_c),
    )
    # a pixel takes the patch that it is the middle of; at the borders the nearest patch that holds it
    row = torch.arange(height)[:, None].expand(height, width)
    column = torch.arange(width).expand(height, width)
    own_r = (row - PATCH // 2).clamp(0, count_r - 1)
    own_c = (column - PATCH // 2).clamp(0, count_c - 1)
    distance = (found.distance / queries.shape[1]).clamp_min(0).sqrt().reshape(count_r, count_c)
    return Origins(
        real,
        sample,
        place_r[own_r, own_c] + row - own_r,
        place_c[own_r, own_c] + column - own_c,
        distance[own_r, own_c],
    )


def colours(rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
    """The colour of each place of a picture of ``size`` (H, W): ``[h, w]`` twice -> ``[1, 3, h, w]`` in [0, 1]."""
    corners = torch.tensor(CORNERS).square()  # roughly linear light: mixtures stay bright
    down = (rows / max(size[0] - 1, 1))[..., None]
    right = (columns / max(size[1] - 1, 1))[..., None]
    above = corners[0, 0] * (1 - right) + corners[0, 1] * right
    below = corners[1, 0] * (1 - right) + corners[1, 1] * right
    return (above * (1 - down) + below * down).sqrt().permute(2, 0, 1)[None]


def colour_map(origins: Origins) -> Tensor:
    """The sample's pixels in the colours of the places that they come from, ``[1, 3, h, w]`` in [0, 1]."""
    return colours(origins.rows, origins.columns, (origins.rows.shape[0], origins.rows.shape[1]))


def legend(origins: Origins) -> Tensor:
    """The picture under the colours of its places, ``[1, 3, h, w]`` in [0, 1]."""
    height, width = origins.rows.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grey = origins.real.mean(1, keepdim=True)
    return (colours(rows, columns, (height, width)) * (0.25 + 0.9 * grey)).clamp(0, 1)
