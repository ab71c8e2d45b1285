"""One display for all jobs of a batch: bars on a terminal, lines elsewhere, records as JSON, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol, TextIO

from consingan.batch.book import Entry
from consingan.errors import printable
from consingan.watch.clock import duration
from consingan.watch.log import MOMENTARY, Observer, Record, line

EVERY_S = 10.0  # seconds between two lines on how far all is
SHOWN = 16  # jobs with a bar of their own


class Display(Protocol):
    """What a person watches a batch by."""

    def said(self, text: str) -> None:
        """A sentence on the batch."""

    def began(self, name: str) -> None:
        """A job is with a worker."""

    def told(self, name: str, record: Record) -> None:
        """A record of a job's training."""

    def ended(self, entry: Entry) -> None:
        """A job has come to an end, or was stopped."""

    def close(self) -> None:
        """Nothing more is shown."""


class Tally:
    """How far a batch is.

    Args:
        jobs: that are to be done now.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs, self.done, self.failed, self._begun = jobs, 0, 0, monotonic()
        self.shares: dict[str, float] = {}

    def share(self) -> float:
        """What is done of all, from 0 to 1."""
        return (self.done + sum(self.shares.values())) / max(self.jobs, 1)

    def left(self) -> str:
        """The time left in words; empty while unknown."""
        share = self.share()
        if share < 0.02:
            return ""
        return f"{duration((monotonic() - self._begun) * (1 - share) / share)} left"

    def end(self, entry: Entry) -> str:
        """Count a job that ended; the line to be said of it."""
        self.shares.pop(entry.name, None)
        if entry.state != "stopped":
            self.done += 1
        self.failed += entry.state == "failed"
        count = f"{self.done}/{self.jobs}"
        if entry.state == "failed":
            return f"{count}  {entry.name} failed: {entry.error}"
        return f"{count}  {entry.name} {entry.state} in {duration(entry.seconds)}"

    def words(self) -> str:
        """All in a line."""
        failed = f", {self.failed} failed" if self.failed else ""
        running = f"{len(self.shares)} running"
        return "  ".join(filter(None, (f"{self.done}/{self.jobs} done{failed}, {running}", self.left())))


class Quiet:
    """Shows nothing but what failed."""

    def __init__(self, stream: TextIO, jobs: int) -> None:
        self._stream, self._tally = stream, Tally(jobs)

    def said(self, text: str) -> None: ...
    def began(self, name: str) -> None: ...
    def told(self, name: str, record: Record) -> None: ...

    def ended(self, entry: Entry) -> None:
        text = self._tally.end(entry)
        if entry.state == "failed":
            write(self._stream, text)

    def close(self) -> None: ...


class Told:
    """The records of all jobs, each with its job, for observers; one that raises is told nothing more.

    Args:
        observers: functions of a record.

    Attributes:
        faults: a sentence for each that failed.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers, self.faults = list(observers), list[str]()

    def said(self, text: str) -> None:
        self._tell({"event": "message", "text": text})

    def began(self, name: str) -> None:
        self._tell({"job": name, "event": "began"})

    def told(self, name: str, record: Record) -> None:
        self._tell({"job": name, **record})

    def ended(self, entry: Entry) -> None:
        self._tell({"job": entry.name, "event": entry.state, "error": entry.error, "run": entry.run})

    def close(self) -> None: ...

    def _tell(self, record: Record) -> None:
        for observer in tuple(self._observers):
            try:
                observer(record)
            except Exception as error:  # the batch goes on
                self._observers.remove(observer)
                name = getattr(observer, "__qualname__", type(observer).__qualname__)
                self.faults.append(
                    f"The observer {name} failed and is told nothing more: {type(error).__name__}: {error}"
                )


def as_json(stream: TextIO, jobs: int) -> Told:
    """Lines of JSON; what a moment shows is left out."""

    def put(record: Record) -> None:
        if record["event"] != MOMENTARY:
            write(stream, line(record).rstrip("\n"))

    return Told([put])


class Both:
    """Two displays side by side."""

    def __init__(self, first: Display, second: Display) -> None:
        self._each = first, second

    def said(self, text: str) -> None:
        for each in self._each:
            each.said(text)

    def began(self, name: str) -> None:
        for each in self._each:
            each.began(name)

    def told(self, name: str, record: Record) -> None:
        for each in self._each:
            each.told(name, record)

    def ended(self, entry: Entry) -> None:
        for each in self._each:
            each.ended(entry)

    def close(self) -> None:
        for each in self._each:
            each.close()


class Plain:
    """A line for each job that ends, and every few seconds one on all."""

    def __init__(self, stream: TextIO, jobs: int) -> None:
        self._stream, self._tally, self._last = stream, Tally(jobs), monotonic()

    def said(self, text: str) -> None:
        write(self._stream, text)

    def began(self, name: str) -> None:
        self._tally.shares[name] = 0.0

    def told(self, name: str, record: Record) -> None:
        if record["event"] == MOMENTARY:
            self._tally.shares[name] = record["share"]
        if monotonic() - self._last > EVERY_S:
            self._last = monotonic()
            write(self._stream, self._tally.words())

    def ended(self, entry: Entry) -> None:
        write(self._stream, self._tally.end(entry))

    def close(self) -> None: ...


class Rich:
    """A bar for all and one for each job that runs, at the foot of the terminal; what ends scrolls above them."""

    def __init__(self, stream: TextIO, jobs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._tally = Tally(jobs)
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        facts = (TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[facts]}", markup=False))
        self._bars = Progress(*columns, *facts, console=Console(file=stream), transient=True)
        self._all = self._bars.add_task("all", total=1.0, facts=f"{jobs} jobs")
        self._tasks: dict[str, Any] = {}
        self._bars.start()

    def said(self, text: str) -> None:
        self._print(text)

    def began(self, name: str) -> None:
        self._tally.shares[name] = 0.0
        self._tasks[name] = self._bars.add_task(
            printable(name), total=1.0, facts="loading", visible=len(self._tasks) < SHOWN
        )

    def told(self, name: str, record: Record) -> None:
        if record["event"] != MOMENTARY or name not in self._tasks:
            return
        self._tally.shares[name] = record["share"]
        left = "" if record["left_s"] is None else f", {duration(record['left_s'])} left"
        facts = f"stage {record['stage'] + 1}/{record['stages']}{left}"
        self._bars.update(self._tasks[name], completed=record["share"], facts=facts)
        self._renew()

    def ended(self, entry: Entry) -> None:
        if (task := self._tasks.pop(entry.name, None)) is not None:
            self._bars.remove_task(task)
        self._print(self._tally.end(entry))
        self._renew()

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._bars.stop()

    def _renew(self) -> None:
        self._bars.update(self._all, completed=self._tally.share(), facts=self._tally.words())

    def _print(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._bars.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


DISPLAYS: dict[str, Callable[[TextIO, int], Display]] = {"quiet": Quiet, "json": as_json, "plain": Plain, "rich": Rich}


def display(name: str, stream: TextIO, jobs: int) -> Display:
    """The display of that name; rich needs a terminal that can move its cursor and falls to plain without.

    Args:
        name: a name in ``DISPLAYS``.
        stream: where it shows.
        jobs: how many are to be done.
    """
    capable = stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return DISPLAYS["plain" if name == "rich" and not capable else name](stream, jobs)


def write(stream: TextIO, text: str) -> None:
    """A line; a reader that has gone is no reason to end the batch."""
    with suppress(OSError, ValueError):
        stream.write(printable(text, getattr(stream, "encoding", None) or "utf-8") + "\n")
        stream.flush()
