"""What a training will cost, from a few of its real iterations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter

from consingan import config, devices
from consingan.applications import writing
from consingan.config import Train
from consingan.gan import schedule
from consingan.grid.sizes import Size
from consingan.grid.windows import Window
from consingan.training.branch import every
from consingan.training.state import SNAPSHOTS, Training
from consingan.watch.clock import StageTime, WholeTime
from consingan.watch.memory import peak_memory

PREVIEWS = 4  # pictures after a stage: the reconstruction and three samples
# Seconds on one core beside the iterations: after a stage (previews, figures, report), and of a picture on the way.
BETWEEN = {"finished": (4.9, 0.85), "applied": (2.7, 0.6), "plain": (0.2, 0.05)}
FIRST_LOOK = 2.5  # seconds of the finished pictures that are made before anything is trained
BYTES_PER_PIXEL = 200  # of a large picture: itself, its reconstruction, previews and the checkpoint, some of them twice
BYTES_PER_NUMBER = 24  # of a feature map while a tile is computed: six maps of four bytes


@dataclass(frozen=True)
class Estimate:
    """Cost of a training on this device.

    Args:
        per_iteration: seconds of one iteration, by stage.
        seconds: of all iterations, and of what is done beside them.
        peak_mb: peak memory in MB: of the device on CUDA, of the process elsewhere.
        beside: seconds of a stage beside its iterations, the same for each.
    """

    per_iteration: list[float]
    seconds: float
    peak_mb: float
    beside: float = 0.0

    def weights(self, settings: Train) -> list[float]:
        """Seconds of each whole stage."""
        niter = settings.optimisation.niter
        return [config.iterations(niter, stage) * each for stage, each in enumerate(self.per_iteration)]


def estimate(start: Training, budget: float = 2.0) -> Estimate:
    """Run two iterations per stage, coarsest first, until the budget is used up; the rest follows from the work.

    Args:
        start: a training at its beginning, at any stage; a copy of it is tried, and it stays as it is to the bit.
        budget: seconds to spend, kept to within the cost of one stage's iterations; two stages are always tried.
    """
    state = trial(start)
    sizes, first = state.model.sizes, state.stage
    times: list[float] = []
    memory: list[float] = []
    begin = perf_counter()
    for stage in range(first, len(sizes)):
        likely = 2 * times[-1] * work(state, stage) / work(state, stage - 1) if times else 0.0
        if stage >= first + 2 and perf_counter() - begin + likely > budget:
            break
        with devices.threads_for(sizes[stage], state.model.device):
            times.append(_seconds_of_one(state))
        memory.append(peak_memory()[0] or float("nan"))
        state.leave_stage()
    measured = first + len(times)
    for stage in range(measured, len(sizes)):
        growth = work(state, stage) / work(state, stage - 1)
        times.append(times[-1] * growth)
        memory.append(memory[-1] + max(0.0, memory[-1] - memory[0]) * (growth - 1))
    settings = state.model.settings
    niter = settings.optimisation.niter
    seconds = sum(config.iterations(niter, stage) * each for stage, each in enumerate(times, first))
    pace = times[-1] / work(state, len(sizes) - 1)
    seconds += pace * sum(passes(sizes[: stage + 1]) for stage in range(first, len(sizes)))
    each = beside(settings)
    seconds += each * (len(sizes) - first) + (FIRST_LOOK if settings.sampling.finish == "patches" else 0.0)
    pictures = BYTES_PER_PIXEL * (prod(sizes[-1]) - prod(sizes[measured - 1])) / 2**20
    tile = BYTES_PER_NUMBER * settings.network.nfc * min(prod(sizes[-1]), state.model.tile) / 2**20
    return Estimate([0.0] * first + times, seconds, max(max(memory), memory[0] + tile) + pictures, each)


def trial(start: Training) -> Training:
    """A copy of a training to try iterations on: with networks of its own, and the same pictures."""
    shared = [each for one in every(start.branches) for each in (*one.reals, *one.model.fixed, one.model.photo)]
    return copy.deepcopy(start, {id(each): each for each in shared})


def relative(state: Training) -> list[float]:
    """What each whole stage costs, in pixels; of a training at any place, without trying an iteration."""
    niter = state.model.settings.optimisation.niter
    return [config.iterations(niter, stage) * work(state, stage) for stage in range(len(state.reals))]


def seconds_left(state: Training, spent: float) -> float | None:
    """What a training in progress has still to go, by the seconds that it has spent; None while these tell nothing."""
    if state.stage >= len(state.reals):
        return None
    stage = StageTime(state.stage, len(state.reals), state.length(), 0, 0.0, {}, done=state.iteration)
    return WholeTime(relative(state), beside(state.model.settings)).seconds_left(stage, spent)


def beside(settings: Train) -> float:
    """Seconds of a stage beside its iterations: pictures of the result, figures, report."""
    finished = settings.sampling.finish == "patches"
    after, picture = BETWEEN["finished" if finished else "applied" if settings.naive.naive_img else "plain"]
    every = settings.naive.snapshot_every
    return after + picture * (config.iterations(settings.optimisation.niter, 0) / every if every else len(SNAPSHOTS))


def work(state: Training, stage: int) -> float:
    """Work of one iteration of a stage, in pixels that pass a stage's convolutions or the critic's once.

    A learning stage makes the fake and the reconstruction, a frozen one both without gradients; a backward pass costs
    two forward ones. What the critic does, its objective says.
    Of several pictures it is that of the mean iteration.
    """
    settings, done = state.model.settings.optimisation, 0.0
    frozen = schedule.first_learning(stage, settings.train_depth)
    shares = state.model.settings.album.shares
    for branch, share in (each for one in state.branches for each in zip(one.pictures, shares, strict=False)):
        sizes = branch.model.sizes[: stage + 1]
        window = state.window_of(sizes[-1], (0.5, 0.5)) or Window.whole(sizes[-1])
        parts = branch.model.generator.parts(sizes, window)
        done += share * sum(prod(part.computed.size) * (2 if i < frozen else 6) for i, part in enumerate(parts))
        done += share * prod(window.size) * branch.objective.work(settings.Dsteps)
    return done


def passes(sizes: Sequence[Size]) -> float:
    """Work between the iterations of a stage: one picture for the amplitude, the others as previews."""
    pictures = min(PREVIEWS, max(2.0, writing.PREVIEW_PIXELS / prod(sizes[-1])))
    return (1 + pictures) * sum(prod(size) for size in sizes)


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
