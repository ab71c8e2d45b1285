"""A picture enters a trained generator at one of its stages.

At stage 0 it enters as in training. A later stage expects features of the stage below. They are those that the lower
stages make of the picture, changed as little as it takes for the tail to make the picture of them: what the lower
stages lost comes back, and the later ones do with it what they have learned to.

Source of the injection: Shaham, Dekel and Michaeli, "SinGAN" (ICCV 2019), section 4, where a stage expects a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from consingan.gan import codes, guides
from consingan.gan.sources import channels_last
from consingan.grid.noise import Draw, as_source
from consingan.grid.resize import resize
from consingan.grid.windows import Window

if TYPE_CHECKING:
    from consingan.gan.generator import GrowingGenerator
    from consingan.gan.model import SingleImageModel

STEPS = 30  # of the conjugate gradients
BRIGHTEST = 0.99  # of a value before the tail's tanh is inverted


def transformed(model: SingleImageModel, picture: Tensor, start: int, noise_scale: float, seed: int) -> Tensor:
    """See ``SingleImageModel.transform``."""
    sizes = model.sizes_for(model.fitting((picture.shape[2], picture.shape[3])))
    seen = picture.to(model.device)
    entering = channels_last(resize(seen, sizes[start]).clamp(-1, 1))
    first = max(1, start)
    if model.guided:  # its later stages see the picture by themselves
        below = begun(model, entering)
    else:
        below = lower(model, seen, first, sizes)
        if start:
            below = showing(model.generator, resize(below, sizes[start]), entering)
    sizes[first - 1] = sizes[start]  # what the next stage gets
    sources = guides.sources(model, picture, sizes, first, noise_scale, Draw(seed, ("transform",), model.device))
    return model.render([as_source(entering)] * first + sources, sizes, first, below)


def begun(model: SingleImageModel, entering: Tensor) -> Tensor:
    """Features of stage 0, ``[1, N, h, w]``, of a picture of any size that enters it without codes."""
    size = (entering.shape[2], entering.shape[3])
    return model.generator.features([codes.joined(entering, model.no_code)], [1.0], [size])


def lower(model: SingleImageModel, picture: Tensor, first: int, sizes: list[tuple[int, int]]) -> Tensor:
    """Features of stage ``first - 1``, ``[1, N, h, w]``, of a picture that enters stage 0; without noise."""
    below = begun(model, channels_last(resize(picture, sizes[0]).clamp(-1, 1)))
    if first == 1:
        return below
    draw = Draw(0, ("transform",), model.device)  # of noise that is multiplied by nothing
    sources = guides.sources(model, picture, sizes, 1, 0.0, draw)[: first - 1]
    planes = [Window.whole(model.generator.plane(stage, size)) for stage, size in enumerate(sizes[1:first], 1)]
    inputs = [below, *(source(plane) for source, plane in zip(sources, planes, strict=True))]
    return model.generator.features(inputs, model.amplitudes, sizes, 1, below)


def showing(generator: GrowingGenerator, features: Tensor, picture: Tensor) -> Tensor:
    """The features nearest to some, ``[1, N, h, w]``, of which the tail makes a picture ``[1, C, h, w]`` in [-1, 1].

    With the tail's convolution ``W`` that is ``f + W' y``, where ``W W' y`` is what is missing: conjugate gradients.
    """

    def linear(x: Tensor) -> Tensor:
        return generator.border.keeping(generator.tail, x, generator.reach)

    features = features.contiguous()
    before, back = torch.func.vjp(linear, features)[:2]
    offset = linear(torch.zeros_like(features))
    left = torch.atanh(picture.clamp(-BRIGHTEST, BRIGHTEST)) - before
    solution, direction, square = torch.zeros_like(left), left, left.square().sum()
    for _ in range(STEPS):
        image = linear(back(direction)[0]) - offset
        share = square / (direction * image).sum().clamp_min(1e-30)
        solution, left = solution + share * direction, left - share * image
        old, square = square, left.square().sum()
        direction = left + square / old.clamp_min(1e-30) * direction
    return channels_last(features + back(solution)[0])
