"""Overlapping patches become pixels: each pixel is the mean of what the patches around it say, the nearest most."""

from __future__ import annotations

from math import ceil, exp

import torch
from torch import Tensor

from consingan.finish.photo import REACH, Store
from consingan.finish.search import Field, first_place, nearest, strips_of
from consingan.grid.sizes import NOWHERE, Size, Wraps


def weights(spread: float) -> dict[tuple[int, int], float]:
    """By offset of a patch's centre from a pixel, in pixels, the weight of what the patch says; they sum to 1.

    Args:
        spread: standard deviation in pixels; 0: the patch around a pixel alone decides.
    """
    if spread == 0:
        return {(0, 0): 1.0}
    reach = min(REACH, ceil(2.5 * spread))
    sides = range(-reach, reach + 1)
    found = {(y, x): exp(-(y * y + x * x) / (2 * spread * spread)) for y in sides for x in sides}
    total = sum(found.values())
    return {offset: weight / total for offset, weight in found.items()}


def vote(
    field: Field,
    size: Size,
    scale: Store,
    spread: float,
    wraps: Wraps = NOWHERE,
    pixels: Tensor | None = None,
) -> Tensor:
    """The picture ``[B, C, h, w]`` in [0, 1] that a field makes.

    Args:
        field: of its places, ``[B, h - 6, w - 6]``; along an axis that wraps of all pixels.
        size: ``(h, w)``.
        scale: the picture that the patches are taken from.
        spread: see ``weights``. Wide ones blur.
        wraps: along which axes it goes on at its other side.
        pixels: ``[H * W, C]``, what that picture's pixels say; their colours if None.
    """
    pixels = scale.pixels if pixels is None else pixels
    batch = field[0].shape[0]
    height, width = size
    made = torch.empty(batch, height, width, pixels.shape[1], device=pixels.device)
    for rows in strips_of(height, batch * width):
        total = torch.zeros_like(made[:, rows.start : rows.stop]).flatten(0, 2)
        for (down, right), weight in weights(spread).items():
            index = source(field, size, scale, rows, down, right, wraps)
            total.add_(pixels.index_select(0, index.flatten()), alpha=weight)
        made[:, rows.start : rows.stop] = total.view(batch, len(rows), width, -1)
    return made.permute(0, 3, 1, 2).contiguous()


def source(
    field: Field, size: Size, scale: Store, rows: range, down: int, right: int, wraps: Wraps = NOWHERE
) -> Tensor:
    """Where the pixels of some rows lie in the patches around others that are so far down and right of them.

    Near the border, where no whole patch has its centre, the nearest one is continued.

    Returns:
        ``[B, rows, w]``, indices of the picture's pixels.
    """
    device = field[0].device
    first_row, first_column = (first_place(wrap) for wrap in wraps)
    at_rows = torch.arange(rows.start, rows.stop, device=device) - first_row
    at_columns = torch.arange(size[1], device=device) - first_column
    which_rows, centre_rows = nearest(at_rows + down, size[0] - 2 * first_row, wraps[0])
    which_columns, centre_columns = nearest(at_columns + right, size[1] - 2 * first_column, wraps[1])
    found_rows, found_columns = (each[:, which_rows][:, :, which_columns] for each in field)
    found_rows = (found_rows + (at_rows - centre_rows)[:, None]).clamp(0, scale.size[0] - 1)
    found_columns = (found_columns + (at_columns - centre_columns)).clamp(0, scale.size[1] - 1)
    return found_rows * scale.size[1] + found_columns
