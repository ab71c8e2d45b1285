"""Steered samples: the noise of the coarse stages is moved until the layout follows a sketch.

Of an ordinary sample's noise z the change d is sought that minimises

    S * f^2 * n * mean_cells |B(m * (G(z + d) - sketch))|^2  +  |d|^2 / 2

with the frozen generator G, the mask m, the mean B over cells of a coarse grid, the number n of pixels of the first
stage that is moved, and the wish f to follow, 0 to 1. The second term is the Gaussian prior. It holds to the sample's
own noise and not to zero, so noise that the sketch does not touch stays as random as it was: for a linear G the results
are draws from the noise's distribution given the sketch. Other seeds are other proposals.

Sources: Nguyen et al., "Plug & Play Generative Networks" (CVPR 2017), search in the input of a frozen generator under a
prior; Bardsley et al., "Randomize-Then-Optimize" (SIAM J. Sci. Comput. 2014), for the prior around a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.finish.patches import Told
from consingan.gan import album
from consingan.gan.stills import Stills
from consingan.grid.noise import Source, as_source
from consingan.grid.resize import resize, separable
from consingan.grid.sizes import Size, rescaled, size_of
from consingan.grid.windows import Window
from consingan.pictures import sketches
from consingan.pictures.sketches import Sketch

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

STEPS, RATE = 60, 0.1  # of Adam, in deviations of the noise
STRONGEST = 20.0  # S
CELL = 1.5  # px of the coarsest stage
LOOKED_AT = 128**2  # px up to which a finer stage is looked at
PER_NUMBER = 6.0e-10  # seconds on one core, per pixel, feature and feature of every stage, of a step


@dataclass(frozen=True, eq=False)
class Toward:
    """What layouts are to follow.

    Args:
        sketch: where things are to lie.
        follow: how closely, from 0, not at all, to 1.
        told: hears how far the search has come, from 0 to 1, after each step.
        painted: the sketch as it was painted, where its colours stand for those of a picture.
    """

    sketch: Sketch
    follow: float = 0.5
    told: Told = lambda share: None
    painted: Sketch | None = None

    def beside(self, model: SingleImageModel) -> Toward:
        """The same for layouts near another picture: the colours stand for those that it has."""
        return self if self.painted is None else replace(self, sketch=coloured(self.painted, model))

    def sources(
        self, model: SingleImageModel, given: Sequence[Source], start: int, share: float, sizes: Sequence[Size]
    ) -> list[Source]:
        """The inputs of all stages with the noise of the coarse ones moved.

        Args:
            model: whose.
            given: by stage, those of ordinary samples, a batch of them.
            start: the first stage whose input is noise.
            share: of noise in that stage's input, above 0.
            sizes: ``(H, W)`` by stage.
        """
        if self.follow == 0:
            return list(given)
        stages, generator = looked_at(model, sizes, start), model.generator
        shapes = [generator.input_shape(stage, size)[2:] for stage, size in enumerate(sizes[:stages])]
        inputs = [source(Window.whole(shape)) for source, shape in zip(given, shapes, strict=False)]
        with torch.no_grad():
            below = generator.features(inputs[:start], model.amplitudes, sizes) if start else None
        picture, mask = (x.to(model.device) for x in self.sketch.at(sizes[stages - 1]))
        grid = cells(sizes[0], size_of(self.sketch.picture))
        rows, columns = (averages(n, m).to(model.device) for n, m in zip(sizes[stages - 1], grid, strict=True))
        weight = STRONGEST * self.follow**2 * prod(sizes[start])
        noise = generator.input_shape(start, sizes[start], len(inputs[start]))

        def moved(change: Tensor) -> list[Tensor]:
            return [*inputs[:start], plus(inputs[start], share * change), *inputs[start + 1 :]]

        def loss(change: Tensor) -> Tensor:
            made = generator(moved(change), model.amplitudes, sizes, start, below)
            return weight * distance(made, picture, mask, rows, columns) + prior(change)

        change = least(loss, torch.zeros(noise, device=model.device), self.told)
        return [*map(as_source, moved(change)), *given[stages:]]


def wanted(model: SingleImageModel, options: Stills, told: Told = lambda share: None) -> Toward | None:
    """What the options want samples of a model to follow; None for nothing.

    Raises:
        UserError: the sketch or its mask cannot be used, or the noise that is to be moved does not count.
    """
    if options.like is None:
        if options.mask is not None:
            raise UserError(
                f"--mask {options.mask} is given without --like; name the sketch that it is for, or for the mask of a "
                "naive picture --application harmonize."
            )
        return None
    if model.kind.channels not in (1, 3):
        has = "alpha" if model.kind.alpha else f"{model.kind.channels} channels"
        raise UserError(f"--like is a map of colours, and this model has {has}; train one with --background white.")
    variation = model.settings.sampling.variation if options.variation is None else options.variation
    if variation == 0 and options.gen_start_scale == 0:
        raise UserError("--variation 0 leaves no noise that --like could move; give more, such as 0.6.")
    mask = None if options.mask is None else Path(options.mask)
    sketch = sketches.read(Path(options.like), mask, model.settings.network.nc_im)
    if options.colours == "photo":
        return Toward(coloured(sketch, album.named(model, options.of)), options.follow, told, sketch)
    return Toward(sketch, options.follow, told)


def coloured(sketch: Sketch, model: SingleImageModel) -> Sketch:
    """A sketch each of whose colours is the nearest that a model's picture has."""
    return sketch.in_colours_of(resize(model.reconstruct(), model.sizes[0]).clamp(-1, 1))


