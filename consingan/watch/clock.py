"""Time and numbers: for people, of a training, and how much of it is left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any


def duration(seconds: float) -> str:
    """A length of time for people: "45 s", "2 min 10 s", "1 h 05 min"; "unknown" if it is not finite."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(count: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class Clock:
    """Seconds of training: runs from its making, stands still inside `pause`."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._stopped_at: float | None = None

    def seconds(self) -> float:
        """Seconds since its making, without the pauses."""
        return (perf_counter() if self._stopped_at is None else self._stopped_at) - self._start

    @contextmanager
    def pause(self) -> Iterator[None]:
        """What runs inside does not count; pauses may lie inside pauses."""
        if self._stopped_at is not None:
            yield
            return
        self._stopped_at = perf_counter()
        try:
            yield
        finally:
            self._start += perf_counter() - self._stopped_at
            self._stopped_at = None


@dataclass
class StageTime:
    """The stage in training: `done` of its iterations are complete, `first` of them before this process."""

    number: int
    stages: int
    iterations: int
    first: int
    started: float  # seconds of training
    facts: Mapping[str, Any]
    done: int = 0

    def rate(self, now: float) -> float:
        """Iterations per second in this process; 0 while unknown."""
        seconds = now - self.started
        return (self.done - self.first) / seconds if seconds > 0 else 0.0

    def seconds_left(self, now: float) -> float | None:
        """None while unknown."""
        rate = self.rate(now)
        return (self.iterations - self.done) / rate if rate > 0 else None


@dataclass
class WholeTime:
    """How far the whole training is, in units of cost: weights[i] is what stage i costs.

    `beside` are seconds of each stage that the clock does not count, such as those of its previews.
    """

    weights: list[float]
    beside: float = 0.0
    began: tuple[float, float] | None = None  # work and seconds when this process began its first stage

    def work(self, stage: StageTime) -> float:
        """Of all that is done."""
        part = stage.done / max(stage.iterations, 1)
        return sum(self.weights[: stage.number]) + self.weights[stage.number] * part

    def share(self, stage: StageTime, now: float) -> float:
        """What is done of all, from 0 to 1, previews and the like too once it is known how fast work is done."""
        pace = self._pace(stage, now)
        beside = self.beside / pace if pace else 0.0  # in units of cost
        whole = sum(self.weights) + beside * len(self.weights)
        return (self.work(stage) + beside * stage.number) / (whole or 1.0)

    def seconds_left(self, stage: StageTime, now: float) -> float | None:
        """None while unknown."""
        pace = self._pace(stage, now)
        if pace is None:
            return None
        left = (sum(self.weights) - self.work(stage)) * pace
        return left + self.beside * (len(self.weights) - stage.number)

    def _pace(self, stage: StageTime, now: float) -> float | None:
        """Seconds of a unit of cost in this process; None while unknown."""
        work_before, seconds_before = self.began or (0.0, 0.0)
        gained = self.work(stage) - work_before
        return (now - seconds_before) / gained if gained > 0 else None
