"""What a generator takes to lie past the picture's border, and how a stage's input is made of it.

Everything that depends on it is decided here: how convolutions pad, how large a stage's noise is, how features are
brought to the next stage's size, and what of each stage a part of the picture depends on. The generator and the
windows ask; neither knows a border by name. In shape comments: B pictures, N features, (h, w) the size of a stage.

Source: Hinz et al., "Improved Techniques for Training Single-Image GANs" (WACV 2021), section 3.2: noise that reaches
past the border for diverse edges, zeros where the layout has to stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch.nn.functional as F
from torch import Tensor

from consingan.grid.resize import upsample, upsample_part
from consingan.grid.sizes import Size
from consingan.grid.windows import Part, Window, joined, source_of

Padding = Literal["zeros", "reflect", "replicate", "circular"]  # torch's words
Convolutions = Callable[[Tensor], Tensor]  # those of a stage; they take their reach from each side


@dataclass(frozen=True)
class Below:
    """Features of the stage below.

    Args:
        features: ``[B, N, h', w']``, a window of them.
        window: which.
        size: ``(h, w)`` of all of them.
    """

    features: Tensor
    window: Window
    size: Size

    def upsampled(self, size: Size, window: Window) -> Tensor:
        """A window of the features at another size, ``[B, N, *window.size]``, with aligned corners."""
        given, wanted = self.window, window
        return upsample_part(self.features, (given.rows, given.columns), self.size, size, (wanted.rows, wanted.columns))


class Border(Protocol):
    """What lies past the picture; made with a stage's margins, see ``BORDERS``.

    Windows lie within the planes that they are of, but where a plane goes on at its other side (``wrapping``).
    """

    @property
    def margin(self) -> int:
        """Pixels by which the convolutions of a stage reach past what they themselves pad."""

    @property
    def padding(self) -> int:
        """Pixels that they pad."""

    @property
    def name(self) -> str:
        """Its key in ``BORDERS``, which a model file holds."""

    @property
    def padding_mode(self) -> Padding:
        """What convolutions that pad by themselves put there, as ``torch.nn.Conv2d`` calls it."""

    def noise_size(self, size: Size) -> Size:
        """Size of the noise of a later stage of ``(h, w)``."""

    def around(self, window: Window, reach: int, size: Size) -> Window:
        """What a window of a plane of ``(h, w)`` depends on where convolutions reach so many pixels to each side."""

    def part(self, needed: Window, size: Size, below: Size) -> tuple[Part, Window]:
        """What of a later stage, and of the stage below it, some of its features depend on.

        Args:
            needed: the features that are wanted.
            size, below: ``(h, w)`` of the stage and of the one below.
        """

    def keeping(self, convolution: Convolutions, x: Tensor, reach: int) -> Tensor:
        """A convolution that pads its reach by itself: a plane, or a part of one, of the same size."""

    def coarsest(self, convolutions: Convolutions, x: Tensor) -> Tensor:
        """Features of stage 0, ``[B, N, h, w]``, of what the head made of its input, ``[B, N, h, w]``."""

    def finer(self, convolutions: Convolutions, below: Below, noise: Tensor, part: Part, size: Size) -> Tensor:
        """Features of a later stage, ``[B, N, *part.needed.size]``: ``stage(up(below) + noise) + up(below)``.

        Args:
            convolutions: of the stage.
            below: what ``part`` says of the stage below.
            noise: ``[B, N, *part.noise.size]``, times its amplitude.
            part: what to compute.
            size: ``(h, w)`` of the stage.
        """


@dataclass(frozen=True)
class Extend:
    """Features and noise go on past the border, so that edges vary as much as the middle.

    Stage 0 sees its features enlarged by a pixel to each side and zeros beyond; a later stage sees the features below
    enlarged to its size plus the margins, and noise of that size.

    Args:
        margin: px by which the convolutions of a stage reach past what they themselves pad.
        padding: px that they pad.
    """

    margin: int
    padding: int
    name: str = "extend"
    padding_mode: Padding = "zeros"

    def noise_size(self, size: Size) -> Size:
        return size[0] + 2 * self.margin, size[1] + 2 * self.margin

    def around(self, window: Window, reach: int, size: Size) -> Window:
        return window.grown(reach, size)

    def part(self, needed: Window, size: Size, below: Size) -> tuple[Part, Window]:
        computed = self.around(needed, self.padding, size)
        wide = computed.padded(self.margin)
        source = joined(source_of(wide, below, self.noise_size(size)), source_of(needed, below, size))
        return Part(computed, needed, wide), source

    def keeping(self, convolution: Convolutions, x: Tensor, reach: int) -> Tensor:
        return convolution(x)

    def coarsest(self, convolutions: Convolutions, x: Tensor) -> Tensor:
        if not self.margin:
            return convolutions(x)
        x = upsample(x, (x.shape[2] + 2, x.shape[3] + 2))
        return convolutions(F.pad(x, [self.margin - 1] * 4))

    def finer(self, convolutions: Convolutions, below: Below, noise: Tensor, part: Part, size: Size) -> Tensor:
        wide = below.upsampled(self.noise_size(size), part.noise)
        return part.needed.cut(convolutions(wide + noise), part.computed) + below.upsampled(size, part.needed)


@dataclass(frozen=True)
class Zero:
    """Every stage sees zeros past the border, which keeps the layout when the size changes.

    Args:
        margin, padding: as for ``Extend``.
    """

    margin: int
    padding: int
    name: str = "zero"
    padding_mode: Padding = "zeros"

    def noise_size(self, size: Size) -> Size:
        return size

    def around(self, window: Window, reach: int, size: Size) -> Window:
        return window.grown(reach, size)

    def part(self, needed: Window, size: Size, below: Size) -> tuple[Part, Window]:
        computed = self.around(needed, self.padding + self.margin, size)
        return Part(computed, needed, computed), source_of(computed, below, size)

    def keeping(self, convolution: Convolutions, x: Tensor, reach: int) -> Tensor:
        return convolution(x)

    def coarsest(self, convolutions: Convolutions, x: Tensor) -> Tensor:
        return convolutions(F.pad(x, [self.margin] * 4))

    def finer(self, convolutions: Convolutions, below: Below, noise: Tensor, part: Part, size: Size) -> Tensor:
        skip = below.upsampled(size, part.computed)
        made = convolutions(F.pad(skip + noise, [self.margin] * 4)) + skip
        return part.needed.cut(made, part.computed)


# By the word that a task states and a model file holds: a border of a stage's margin and own padding.
BORDERS: dict[str, Callable[[int, int], Border]] = {"extend": Extend, "zero": Zero}
