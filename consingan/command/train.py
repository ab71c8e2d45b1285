"""consingan train: flags -> configuration -> a training."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan import config
from consingan.command.common import DEVICE, TALK, WATCH, check_mode, chosen_device, monitor, watched
from consingan.command.flags import (
    CONTEXT,
    GroupedCommand,
    declared_option,
    one_sentence,
    option,
    options,
    shown,
    typed,
)
from consingan.config import Declared
from consingan.errors import UserError
from consingan.storage.files import read_json
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.training.plan import DEFAULT_PRESET
from consingan.watch.report.commands import resuming, sampling

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from consingan.config import Train
    from consingan.training.estimate import Estimate
    from consingan.training.state import Training
    from consingan.watch.monitor import Monitor

SECTION_TITLES = {
    "pyramid": "Pyramid",
    "network": "Networks",
    "objective": "Losses and noise",
    "optimisation": "Schedule",
    "stopping": "End of a stage",
    "runtime": "Randomness and arithmetic",
    "sampling": "Samples and previews",
    "naive": "Naive picture and fine-tuning",
}

PRESETS = sorted({preset for task in TASKS.values() for preset in task.recipes})

TASK = options(
    [
        click.argument("picture", required=False),
        option("Task", "--input_name", metavar="FILE", help="the picture; may also stand without the flag"),
        option(
            "Task",
            "--train_mode",
            type=click.Choice(list(TASKS)),
            default="generation",
            help="; ".join(f"{task.name}: {task.summary}" for task in TASKS.values()),
            shown_default="generation",
        ),
        option(
            "Task",
            "--preset",
            type=click.Choice(PRESETS),
            default=DEFAULT_PRESET,
            help="quick: half a minute; fast: a minute; best: ten minutes; paper: the method to the letter",
            shown_default=DEFAULT_PRESET,
        ),
        option(
            "Task",
            "--background",
            default="white",
            help="colour under transparent pixels, or keep-out for the mean of the opaque ones",
            shown_default="white",
        ),
        option(
            "Task",
            "--max_pixels",
            type=click.IntRange(min=1),
            default=100_000_000,
            help="refuse pictures with more pixels",
            shown_default="100 million",
        ),
        option(
            "Task",
            "--outdir",
            default="trained_models",
            help="a run lies in OUTDIR/PICTURE/TIME_MODE...",
            shown_default="trained_models",
        ),
        option(
            "Task",
            "--resume",
            metavar="RUN",
            help="go on with a stopped run, nothing else is needed; or auto beside the command as it was: "
            "go on with its newest unfinished run, else begin",
        ),
        option(
            "Task",
            "--checkpoint-every",
            type=float,
            default=60.0,
            help="seconds between checkpoints, at least 1",
            shown_default="60",
        ),
        option("Task", "--dry-run", is_flag=True, help="show what would be done and what it costs, and stop"),
    ]
)

SETTINGS = options(
    [
        declared_option(SECTION_TITLES[s.section], s, **({"shown_default": "by picture"} if s.name == "nc_im" else {}))
        for s in config.settings()
    ]
)


@click.command(cls=GroupedCommand, context_settings=CONTEXT)
@TASK
@SETTINGS
@DEVICE
@WATCH
@TALK
@click.pass_context
def train(ctx: click.Context, **flags: Any) -> None:
    """Train on one PICTURE: python main_train.py --train_mode generation --input_name photo.jpg"""
    with one_sentence():
        given = {s.name: checked(s, flags[s.name]) for s in config.settings() if typed(ctx, s.name)}
        check_task_flags(flags)
        (resume_run if names_a_run(flags) else start_run)(ctx, flags, given)


def checked(setting: Declared, value: Any) -> Any:
    """A typed setting's value; the word auto waits for the picture."""
    return value if setting.setting.auto and value == "auto" else config.check(setting, value)


