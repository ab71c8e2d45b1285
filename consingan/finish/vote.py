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


def vote(field: Field, size: Size, scale: Store, spread: float, wraps: Wraps = NOWHERE) -> Tensor:
    """The picture ``[B, C, h, w]`` in [0, 1] that a field makes.

    Args:
        field: of its places, ``[B, h - 6, w - 6]``; along an axis that wraps of all pixels.
        size: ``(h, w)``.
        scale: the picture that the patches are taken from.
        spread: see ``weights``. Wide ones blur.
        wraps: along which axes it goes on at its other side.
    """
    batch, (height, width) = field[0].shape[0], size
    made = torch.empty(batch, height, width, scale.pixels.shape[1], device=scale.pixels.device)
    for rows in strips_of(height, batch * width):
        made[:, rows.start : rows.stop] = said(scale.pixels, field, size, scale, rows, spread, wraps)
    return made.permute(0, 3, 1, 2).contiguous()


def said(
    pixels: Tensor, field: Field, size: Size, scale: Store, rows: range, spread: float, wraps: Wraps = NOWHERE
) -> Tensor:
    """What patches say of some rows of a picture: ``[B, rows, w, N]``.

    Args:
        pixels: ``[H * W, N]``, what the pixels of the picture say that the patches are taken from.
        field, size, scale, spread, wraps: as for ``vote``.
        rows: which.
    """
    steps, width = shifts(field, size, scale, rows, wraps), size[1]
    own = torch.arange(rows.start, rows.stop, device=pixels.device)[:, None] * scale.size[1]
    own = own + torch.arange(width, device=pixels.device)
    shape = (steps.shape[0], len(rows), width)
    total = torch.zeros(*shape, pixels.shape[1], device=pixels.device).flatten(0, 2)
    for (down, right), weight in weights(spread).items():
        around = steps[:, REACH + down :, REACH + right :][:, : len(rows), :width]
        total.add_(pixels.index_select(0, (around + own).flatten()), alpha=weight)
    return total.view(*shape, -1)


def shifts(field: Field, size: Size, scale: Store, rows: range, wraps: Wraps = NOWHERE) -> Tensor:
    """How far on, in pixels of the photo row by row, the patches of some rows lie from where the sample has them.

    Near the border, where no whole patch has its centre, the nearest one is continued.

    Returns:
        ``[B, rows + 6, w + 6]``, with the places ``REACH`` px around.
    """
    device, found = field[0].device, []
    spans = ((rows.start - REACH, rows.stop + REACH), (-REACH, size[1] + REACH))
    for span, length, wrap in zip(spans, size, wraps, strict=True):
        first = first_place(wrap)
        found.append(nearest(torch.arange(*span, device=device) - first, length - 2 * first, wrap))
    (which_rows, at_rows), (which_columns, at_columns) = found
    down, right = (each[:, which_rows][:, :, which_columns] for each in field)
    down = down - at_rows[:, None] - first_place(wraps[0])
    return down * scale.size[1] + right - at_columns - first_place(wraps[1])
