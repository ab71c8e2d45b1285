"""Windows: the part of every stage that a part of the picture depends on.

A convolutional generator needs, for some rows and columns of its picture, some more rows and columns of each stage
below: the reach of its kernels and of the resizing. A training iteration on a window, and a tile of a large sample,
compute these and nothing else; the result is the same as a part of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, sqrt

import torch
from torch import Tensor

from consingan.grid.resize import aligned_span
from consingan.grid.sizes import Size, Span

LARGEST_SHARE = 0.75  # of a picture, from which on a window of it saves nothing


@dataclass(frozen=True)
class Window:
    """Rows and columns of a picture or a feature map, each from the first to before the last, in pixels.

    Those before the first or past the last are, of a map that goes on at its other side, those there.
    """

    rows: Span
    columns: Span

    @classmethod
    def whole(cls, size: Size) -> Window:
        """All of ``(H, W)``."""
        return cls((0, size[0]), (0, size[1]))

    @property
    def size(self) -> Size:
        """``(h, w)``."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def grown(self, by: int, size: Size) -> Window:
        """With ``by`` pixels more at each side, as far as ``(H, W)`` reaches."""
        return Window(_grown(self.rows, by, size[0]), _grown(self.columns, by, size[1]))

    def padded(self, by: int) -> Window:
        """The same part of a map that has ``by`` pixels more at its top and left, with its surroundings of ``by``."""
        return Window((self.rows[0], self.rows[1] + 2 * by), (self.columns[0], self.columns[1] + 2 * by))

    def cut(self, x: Tensor, within: Window | None = None) -> Tensor:
        """This part of ``x``: a view ``[B, C, h, w]``.

        Args:
            x: ``[B, C, H, W]``.
            within: the part of the map that ``x`` is; all of it if None.
        """
        top, left = (within.rows[0], within.columns[0]) if within else (0, 0)
        rows, columns = (self.rows[0] - top, self.rows[1] - top), (self.columns[0] - left, self.columns[1] - left)
        if (rows, columns) == ((0, x.shape[2]), (0, x.shape[3])):
            return x
        return cyclic(cyclic(x, 2, rows), 3, columns)


def cyclic(x: Tensor, dim: int, span: Span) -> Tensor:
    """A part along an axis, a view where it lies within; what lies before or past ``x`` is taken at its other side."""
    length = x.shape[dim]
    pieces = [x.narrow(dim, first, last - first) for first, last in turns(span, length)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


def turns(span: Span, length: int) -> Iterator[Span]:
    """The parts of ``[0, length)`` that a span of a line of that period goes through, in order."""
    first, end = span
    while first < end:
        start = first % length
        stop = min(length, start + end - first)
        yield start, stop
        first += stop - start


def at_random(size: Size, side: int, where: Sequence[float]) -> Window:
    """A window of a picture; near its borders they lie closer, so that the border is seen as often as the middle.

    Args:
        size: ``(H, W)`` of the picture.
        side: of the window; the whole picture is taken where the window would be most of it.
        where: two uniform numbers in [0, 1).
    """
    inner = min(side, size[0]), min(side, size[1])
    if inner[0] * inner[1] >= LARGEST_SHARE * size[0] * size[1]:
        return Window.whole(size)
    rows, columns = (_span_at(*axis) for axis in zip(size, inner, where, strict=True))
    return Window(rows, columns)


def tiles(size: Size, pixels: int) -> Iterator[Window]:
    """Windows that cover a picture of ``(H, W)`` without overlap, each of about so many pixels at most."""
    height, width = size
    rows = _split(height, ceil(height / sqrt(pixels)))
    columns = _split(width, ceil(width * max(last - first for first, last in rows) / pixels))
    yield from (Window(*spans) for spans in product(rows, columns))


@dataclass(frozen=True)
class Part:
    """What of one stage is computed.

    Args:
        computed: the features that its convolutions give right.
        needed: those of them that enter the stage above.
        noise: the part of its noise that enters.
    """

    computed: Window
    needed: Window
    noise: Window


Rule = Callable[[Window, Size, Size], tuple[Part, Window]]  # see ``borders.Border.part``


def parts(sizes: Sequence[Size], window: Window, rule: Rule) -> list[Part]:
    """What of every stage the features in a window of the last one depend on.

    Args:
        sizes: ``(h, w)`` of the stages; neighbours may be equal.
        window: of the last stage's features.
        rule: what of a stage, and of the one below it, a window of its features depends on, by both sizes.

    Returns:
        By stage, coarsest first.
    """
    found: list[Part] = []
    needed = window
    for below, size in reversed(list(pairwise(sizes))):
        part, needed = rule(needed, size, below)
        found.append(part)
    coarsest = Window.whole(sizes[0])  # always computed whole: it is small
    found.append(Part(coarsest, needed, coarsest))
    return found[::-1]


def source_of(window: Window, below: Size, size: Size) -> Window:
    """The part of a map of one size that a window of it at another depends on, resized with aligned corners.

    Args:
        window: of the result.
        below, size: ``(h, w)`` of the map and of the result.
    """
    rows = aligned_span(below[0], size[0], window.rows)
    return Window(rows, aligned_span(below[1], size[1], window.columns))


def joined(one: Window, other: Window) -> Window:
    """The smallest window that holds both."""
    return Window(_union(one.rows, other.rows), _union(one.columns, other.columns))


def _split(length: int, pieces: int) -> list[Span]:
    cuts = [length * k // pieces for k in range(pieces + 1)]
    return list(pairwise(cuts))


def _span_at(length: int, inner: int, where: float) -> Span:
    first = int(where * (length + inner - 1)) - (inner - 1)  # from where it just touches the picture to where it ends
    first = min(max(first, 0), length - inner)
    return first, first + inner


def _grown(span: Span, by: int, size: int) -> Span:
    return max(0, span[0] - by), min(size, span[1] + by)


def _union(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])
