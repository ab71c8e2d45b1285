"""The growing generator.

Source: Hinz et al., "Improved Techniques for Training Single-Image GANs" (WACV 2021), section 3 and figure 2.
In shape comments: B pictures, C picture channels, N features, (h, w) the size of a stage, m its margin.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from consingan.config import Train
from consingan.gan.borders import BORDERS, Below, Border
from consingan.gan.layers import block, initialise, layers
from consingan.gan.wrapping import wrapping
from consingan.grid.sizes import NOWHERE, WRAPS, Size, Wraps
from consingan.grid.windows import Part, Window, parts


def of_settings(settings: Train, border: str) -> GrowingGenerator:
    """The generator of a configuration, of one stage, with a border named in ``BORDERS``."""
    network = settings.network
    return GrowingGenerator(
        **layers(network),
        norm=network.batch_norm,
        border=border,
        virtual=network.virtual_batch_norm,
        codes=settings.codes.channels,
        wraps=WRAPS[network.tileable],
    )


class GrowingGenerator(nn.Module):
    """One head, a list of stages that grows, one tail.

    Stage ``i > 0`` computes ``features_i = stage_i(up(features_{i-1}) + amplitude_i * noise_i) + up(features_{i-1})``:
    the residual is on features, and only the tail makes a picture of them.

    Args:
        channels: picture channels C.
        features: width N of every stage.
        kernel: side of every convolution's kernel, odd.
        layers: convolutions per stage.
        padding: zeros that each convolution of a stage adds itself; the rest of its reach is the stage's margin m.
        activation: ``lrelu``, ``prelu``, ``elu`` or ``selu``.
        slope: slope of ``lrelu`` and start of ``prelu`` for negative inputs.
        norm: normalise each convolution's output by the statistics of its own picture.
        border: what lies past the picture, a name in ``BORDERS``.
        virtual: normalise it by those of a reference as well (``layers.VirtualNorm``).
        codes: channels more that stage 0's input has, behind those of the picture.
        wraps: along which axes the picture goes on at its other side, whatever the border.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 64,
        kernel: int = 3,
        layers: int = 3,
        padding: int = 0,
        activation: str = "lrelu",
        slope: float = 0.05,
        norm: bool = False,
        border: str = "extend",
        virtual: bool = False,
        codes: int = 0,
        wraps: Wraps = NOWHERE,
    ):
        super().__init__()
        self.reach = reach = (kernel - 1) // 2
        self.channels, self.width = channels, features
        self.border: Border = wrapping(BORDERS[border](layers * (reach - padding), layers * padding), wraps)
        past = self.border.padding_mode
        self.head = block(channels + codes, features, kernel, reach, activation, slope, norm, past, virtual)
        blocks = [
            block(features, features, kernel, padding, activation, slope, norm, past, virtual) for _ in range(layers)
        ]
        self.stages = nn.ModuleList([nn.Sequential(*blocks)])
        self.tail = nn.Conv2d(features, channels, kernel, padding=reach, padding_mode=past)
        self.apply(initialise)

    def grow(self) -> None:
        """Add a stage: a copy of the newest one."""
        self.stages.append(copy.deepcopy(self.stages[-1]))

    def parameters_with(self, stages: int) -> int:
        """Number of parameters of a generator of so many stages."""
        own, stage = (sum(p.numel() for p in module.parameters()) for module in (self, self.stages[0]))
        return own + (stages - len(self.stages)) * stage

    def input_shape(self, stage: int, size: Size, batch: int = 1) -> tuple[int, int, int, int]:
        """Shape of a stage's input but for codes: a picture or noise like one at stage 0, noise like features later."""
        if stage == 0:
            return batch, self.channels, *size
        return batch, self.width, *self.plane(stage, size)

    def plane(self, stage: int, size: Size) -> Size:
        """``(H, W)`` of the input of a stage of ``(h, w)``."""
        return self.border.noise_size(size) if stage else size

    def parts(self, sizes: Sequence[Size], window: Window | None = None) -> list[Part]:
        """What of every stage a window of the last one's picture depends on; everything for the whole.

        Args:
            sizes: ``(h, w)`` of the stages.
            window: of the picture; the whole of it if None.
        """
        features = self.border.around(window or Window.whole(sizes[-1]), self.reach, sizes[-1])
        return parts(sizes, features, self.border.part)

    def forward(
        self,
        inputs: Sequence[Tensor],
        amplitudes: Sequence[float],
        sizes: Sequence[Size],
        start: int = 0,
        below: Tensor | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """A picture of stage ``len(inputs) - 1`` or a window of it: ``[B, C, h, w]`` in [-1, 1].

        Args:
            inputs: by stage, of the shapes that ``input_shape`` gives, stage 0's with the codes behind its channels, or
                with a window of those parts of them that ``parts`` names; those below ``start`` are not looked at.
            amplitudes, sizes: by stage, what a later stage's noise is multiplied by, and ``(h, w)``.
            start: the first stage to run.
            below: ``[B, N, h', w']``, features of stage ``start - 1``, with a window the needed part of them; needed
                where ``start > 0``.
            window: of the picture; the whole of it if None. Not with norms, whose statistics are of the whole.
        """
        last = len(inputs)
        wanted = self.parts(sizes[:last], window)
        x = self.features(inputs, amplitudes, sizes, start, below, wanted)
        picture = self.picture(x)
        return window.cut(picture, wanted[-1].needed) if window else picture

    def features(
        self,
        inputs: Sequence[Tensor],
        amplitudes: Sequence[float],
        sizes: Sequence[Size],
        start: int = 0,
        below: Tensor | None = None,
        wanted: Sequence[Part] | None = None,
    ) -> Tensor:
        """Features of stage ``len(inputs) - 1``: ``[B, N, h, w]``, or the needed part of them.

        Args:
            inputs, amplitudes, sizes, start, below: as for ``forward``.
            wanted: by stage, what to compute; everything if None.
        """
        wanted = wanted or self.parts(sizes[: len(inputs)])
        x = below
        for i in range(start, len(inputs)):
            if x is None:
                begun = self.border.keeping(self.head, inputs[0], self.reach)
                x = wanted[0].needed.cut(self.border.coarsest(self.stages[0], begun))
            else:
                coarser = Below(x, wanted[i - 1].needed, sizes[i - 1])
                x = self.border.finer(self.stages[i], coarser, inputs[i] * amplitudes[i], wanted[i], sizes[i])
        if x is None:
            raise ValueError("features() needs inputs from stage 0 on, or the features below its first stage")
        return x

    def picture(self, features: Tensor) -> Tensor:
        """``[B, N, h, w]`` -> ``[B, C, h, w]`` in [-1, 1]."""
        return torch.tanh(self.border.keeping(self.tail, features, self.reach))