def start_run(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Train from the beginning, or show what that would be."""
    file = flags["picture"] or flags["input_name"]
    if not os.path.exists(file):  # false, not an error, for names that the system does not allow
        raise UserError(f"There is no picture at {file}; check the path behind --input_name.")
    plan.resolve(flags["train_mode"], flags["preset"], file, 3, given)  # refuses before torch is imported
    if given.get("fine_tune"):
        return start_fine_tuning(ctx, flags, given, file)

    from consingan.pictures import images
    from consingan.training.estimate import estimate
    from consingan.training.state import Training

    picture = images.load(
        file, channels=given.get("nc_im"), background=flags["background"], max_pixels=flags["max_pixels"]
    )
    _, channels, height, width = picture.pixels.shape
    settings, origins = plan.resolve(flags["train_mode"], flags["preset"], file, channels, given, size=(height, width))
    naive_notes = check_naive(settings)
    device, notes = chosen_device(ctx, flags)
    state = Training.start(settings, picture.pixels, device)
    if flags["resume"] and not flags["dry_run"]:
        if unfinished := plan.unfinished_run(flags["outdir"], settings):
            return go_on(unfinished, flags, device, notes, state.reals)
        notes.append(f"No unfinished run with these settings lies below {flags['outdir']}: this is a new one.")
    cost = estimate(settings, picture.pixels, device)
    launch(state, cost, origins, [*notes, *picture.notes, *naive_notes], flags)


def start_fine_tuning(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any], file: str) -> None:
    """Fine-tune a trained run on a naive picture, or show what that would be."""
    if flags["resume"]:
        raise UserError("--resume auto does not go with --fine_tune; give --resume the run folder to go on with.")
    base_run = Run.open(given["model_dir"])  # refuses before torch is imported

    from consingan.pictures import images
    from consingan.training import finetune
    from consingan.training.estimate import estimate_of

    device, notes = chosen_device(ctx, flags)
    base = config.from_json(read_json(base_run.config), str(base_run.config))
    settings, origins = finetune.resolve(base, flags["train_mode"], file, given)
    naive_notes = check_naive(settings)
    channels = settings.network.nc_im
    picture = images.load(file, channels=channels, background=flags["background"], max_pixels=flags["max_pixels"])

    def begin() -> Training:
        return finetune.from_run(settings.mode, file, picture.pixels, given, device)

    launch(begin(), estimate_of(begin()), origins, [*notes, *picture.notes, *naive_notes], flags)


def check_naive(settings: Train) -> list[str]:
    """Refuse a naive picture or a mask that could not be used for previews; what to say about them."""
    from consingan.applications import cases

    if settings.naive.naive_img is None:
        return []
    file = Path(settings.naive.naive_img)
    case = cases.read(file, settings.network.nc_im)
    return [f"{file}: {note}" for note in case.notes]


def launch(state: Training, cost: Estimate, origins: dict[str, str], notes: list[str], flags: dict[str, Any]) -> None:
    """Make the run folder and train in it, or show what that would be.

    Args:
        state: at its beginning.
        cost, origins: of the dry run's report.
        notes: what to say first.
        flags: as the person chose.
    """
    from consingan.training.loop import look_first, write_start

    settings = state.model.settings
    if flags["dry_run"]:
        click.echo(dry_run_report(settings, origins, state, cost, plan.planned_folder(flags["outdir"], settings)))
        return
    run = plan.new_run(flags["outdir"], settings)
    with run.lock():
        write_start(state, run)
        with watched(flags, run) as talk:
            for note in notes:
                talk.message(note)
            talk.message(summary(state, cost))
            look_first(state, run, talk)
            talk.begin(cost.weights(settings))
            finish(state, run, talk, flags)


def resume_run(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Go on with a run that is named, or say that it is finished."""
    run = Run.open(flags["resume"], "--resume", needs_model=False)
    check_same_run(ctx, run, flags, given)  # refuses before torch is imported
    if run.finished.exists():
        with monitor(flags) as talk:
            talk.message(f"{run.folder} is finished; sample it with: {sampling(run)}")
        click.echo(run.folder)
    else:
        go_on(run, flags, *chosen_device(ctx, flags))


def go_on(
    run: Run, flags: dict[str, Any], device: torch.device, notes: list[str], reals: list[Tensor] | None = None
) -> None:
    """Train a run to its end from its newest whole checkpoint.

    Args:
        run: the run, unfinished.
        flags, device, notes: as the person chose; what to say first.
        reals: the picture at each stage's size, where the person named one.
    """

    from consingan.training.loop import resume

    with run.lock(), watched(flags, run) as talk:
        for note in notes:
            talk.message(note)
        state = resume(run, device, talk.message)
        if reals is not None and not state.trains_on(reals):
            raise UserError(
                f"The picture is no longer the one that {run.folder} is trained on; leave --resume auto out, or "
                "put the picture back."
            )
        talk.message(f"Going on at stage {state.stage + 1} of {len(state.reals)}, iteration {state.iteration}.")
        finish(state, run, talk, flags)


def finish(state: Training, run: Run, talk: Monitor, flags: dict[str, Any]) -> None:
    """Train to the end, or until a signal asks to stop."""
    from consingan.training.loop import train as run_training
    from consingan.training.signals import StoppedError, StopRequest
    from consingan.training.watchdog import CollapsedError

    again = f"go on with: {resuming(run)}"
    with StopRequest() as stop:
        try:
            run_training(state, talk, run, flags["checkpoint_every"], stop)
        except StoppedError:
            talk.message(f"Stopped and saved; {again}")
            click.echo(run.folder)
            sys.exit(128 + (stop.number or 0))
        except CollapsedError:
            raise
        except UserError as error:  # a file could not be written; the checkpoints are as they were
            raise UserError(f"{error} Then {again}") from error
    talk.message(f"Done; sample it with: {sampling(run)}")
    click.echo(run.folder)


def check_task_flags(flags: dict[str, Any]) -> None:
    """Refuse flags of the task group, and of those who watch, that are out of range or contradict each other."""
    if not flags["checkpoint_every"] >= 1:  # so written, it refuses nan as well
        raise UserError(f"--checkpoint-every is {flags['checkpoint_every']}; give a number of at least 1.")
    files = [name for name in (flags["picture"], flags["input_name"]) if name]
    if flags["port"] is not None and not flags["live"]:
        raise UserError(f"--port {flags['port']} is where --live listens; give --live too, or leave the port out.")
    if flags["live"]:
        from consingan.watch.live import check_port

        check_port(flags["port"])
    if flags["tensorboard"]:
        from consingan.watch.tensorboard import check_installed

        check_installed()
    if names_a_run(flags):
        if files or flags["dry_run"]:
            raise UserError("--resume goes on with its own picture; give neither a picture nor --dry-run beside it.")
    elif not files:
        raise UserError("No picture is given; name one, as in: --input_name photo.jpg")
    elif len(set(files)) > 1:
        raise UserError(f"Two pictures are given, {files[0]} and --input_name {files[1]}; give one.")


def names_a_run(flags: dict[str, Any]) -> bool:
    """Whether --resume says which run to go on with."""
    return flags["resume"] not in (None, "auto")


def check_same_run(ctx: click.Context, run: Run, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse flags that want something else than the run to resume."""
    recorded = config.from_json(read_json(run.config), str(run.config))
    check_mode(recorded.mode, run.config)
    own = {**config.flat(recorded), "train_mode": recorded.mode}
    wanted = plan.decided(given) | ({"train_mode": flags["train_mode"]} if typed(ctx, "train_mode") else {})
    for name, value in wanted.items():
        if own[name] != value:
            raise UserError(
                f"--{name} is {shown(value)} but the run to resume has {shown(own[name])}; "
                "leave the flag out or start a new run."
            )
    for name in ("preset", "background", "max_pixels", "outdir"):
        if typed(ctx, name):
            raise UserError(f"--{name} is for new runs; leave it out beside --resume.")


def summary(state: Training, cost: Estimate) -> str:
    """What is about to happen and what it costs, in a sentence."""
    from consingan import devices
    from consingan.watch.monitor import duration

    height, width = state.model.sizes[-1]
    about = "at most about" if state.model.settings.stopping.stop == "auto" else "about"
    return (
        f"Training {state.model.settings.mode} on {devices.describe(state.model.device)}: {len(state.reals)} stages "
        f"up to {width}x{height} px, {about} {duration(cost.seconds)} and {cost.peak_mb:.0f} MB of memory."
    )


def dry_run_report(settings: Train, origins: dict[str, str], state: Training, cost: Estimate, folder: Path) -> str:
    """The dry run's report: every value with its origin, the pyramid, parameters, folder and cost."""
    values = config.flat(settings)
    wide = max(map(len, values))
    lines = [f"  {name:{wide}}  {shown(value):<12}  {origins[name]}" for name, value in values.items()]
    model = state.model
    stages = [
        f"  stage {stage}: {width}x{height} px, {config.iterations(settings.optimisation.niter, stage)} iterations "
        f"of {seconds:.3g} s"
        for stage, ((height, width), seconds) in enumerate(zip(model.sizes, cost.per_iteration, strict=True))
    ]
    parameters = model.generator.parameters_with(len(model.sizes))
    critic = sum(p.numel() for p in state.critic.parameters())
    return "\n".join(
        [
            f"{settings.mode} of {settings.image}", "settings:", *lines, "pyramid:", *stages,
            f"parameters: generator {parameters:,}, critic {critic:,}", f"run folder: {folder}", summary(state, cost),
        ]
    )  # fmt: skip
