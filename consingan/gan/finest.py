"""A picture enlarged by a generator's finest stage, again and again.

Enlarged by a step of the pyramid, with noise, the picture goes through the finest stage, and what comes out is enlarged
next. A stage here works on features and not on pictures, so the picture first goes through the head and stage 0, which
make features of it. After each step the result is corrected so that, shrunk again, it is the photo.

Sources: Shaham, Dekel and Michaeli, "SinGAN: Learning a Generative Model from a Single Natural Image" (ICCV 2019),
section 5, super-resolution; back-projection (Irani and Peleg, 1991), which is not in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from consingan.finish.across import CORRECTIONS, LAST_CORRECTIONS, corrected, steps
from consingan.gan import codes
from consingan.gan.borders import BORDERS
from consingan.gan.generator import GrowingGenerator
from consingan.gan.memory import patiently
from consingan.gan.sources import channels_last
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import Size, size_of
from consingan.grid.windows import Window, tiles

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel


@torch.no_grad()
def enlarged(
    model: SingleImageModel, photo: Tensor, size: Size, seed: int, told: Callable[[float], None] = lambda share: None
) -> Tensor:
    """A picture at a larger size, with the detail that a model's finest stage makes.

    Args:
        model: trained, of one picture.
        photo: ``[1, C, H, W]`` in [0, 1] on the model's device, with the model's channels.
        size: ``(H', W')``, no side smaller than the photo's.
        seed: of the noise.
        told: how far it has come, from 0 to 1, after each step.

    Returns:
        ``[1, C, *size]`` in [0, 1]. Memory is bounded by a tile and by some copies of the picture.
    """
    finest, way, made = Finest(model), steps(size_of(photo), size), photo
    whole, done = sum(h * w for h, w in way), 0
    for number, now in enumerate(way):
        draw = Draw(seed, ("enlarged", number), model.device)
        made = corrected(unit(finest.step(signed(made), now, draw)), photo, CORRECTIONS)
        done += now[0] * now[1]
        told(done / whole)
    return corrected(made, photo, LAST_CORRECTIONS)


class Finest:
    """The head, stage 0, the finest stage and the tail of a model as a generator that enlarges pictures.

    Its border is zeros, so that every place sees the same; the weights are the model's own.

    Args:
        model: of one stage or more; the noise of a single stage is left out, as its amplitude is that of a picture.
    """

    def __init__(self, model: SingleImageModel):
        self.model = model
        self.amplitudes = [1.0, model.amplitudes[-1] if model.stages > 1 else 0.0]
        whole = model.generator
        self.generator: GrowingGenerator = copy.copy(whole)
        self.generator._modules = {**whole._modules, "stages": nn.ModuleList([whole.stages[0], whole.stages[-1]])}
        self.generator.border = BORDERS["zero"](whole.border.margin, whole.border.padding)
        self.around = whole.reach + whole.border.margin + whole.border.padding  # px that stage 0's features depend on

    def step(self, picture: Tensor, size: Size, draw: Draw) -> Tensor:
        """A picture enlarged once: ``[1, C, *size]`` in [-1, 1].

        Args:
            picture: ``[1, C, h, w]`` in [-1, 1].
            size: ``(H, W)``.
            draw: the place of the noise.
        """
        return patiently(self.model, lambda: self._in_tiles(picture, size, draw))

    def _in_tiles(self, picture: Tensor, size: Size, draw: Draw) -> Tensor:
        made = picture.new_empty(*picture.shape[:2], *size)
        whole = self.model.settings.network.whole
        for tile in [Window.whole(size)] if whole else tiles(size, self.model.tile):
            tile.cut(made).copy_(self._tile(picture, size, draw, tile))
        return made

    def _tile(self, picture: Tensor, size: Size, draw: Draw, tile: Window) -> Tensor:
        """A window of what ``step`` makes."""
        sizes = [size_of(picture), size]
        coarse, fine = self.generator.parts(sizes, tile)
        seen = coarse.needed.grown(self.around, sizes[0])
        entering = codes.joined(channels_last(seen.cut(picture)), self.model.no_code)
        below = coarse.needed.cut(self.generator.features([entering], [1.0], [seen.size]), seen)
        noise = self.model.noise(draw, 1)(fine.noise)
        return self.generator([entering, noise], self.amplitudes, sizes, 1, below, tile)
