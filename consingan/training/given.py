"""What the losses of a translation are given in an iteration, as numbers by name.

They are among the iteration's random inputs, because all that changes from one iteration to the next must come from
there: iterations are recorded and replayed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.gan import latent
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.tasks.translation import CYCLE, cycle_weight


def given(model: SingleImageModel, stage: int, iteration: int, draw: Draw) -> dict[str, Tensor]:
    """The latent's noise where there is one, and the weight of the cycle where it changes.

    Args:
        model: of a branch; of one that is not guided there is nothing.
        stage, iteration: the place in the training.
        draw: the place of the branch's random numbers.
    """
    wanted = model.settings.translation
    if not model.guided:
        return {}
    found: dict[str, Tensor] = {}
    if wanted.share == "latent":
        found[latent.NOISE] = latent.drawn(model.generator, model.sizes[0], draw)
    if wanted.cycle_from:
        weight = cycle_weight(wanted, progress(model.settings, len(model.sizes), stage, iteration))
        found[CYCLE] = torch.full((), weight, device=model.device)
    return found


def progress(settings: Train, stages: int, stage: int, iteration: int) -> float:
    """The share of a training's iterations that is done, in [0, 1)."""
    lengths = [config.iterations(settings.optimisation.niter, number) for number in range(stages)]
    return (sum(lengths[:stage]) + iteration) / sum(lengths)
