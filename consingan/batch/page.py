"""index.html of a batch: every picture with its best samples, figures and state; offline, with relative links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from consingan.batch.book import PAGE, STATES, Book, Entry
from consingan.storage.files import write_bytes
from consingan.storage.run import Run
from consingan.watch.clock import duration
from consingan.watch.report.pictures import Embedded, embedded

if TYPE_CHECKING:
    from jinja2 import Environment

    from consingan.watch.report.judged import Metric

SIDE, SMALL_SIDE = 128, 64  # longer sides of the page's pictures, in px
MANY = 1000  # jobs from which on pictures are small: the page stays below some 20 MB


@dataclass(frozen=True)
class Shot:
    """A picture on the page, with the link to its file."""

    picture: Embedded
    link: str
    caption: str


@dataclass(frozen=True)
class Line:
    """A job on the page.

    Args:
        entry: of the book.
        order: its place in the list, from 0.
        shots: the picture, then its best samples.
        report: link to the report; None where there is none.
        cells: figures as they are shown, by name.
    """

    entry: Entry
    order: int
    shots: Sequence[Shot]
    report: str | None
    cells: dict[str, str]


def write(book: Book) -> Path:
    """Write the page of a batch, all or nothing.

    Raises:
        StorageError: the disk refuses.
    """
    path = book.folder / PAGE
    write_bytes(path, html(book).encode("utf-8", "replace"))
    return path


def html(book: Book) -> str:
    """The page."""
    from consingan.watch.report import judged

    entries = list(book)
    metrics = judged.metrics({name for each in entries for name in each.figures})
    return (
        _template()
        .get_template("index.html")
        .render(
            title=f"{book.folder.name}: {len(entries)} pictures",
            name=book.folder.absolute().name,
            lines=[line(book, order, entry, metrics) for order, entry in enumerate(entries)],
            metrics=metrics,
            counts={state: count for state in STATES if (count := sum(each.state == state for each in entries))},
            states={state: place for place, state in enumerate(STATES)},
            seconds=sum(each.seconds for each in entries),
            now=datetime.now().strftime("%Y-%m-%d %H:%M"),
        )
    )


def line(book: Book, order: int, entry: Entry, metrics: Mapping[str, Metric]) -> Line:
    """A job with its pictures."""
    side = SIDE if len(book.entries) < MANY else SMALL_SIDE
    shots: list[Shot] = []
    report = None
    if entry.run is not None:
        run = Run(book.folder / entry.run)
        files = [(run.picture, "the picture")]
        files += [
            (book.folder / each, "sample" if place else "best sample") for place, each in enumerate(entry.samples)
        ]
        shots = [
            Shot(small, link(book, file), f"{entry.name}, {words}")
            for file, words in files
            if (small := embedded(file, side))
        ]
        report = link(book, run.report) if run.report.is_file() else None
    cells = {name: one.shown(entry.figures[name]) for name, one in metrics.items() if name in entry.figures}
    return Line(entry, order, shots, report, cells)


def link(book: Book, file: Path) -> str:
    """A file below the batch's folder, as a relative address."""
    return quote(file.relative_to(book.folder).as_posix())


@cache
def _template() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("consingan.batch")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["duration"] = duration
    return found
