"""What a person watches a training by: observers that show its records on a stream.

with closing(display("rich", sys.stderr)) as shown:
    job.run([shown])
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, Protocol, TextIO

from consingan.errors import printable
from consingan.watch.clock import duration
from consingan.watch.log import MOMENTARY, Record, line
from consingan.watch.notebook import Line, in_notebook

DisplayName = Literal["rich", "plain", "json", "quiet", "notebook"]


class Display(Protocol):
    """An observer that has an end, and a pace of its own."""

    interval_s: float  # the longest time between two records of progress, infinite where any will do

    def __call__(self, record: Record) -> None: ...
    def close(self) -> None: ...


class Quiet:
    """Shows nothing."""

    interval_s = math.inf

    def __call__(self, record: Record) -> None: ...
    def close(self) -> None: ...


class Json:
    """The lines of log.jsonl on the stream."""

    interval_s = math.inf

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, record: Record) -> None:
        if record["event"] != MOMENTARY:
            _print(self._stream, line(record))

    def close(self) -> None: ...


class Plain:
    """A line every few seconds, for files, pipes and schedulers."""

    interval_s = math.inf

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._values: Mapping[str, float] = {}

    def __call__(self, record: Record) -> None:
        if record["event"] == "message":
            _print(self._stream, _printable(record["text"], self._stream) + "\n")
        elif record["event"] == MOMENTARY:
            self._values = record["values"]
            if not record["ended"]:  # then the record of the stage says more
                done = f"iteration {record['iteration']}/{record['iterations']}"
                self._say(record, done, _speed(record["rate"]), _terms(self._values), _time_left(record))
        elif record["event"] == "stage":
            count, seconds = record["iterations"], record["seconds"]
            rate = count / seconds if seconds > 0 else 0.0
            self._say(record, f"{count} iterations in {duration(seconds)}", _speed(rate), _terms(self._values))

    def _say(self, record: Record, *parts: str) -> None:
        words = (f"stage {record['stage'] + 1}/{record['stages']}", *parts)
        _print(self._stream, "  ".join(part for part in words if part) + "\n")

    def close(self) -> None: ...


class Rich:
    """Two bars and a line of losses and memory at the foot of the terminal; messages scroll above them."""

    interval_s = 0.25  # bars feel alive at this pace; a line in a file does not need it

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(file=stream)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[facts]}"),
            console=self._console,
        )
        self._whole = self._bars.add_task("training", total=1.0, facts="")
        self._stage = self._bars.add_task("stage", total=1.0, facts="")
        # no refresh thread of rich's own: it would take the interpreter from the training loop
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __call__(self, record: Record) -> None:
        with suppress(OSError, ValueError):  # as in _print
            if record["event"] == "message":
                text = _printable(record["text"], self._console.file)
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            elif record["event"] == MOMENTARY:
                self._progress(record)

    def _progress(self, record: Record) -> None:
        from rich.console import Group
        from rich.text import Text

        self._live.start()  # does nothing from the second time on
        left = "" if record["left_s"] is None else f"{duration(record['left_s'])} left"
        self._bars.update(self._whole, completed=record["share"], facts=left)
        stage_left = "" if record["stage_left_s"] is None else f"  {duration(record['stage_left_s'])} left"
        self._bars.update(
            self._stage,
            description=f"stage {record['stage'] + 1}/{record['stages']}",
            completed=record["iteration"],
            total=max(record["iterations"], 1),
            facts=f"{record['iteration']}/{record['iterations']}  {_speed(record['rate'])}{stage_left}",
        )
        memory = "" if record["memory_mb"] is None else f"  memory {record['memory_mb']:.0f} MB"
        self._live.update(Group(self._bars, Text(_terms(record["values"]) + memory, style="dim")), refresh=True)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._live.stop()


def display(name: DisplayName, stream: TextIO) -> Display:
    """The display of that name; rich needs a terminal that can move its cursor and falls to plain without.

    In a notebook it is one line.
    """
    if name == "quiet":
        return Quiet()
    if name == "json":
        return Json(stream)
    if name == "notebook" or (name == "rich" and in_notebook()):
        return Line(stream)
    if name == "rich" and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return Rich(stream)
    return Plain(stream)


def _time_left(record: Record) -> str:
    if record["left_s"] is not None:
        return f"{duration(record['left_s'])} left"
    return f"{duration(record['stage_left_s'])} left in this stage" if record["stage_left_s"] is not None else ""


def _speed(rate: float) -> str:
    return f"{rate:.3g} it/s" if rate < 999.5 else f"{rate:.0f} it/s"


def _terms(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3g}" for name, value in values.items())


def _print(stream: TextIO, text: str) -> None:
    """A reader that has gone (a closed pipe, a closed terminal) is no reason to end the training."""
    with suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


def _printable(text: str, stream: Any) -> str:
    """Lines of text for a stream."""
    return printable(text, getattr(stream, "encoding", None) or "utf-8", keep="\n\t")
