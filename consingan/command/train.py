"""consingan train: flags -> an order -> a job."""

from __future__ import annotations

import sys
from typing import Any

import click

from consingan import config
from consingan.command.common import DEVICE, TALK, WATCH, watching
from consingan.command.flags import (
    CONTEXT,
    GroupedCommand,
    declared_option,
    one_sentence,
    option,
    options,
    typed,
)
from consingan.errors import UserError
from consingan.storage.runs import HOME
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.training.job import Job
from consingan.training.order import FIRST_MODE, MOST_PIXELS, WHITE, Order
from consingan.training.plan import DEFAULT_PRESET

SECTION_TITLES = {
    "pyramid": "Pyramid",
    "network": "Networks",
    "objective": "Losses and noise",
    "optimisation": "Schedule",
    "stopping": "End of a stage",
    "runtime": "Randomness and arithmetic",
    "sampling": "Samples and previews",
    "naive": "Naive picture, and learning on from a run",
}

PRESETS = sorted({preset for task in TASKS.values() for preset in task.recipes})

TASK = options(
    [
        click.argument("picture", required=False),
        option("Task", "--input_name", metavar="FILE", help="the picture; PICTURE without the flag means the same"),
        option(
            "Task",
            "--train_mode",
            type=click.Choice(list(TASKS)),
            default=FIRST_MODE,
            help="; ".join(f"{task.name}: {task.summary}" for task in TASKS.values()),
            shown_default=FIRST_MODE,
        ),
        option(
            "Task",
            "--preset",
            type=click.Choice(PRESETS),
            default=DEFAULT_PRESET,
            help="quick: half a minute; fast: a minute; best: five minutes; paper: the published method exactly",
            shown_default=DEFAULT_PRESET,
        ),
        option(
            "Task",
            "--background",
            default=WHITE,
            help="colour for transparent pixels, or keep-out for the mean colour of the opaque pixels",
            shown_default=WHITE,
        ),
        option(
            "Task",
            "--max_pixels",
            type=click.IntRange(min=1),
            default=MOST_PIXELS,
            help="refuse pictures with more pixels",
            shown_default="100 million",
        ),
        option(
            "Task",
            "--outdir",
            default=HOME,
            help="folder for runs; a run is saved in OUTDIR/PICTURE/TIME_MODE...",
            shown_default=HOME,
        ),
        option(
            "Task",
            "--resume",
            metavar="RUN",
            help="continue the stopped run in this folder; needs no other flags. With auto, repeat the "
            "original command: its newest unfinished run is continued, or a new one is started",
        ),
        option(
            "Task",
            "--checkpoint-every",
            type=float,
            default=60.0,
            help="seconds between checkpoints, at least 1",
            shown_default="60",
        ),
        option("Task", "--dry-run", is_flag=True, help="show the settings, the pyramid, time and memory, then stop"),
    ]
)


def title(setting: config.Declared) -> str:
    """The heading of a setting's flag: its section, or the words for which it is an option."""
    if not setting.entries:
        return SECTION_TITLES[setting.section]
    first_and_last = dict.fromkeys((setting.entries[0], setting.entries[-1]))
    return f"{SECTION_TITLES[setting.section]}, {' ... '.join(first_and_last)}"


SETTINGS = options(
    [
        declared_option(title(s), s, **({"shown_default": "by picture"} if s.name == "nc_im" else {}))
        for s in config.settings()
    ]
)


@click.command(cls=GroupedCommand, context_settings=CONTEXT, short_help="learn from one picture")
@TASK
@SETTINGS
@DEVICE
@WATCH
@TALK
@click.pass_context
def train(ctx: click.Context, **flags: Any) -> None:
    """Train on one PICTURE: python main_train.py --train_mode generation --input_name photo.jpg"""
    with one_sentence():
        job = Job(ordered(ctx, flags))
        if flags["dry_run"]:
            click.echo(job.plan())
            return
        with watching(flags) as (observers, notes):
            ended = job.run(observers, signals=True, notes=notes)
        assert ended.run is not None  # --outdir has a default
        click.echo(ended.run.folder)
        if ended.how == "stopped":
            sys.exit(128 + (ended.signal or 0))


def ordered(ctx: click.Context, flags: dict[str, Any]) -> Order:
    """The flags as an order: what was typed, and the default of OUTDIR for a new run.

    Raises:
        UserError: a setting is out of range, or two pictures are given.
    """
    given = plan.checked({s.name: flags[s.name] for s in config.settings() if typed(ctx, s.name)})
    files = list(dict.fromkeys(name for name in (flags["picture"], flags["input_name"]) if name))
    if len(files) > 1:
        raise UserError(f"Two pictures are given, {files[0]} and --input_name {files[1]}; give one.")
    own = {name: flags[name] for name in ("preset", "background", "max_pixels", "outdir", "gpu") if typed(ctx, name)}
    new = flags["resume"] in (None, "auto")
    if not new and flags["dry_run"]:
        raise UserError("--resume goes on with its own picture; give neither a picture nor --dry-run beside it.")
    return Order(
        picture=files[0] if files else None,
        mode=flags["train_mode"] if typed(ctx, "train_mode") else None,
        settings=given,
        resume=flags["resume"],
        device=flags["device"],
        not_cuda=flags["not_cuda"],
        deterministic=flags["deterministic"],
        checkpoint_every=flags["checkpoint_every"],
        **(({"outdir": flags["outdir"]} if new else {}) | own),
    )
