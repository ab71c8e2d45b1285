"""What a training will cost, from a few of its real iterations."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.monitor import peak_memory
from consingan.state import Training


@dataclass(frozen=True)
class Estimate:
    """Cost of a training on this device.

    Args:
        per_iteration: seconds of one iteration, by stage.
        seconds: of all iterations together.
        peak_mb: peak memory in MB: of the device on CUDA, of the process elsewhere.
    """

    per_iteration: list[float]
    seconds: float
    peak_mb: float

    def weights(self, settings: Train) -> list[float]:
        """Seconds of each whole stage."""
        niter = settings.optimisation.niter
        return [config.iterations(niter, stage) * each for stage, each in enumerate(self.per_iteration)]


def estimate(settings: Train, picture: Tensor, device: torch.device, budget: float = 6.0) -> Estimate:
    """Run two iterations per stage, coarsest first, until the budget is used up; the rest follows from its pixels.

    Args:
        settings, picture, device: as for ``Training.start``.
        budget: seconds to spend, kept to within the cost of one stage's iterations.
    """
    state = Training.start(settings, picture, device)
    pixels = [height * width for height, width in state.model.sizes]
    times: list[float] = []
    memory: list[float] = []
    begin = perf_counter()
    for stage in range(len(pixels)):
        likely = 2 * times[-1] * pixels[stage] / pixels[stage - 1] if times else 0.0
        if stage >= 2 and perf_counter() - begin + likely > budget:
            break
        times.append(_seconds_of_one(state))
        memory.append(peak_memory()[0] or float("nan"))
        state.leave_stage()
    for stage in range(len(times), len(pixels)):
        growth = pixels[stage] / pixels[stage - 1]
        times.append(times[-1] * growth)
        memory.append(memory[-1] + max(0.0, memory[-1] - memory[0]) * (growth - 1))
    niter = settings.optimisation.niter
    seconds = sum(config.iterations(niter, stage) * each for stage, each in enumerate(times))
    return Estimate(times, seconds, max(memory))


def estimate_of(state: Training) -> Estimate:
    """The cost of a training that begins in its last stage; two of its iterations are run, and change it."""
    seconds = _seconds_of_one(state)
    number = config.iterations(state.model.settings.optimisation.niter, state.stage)
    return Estimate([0.0] * state.stage + [seconds], number * seconds, peak_memory()[0] or float("nan"))


def _seconds_of_one(state: Training) -> float:
    """Time of an iteration after one that warms up."""
    step = state.enter_stage()
    for _ in range(2):
        begin = perf_counter()
        terms = step(*state.draw(state.model.settings.optimisation.Dsteps))
        terms["reconstruction"].item()  # waits for the device
        state.iteration += 1
    return perf_counter() - begin
