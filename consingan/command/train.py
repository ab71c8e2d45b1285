"""consingan train: flags -> an order -> a job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from consingan import config
from consingan.command import settings_file
from consingan.command.common import DEVICE, TALK, WATCH, loading, watching
from consingan.command.flags import (
    GroupedCommand,
    command,
    declared_option,
    one_sentence,
    option,
    options,
    typed,
)
from consingan.errors import UserError
from consingan.storage.runs import HOME, VARIABLE, home
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.training.album import in_folder
from consingan.training.job import Job
from consingan.training.order import FIRST_MODE, MOST_PIXELS, Order
from consingan.training.plan import DEFAULT_PRESET, Plan, shown

# What most people turn: the flags of the short help.
TURNED = (
    *("input_name", "train_mode", "preset", "outdir", "resume", "dry_run", "config", "save"),
    *("max_size", "niter", "positions", "batch_norm", "variation", "seed", "not_cuda", "live", "quiet"),
    *(s.name for s in config.own("naive")),
)
EXAMPLES = [
    ("photo.jpg", "less than a minute on two cores"),
    ("photo.jpg --preset best --live", "five minutes, with a page that shows how it goes"),
    ("photo.jpg --max_size 80 --dry_run", "what that would do, and how long it takes"),
    ("art.png --train_mode harmonization --naive_img naive.png", "repaint a pasted object"),
    ("a.jpg b.jpg c.jpg --weights 2,1,1", "one model of three pictures of a kind"),
    ("--resume last", "go on with the run that was stopped last"),
]
SECTION_TITLES = {
    "pyramid": "Pyramid",
    "network": "Networks",
    "objective": "Losses and noise",
    "techniques": "Improved techniques",
    "codes": "Codes",
    "optimisation": "Schedule",
    "stopping": "End of a stage",
    "runtime": "Randomness and arithmetic",
    "sampling": "Samples and previews",
    "naive": "Naive picture, and learning on from a run",
    "translation": "Translation of two pictures",
    "album": "Several pictures of a kind",
}

PRESETS = sorted({preset for task in TASKS.values() for preset in task.recipes})
# What one gets without a flag.
USUAL = {s.name: TASKS[FIRST_MODE].recipes[DEFAULT_PRESET].get(s.name, s.default) for s in config.settings()}

NAMED = [
    click.argument("picture", nargs=-1),
    option(
        "Task",
        "--input_name",
        metavar="FILE...",
        multiple=True,
        help="the picture, or - for one from standard input; PICTURE without the flag means the same; several files "
        "give one model of all of them",
    ),
    option("Task", "--as_one", is_flag=True, help="one model of all pictures of the folder that is named"),
]
OF_PICTURE = [
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
        help="quick: half a minute; fast: a minute; best: five minutes; paper: the published method exactly; "
        "consingan presets shows what each one sets",
        shown_default=DEFAULT_PRESET,
    ),
    option(
        "Task",
        "--background",
        help="lay transparent pixels on a colour, or with keep-out on the mean colour of the opaque pixels",
        shown_default="transparency is kept; white in harmonization and editing",
    ),
    option(
        "Task",
        "--max_pixels",
        type=click.IntRange(min=1),
        default=MOST_PIXELS,
        help="refuse pictures with more pixels",
        shown_default="100 million",
    ),
]
OF_RUN = [
    option(
        "Task",
        "--outdir",
        default=home,
        help="folder for runs; a run is saved in OUTDIR/PICTURE/TIME_MODE...",
        shown_default=f"{HOME}, or the environment variable {VARIABLE}",
    ),
    option(
        "Task",
        "--resume",
        metavar="RUN",
        help="continue the stopped run in this folder; needs no other flags. With auto, repeat the "
        "original command: its newest unfinished run is continued, or a new one is started",
    ),
]
HOW = [
    option(
        "Task",
        "--checkpoint_every",
        type=float,
        default=60.0,
        help="seconds between checkpoints, at least 1",
        shown_default="60",
    ),
    option("Task", "--dry_run", is_flag=True, help="show the settings, the pyramid, time and memory, then stop"),
    option(
        "Task",
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=settings_file.read,
        help="file of settings in TOML, such as: max_size = 80; flags come first, then this file, then the preset",
    ),
]
SAVE = option("Task", "--save", metavar="FILE", help="with --dry_run: write the settings to a file for --config")
TASK = options([*NAMED, *OF_PICTURE, *OF_RUN, *HOW, SAVE])


def title(setting: config.Declared) -> str:
    """The heading of a setting's flag: its section, or the words for which it is an option."""
    if not setting.entries:
        return SECTION_TITLES[setting.section]
    first_and_last = dict.fromkeys((setting.entries[0], setting.entries[-1]))
    return f"{SECTION_TITLES[setting.section]}, {' ... '.join(first_and_last)}"


