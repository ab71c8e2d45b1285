"""A batch from its jobs to its page: the workers that are asked for, what they will take, and the drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

from consingan.batch import cost, page
from consingan.batch.book import Book, Job, Then
from consingan.batch.display import Display
from consingan.batch.drive import Driver, left
from consingan.batch.pool import Pool
from consingan.batch.processes import Processes, program
from consingan.errors import UserError

WORKER = "consingan.command.worker"  # the module that workers run; it knows the commands, and nothing here does
Say = Callable[[str], None]


@dataclass(frozen=True)
class How:
    """Where the jobs of a batch are done.

    Args:
        workers: on this machine; as many as fit if None.
        threads: of a training's CPU; the machine's shared out if None, 1 on a cluster.
        retries: how often a job goes on whose worker died.
        scheduler: the address of a Dask scheduler, or its file; None for this machine.
        worker_resources: what a job takes of a Dask worker, as in GPU=1.
        shared: whether Dask's workers see all files at the same paths.

    Raises:
        UserError: some contradict each other, or are out of range.
    """

    workers: int | None = None
    threads: int | None = None
    retries: int = 2
    scheduler: str | None = None
    worker_resources: str | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 1), ("retries", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise UserError(f"--{name} is {value!r}; give a whole number of at least {least}.")
        if self.scheduler is None:
            for name in ("worker_resources", "shared"):
                if getattr(self, name):
                    raise UserError(f"--{name} goes with --scheduler; give both or none.")
        elif self.workers is not None:
            raise UserError("--workers is of this machine, and --scheduler has workers of its own; give one of them.")

    def book(self, folder: Path, jobs: Sequence[Job], then: Then) -> Book:
        """The book of a batch's folder, see ``Book.open``."""
        processors = cost.cores()
        usual = 1 if self.scheduler else max(1, processors // min(self.workers or processors, len(jobs)))
        return Book.open(folder, jobs, then, self.threads, usual)


def to_do(book: Book, jobs: Sequence[Job]) -> list[Job]:
    """Those that are not finished."""
    names = set(left(book.of(jobs)))
    return [job for job in jobs if job.name in names]


def carried_out(
    book: Book, jobs: Sequence[Job], how: How, show: Callable[[int], Display], stop: Callable[[], bool], tell: Say
) -> Path:
    """Do what is left of a batch; its page.

    Args:
        book: of the batch.
        jobs: that are asked for.
        how: where they are done.
        show: makes the display of so many jobs.
        stop: asked several times a second.
        tell: is told what is about to happen.

    Raises:
        UserError: the workers or the folder cannot be used.
    """
    todo = to_do(book, jobs)
    if todo:
        with opened(book, how) as pool, book.held():  # in this order: nothing is written where nobody can be reached
            prepared(book, todo, pool, how, stop, tell)
            with closing(show(len(todo))) as shown:
                Driver(book, todo, pool, shown, how.retries).run(stop)
    with book.held():
        return page.write(book)


@contextmanager
def opened(book: Book, how: How) -> Iterator[Pool]:
    """The workers that are asked for.

    Raises:
        UserError: they cannot be reached.
    """
    if how.scheduler is None:
        pool: Pool = Processes(program(WORKER), how.workers or 1, book.threads)
    else:
        from consingan.batch.cluster import Cluster

        task = resolve_name(f"{WORKER}:on_cluster")
        pool = Cluster(how.scheduler, task, book.folder, how.shared, how.worker_resources)
    with closing(pool):
        yield pool


def prepared(book: Book, jobs: Sequence[Job], pool: Pool, how: How, stop: Callable[[], bool], tell: Say) -> None:
    """Try some jobs, decide on the number of workers, and say what is about to happen."""
    tell("Estimating ...")
    found = cost.tried(book, jobs, pool, stop)
    free, processors = cost.free_mb(), cost.cores()
    if isinstance(pool, Processes):
        count = how.workers or cost.workers(len(jobs), found, processors // book.threads or 1, free)
        pool.grow(min(count, len(jobs)), found.gpus)
    for sentence in cost.advice(len(jobs), pool.count, found, processors, free, how.workers is not None):
        tell(sentence)
