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
from pathlib import Path
from typing import Any

from consingan.errors import UserError

Record = Mapping[str, Any]
Observer = Callable[[Record], None]
RESERVED = frozenset({"event", "stage", "iteration", "time_s"})  # no loss term may have these names
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
        data = line(record).encode("ascii")
        try:
            with open(self._path, "ab", buffering=0) as file:
                while data:  # a raw write may take less than it is given
                    data = data[file.write(data) :]
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> UserError:
        reason = error.strerror or error
        return UserError(f"Cannot write {self._path}: {reason}; free some space or check its rights.")


def line(record: Record) -> str:
    """A record as a line of the log."""
    return json.dumps(_plain(record), allow_nan=False) + "\n"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl that count, in order.

    Half lines of killed processes are left out. Where a resumed run went back to a checkpoint, the iterations
    and stages it trained again replace the earlier ones. Raises UserError when the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}; check the run folder.") from error
    return counting(text)


def counting(text: str) -> list[dict[str, Any]]:
    """The records of the log's text that count."""
    records: list[dict[str, Any]] = []
    for row in text.split("\n"):
        try:
            record = json.loads(row)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or "event" not in record:
            continue
        if record["event"] == "begin_stage":
            place = _place(record)
            records = [earlier for earlier in records if not _undone(earlier, place)]
        records.append(record)
    return records


def last_time(log: Path) -> float:
    """The time_s at which an earlier process of this run stopped; 0 for a new run."""
    times = [record.get("time_s") for record in read_log(log)]
    return max((float(time) for time in times if isinstance(time, int | float)), default=0.0)


def number(value: Any) -> float:
    """A float of a float, of numpy's or of a tensor of one element; waits for the GPU that computes it."""
    return float(value.detach() if hasattr(value, "detach") else value)


def _place(record: Record) -> tuple[int, int]:
    """(stage, iteration) at which the record stands."""
    key = "start_iteration" if record["event"] == "begin_stage" else "iteration"
    stage, iteration = (record.get(name) for name in ("stage", key))
    return (stage if isinstance(stage, int) else 0, iteration if isinstance(iteration, int) else 0)


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
