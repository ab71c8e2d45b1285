"""What a training will cost, from a few of its real iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter

import torch
from torch import Tensor

from consingan import config, devices
from consingan.applications import writing
from consingan.config import Train
from consingan.gan import schedule
from consingan.grid.sizes import Size
from consingan.grid.windows import Window
from consingan.training.state import Training
from consingan.watch.monitor import peak_memory

PREVIEWS = 4  # pictures after a stage: the reconstruction and three samples
BETWEEN = 5.0  # seconds after a stage whose samples are finished: its previews, those on the way, figures and report
BYTES_PER_PIXEL = 200  # of a large picture: itself, its reconstruction, previews and the checkpoint, some of them twice
BYTES_PER_NUMBER = 24  # of a feature map while a tile is computed: six maps of four bytes


@dataclass(frozen=True)
class Estimate:
    """Cost of a training on this device.

    Args:
        per_iteration: seconds of one iteration, by stage.
        seconds: of all iterations, and of the pictures that are made between them.
        peak_mb: peak memory in MB: of the device on CUDA, of the process elsewhere.
    """

    per_iteration: list[float]
    seconds: float
    peak_mb: float

    def weights(self, settings: Train) -> list[float]:
        """Seconds of each whole stage."""
        niter = settings.optimisation.niter
        return [config.iterations(niter, stage) * each for stage, each in enumerate(self.per_iteration)]


def estimate(settings: Train, picture: Tensor, device: torch.device, budget: float = 2.0) -> Estimate:
    """Run two iterations per stage, coarsest first, until the budget is used up; the rest follows from the work.

    Args:
        settings, picture, device: as for ``Training.start``.
        budget: seconds to spend, kept to within the cost of one stage's iterations.
    """
    state = Training.start(settings, picture, device)
    sizes = state.model.sizes
    times: list[float] = []
    memory: list[float] = []
    begin = perf_counter()
    for stage in range(len(sizes)):
        likely = 2 * times[-1] * work(state, stage) / work(state, stage - 1) if times else 0.0
        if stage >= 2 and perf_counter() - begin + likely > budget:
            break
        with devices.threads_for(sizes[stage], device):
            times.append(_seconds_of_one(state))
        memory.append(peak_memory()[0] or float("nan"))
        state.leave_stage()
    measured = len(times)
    for stage in range(measured, len(sizes)):
        growth = work(state, stage) / work(state, stage - 1)
        times.append(times[-1] * growth)
        memory.append(memory[-1] + max(0.0, memory[-1] - memory[0]) * (growth - 1))
    niter = settings.optimisation.niter
    seconds = sum(config.iterations(niter, stage) * each for stage, each in enumerate(times))
    pace = times[-1] / work(state, len(sizes) - 1)
    seconds += pace * sum(passes(sizes[: stage + 1]) for stage in range(len(sizes)))
    if settings.sampling.finish == "patches":
        seconds += BETWEEN * len(sizes)
    pictures = BYTES_PER_PIXEL * (prod(sizes[-1]) - prod(sizes[measured - 1])) / 2**20
    tile = BYTES_PER_NUMBER * settings.network.nfc * min(prod(sizes[-1]), state.model.tile) / 2**20
    return Estimate(times, seconds, max(max(memory), memory[0] + tile) + pictures)


def work(state: Training, stage: int) -> float:
    """Work of one iteration of a stage, in pixels that pass a stage's convolutions or the critic's once.

    A learning stage makes the fake and the reconstruction, a frozen one both without gradients; a backward pass costs
    two forward ones. The critic takes real and fake in every step of its own, and the penalty's two passes; the
    generator's step takes the fake through it once more, without the gradient of its weights.
    """
    optimisation = state.model.settings.optimisation
    sizes = state.model.sizes[: stage + 1]
    window = state.window_of(sizes[-1], (0.5, 0.5)) or Window.whole(sizes[-1])
    frozen = schedule.first_learning(stage, optimisation.train_depth)
    parts = state.model.generator.parts(sizes, window)
    made = sum(prod(part.computed.size) * (2 if i < frozen else 6) for i, part in enumerate(parts))
    return made + prod(window.size) * (10 * optimisation.Dsteps + 3)


def passes(sizes: Sequence[Size]) -> float:
    """Work between the iterations of a stage: one picture for the amplitude, the others as previews."""
    pictures = min(PREVIEWS, max(2.0, writing.PREVIEW_PIXELS / prod(sizes[-1])))
    return (1 + pictures) * sum(prod(size) for size in sizes)


def estimate_of(state: Training) -> Estimate:
    """The cost of a training that begins in its last stage; two of its iterations are run, and change it."""
    seconds = _seconds_of_one(state)
    number = config.iterations(state.model.settings.optimisation.niter, state.stage)
    return Estimate([0.0] * state.stage + [seconds], number * seconds, peak_memory()[0] or float("nan"))


def _seconds_of_one(state: Training) -> float:
    """Time of an iteration after one that warms up; where memory runs out, of one on a smaller window."""
    state.enter_stage()
    for _ in range(2):
        begin = perf_counter()
        while (done := state.iterate()) is None:
            state.take_smaller_window()
            begin = perf_counter()
        done.terms["reconstruction"].item()  # waits for the device
        state.iteration += 1
    return perf_counter() - begin
