"""Training: the loop over stages and the loop over iterations, and what they leave in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from consingan import config, devices
from consingan.applications import use, writing
from consingan.config import UNKNOWN, Chosen
from consingan.errors import UserError
from consingan.finish.photo import Photo
from consingan.gan import schedule
from consingan.gan.model import SingleImageModel
from consingan.pictures import images
from consingan.storage import files
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.machine import environment
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.training import kept, watchdog
from consingan.training.branch import every
from consingan.training.checkpoint import most_bytes
from consingan.training.convergence import Pace
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.step import Done
from consingan.watch import report
from consingan.watch.monitor import Monitor

ABSURD = 1000  # an --alpha above it, the hundredfold of the published one, is what goes wrong first


def train(
    state: Training,
    monitor: Monitor,
    run: Run | None = None,
    checkpoint_every: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
) -> SingleImageModel:
    """Train stage by stage.

    Args:
        state: where to begin, from ``Training.start`` or ``resume``.
        monitor: is told of every iteration.
        run: where checkpoints, previews and the model are written; nothing is written without one.
        checkpoint_every: seconds between two checkpoints within a stage.
        stop: asked after every iteration whether to stop.

    Returns:
        The model with all its stages, of several branches the first one's.

    Raises:
        StoppedError: ``stop`` said so; a checkpoint has been written.
    """
    for branch in state.branches:
        branch.model.say = monitor.message
    while state.stage < len(state.reals):
        state.enter_stage()
        with devices.threads_for(state.model.size, state.model.device):
            train_stage(state, monitor, run, checkpoint_every, stop)
        monitor.end_stage()
        if run:
            with monitor.paused():
                finish_stage(state, run, monitor)
        state.leave_stage()
    if run:
        files.write_json(run.finished, {"stages": state.model.stages})
        write_report(run, monitor)
    return state.result


def train_stage(
    state: Training, monitor: Monitor, run: Run | None, checkpoint_every: float, stop: Callable[[], bool]
) -> None:
    """The iterations of the stage in progress; arguments as ``train``."""
    optimisation = state.model.settings.optimisation
    decay = schedule.DECAYS[optimisation.decay]
    step = state.enter_stage()
    pace = state.pace()
    monitor.begin_stage(state.stage, len(state.reals), pace.iterations, state.iteration, size=list(state.model.size))
    written = monotonic()
    while state.iteration < pace.iterations:
        if run and state.snapshot_due(pace.iterations):
            with monitor.paused():
                take_snapshot(state, run, monitor)
        falling = decay(state.iteration, pace.iterations, optimisation.gamma)
        step.decay(state.attempt.rate * pace.slowed * falling)
        done = state.iterate()
        if done is None:
            take_smaller_window(state, monitor)
            pace = look_ahead(state, pace, monitor)
            continue
        monitor.observe(state.iteration, done.terms)
        state.iteration += 1
        if watchdog.due(state.iteration, pace.iterations):
            if keep_or_go_back(state, done, monitor):
                take_figures(state, monitor)
            pace = look_ahead(state, pace, monitor)
        stopping = stop()
        if run and (stopping or monotonic() - written > checkpoint_every):
            with monitor.paused():
                state.save(run)
            written = monotonic()
        if stopping:
            raise StoppedError


def take_smaller_window(state: Training, monitor: Monitor) -> None:
    """Go on from the last good state with a smaller window, after memory ran out."""
    trouble = f"Stage {state.stage + 1}, iteration {state.iteration}: memory ran out."
    side = state.take_smaller_window()
    monitor.message(f"{trouble} Going on from iteration {state.iteration} with windows of {side} px.")
    monitor.go_back(state.iteration)


def keep_or_go_back(state: Training, done: Done, monitor: Monitor) -> bool:
    """Let the watchdog look: keep a sound state to go back to, or go back to the last one, or begin the stage anew.

    Args:
        state: after an iteration.
        done: that iteration.
        monitor: is told when the training goes back.

    Returns:
        Whether it goes on from there, with the state kept or with time until the next look.

    Raises:
        CollapsedError: every start of the stage went wrong.
    """
    looks = state.look(done)
    found = watchdog.worst(looks, state.good.spread, state.branches[0].objective.advice)
    alpha = state.model.settings.objective.alpha
    if found is not None and alpha > ABSURD:
        found = replace(found, advice=f"lower --alpha, which is {alpha:g}")
    if found is None:
        state.keep(watchdog.least_spread(looks))
        return True
    since_good, at_end = state.iteration - state.good.iteration, state.iteration == state.length()
    if found.may_pass and since_good <= watchdog.EVERY and not at_end:
        return True
    attempt = state.attempt.next()
    if attempt is None:
        raise watchdog.collapsed(found, state.stage, state.iteration)
    trouble = f"Stage {state.stage + 1}, iteration {state.iteration}: {found.what}."
    state.go_back(attempt)
    rates = f"{attempt.rate:g} times the learning rates"
    going = (
        f"Going back to iteration {state.iteration} with other draws and {rates}, attempt {attempt.number} of "
        f"{watchdog.ATTEMPTS}."
        if attempt.number
        else f"Beginning stage {state.stage + 1} anew with other random numbers and {rates}, start "
        f"{attempt.start + 1} of {watchdog.STARTS}."
    )
    monitor.message(f"{trouble} {going}")
    monitor.go_back(state.iteration)
    return False


def take_figures(state: Training, monitor: Monitor) -> None:
    """Note how far the stage has come."""
    values = {}
    for number, branch in enumerate(state.branches):
        figures = state.measure(number)
        state.figures.append(figures)
        for name in ("reconstruction", "balance", "convergence", "swd"):
            values[branch.called(name)] = getattr(figures, name)
    monitor.figures(state.iteration - 1, values)


def look_ahead(state: Training, pace: Pace, monitor: Monitor) -> Pace:
    """How the stage goes on, which was to go on at ``pace``; the monitor is told of a change."""
    now = state.pace()
    if now.iterations != pace.iterations:
        monitor.expect(now.iterations)
    still = f"Stage {state.stage + 1} stands still at iteration {state.iteration} of {pace.iterations}"
    if now.iterations < pace.iterations:
        monitor.message(f"{still}: the rates fall now, and it ends at {now.iterations}.")
    elif now.slowed < pace.slowed:
        monitor.message(f"{still}: the rates are {now.slowed:g} times what they would be.")
    return now


def write_start(state: Training, run: Run, chosen: Chosen = UNKNOWN) -> None:
    """What a run holds before it trains: configuration, environment, pyramid, and a checkpoint to go on from."""
    files.write_json(run.config, config.to_json(state.model.settings, chosen))
    files.write_json(run.environment, machine(state.model.device))
    for branch in every(state.branches):
        if branch.model.photo is not None:
            kept.keep(run.picture_of(branch.file), branch.model.photo)
        for stage, real in enumerate(branch.reals):
            images.save(run.pyramid / branch.file_of(stage), branch.model.kind.seen(real))
    state.enter_stage()
    state.save(run)


def look_first(state: Training, run: Run, monitor: Monitor) -> None:
    """New pictures of the picture before anything is trained, where samples will be finished by its patches."""
    model = state.model
    if model.photo is None or model.settings.sampling.finish != "patches":
        return
    with monitor.beside("There are no first pictures"):
        files = list(writing.write(use.first_look(model.photo), run.first_look, {"model": "none"}))
        monitor.pictures(0, 0, [below(run, file) for file in files])
    write_report(run, monitor)


def resume(run: Run, device: torch.device | str, warn: Callable[[str], None]) -> Training:
    """The state in the newest whole checkpoint of a run.

    Args:
        run: its folder.
        device: where to go on.
        warn: is told of broken checkpoints, and of changes of the machine.

    Raises:
        UserError: there is no checkpoint that can be used.
    """
    files.sweep(run.folder, run.evaluation)
    saved = Checkpoints(run.checkpoints).newest(warn, lambda header: most_bytes(header, str(run.checkpoints)))
    if saved is None:
        raise UserError(f"{run.folder} holds no checkpoint to go on from; start a new run.")
    state = Training.restore(*saved, str(run.checkpoints), device)
    for branch in every(state.branches):
        if (pixels := kept.picture(run, branch, warn)) is not None:
            branch.model.photo = Photo(pixels, branch.model.device, branch.model.kind)
    own = config.from_json(files.read_json(run.config), str(run.config))
    config.check_same(own, state.model.settings, f"{run.config} and the checkpoint beside it")
    for change in machine_changes(run, state.model.device):
        warn(change)
    return state


def machine(device: torch.device) -> dict[str, Any]:
    """What a training runs on, as JSON values."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    return {**environment(), "device": str(device), "deterministic": deterministic}


