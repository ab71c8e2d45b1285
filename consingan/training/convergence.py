"""How far a stage has come, in figures, and whether it stands still.

Every ``watchdog.EVERY`` iterations figures are taken: how far the reconstruction is, the balance of critic and
generator, the distance of the patches of the picture and one made from fixed noise, and the objective's measure of
convergence. The first is BEGAN's (Berthelot et al., 1703.10717, section 3.4.1): ``M = L(x) + |gamma L(x) - L(G(z))|``,
the error of the picture plus how far critic and generator are out of balance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TypeVar

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.gan import schedule
from consingan.gan.critics import Critic
from consingan.gan.objectives.base import Objective, Sight, Slowing
from consingan.grid.ranges import unit
from consingan.metrics.figures import quick_swd

MEASURED = 8  # pictures of a branch, at most, that figures are taken of
WINDOW = 6  # figures that are averaged before they are compared: a single one may be off by a third

B = TypeVar("B")


@dataclass(frozen=True)
class Figures:
    """Figures of a stage after an iteration.

    Args:
        iteration: the one just done, from 0.
        reconstruction: root mean squared error of the reconstructed picture, in units of [-1, 1].
        balance: of critic and generator, 0 where neither is ahead (``Objective.measure``).
        swd: distance of the picture's patches to those of one made from fixed noise, in units of [0, 1]
            (``metrics.quick_swd``).
        branch: the name of the one that they are of; the first is called "".
        convergence: the objective's measure; where it is not given, BEGAN's for a critic of scores.
    """

    iteration: int
    reconstruction: float
    balance: float
    swd: float
    convergence: float = nan
    branch: str = ""

    def __post_init__(self) -> None:
        if isnan(self.convergence):
            object.__setattr__(self, "convergence", self.reconstruction + abs(self.balance))


@torch.no_grad()
def measure(iteration: int, sight: Sight, reconstruction: Tensor, critic: Critic, objective: Objective) -> Figures:
    """The figures of a moment.

    Args:
        iteration: the one just done.
        sight: the picture, and a fake that is made from the same noise every time.
        reconstruction: ``[1, C, h, w]`` in [-1, 1].
        critic, objective: of the branch that made them.
    """
    error = (reconstruction - sight.real).float().square().mean().sqrt().item()
    balance, convergence = objective.measure(critic, sight, error)
    pairs = zip(parts(unit(sight.real.float())), parts(unit(sight.fake.float())), strict=True)
    distances = [quick_swd(real, fake) for real, fake in pairs]
    distance = sum(distances) / len(distances)
    return Figures(iteration, error, balance, distance, convergence)


def over(shares: Sequence[tuple[B, float]], measured: Callable[[B], Figures]) -> Figures:
    """The figures of the pictures that one branch learns from: their mean, each as often as it is learned from.

    Args:
        shares: the pictures, each with its share of the iterations; of more than ``MEASURED`` only so many are looked
            at, always the same ones.
        measured: the figures beside one of them.
    """
    count, most = len(shares), min(len(shares), MEASURED)
    few = [shares[number * count // most] for number in range(most)]
    found = [measured(picture) for picture, _ in few]
    if count == 1:
        return found[0]

    def mean(name: str) -> float:
        values = [getattr(figures, name) for figures in found]
        return sum(value * share for value, (_, share) in zip(values, few, strict=True)) / sum(
            share for _, share in few
        )

    one = found[0]
    return Figures(one.iteration, mean("reconstruction"), mean("balance"), mean("swd"), mean("convergence"), one.branch)


def parts(x: Tensor) -> list[Tensor]:
    """Pictures ``[B, C, H, W]`` as colour or grey: alpha and further channels are pictures in grey of their own."""
    together = 3 if x.shape[1] >= 3 else 1
    return [x[:, :together], *(x[:, together:].split(1, dim=1) if x.shape[1] > together else ())]


def stands_still(history: Sequence[Figures], tolerance: float, judged: Sequence[str]) -> bool:
    """Whether the mean of the last ``WINDOW`` figures is hardly better than that of the ``WINDOW`` before.

    Args:
        history: of a stage, oldest first.
        tolerance: improvement, as a share, that counts as none; no figure that is judged must have improved by more.
        judged: the names of these figures (``Objective.judged``).
    """
    if len(history) < 2 * WINDOW:
        return False

    def hardly_better(name: str) -> bool:
        values = [getattr(figures, name) for figures in history[-2 * WINDOW :]]
        return sum(values[WINDOW:]) >= (1 - tolerance) * sum(values[:WINDOW])

    return all(hardly_better(name) for name in judged)


def length(history: Sequence[Figures], iterations: int, tolerance: float, judged: Sequence[str]) -> int:
    """How many iterations a stage has, judged by its figures so far.

    A stage that stands still at iteration k becomes one of ``k / 0.8`` iterations: from there on it learns at the
    decayed rates, as the last fifth of any stage does. What stands still where the rates are decayed anyway, changes
    nothing.

    Args:
        history: of the stage, oldest first.
        iterations: its number of iterations if it does not stand still.
        tolerance, judged: see ``stands_still``.
    """
    for count in range(1, len(history) + 1):
        shorter = schedule.decaying_now(history[count - 1].iteration + 1)
        if shorter >= iterations:
            break
        if stands_still(history[:count], tolerance, judged):
            return shorter
    return iterations


def slowed(history: Sequence[Figures], factor: float, tolerance: float, judged: Sequence[str]) -> float:
    """What the learning rates are multiplied by, judged by a stage's figures so far: the factor for each standstill.

    After a standstill only the figures that come are looked at, so that what the lower rates do is given time.

    Args:
        history: of the stage, oldest first.
        factor: on the rates, each time.
        tolerance, judged: see ``stands_still``.
    """
    begin, rate = 0, 1.0
    for end in range(1, len(history) + 1):
        if stands_still(history[begin:end], tolerance, judged):
            begin, rate = end, rate * factor
    return rate


@dataclass(frozen=True)
class Pace:
    """What follows from a stage's figures so far, and from them alone.

    Args:
        iterations: of the stage.
        slowed: factor on the learning rates, beside those of the schedule and of the attempt.
    """

    iterations: int
    slowed: float


def pace(history: Sequence[Figures], settings: Train, stage: int, rate: float, judged: Sequence[str]) -> Pace:
    """How a stage goes on, by its figures so far: with several branches, as the one that needs longest.

    Args:
        history: of the stage, oldest first, of all branches.
        settings: of the run: ``--niter``, ``--stop``, and whether the objective is ``Slowing``.
        stage: its number.
        rate: the attempt's factor on the rates; a slower attempt changes less where it has not arrived.
        judged: see ``stands_still``.
    """
    chosen, tolerance = settings.objective.chosen, settings.stopping.stop_tolerance * rate
    iterations = config.iterations(settings.optimisation.niter, stage)
    rates = [1.0]
    branches = [[one for one in history if one.branch == name] for name in dict.fromkeys(one.branch for one in history)]
    if settings.stopping.stop == "auto" and branches:
        iterations = max(length(own, iterations, tolerance, judged) for own in branches)
    if isinstance(chosen, Slowing) and branches:
        rates = [slowed(own, chosen.slower, tolerance, judged) for own in branches]
    return Pace(iterations, max(rates))
