"""A batch from Python: ``consingan.train_each``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from consingan.batch import display as displays
from consingan.batch.book import Book, Entry, Job, Then
from consingan.batch.listing import FIELDS, NAME, PICTURE, FaultsError, Row, checked, listed
from consingan.batch.whole import How, carried_out
from consingan.command.batch import afterwards, cells
from consingan.errors import UserError, check_packages
from consingan.training import plan
from consingan.training.order import Order
from consingan.watch.log import Observer

HERE = Path("The list of pictures")  # what the faults of pictures are of that are given one by one

Source = str | Path | Sequence[str | Path | Mapping[str, Any]]


@dataclass(frozen=True)
class Trained:
    """What became of a picture.

    Args:
        name: of the job.
        state: finished, failed, stopped, or waiting where it has not begun.
        error: why it failed, a sentence.
        run: the run folder, which ``SingleImageModel.load`` and ``sample`` take; None where there is none.
        seconds: of work.
        figures: of its samples.
        samples: files of samples, the best first.
    """

    name: str
    state: str
    error: str | None = None
    run: Path | None = None
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()


def train_each(
    pictures: Source,
    *,
    outdir: str | Path,
    mode: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    then: str | Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
    retries: int = 2,
    scheduler: str | None = None,
    worker_resources: str | None = None,
    shared: bool = False,
    stop: Callable[[], bool] = lambda: False,
    observers: Sequence[Observer] = (),
    display: Literal["quiet", "plain", "json", "rich"] = "quiet",
    checkpoint_every: float = 60.0,
    **settings: Any,
) -> list[Trained]:
    """Train a model of each of many pictures in worker processes, or go on with a batch that was stopped.

    >>> done = consingan.train_each("photos", outdir="runs", then="sample --num_samples 8")             # doctest: +SKIP
    >>> models = [consingan.SingleImageModel.load(each.run) for each in done]                           # doctest: +SKIP

    Args:
        pictures: a folder; a list (.csv, .jsonl) as ``consingan batch`` takes it; or files, or mappings with
            ``picture``, maybe ``name``, and settings of that picture, as in ``{"picture": "a.jpg", "seed": 3}``.
        outdir: folder of this batch alone, as ``consingan batch`` makes it. The same call with the same folder goes on:
            what is finished is not trained again.
        mode, preset, device, checkpoint_every: as for ``train``.
        then: what to do with each run when it is trained, such as ``"sample --num_samples 8"``; one, or several.
        workers, threads, retries, scheduler, worker_resources, shared: as the flags of ``consingan batch``.
        stop: asked several times a second; where it says so, what runs is saved, and the same call goes on from there.
        observers: functions that are given the records of all trainings that a display shows, with their names as
            ``job``, and the events began, finished, failed and stopped; one that raises is told nothing more, and a
            RuntimeWarning says so at the end.
        display: how all is shown on stderr.
        settings: as for ``train``, of every picture that does not say otherwise.

    Returns:
        What became of each, in the order of the pictures; a picture that failed does not stop the others.

    Raises:
        UserError: pictures or settings are wrong (all is said, nothing was started), or workers or folder of no use.
    """
    check_packages()
    told = displays.Told(observers)
    show, how = shown(display, told), How(workers, threads, retries, scheduler, worker_resources, shared)
    order = {"mode": mode, "preset": preset, "device": device, "checkpoint_every": checkpoint_every}
    jobs, words = asked(pictures, order, settings, [then] if isinstance(then, str) else then)
    book = how.book(Path(outdir).resolve(), jobs, words)
    carried_out(book, jobs, how, show, stop, told.said)
    for fault in told.faults:
        warnings.warn(fault, RuntimeWarning, stacklevel=2)
    return [result(book, entry) for entry in book.of(jobs)]


def asked(
    pictures: Source, order: Mapping[str, Any], settings: Mapping[str, Any], then: Sequence[str]
) -> tuple[list[Job], Then]:
    """The jobs, and what comes after each.

    Raises:
        FaultsError: everything that is wrong.
    """
    faults: list[str] = []
    jobs: list[Job] = []
    own = {name: settings[name] for name in ("background", "max_pixels") if settings.get(name) is not None}
    given = {name: plain(value) for name, value in settings.items() if name not in ("background", "max_pixels")}
    base = Order(**order, **own, settings=plan.checked(given))
    try:
        if isinstance(pictures, str | Path):
            jobs = listed(Path(pictures), base, cells())
        else:
            jobs = checked(rows(pictures, faults), base, value, HERE, faults)
    except FaultsError as found:
        faults = list(found.sentences)
    modes = {job.order.wanted[0] for job in jobs}
    words = tuple(each for text in then if (each := afterwards(text, modes, faults)) is not None)
    if faults:
        raise FaultsError(str(HERE if not isinstance(pictures, str | Path) else pictures), faults)
    return jobs, words


def rows(pictures: Any, faults: list[str]) -> list[Row]:
    """A row for each picture; what is none is added to ``faults``."""
    found = []
    for number, each in enumerate(pictures, 1):
        where = f"picture {number}"
        if isinstance(each, str | Path):
            found.append(Row(where, {PICTURE: str(each)}))
        elif isinstance(each, Mapping):
            cells = {str(name): plain(value) for name, value in each.items()}
            cells |= {name: str(cells[name]) for name in (PICTURE, NAME) if cells.get(name) is not None}
            found.append(Row(where, {name: cell for name, cell in cells.items() if cell is not None}))
        else:
            faults.append(f"{where}: it is no file and no mapping, but {type(each).__name__}; give a path.")
    if not found and not faults:
        faults.append("There are none; give at least one.")
    return found


def value(name: str, given: Any) -> tuple[str, Any]:
    """A setting of a picture, checked; mode and the like are when the whole order is."""
    name = "train_mode" if name == "mode" else name
    return name, given if name in FIELDS else plan.checked({name: given})[name]


def plain(value: Any) -> Any:
    """A value as an order holds it."""
    return str(value) if isinstance(value, Path) else tuple(map(plain, value)) if isinstance(value, list) else value


def shown(name: str, told: displays.Told) -> Callable[[int], displays.Display]:
    """What makes a display of so many jobs, beside the observers.

    Raises:
        UserError: there is none of that name.
    """
    if name not in displays.DISPLAYS:
        raise UserError(f"display is {name!r}; choose one of {', '.join(displays.DISPLAYS)}.")
    return lambda count: displays.Both(displays.display(name, sys.stderr, count), told)


def result(book: Book, entry: Entry) -> Trained:
    """What became of a job, with files as they lie here."""
    run = None if entry.run is None else book.folder / entry.run
    samples = tuple(book.folder / each for each in entry.samples)
    return Trained(entry.name, entry.state, entry.error, run, entry.seconds, dict(entry.figures), samples)
