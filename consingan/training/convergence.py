"""How far a stage has come, in figures, and whether it stands still.

Every ``watchdog.EVERY`` iterations three figures are taken: how far the reconstruction is, how far apart the critic
holds the picture and one made from fixed noise, and the distance of their patches. The first two make a measure of
convergence after BEGAN (Berthelot et al., 1703.10717, section 3.4.1): ``M = L(x) + |gamma L(x) - L(G(z))|``, the
reconstruction plus how far critic and generator are out of balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.gan import schedule
from consingan.gan.networks import Critic
from consingan.grid.ranges import unit
from consingan.metrics.figures import quick_swd

WINDOW = 6  # figures that are averaged before they are compared: a single one may be off by a third
JUDGED = ("reconstruction", "swd")  # the balance wanders for as long as the critic learns, and tells of no end


@dataclass(frozen=True)
class Figures:
    """Figures of a stage after an iteration.

    Args:
        iteration: the one just done, from 0.
        reconstruction: root mean squared error of the reconstructed picture, in units of [-1, 1].
        balance: mean score of the picture less that of one made from fixed noise, over the standard deviation of both
            pictures' scores: 0 where the critic cannot tell them apart, 2 where it does so at every place.
        swd: distance of their patches, in units of [0, 1] (``metrics.quick_swd``).
    """

    iteration: int
    reconstruction: float
    balance: float
    swd: float

    @property
    def convergence(self) -> float:
        """BEGAN's measure for a critic of scores, ``reconstruction + |balance|``."""
        return self.reconstruction + abs(self.balance)


@torch.no_grad()
def measure(iteration: int, real: Tensor, reconstruction: Tensor, fake: Tensor, critic: Critic) -> Figures:
    """The figures of a moment.

    Args:
        iteration: the one just done.
        real, reconstruction, fake: ``[1, C, h, w]`` in [-1, 1]; ``fake`` is made from the same noise every time.
        critic: scores pictures.
    """
    error = (reconstruction - real).float().square().mean().sqrt()
    scores = critic(torch.cat([real, fake])).float()
    score_real, score_fake = scores.mean(dim=(1, 2, 3))
    balance = (score_real - score_fake) / scores.std(correction=0).clamp_min(1e-12)
    distance = quick_swd(unit(real.float()), unit(fake.float()))
    return Figures(iteration, error.item(), balance.item(), distance)


def stands_still(history: Sequence[Figures], tolerance: float) -> bool:
    """Whether the mean of the last ``WINDOW`` figures is hardly better than that of the ``WINDOW`` before.

    Args:
        history: of a stage, oldest first.
        tolerance: improvement, as a share, that counts as none; no figure of ``JUDGED`` must have improved by more.
    """
    if len(history) < 2 * WINDOW:
        return False

    def hardly_better(name: str) -> bool:
        values = [getattr(figures, name) for figures in history[-2 * WINDOW :]]
        return sum(values[WINDOW:]) >= (1 - tolerance) * sum(values[:WINDOW])

    return all(hardly_better(name) for name in JUDGED)


def length(history: Sequence[Figures], iterations: int, tolerance: float) -> int:
    """How many iterations a stage has, judged by its figures so far.

    A stage that stands still at iteration k becomes one of ``k / 0.8`` iterations: from there on it learns at the
    decayed rates, as the last fifth of any stage does. What stands still where the rates are decayed anyway, changes
    nothing.

    Args:
        history: of the stage, oldest first.
        iterations: its number of iterations if it does not stand still.
        tolerance: see ``stands_still``.
    """
    for count in range(1, len(history) + 1):
        shorter = schedule.decaying_now(history[count - 1].iteration + 1)
        if shorter >= iterations:
            break
        if stands_still(history[:count], tolerance):
            return shorter
    return iterations
