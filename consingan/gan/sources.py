"""Sources of a stage's input, combined; a source gives the part of it that a window asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from consingan.grid.noise import Source
from consingan.grid.sizes import Size
from consingan.grid.windows import Window


def channels_last(x: Tensor) -> Tensor:
    """The same numbers in the memory format that convolutions are fastest in."""
    return x.contiguous(memory_format=torch.channels_last)


def scaled(source: Source, factor: float) -> Source:
    """A source times a number."""
    return lambda window: factor * source(window)


def stacked(sources: Sequence[Source]) -> Source:
    """Several sources as one batch."""
    return sources[0] if len(sources) == 1 else lambda window: channels_last(torch.cat([s(window) for s in sources]))


def expanded(source: Source, batch: int) -> Source:
    """A source repeated in a batch, without memory."""
    return lambda window: source(window).expand(batch, -1, -1, -1)


def nearest(source: Source, own: Size, size: Size) -> Source:
    """Nearest-neighbour resize of a source from one ``(H, W)`` to another: noise stays as rough as it was."""

    def cut(window: Window) -> Tensor:
        rows, columns = (
            torch.arange(*span) * old // new
            for span, old, new in zip((window.rows, window.columns), own, size, strict=True)
        )
        spans = [(int(places[0]), int(places[-1]) + 1) for places in (rows, columns)]
        x = source(Window(*spans))
        return x[:, :, rows - spans[0][0]][:, :, :, columns - spans[1][0]]

    return source if own == size else cut
