"""log.jsonl: the records of a training, one JSON object per line; written as they come, and read back.

    {"event": "started", "run", "mode", "image", "sizes", "iterations", "stages", "seconds", "peak_memory_mb",
     "resumed", "lost", "time_s"}             by stage: sizes [H, W] and planned iterations; what it is thought to cost;
                                              sentences on what of the picture results will not have
    {"event": "begin_stage", "stage", "stages", "iterations", "start_iteration", "time_s", facts...}
    {"event": "iteration", "stage", "iteration", "time_s", terms...}   the values of that iteration, no mean
    {"event": "figures", "stage", "iteration", "time_s", "reconstruction", "balance", "convergence", "swd"}
                                                                      every so often, see convergence.py
    {"event": "stage", "stage", "stages", "iterations", "seconds", "seconds_per_iteration", "peak_memory_mb",
     "memory_of", "complete", "time_s", facts...}                      what was done since begin_stage
    {"event": "pictures", "stage", "iteration", "files", "time_s"}                    paths below the run folder
    {"event": "message", "text", "time_s"}
    {"event": "stopped" | "finished", "time_s"} or {"event": "failed", "error", "time_s"}     how the process ended

Stages and iterations count from 0. time_s is training time in seconds over all processes of the run, without what
ran inside ``Monitor.paused``. Values that are not finite are the strings "NaN", "Infinity", "-Infinity", which float()
reads. A run that is resumed appends; ``read_log`` gives the lines that count. Logs of the first version hold no
started, stopped, finished or failed.

One record more is told to observers and not kept, since it comes several times a second where bars are shown:
    {"event": "progress", "stage", "stages", "iteration", "iterations", "rate", "stage_left_s", "left_s", "share",
     "values", "memory_mb", "ended"}   iterations done, of all, per second; seconds left, None while unknown
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from consingan.errors import UserError
from consingan.storage.machine import shared_text

Record = Mapping[str, Any]
Observer = Callable[[Record], None]
RESERVED = frozenset({"event", "stage", "iteration", "time_s"})  # no loss term may have these names
LARGEST, LARGEST_COUNT = 1e100, 10**12  # of a figure, and of iterations: what is larger is none of ours
MOST_BYTES = 64 * 2**20  # of a log that are read; a long training writes less than one
MOMENTARY = "progress"  # the event that is not kept


class Log:
    """An observer that appends each record as a whole line to a file.

    Args:
        path: the file; its folder must exist.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open(path, "a+b") as file:
                if file.tell() > 0:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a killed process may have left half a line
                        file.write(b"\n")
        except OSError as error:
            raise self._fault(error) from error

    def __call__(self, record: Record) -> None:
        """One call to the system per line, so that a kill finds whole ones."""
        if record["event"] == MOMENTARY:
            return
        data = line(self._shared(record)).encode("ascii")
        try:
            with open(self._path, "ab", buffering=0) as file:
                while data:  # a raw write may take less than it is given
                    data = data[file.write(data) :]
        except OSError as error:
            raise self._fault(error) from error

    def _shared(self, value: Any) -> Any:
        """A record without the place of the run: people share logs, and reports are made of them."""
        if isinstance(value, str):
            return shared_text(value, self._path.parent)
        if isinstance(value, Mapping):
            return {key: self._shared(inner) for key, inner in value.items()}
        return value

    def _fault(self, error: OSError) -> UserError:
        reason = error.strerror or error
        return UserError(f"Cannot write {self._path}: {reason}; free some space or check its rights.")


def line(record: Record) -> str:
    """A record as a line of the log."""
    return json.dumps(_plain(record), allow_nan=False) + "\n"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl that count, in order.

    Half lines of killed processes are left out. Where a resumed run went back to a checkpoint, the iterations
    and stages it trained again replace the earlier ones. Of a log larger than any of ours, its end is read. Raises
    UserError when the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}; check the run folder.") from error
    return counting(text)


def counting(text: str) -> list[dict[str, Any]]:
    """The records of the log's text that count."""
    found = []
    for row in text.split("\n"):
        with suppress(ValueError, RecursionError):
            record = json.loads(row)
            if isinstance(record, dict) and isinstance(record.get("event"), str):
                found.append(record)
    counted: list[dict[str, Any]] = []
    begun: tuple[int, int] | None = None  # the earliest place at which a later process began
    for record in reversed(found):
        if begun is None or not _undone(record, begun):
            counted.append(record)
        if record["event"] == "begin_stage":
            begun = min(begun or _place(record), _place(record))
    return counted[::-1]


def last_time(log: Path) -> float:
    """The time_s at which an earlier process of this run stopped; 0 for a new run."""
    times = [finite(record.get("time_s")) for record in read_log(log)]
    return max((time for time in times if time is not None), default=0.0)


def finite(value: Any) -> float | None:
    """The number, or None for what is none, not finite, or of a size that no figure of a training has."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return float(value)


def whole(value: Any) -> int:
    """The whole number, or 0 for what is none, or none that counts iterations."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT else 0


def number(value: Any) -> float:
    """A float of a float, of numpy's or of a tensor of one element; waits for the GPU that computes it."""
    return float(value.detach() if hasattr(value, "detach") else value)


def _place(record: Record) -> tuple[int, int]:
    """(stage, iteration) at which the record stands."""
    key = "start_iteration" if record["event"] == "begin_stage" else "iteration"
    return whole(record.get("stage")), whole(record.get(key))


def _undone(record: Record, place: tuple[int, int]) -> bool:
    """True when a process that starts at `place` trains again what this record tells of."""
    if record["event"] == "stage":
        # a record of a stage of which only a part is trained again stays: its seconds were spent
        return _place(record)[0] > place[0] or (_place(record)[0] == place[0] and place[1] == 0)
    return "stage" in record and _place(record) >= place


def _plain(value: Any) -> Any:
    """What JSON can hold, of what a log is given: any kind of number, strings, lists, dicts."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    if not hasattr(value, "__float__"):
        return str(value)
    plain = number(value)
    if math.isnan(plain):
        return "NaN"
    if math.isinf(plain):
        return "Infinity" if plain > 0 else "-Infinity"
    return plain
