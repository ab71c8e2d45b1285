"""batch.json: the jobs of a batch and what became of them. It names pictures without their folders.

    OUTDIR/                  a plain folder of runs
      batch.json             {"schema", "version", "threads", "jobs": [{"name", "picture", "order", "state", ...}]}
      index.html             every picture with its samples
      <name>/<time>_<label>  a run, see storage.run

The orders come with the command each time; what the book has of them is compared, and nothing in it is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from time import monotonic
from typing import Any

from consingan import __version__
from consingan.batch.errand import Errand, Outcome
from consingan.errors import UserError, name_of
from consingan.storage import runs
from consingan.storage.files import read_json, write_json
from consingan.storage.machine import shared_text
from consingan.storage.run import Run
from consingan.training.order import Order, files_of, moved

BOOK, PAGE = "batch.json", "index.html"
SCHEMA = 1
MOST = 1e15  # of a number in a book
EVERY_S = 2.0  # between two writings on the way
OPEN = ("waiting", "running", "stopped")  # states of jobs that are not done
STATES = (*OPEN, "failed", "finished")
AS_IT_RUNS = {"device", "gpu", "not_cuda", "checkpoint_every", "outdir", "resume", "name", "picture"}  # may change
Then = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """A job of the book.

    Args:
        name: its own in the batch.
        picture: its file's name.
        order: what was asked for, files by their names.
        then: what is sampled afterwards.
        state: one of ``STATES``.
        error: why it failed.
        run: the run folder below the batch's.
        seconds: of work, over all attempts.
        figures, samples: as in ``Outcome``.
    """

    name: str
    picture: str
    order: Mapping[str, Any]
    then: Sequence[Sequence[str]] = ()
    state: str = "waiting"
    error: str | None = None
    run: str | None = None
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    samples: Sequence[str] = ()

    def after(self, done: Outcome) -> Entry:
        """The same when an errand has ended."""
        return replace(
            self,
            state=done.how,
            error=done.error,
            run=done.run or self.run,
            seconds=self.seconds + done.seconds,
            figures=done.figures or self.figures,
            samples=done.samples or self.samples,
        )


@dataclass(frozen=True)
class Job:
    """A job that is asked for: its name, and its order with the files as they lie on this machine."""

    name: str
    order: Order

    def entry(self, then: Then) -> Entry:
        """What the book says of it before it begins."""
        own = {name: value for name, value in asdict(self.order).items() if name not in AS_IT_RUNS}
        settings = moved(self.order.settings, name_of)
        order = {name: value for name, value in {**own, "settings": settings}.items() if value}
        return Entry(self.name, name_of(str(self.order.picture)), _plain(order), _plain(then))

    def shared(self, text: str, outdir: Path) -> str:
        """A sentence on the job without the folders of its files: book and page may go to others."""
        for file in files_of(self.order):
            if Path(file).parent.is_absolute():
                text = text.replace(file, Path(file).name)
        return shared_text(text, outdir / self.name / "run")

    def errand(self, outdir: Path, then: Then, threads: int, verb: str = "train") -> Errand:
        """What a worker is given."""
        order = {name: value for name, value in asdict(self.order).items() if name not in ("outdir", "name")}
        return Errand(self.name, order, str(outdir), then, threads, verb)


class Book:
    """The jobs of a batch and their states, in a folder of its own.

    Args:
        folder: the batch's.
        then: what is sampled after each training.
        threads: of each training's CPU.
        entries: by name.
    """

    def __init__(self, folder: Path, then: Then, threads: int, entries: Mapping[str, Entry]) -> None:
        self.folder, self.then, self.threads = folder, then, threads
        self.entries = dict(entries)
        self._written = float("-inf")

    @classmethod
    def open(cls, folder: Path, jobs: Sequence[Job], then: Then, threads: int | None, usual: int) -> Book:
        """The book of a folder, with the jobs that are asked for; writes nothing.

        Args:
            folder: the batch's, which may not be there yet.
            jobs: those of the command.
            then: of the command.
            threads: that are asked for; those of the book if None, ``usual`` in a new one.
            usual: as it says.

        Raises:
            UserError: the folder holds other things, or a job that has begun is now asked for with other flags.
        """
        found = folder / BOOK
        if not found.exists():
            if runs.below(folder):
                raise UserError(
                    f"--outdir {folder} holds runs that are of no batch; name a folder for this batch alone."
                )
            return cls(folder, then, threads or usual, {job.name: job.entry(then) for job in jobs})
        own, entries = _read(found)
        if threads not in (None, own):
            raise UserError(f"--threads is {threads} but the batch in {folder} was begun with {own}; leave it out.")
        for job in jobs:
            wanted, before = job.entry(then), entries.get(job.name)
            if before is None:
                entries[job.name] = wanted
            elif (before.order, before.picture) != (wanted.order, wanted.picture):
                raise UserError(
                    f"{job.name} was begun with other flags or another picture in {folder}; give the same again, or "
                    "name another --outdir."
                )
            else:
                done = before.state == "finished" and before.then == wanted.then and (folder / (before.run or "-"))
                again = not (done and (done / Run(done).finished.name).is_file())
                entries[job.name] = replace(before, then=wanted.then, state="waiting") if again else before
        return cls(folder, then, own, entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def of(self, jobs: Iterable[Job]) -> list[Entry]:
        """The entries of jobs."""
        return [self.entries[job.name] for job in jobs]

    def put(self, entry: Entry) -> None:
        """Keep what became of a job; on the disk soon."""
        self.entries[entry.name] = entry
        if monotonic() - self._written > EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the book, all or nothing.

        Raises:
            StorageError: the disk refuses.
        """
        self._written = monotonic()
        jobs = [asdict(entry) for entry in self]
        values = {"schema": SCHEMA, "version": __version__, "threads": self.threads, "jobs": jobs}
        write_json(self.folder / BOOK, values)
        self._written = monotonic()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the batch's folder, which is made, for this process alone; the book is written at the end.

        Raises:
            UserError: another process works on it, or it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--outdir {self.folder}: no folder can be made ({error.strerror}); choose another one."
            ) from error
        with Run(self.folder).lock():
            self.write()
            try:
                yield
            finally:
                self.write()