def machine_changes(run: Run, device: torch.device) -> Iterator[str]:
    """A sentence for each thing that may differ in a resumed run but changes its last bits."""
    if not run.environment.is_file():
        return
    try:
        then, now = files.read_json(run.environment), machine(device)
    except UserError as error:
        yield f"{error} What has changed since the run began is not known."
        return
    for name in ("device", "threads", "torch", "deterministic", "consingan", "python"):
        if isinstance(then, dict) and then.get(name) != now[name]:
            yield (
                f"This run began with {name} {then.get(name)} and goes on with {now[name]}: the result is as good "
                "but not the same to the bit."
            )


def finish_stage(state: Training, run: Run, monitor: Monitor) -> None:
    """Keep a finished stage: checkpoint, portable model, previews, report."""
    state.save(run)
    for branch in state.branches:
        branch.result.save(run.model_of(branch.name))
    take_snapshot(state, run, monitor)
    with monitor.beside(f"There are no previews of stage {state.stage + 1}"):
        previews = writing.within(use.previews(state.result, run), writing.PREVIEW_PIXELS)
        folder = run.samples / f"stage_{state.stage}"
        files = list(writing.write(previews, folder, {"stage": str(state.stage)}))
        monitor.pictures(state.stage, state.iteration, [below(run, file) for file in files])
    write_report(run, monitor)


def take_snapshot(state: Training, run: Run, monitor: Monitor) -> None:
    """A picture of the result so far, and all of them side by side; none of a model that has gone wrong.

    Nor one into a folder that someone has taken away: the log or the previews will say so.
    """
    if not run.samples.is_dir():
        return
    with monitor.beside(f"There is no picture of iteration {state.iteration}"):
        made = (result for result in use.glimpses(state.result, run) if result.role is not Role.RECONSTRUCTION)
        result = next(made)
        if state.branches[1:]:  # the view shows what each of them makes
            result = next((each for each in made if each.role is Role.VIEW), result)
        if not result.frames[0].isfinite().all():  # the watchdog sees to it
            return
        file = writing.snapshot(result, run.samples / f"stage_{state.stage}", state.iteration)
        monitor.pictures(state.stage, state.iteration, [below(run, file)])


def write_report(run: Run, monitor: Monitor) -> None:
    """Write report.html; a report that cannot be made is no reason to end a training."""
    with monitor.beside("There is no new report"):
        report.write(run)


def below(run: Run, file: Path) -> str:
    """A file's path below its run folder, with ``/`` on every system."""
    return file.relative_to(run.folder).as_posix()
