"""Progress in a notebook: one line that is written over itself, which needs no widgets."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO

from consingan.watch.clock import duration
from consingan.watch.log import MOMENTARY, Record

BAR = 24  # characters


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Line:
    """A bar, the stage and the time left on one line; messages stand above it."""

    interval_s = 0.5

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._wide = 0  # characters that stand on the line

    def __call__(self, record: Record) -> None:
        if record["event"] == "message":
            self._write("\r" + record["text"].ljust(self._wide) + "\n")
            self._wide = 0
        elif record["event"] == MOMENTARY:
            filled = round(BAR * min(max(record["share"], 0.0), 1.0))
            left = "" if record["left_s"] is None else f"  {duration(record['left_s'])} left"
            text = (
                f"{'█' * filled}{'·' * (BAR - filled)} {record['share']:.0%}  stage {record['stage'] + 1}/"
                f"{record['stages']}  iteration {record['iteration']}/{record['iterations']}{left}"
            )
            self._write("\r" + text.ljust(self._wide))
            self._wide = len(text)

    def close(self) -> None:
        if self._wide:
            self._write("\n")
            self._wide = 0

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a reader that has gone is no reason to end the training
            self._stream.write(text)
            self._stream.flush()