def shown_default(s: config.Declared) -> dict[str, str]:
    """What help names as the default of a setting: what one gets without any flag."""
    if s.name == "nc_im":
        return {"shown_default": "by picture"}
    return {} if USUAL[s.name] in (None, False) else {"shown_default": shown(USUAL[s.name])}


SETTINGS = options([declared_option(title(s), s, **shown_default(s)) for s in config.settings()])


class OfFiles(GroupedCommand):
    """A command whose ``--input_name`` takes all the files that follow it, in order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, each_flagged(args))


def each_flagged(args: Sequence[str]) -> list[str]:
    """``--input_name a b`` -> ``--input_name a --input_name b``."""
    found: list[str] = []
    flag = ""
    for number, word in enumerate(args):
        if word == "--":
            return [*found, *args[number:]]
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0].replace("-", "_")
            flag = "--input_name" if name == "__input_name" else ""
            found.append(word)
            continue
        behind = bool(found) and found[-1].startswith("-") and found[-1] != "-" and "=" not in found[-1]
        found += [word] if behind or not flag else [flag, word]
    return found


@command(
    "learn from one picture, or from several as one",
    cls=OfFiles,
    turned=TURNED,
    examples=EXAMPLES,
    epilog=f"Defaults are those of --train_mode {FIRST_MODE} with --preset {DEFAULT_PRESET}. In every flag, dashes and "
    "underscores mean the same.",
)
@TASK
@SETTINGS
@DEVICE
@WATCH
@TALK
@click.pass_context
def train(ctx: click.Context, **flags: Any) -> None:
    """Train on one PICTURE. It is saved in a new run folder, from which you sample.

    Several PICTUREs of a kind become one model of all of them.
    """
    with one_sentence():
        job = Job(ordered(ctx, flags), about_to_load=lambda: loading(flags))
        if flags["save"] is not None:
            settings_file.check_place(flags["save"], flags["dry_run"])
        if flags["dry_run"]:
            planned = with_file(ctx, job.plan())
            click.echo(planned)
            if flags["save"] is not None:
                settings_file.save(ctx, planned, flags["preset"], Path(flags["save"]))
            return
        with watching(flags) as (observers, notes):
            ended = job.run(observers, signals=True, notes=notes)
        assert ended.run is not None  # --outdir has a default
        click.echo(ended.run.folder)
        if ended.how == "stopped":
            sys.exit(128 + (ended.signal or 0))


def pictures_of(flags: dict[str, Any]) -> list[str]:
    """The files of the pictures, those behind the flag first.

    Raises:
        UserError: a folder is to be taken as one and is none, or stands beside other pictures.
    """
    typed, plain = ([file for file in flags[name] if file] for name in ("input_name", "picture"))
    files = plain if typed == plain and len(typed) == 1 else [*typed, *plain]
    if not flags["as_one"]:
        return files
    if len(files) != 1:
        raise UserError(
            f"--as_one takes one folder of pictures, and {len(files)} paths are given; name the folder alone."
        )
    return in_folder(files[0])


def with_file(ctx: click.Context, planned: Plan) -> Plan:
    """The plan with the file of settings named as the origin of what it gave."""
    source = {name: ctx.get_parameter_source(name) for name, by in planned.origins.items() if by == "flag"}
    said = {name: f"file {ctx.params['config']}" for name, by in source.items() if by is ParameterSource.DEFAULT_MAP}
    return replace(planned, origins={**planned.origins, **said})


def ordered(ctx: click.Context, flags: dict[str, Any]) -> Order:
    """The flags as an order: what was typed, and the default of OUTDIR for a new run.

    Raises:
        UserError: a setting is out of range, or two pictures are given.
    """
    given = plan.checked({s.name: flags[s.name] for s in config.settings() if typed(ctx, s.name)})
    files = pictures_of(flags)
    if len(files) > 1:
        given["also"] = (*files[1:], *given.get("also", ()))
    own = {name: flags[name] for name in ("preset", "background", "max_pixels", "outdir", "gpu") if typed(ctx, name)}
    new = flags["resume"] in (None, "auto")
    if not new and flags["dry_run"]:
        raise UserError("--resume goes on with its own picture; give neither a picture nor --dry_run beside it.")
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
