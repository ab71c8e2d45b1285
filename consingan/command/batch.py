"""consingan batch: a training for each of many pictures."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from consingan import config
from consingan.batch import cost, page
from consingan.batch import display as displays
from consingan.batch.book import Book, Job, Then
from consingan.batch.drive import Driver, left
from consingan.batch.listing import FIELDS, FaultsError, listed
from consingan.batch.pool import Pool
from consingan.batch.processes import Processes, program
from consingan.command.common import DEVICE, TALK, note, shown_by
from consingan.command.flags import command, one_sentence, option, options
from consingan.command.train import HOW, OF_PICTURE, SETTINGS, TURNED, ordered
from consingan.errors import UserError, check_packages
from consingan.pictures.source import check_no_address
from consingan.storage.runs import home
from consingan.training import plan
from consingan.training.signals import StopRequest

WORKER = "consingan.command.worker"
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
        jobs, then = asked(ctx, flags)
        check_packages()
        folder = Path(flags["outdir"] or Path(home(), Path(flags["source"]).resolve().stem)).resolve()
        processors = cost.cores()
        usual = 1 if flags["scheduler"] else max(1, processors // min(flags["workers"] or processors, len(jobs)))
        book = Book.open(folder, jobs, then, flags["threads"], usual)
        number = carried_out(book, jobs, flags)
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
    try:
        check_no_address(flags["source"])
        jobs = listed(Path(flags["source"]), base(ctx, flags), Cells(ctx))
    except FaultsError as found:
        faults += found.sentences
    then = tuple(words for text in flags["then"] if (words := afterwards(text, faults)) is not None)
    if faults:
        for sentence in faults:
            note(sentence)
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


def afterwards(text: str, faults: list[str]) -> tuple[str, ...] | None:
    """The words of a ``--then``, without ``sample``; what is wrong with it is added to ``faults``."""
    from consingan.command.sample import sample

    try:
        name, *words = shlex.split(text) or [""]
        if name != "sample":
            raise ValueError("it does not begin with the word sample")
        with sample.make_context("sample", ["RUN", *words]):
            return tuple(words)
    except click.ClickException as error:
        reason = error.format_message()
    except ValueError as error:  # shlex's too
        reason = f"{error}."
    faults.append(f"--then {text!r} cannot be done: {reason}")
    return None


def carried_out(book: Book, jobs: Sequence[Job], flags: Mapping[str, Any]) -> int | None:
    """Do what is left of a batch, and write its page; the number of the signal that stopped it."""
    names = left(book.of(jobs))
    todo = [job for job in jobs if job.name in names]
    quiet = shown_by(dict(flags)) in ("quiet", "json")
    tell = (lambda text: None) if quiet else note
    if not todo:
        tell(f"All {len(jobs)} jobs are finished.")
    elif len(todo) < len(jobs):
        tell(f"{len(jobs) - len(todo)} of {len(jobs)} jobs are finished.")
    if flags["dry_run"]:
        if todo:
            with opened(book, todo, flags) as pool, StopRequest() as asked:
                prepared(book, todo, pool, flags, asked, click.echo)
        return None
    number = None
    with book.held():
        if todo:
            with opened(book, todo, flags) as pool, StopRequest() as asked:
                prepared(book, todo, pool, flags, asked, tell)
                with closing(displays.display(shown_by(dict(flags)), sys.stderr, len(todo))) as shown:
                    Driver(book, todo, pool, shown, flags["retries"]).run(asked)
                number = asked.number
        written = page.write(book)
    if number is not None:
        tell("Stopped and saved; to go on, give the same command again.")
    click.echo(written)
    return number


@contextmanager
def opened(book: Book, jobs: Sequence[Job], flags: Mapping[str, Any]) -> Iterator[Pool]:
    """The workers that the flags ask for.

    Raises:
        UserError: they cannot be reached, or flags contradict each other.
    """
    if flags["scheduler"] is None:
        for name in ("worker_resources", "shared"):
            if flags[name]:
                raise UserError(f"--{name} goes with --scheduler; give both or none.")
        pool: Pool = Processes(program(WORKER), flags["workers"] or 1, book.threads)
    else:
        if flags["workers"] is not None:
            raise UserError("--workers is of this machine, and --scheduler has workers of its own; give one of them.")
        from consingan.batch.cluster import Cluster
        from consingan.command.worker import on_cluster

        pool = Cluster(flags["scheduler"], on_cluster, book.folder, flags["shared"], flags["worker_resources"])
    with closing(pool):
        yield pool


def prepared(book: Book, jobs: Sequence[Job], pool: Pool, flags: Mapping[str, Any], stop: Any, tell: Any) -> None:
    """Try some jobs, decide on the number of workers, and say what is about to happen."""
    tell("Estimating ...")
    found = cost.tried(book, jobs, pool, stop)
    free, processors = cost.free_mb(), cost.cores()
    if isinstance(pool, Processes):
        count = flags["workers"] or cost.workers(len(jobs), found, processors // book.threads or 1, free)
        pool.grow(min(count, len(jobs)), found.gpus)
    for sentence in cost.advice(len(jobs), pool.count, found, processors, free, flags["workers"] is not None):
        tell(sentence)
