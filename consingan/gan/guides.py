"""Generators that see a picture at every stage, in place of noise: what enters each of their stages.

Such a model is one of a task that is ``tasks.terms.Guided``. Stage 0 gets the picture; a later stage gets it lifted to
the features' number, so that structure comes from the picture and no weights are needed for it, and amplitudes are 1.
In shape comments: B pictures, C picture channels, N features, (h, w) the size of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from consingan.config import Train
from consingan.errors import UserError
from consingan.gan.generator import GrowingGenerator
from consingan.gan.sources import channels_last, scaled
from consingan.grid.noise import Draw, Source, as_source
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of
from consingan.tasks import TASKS
from consingan.tasks.terms import Guided

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel


def guided(settings: Train) -> bool:
    """Whether the generators of a configuration see a picture at every stage."""
    return isinstance(TASKS.get(settings.mode), Guided)


def lifted(picture: Tensor, features: int) -> Tensor:
    """``[B, C, h, w]`` -> ``[B, N, h, w]``: feature n is channel n modulo C."""
    return picture.repeat(1, -(-features // picture.shape[1]), 1, 1)[:, :features]


def entering(generator: GrowingGenerator, stage: int, picture: Tensor, size: Size) -> Tensor:
    """A stage's input, of the shape that ``generator.input_shape(stage, size)`` gives.

    Args:
        generator: of the stage.
        stage: its number.
        picture: ``[B, C, H, W]`` in [-1, 1], that it sees, at any size.
        size: ``(h, w)`` of the stage.
    """
    wanted = generator.input_shape(stage, size)[2:]
    seen = resize(picture, wanted).clamp(-1, 1) if size_of(picture) != wanted else picture
    return channels_last(lifted(seen, generator.width) if stage else seen)


def inputs(
    model: SingleImageModel,
    picture: Tensor,
    sizes: Sequence[Size],
    start: int = 0,
    draw: Draw | None = None,
    noise_scale: float = 1.0,
) -> list[Tensor]:
    """The inputs of the stages from ``start`` on for a picture, by stage (see ``entering``).

    Args:
        model: whose.
        picture: ``[B, C, H, W]`` in [-1, 1].
        sizes: ``(h, w)`` of all stages.
        start: the first of them.
        draw: the place of the noise that the configuration wants beside the picture; None for none.
        noise_scale: times that noise.
    """
    deviation = noise_scale * model.settings.translation.guide_noise
    found = []
    for stage, size in enumerate(sizes[start:], start):
        x = entering(model.generator, stage, picture, size)
        if draw is not None and deviation:
            x = channels_last(x + deviation * draw.at(stage, "guide").normal(x.shape))
        found.append(x)
    return found


def sources(
    model: SingleImageModel, picture: Tensor, sizes: Sequence[Size], start: int, noise_scale: float, draw: Draw
) -> list[Source]:
    """What stages from ``start`` on get for a picture: of a model that is not guided noise, else ``inputs``."""
    if not model.guided:
        return [scaled(model.noise(draw, stage), noise_scale) for stage in range(start, model.stages)]
    seen = picture.to(model.device)
    return [as_source(x) for x in inputs(model, seen, sizes, start, draw, noise_scale)]


def at_rest(model: SingleImageModel, stage: int) -> Tensor:
    """The anchor of a stage, of those that are held as tensors."""
    held = model.fixed[stage]
    return entering(model.generator, stage, held, model.sizes[stage]) if model.guided else held


def held_shape(model: SingleImageModel, stage: int) -> tuple[int, int, int, int]:
    """Shape of such a tensor as it is held."""
    size = model.sizes[stage]
    return (1, model.generator.channels, *size) if model.guided else model.generator.input_shape(stage, size)


def translated(model: SingleImageModel, picture: Tensor) -> Tensor:
    """What a guided model makes of a picture, with gradients and without noise.

    Args:
        model: with the stages that it has grown.
        picture: ``[B, C, H, W]`` in [-1, 1], of as much detail per pixel as the newest stage.

    Returns:
        ``[B, C, H, W]`` in [-1, 1].
    """
    sizes = model.sizes_for(size_of(picture))
    made: Tensor = model.generator(inputs(model, picture, sizes), model.amplitudes, sizes)
    return made


def check_takes_noise(settings: Train) -> None:
    """Refuse samples of a model that takes no noise.

    Raises:
        UserError: it is guided.
    """
    task = TASKS.get(settings.mode)
    if isinstance(task, Guided):
        raise UserError(
            f"A model of {settings.mode} makes no pictures of noise, for it sees {task.sees} at every stage; "
            f"use --application {task.sampling.application}."
        )
