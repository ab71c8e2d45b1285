"""Minibatch discrimination for a critic of patches and one picture.

Source: Salimans et al., "Improved Techniques for Training GANs" (1606.03498), section 3.2. In shape comments: B
pictures, N features, K kernels, G the side of the grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GRID = 8  # cells of a picture, along each side
WIDTH = 5  # numbers that a kernel compares, as in the authors' code
FAKES = 4  # earlier ones that are remembered


class Closeness(nn.Module):
    """How close the parts of a picture are to each other, and to the same parts of fakes that were made before.

    A critic in the paper sees many pictures at once and how alike they are. Here there is one picture, a window of it
    and one fake at a time. So a picture's cells, 8x8 means of its patches' features, stand for the pictures, whatever
    its size, and ``c(i, j) = exp(-|M_i - M_j|_1)`` with ``M = f T`` is the paper's closeness of two of them. A kernel
    gives two numbers for each cell i: the mean of c(i, j) over the other cells j of its picture, and the mean of
    c(i, i') over the same cell i' of the last four fakes. A generator that makes the same everywhere is found out by
    the one, and one that makes the same every time by the other: the photo is as unlike the last fakes as a fake should
    be. Real pictures are not held against each other, because they are all the same one.

    Every picture of a batch is for itself. What is remembered are the M of earlier iterations, with the T of then.

    Args:
        features: N.
        kernels: K.
    """

    remembered: Tensor

    def __init__(self, features: int, kernels: int):
        super().__init__()
        self.kernels = kernels
        self.weight = nn.Parameter(torch.randn(features, kernels * WIDTH) / features**0.5)
        self.register_buffer("remembered", torch.zeros(FAKES, kernels, WIDTH, GRID * GRID))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, h, w]`` -> closeness in [0, 1], the same in all patches of a cell: ``[B, 2 K, h, w]`` in float32."""
        with torch.autocast(x.device.type, enabled=False):
            seen = self._projected(x)
            apart = (seen[..., :, None] - seen[..., None, :]).abs().sum(2)  # [B, K, G G, G G]
            others = GRID * GRID - 1
            own = ((-apart).exp().sum(-1) - 1) / others  # without itself, at a distance of 0
            before = (-(seen[:, None] - self.remembered.to(seen.dtype)).abs().sum(3)).exp().mean(1)  # [B, K, G G]
            cells = torch.cat([own, before], dim=1).unflatten(-1, (GRID, GRID))
            rows, columns = (spread(length, x.device, seen.dtype) for length in x.shape[2:])
            return rows @ cells @ columns.T

    @torch.no_grad()
    def remember(self, x: Tensor) -> None:
        """Remember a fake by its features ``[1, N, h, w]``, and forget the oldest."""
        with torch.autocast(x.device.type, enabled=False):
            newest = self._projected(x).to(self.remembered.dtype)
        self.remembered.copy_(torch.cat([self.remembered[1:], newest]))

    def _projected(self, x: Tensor) -> Tensor:
        """M of each cell: ``[B, N, h, w]`` -> ``[B, K, WIDTH, G G]``."""
        x = x.to(self.weight.dtype)
        rows, columns = (pooling(length, x.device, x.dtype) for length in x.shape[2:])
        cells = (rows @ x @ columns.T).flatten(2)  # [B, N, G G]
        return (self.weight.T @ cells).unflatten(1, (self.kernels, WIDTH))


def pooling(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix ``[G, length]`` of means over the cells of a side; cells of a side below G overlap."""
    cell, place = torch.arange(GRID, device=device)[:, None], torch.arange(length, device=device)
    within = (place >= cell * length // GRID) & (place < -(-(cell + 1) * length // GRID))
    return within.to(dtype) / within.sum(1, keepdim=True)


def spread(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix ``[length, G]`` that gives every place the number of its cell."""
    cell, place = torch.arange(GRID, device=device), torch.arange(length, device=device)[:, None]
    return (place * GRID // length == cell).to(dtype)
