"""Layouts around what is known of a picture: noise enters in its hole alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from consingan.gan.sources import channels_last
from consingan.grid.noise import Draw, as_source, mixed

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel


def entering(coarsest: Tensor, known: Tensor, draw: Draw, variation: float) -> Tensor:
    """Stage 0's input: the picture, and in its hole a mixture with noise.

    Args:
        coarsest: ``[1, C, h, w]`` in [-1, 1].
        known: ``[1, 1, h, w]``, 0 in the hole.
        draw: the place of the noise.
        variation: share of the noise.
    """
    return torch.where(known > 0, coarsest, mixed(coarsest, draw.normal(coarsest.shape), variation))


def laid_out(model: SingleImageModel, known: Tensor, draw: Draw, variation: float | None) -> Tensor:
    """What a model that was trained on the rest of a picture makes of it and of noise in its hole.

    Args:
        model: so trained.
        known: ``[1, 1, h, w]``, at the size of its coarsest stage.
        draw: the place of the noise.
        variation: share of the noise; the model's own if None.

    Returns:
        ``[1, C, h, w]`` in [-1, 1], of the size that it was trained at.
    """
    share = model.settings.sampling.variation if variation is None else variation
    first = channels_last(entering(model.fixed[0], known, draw.at("layout"), share))
    return model.render([as_source(first), *model.anchors[1:]], model.sizes[: model.stages])
