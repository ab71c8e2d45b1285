"""A worker process: errands in as lines of JSON, records and outcomes out.

in:   {"errand": {...}}  {"stop": true}        the end of the input means stop, and go
out:  {"record": {...}}  {"outcome": {...}}

What would be printed goes to stderr, which the driver keeps in a file. The terminal's signals do not reach a worker
(it has a session of its own): the driver hears them, and asks it to stop. A driver that is killed closes the input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any

from consingan.batch.errand import Errand, Work
from consingan.watch.log import MOMENTARY, Record, line

FORWARDED = {"started", MOMENTARY}  # the others are in the run's own log
PROGRESS_S = 0.5  # seconds between two records of progress


def serve(work: Work) -> None:
    """Carry out errands until the input ends.

    Args:
        work: does one.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = threading.Event()
    errands: SimpleQueue[Errand | None] = SimpleQueue()

    def listen() -> None:
        for text in sys.stdin:
            message = json.loads(text)
            if "stop" in message:
                asked.set()
            else:
                errands.put(Errand(**message["errand"]))
        asked.set()
        errands.put(None)

    def say(message: dict[str, Any]) -> None:
        with suppress(OSError, ValueError):  # the driver is gone; the input has ended too
            out.write(line(message))

    threading.Thread(target=listen, daemon=True).start()
    while (errand := errands.get()) is not None:
        tell = throttled(lambda record: say({"record": record}))
        say({"outcome": work(errand, tell, asked.is_set).plain()})


def throttled(tell: Callable[[Record], None]) -> Callable[[Record], None]:
    """An observer that hands on what a batch shows, and no more of it than can be seen."""
    last = float("-inf")

    def observe(record: Record) -> None:
        nonlocal last
        if record["event"] not in FORWARDED:
            return
        if record["event"] == MOMENTARY:
            if monotonic() - last < PROGRESS_S:
                return
            last = monotonic()
        tell(record)

    return observe
