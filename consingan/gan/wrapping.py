"""The border of pictures that repeat without a seam: past one side of the plane lies its other side.

It stands around another border, which still holds along an axis that does not wrap. The convolutions are those of any
generator, so a model that was trained with the other border makes tiles with this one: what they would pad, or what
noise would reach past, is the plane itself, laid on before them and cut off behind.

Windows are counted without end, see ``grid.torus``. A part that would be as long as its plane is the whole plane, so
that nothing is computed twice; a shorter one may cross the border.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from consingan.gan.borders import Below, Border, Convolutions, Padding
from consingan.grid.resize import aligned_on, separable, upsample
from consingan.grid.sizes import NOWHERE, Size, Wraps
from consingan.grid.torus import bared, cyclic_on, cyclic_span, grown, surrounded
from consingan.grid.windows import Part, Window

ROWS, COLUMNS = 0, 1


def wrapping(border: Border, wraps: Wraps) -> Border:
    """A border that wraps along some axes and is as given along the others; one that wraps already is made anew."""
    inner = border.inner if isinstance(border, Wrapping) else border
    return inner if wraps == NOWHERE else Wrapping(inner, wraps)


@dataclass(frozen=True)
class Wrapping:
    """The plane goes on at its other side.

    Args:
        inner: the border along the axes that do not wrap.
        wraps: along which axes it does.
    """

    inner: Border
    wraps: Wraps

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def padding_mode(self) -> Padding:
        return self.inner.padding_mode

    @property
    def margin(self) -> int:
        return self.inner.margin

    @property
    def padding(self) -> int:
        return self.inner.padding

    @property
    def beyond(self) -> int:
        """Pixels by which the planes of the inner border reach past the picture; zeros do the rest of the margin."""
        return self.inner.noise_size((0, 0))[0] // 2

    def noise_size(self, size: Size) -> Size:
        rows, columns = self.inner.noise_size(size)
        return size[0] if self.wraps[ROWS] else rows, size[1] if self.wraps[COLUMNS] else columns

    def around(self, window: Window, reach: int, size: Size) -> Window:
        wide = Window(grown(window.rows, reach, size[0]), grown(window.columns, reach, size[1]))
        return self._each(wide, self.inner.around(window, reach, size))

    def part(self, needed: Window, size: Size, below: Size) -> tuple[Part, Window]:
        part, source = self.inner.part(needed, size, below)
        made = self.around(needed, self.margin + self.padding, size)
        rows, columns = cyclic_span(below[0], size[0], made.rows), cyclic_span(below[1], size[1], made.columns)
        found = Part(self._each(made, part.computed), needed, self._each(made, part.noise))
        return found, self._each(Window(rows, columns), source)

    def keeping(self, convolution: Convolutions, x: Tensor, reach: int) -> Tensor:
        return bared(convolution(surrounded(x, reach, self.wraps)), reach, self.wraps)

    def coarsest(self, convolutions: Convolutions, x: Tensor) -> Tensor:
        stretch = 1 if self.beyond else 0
        rows, columns = (n + 2 * stretch * (not wrap) for n, wrap in zip(x.shape[2:], self.wraps, strict=True))
        return self._through(convolutions, upsample(x, (rows, columns)), self.margin - stretch)

    def finer(self, convolutions: Convolutions, below: Below, noise: Tensor, part: Part, size: Size) -> Tensor:
        plane = self.noise_size(size)
        wide = self._upsampled(below, plane, part.noise)
        made = self._through(convolutions, wide + noise, self.margin - self.beyond)
        skip = part.needed.cut(wide, part.noise) if plane == size else self._upsampled(below, size, part.needed)
        return part.needed.cut(made, part.computed) + skip

    def _through(self, convolutions: Convolutions, x: Tensor, zeros: int) -> Tensor:
        """Convolutions of a plane or a part of it: as large along axes that wrap; along others past zeros, as given.

        Of a part that is not the whole plane, what lies within reach of its edges is wrong; nobody needs it.
        """
        rows, columns = (0 if wrap else zeros for wrap in self.wraps)
        x = surrounded(x, self.margin + self.padding, self.wraps)
        return bared(convolutions(F.pad(x, [columns, columns, rows, rows])), self.padding, self.wraps)

    def _upsampled(self, below: Below, size: Size, window: Window) -> Tensor:
        """A window of the features below at another size: of a circle where it wraps, or with aligned corners."""
        x, given = below.features, (below.window.rows, below.window.columns)
        wanted = (window.rows, window.columns)
        if below.size == size and given == wanted:
            return x
        rows, columns = (
            (cyclic_on if wrap else aligned_on)(
                below.size[axis], size[axis], x.device, x.dtype, wanted[axis], given[axis]
            )
            for axis, wrap in enumerate(self.wraps)
        )
        return separable(x, rows, columns)

    def _each(self, wrapped: Window, other: Window) -> Window:
        rows = wrapped.rows if self.wraps[ROWS] else other.rows
        return Window(rows, wrapped.columns if self.wraps[COLUMNS] else other.columns)
