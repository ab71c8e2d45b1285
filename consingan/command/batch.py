"""consingan batch: a training for each of many pictures."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from consingan import config
from consingan.batch import whole
from consingan.batch.book import Book, Job, Then
from consingan.batch.display import display
from consingan.batch.listing import FIELDS, FaultsError, listed
from consingan.command.common import DEVICE, TALK, note, shown_by
from consingan.command.flags import command, one_sentence, option, options, typed
from consingan.command.train import HOW, OF_PICTURE, SETTINGS, TURNED, ordered
from consingan.errors import UserError, brief, check_packages
from consingan.pictures.source import check_no_address
from consingan.storage.runs import home
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.training.signals import StopRequest

EXAMPLES = [
    ("photos/", "a run for each picture of the folder"),
    ("photos/ --preset quick --then 'sample --num_samples 8'", "and samples of each"),
    ("list.csv --workers 4", "flags by picture: columns picture, name, and flags such as seed"),
    ("photos/ --scheduler tcp://host:8786", "on a Dask cluster"),
]
OWN = options(
    [
        click.argument("source", metavar="FOLDER|LIST"),
        option(
            "Task",
            "--outdir",
            metavar="FOLDER",
            help="folder of this batch alone; a run is saved in OUTDIR/NAME/TIME_MODE...",
            shown_default="trained_models/ and the name of FOLDER or LIST",
        ),
        option(
            "Task",
            "--then",
            multiple=True,
            metavar="COMMAND",
            help="what to do with each run when it is trained, such as 'sample --num_samples 8'; may be given again",
        ),
        option("Workers", "--workers", type=click.IntRange(min=1), help="trainings at a time on this machine"),
        option(
            "Workers",
            "--threads",
            type=click.IntRange(min=1),
            help="CPU threads of a training; a model's bits depend on it where stages are above 64x64 px",
            shown_default="this machine's, shared out; 1 on a cluster",
        ),
        option(
            "Workers",
            "--retries",
            type=click.IntRange(min=0),
            default=2,
            help="how often a job goes on whose worker died",
            shown_default="2",
        ),
        option(
            "Workers", "--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://host:8786, or its file"
        ),
        option(
            "Workers",
            "--worker_resources",
            metavar="NAME=N[,...]",
            help="what a job takes of a Dask worker's resources, such as GPU=1",
        ),
        option(
            "Workers",
            "--shared",
            is_flag=True,
            help="the Dask workers see pictures and OUTDIR at the same paths: nothing travels",
        ),
    ]
)


@command(
    "learn from many pictures",
    turned=[*TURNED, "then", "workers", "threads", "retries", "scheduler", "worker_resources", "shared"],
    examples=EXAMPLES,
    epilog="To go on with a batch that was stopped, give the same command again. Every flag of train holds for each "
    "picture; a list has flags by picture.",
)
@OWN
@options([*OF_PICTURE, *HOW])
@SETTINGS
@DEVICE
@TALK
@click.pass_context
def batch(ctx: click.Context, **flags: Any) -> None:
    """Train on each picture of a FOLDER, or of a LIST (.csv, .jsonl), in several processes."""
    with one_sentence():
        how = whole.How(**{each.name: flags[each.name] for each in fields(whole.How)})
        jobs, then = asked(ctx, flags)
        check_packages()
        folder = Path(flags["outdir"] or Path(home(), Path(flags["source"]).resolve().stem)).resolve()
        book = how.book(folder, jobs, then)
        number = carried_out(book, jobs, how, flags)
    if number is not None:
        sys.exit(128 + number)
    sys.exit(any(entry.state == "failed" for entry in book.of(jobs)))


def asked(ctx: click.Context, flags: Mapping[str, Any]) -> tuple[list[Job], Then]:
    """The jobs, and what comes after each; says every fault that there is.

    Raises:
        UserError: there is one.
    """
    faults: list[str] = []
    jobs: list[Job] = []
    wanted = base(ctx, flags)
    try:
        check_no_address(flags["source"])
        jobs = listed(Path(flags["source"]), wanted, Cells(ctx))
    except FaultsError as found:
        faults += found.sentences
    modes = {job.order.wanted[0] for job in jobs} or {wanted.wanted[0]}
    then = tuple(words for text in flags["then"] if (words := afterwards(text, modes, faults)) is not None)
    if faults:
        for sentence in faults:
            note(brief(sentence))
        some = f"{len(faults)} faults" if len(faults) > 1 else "one fault"
        raise UserError(f"{flags['source']}: {some}, see above; nothing was started.")
    return jobs, then


def base(ctx: click.Context, flags: Mapping[str, Any]) -> Any:
    """What is asked for of every picture, as an order without one."""
    one = {**flags, "picture": (), "input_name": (), "as_one": False, "resume": None, "outdir": None}
    return ordered(ctx, one)


class Cells:
    """Cells of a list -> values of flags, as the command line reads them.

    Args:
        ctx: of the batch, whose flags they are.
    """

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx
        settings = {s.name for s in config.settings()}
        params = [p for p in ctx.command.params if isinstance(p, click.Option)]
        self._flags = {
            name.lstrip("-"): param for param in params if param.name in settings | {*FIELDS} for name in param.opts
        }
        self._settings = settings

    def names(self, column: str) -> str:
        """The flag's own name; some have several.

        Raises:
            UserError: there is none.
        """
        if column not in self._flags:
            raise UserError(f"the column {column!r} is no flag of a picture; see consingan batch --help_all.")
        return str(self._flags[column].name)

    def __call__(self, column: str, text: str) -> tuple[str, Any]:
        name = self.names(column)
        flag = self._flags[column]
        try:
            value = tuple(text.split()) if flag.multiple else flag.type.convert(text, flag, self._ctx)
        except click.BadParameter as error:
            raise UserError(f"--{name}: {error.message}") from None
        return name, plan.checked({name: value})[name] if name in self._settings else value


def afterwards(text: str, modes: Iterable[str], faults: list[str]) -> tuple[str, ...] | None:
    """The words of a ``--then``, without ``sample``; what is wrong with it is added to ``faults``.

    Args:
        text: as it is typed.
        modes: of the runs that it is for.
        faults: as it says.
    """
    from consingan.command.sample import sample

    try:
        name, *words = shlex.split(text) or [""]
        if name != "sample":
            raise UserError("it does not begin with the word sample.")
        with redirect_stdout(io.StringIO()), sample.make_context("sample", ["RUN", *words]) as ctx:
            for mode in sorted(modes):
                check_sampling(ctx, mode)
        return tuple(words)
    except click.exceptions.Exit:
        reason = "it asks for help or the version."
    except click.ClickException as error:
        reason = error.format_message()
    except UserError as error:
        reason = str(error)
    except ValueError as error:  # shlex's
        reason = f"{error}."
    faults.append(f"--then {text!r} cannot be done: {reason}")
    return None


def check_sampling(ctx: click.Context, mode: str) -> None:
    """Refuse what would fail, or write into one place, when runs of a mode are sampled.

    Raises:
        UserError: names the flag.
    """
    from consingan.command.sample import sampling_settings, wanted_use

    for name in ("out", "model_dir"):
        if ctx.params[name] is not None:
            raise UserError(f"--{name} {ctx.params[name]} is one place, and each run has its own; leave it out.")
    given = {name: ctx.params[name] for name in sampling_settings() if typed(ctx, name)}
    wanted_use(TASKS[mode].sampling, ctx.params["application"], given)


def cells() -> Cells:
    """The cells of a list, for who has no command line."""
    return Cells(batch.make_context("batch", ["."]))


def carried_out(book: Book, jobs: Sequence[Job], how: whole.How, flags: dict[str, Any]) -> int | None:
    """Do what is left of a batch, and write its page; the number of the signal that stopped it."""
    todo, shown = whole.to_do(book, jobs), shown_by(flags)
    tell = (lambda text: None) if shown in ("quiet", "json") else note
    if not todo:
        tell(f"All {len(jobs)} jobs are finished.")
    elif len(todo) < len(jobs):
        tell(f"{len(jobs) - len(todo)} of {len(jobs)} jobs are finished.")
    with StopRequest() as asked:
        if flags["dry_run"]:
            if todo:
                with whole.opened(book, how) as pool:
                    whole.prepared(book, todo, pool, how, asked, click.echo)
            return None
        written = whole.carried_out(book, jobs, how, partial(display, shown, sys.stderr), asked, tell)
    if asked.number is not None:
        tell("Stopped and saved; to go on, give the same command again.")
    click.echo(written)
    return asked.number
