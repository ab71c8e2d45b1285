"""Which stages learn, and how fast.

Source: Hinz et al. (WACV 2021), section 3.1: the last ``train_depth`` stages learn together, each at the rate of the
one above times ``lr_scale``.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from consingan.gan.generator import GrowingGenerator

FULL_RATES = 0.8  # share of a stage's iterations before the rates decay
LINEAR_FROM = 0.4  # the same where they decay linearly
LONG = 4000  # iterations of a stage, below which linear rates begin lower


def first_learning(stage: int, train_depth: int) -> int:
    """The lowest stage that learns while ``stage`` is the newest; those below are frozen."""
    return max(0, stage - train_depth + 1)


def rates(stage: int, train_depth: int, lr: float, lr_scale: float) -> dict[str, float]:
    """Learning rate by part: ``head``, ``tail`` and the stages' numbers; parts that are frozen are missing.

    Stage k below the newest learns at ``lr * lr_scale ** k``, the head at ``lr * lr_scale ** stage`` while
    ``stage < train_depth``, the tail at ``lr``.
    """
    learning = {str(i): lr * lr_scale ** (stage - i) for i in range(first_learning(stage, train_depth), stage + 1)}
    if stage < train_depth:
        learning["head"] = lr * lr_scale**stage
    return learning | {"tail": lr}


def parameter_groups(generator: GrowingGenerator, train_depth: int, lr: float, lr_scale: float) -> list[dict[str, Any]]:
    """Adam's groups for the newest stage; freezes the rest of the generator as a side effect."""
    generator.requires_grad_(False)
    groups = []
    for part, rate in rates(len(generator.stages) - 1, train_depth, lr, lr_scale).items():
        module = generator.stages[int(part)] if part.isdigit() else generator.get_submodule(part)
        groups.append({"params": list(module.requires_grad_(True).parameters()), "lr": rate, "initial_lr": rate})
    return groups


def step(iteration: int, iterations: int, gamma: float) -> float:
    """Factor on the rates: 1, then ``gamma`` from 80 % of the iterations on (rounded to a whole iteration)."""
    return gamma if iteration >= round(FULL_RATES * iterations) else 1.0


def linear(iteration: int, iterations: int, gamma: float) -> float:
    """Factor on the rates: level until 40 % of the iterations, then straight down to ``gamma`` times that.

    The level is 1 for a stage of 4000 iterations or more and falls with the root of their number: what a short stage
    changes at high rates it has no time to put right.
    """
    level = min(1.0, sqrt(iterations / LONG))
    gone = max(0.0, (iteration + 1) / iterations - LINEAR_FROM) / (1 - LINEAR_FROM)
    return level * (1 - (1 - gamma) * gone)


DECAYS = {"step": step, "linear": linear}


def decaying_now(iteration: int) -> int:
    """The number of iterations with which ``step`` decays at ``iteration``: a quarter more."""
    return round(iteration / FULL_RATES)
