"""Layouts that vary: a coarse picture whose parts have moved, mixed with noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.noise import Draw

MOVE = 0.05  # deviation of the displacement where variation is 1, as a share of the longer side
KNOTS = 4  # along the longer side; between them the displacement is smooth


def varied(picture: Tensor, noise: Tensor, variation: float, draw: Draw) -> Tensor:
    """A layout between the picture and noise.

    Args:
        picture: ``[1, C, h, w]``, the coarse picture.
        noise: ``[1, C, h, w]``.
        variation: 0 for the picture itself, 1 for the noise itself.
        draw: the place of the displacement's random numbers.
    """
    if variation == 1:
        return noise
    return mixed(moved(picture, MOVE * variation, draw), noise, variation)


def mixed(picture: Tensor, noise: Tensor, variation: float) -> Tensor:
    """``(1 - variation) * picture + variation * noise``."""
    return (1 - variation) * picture + variation * noise


def moved(picture: Tensor, amount: float, draw: Draw) -> Tensor:
    """A picture whose parts are displaced smoothly, by normal amounts along both axes.

    Args:
        picture: ``[1, C, h, w]``; beyond its borders it is mirrored.
        amount: deviation of the displacement as a share of the longer side.
        draw: the place of its random numbers.
    """
    if not amount:
        return picture
    height, width = picture.shape[2:]
    longer = max(height, width)
    knots = [max(2, round(KNOTS * side / longer)) for side in (height, width)]
    shift = F.interpolate(draw.normal((1, 2, *knots)), (height, width), mode="bicubic", align_corners=True)
    shift = 2 * amount * longer * shift.permute(0, 2, 3, 1) / torch.tensor([width, height], device=shift.device)
    axes = [torch.linspace(-1, 1, side, device=picture.device) for side in (height, width)]
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1) + shift
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