def looked_at(model: SingleImageModel, sizes: Sequence[Size], start: int) -> int:
    """How many stages, from the coarsest, make the picture that is held against the sketch.

    Raises:
        UserError: already the first that is moved is so large that its gradients would fill memory.
    """
    height, width = sizes[start]
    if height * width > model.tile // 4:
        raise UserError(
            f"--like moves the noise of stage {start}, which has {width}x{height} px at this size, more than "
            f"{model.tile // 4} in all; choose a smaller --size."
        )
    fine = [stage for stage, size in enumerate(sizes) if prod(size) <= LOOKED_AT]
    return max(start + 1, *(stage + 1 for stage in fine), 1)


def seconds(model: SingleImageModel, size: Size, start: int) -> float:
    """What moving the noise of one layout of ``(H, W)`` takes on one core.

    Raises:
        UserError: it is too large, see ``looked_at``.
    """
    sizes = model.sizes_for(size)
    layers = model.settings.network.num_layer
    work = sum(prod(size) for size in sizes[start : looked_at(model, sizes, start)]) * model.generator.width**2 * layers
    return STEPS * PER_NUMBER * work


def cells(coarsest: Size, sketch: Size) -> Size:
    """Rows and columns of the grid on which layout and sketch are compared: no finer than either."""
    rows, columns = rescaled(coarsest, 1 / CELL, 1 / CELL)
    return min(rows, sketch[0]), min(columns, sketch[1])


def averages(pixels: int, cells: int) -> Tensor:
    """Weights ``[cells, pixels]`` of the mean over the pixels of each cell; those on an edge belong to both in part.

    Products with them are the same on every device, forward and backward.
    """
    ends = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
    at = torch.arange(pixels, dtype=torch.float64)
    shared = torch.minimum(ends[1:, None], at + 1) - torch.maximum(ends[:-1, None], at)
    return (shared.clamp_min(0) * cells / pixels).float()


def distance(made: Tensor, picture: Tensor, mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """How far pictures are from a sketch: the sum over them of the mean over cells of the squared mean difference.

    Args:
        made: ``[B, C, H, W]``.
        picture: ``[1, C, H, W]``, the sketch.
        mask: ``[1, 1, H, W]``, what a pixel's difference is multiplied by.
        rows, columns: ``[h, H]``, ``[w, W]``, see ``averages``.
    """
    found = separable((mask * (made - picture)).contiguous(), rows, columns)
    return found.square().sum() / (len(rows) * len(columns))


def prior(change: Tensor) -> Tensor:
    """Minus the logarithm of the noise's density around where it was drawn, up to a constant."""
    return change.square().sum() / 2


def least(loss: Callable[[Tensor], Tensor], start: Tensor, told: Told = lambda share: None) -> Tensor:
    """Where a loss is small, a fixed number of steps of Adam from the start; a part without gradient stays in place."""
    change = start.clone().requires_grad_()
    adam = torch.optim.Adam([change], lr=RATE, betas=(0.9, 0.99))
    for step in range(1, STEPS + 1):
        with torch.enable_grad():
            (change.grad,) = torch.autograd.grad(loss(change), [change])
        adam.step()
        told(step / STEPS)
    return change.detach()


def plus(x: Tensor, change: Tensor) -> Tensor:
    """An input with its first channels changed; further ones are no noise."""
    channels = change.shape[1]
    return torch.cat([x[:, :channels] + change, x[:, channels:]], dim=1).contiguous(memory_format=torch.channels_last)


def shaped(own: Size, sketch: Size) -> Size:
    """The size ``(H, W)`` of samples: in the sketch's proportions, with the longer side that they have anyway."""
    scale = max(own) / max(sketch)
    size = rescaled(sketch, scale, scale)
    return own if all(abs(a - b) <= 1 for a, b in zip(own, size, strict=True)) else size