def _read(file: Path) -> tuple[int, dict[str, Entry]]:
    """Threads and entries of a book.

    Raises:
        UserError: it is damaged, or of a newer version.
    """
    values = read_json(file)
    try:
        if values["schema"] > SCHEMA:
            raise UserError(f"{file} is of a newer consingan; update consingan.")
        known = {each.name for each in fields(Entry)}
        entries = [Entry(**{name: value for name, value in job.items() if name in known}) for job in values["jobs"]]
        if not all(map(sound, entries)) or type(values["threads"]) is not int or values["threads"] < 1:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file} is damaged, or another program's; move it away, or name another --outdir.") from error
    return values["threads"], {each.name: each for each in entries}


def sound(entry: Entry) -> bool:
    """Whether every part of an entry is of its kind, so that display and page can show it."""
    texts = (entry.name, entry.picture, entry.error or "")
    words = [word for line in entry.then for word in line]
    return (
        all(isinstance(text, str) for text in (*texts, *words))
        and isinstance(entry.order, Mapping)
        and entry.state in STATES
        and inside(entry.run)
        and isinstance(entry.samples, list | tuple)
        and all(isinstance(place, str) and inside(place) for place in entry.samples)
        and all(type(value) in (int, float) and abs(value) < MOST for value in (entry.seconds, *entry.figures.values()))
    )


def inside(place: object) -> bool:
    """Whether a path of the book, or of a worker, stays in the batch's folder; None does."""
    if place is None:
        return True
    if not isinstance(place, str):
        return False
    return all(part not in ("", ".", "..") and not set(part) & set("\0\\:") for part in place.split("/"))


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
