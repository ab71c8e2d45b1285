"""The one object that a training tells how it goes; it hands what it is told to observers, as records.

    with Monitor(run.log, "rich") as monitor:
        monitor.begin(weights)
        for stage in range(stages):
            monitor.begin_stage(stage, stages, iterations)
            for iteration in range(iterations):
                ...
                monitor.observe(iteration, {"critic": loss})
            monitor.end_stage()

Stages and iterations count from 0. Losses stay where they are (a GPU must not be waited for in each
iteration): every `log_every`-th iteration a copy of them is kept, and copies become floats only when
something is reported, every few seconds. The records are described in log.py.

An observer is a function of one record: log, displays, event files and the live page are nothing else. One that
raises is told nothing more; a message says so, and the training goes on. Only the log may end it: a run
whose log cannot be written could not be reported on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from consingan.watch import displays
from consingan.watch.clock import Clock, StageTime, WholeTime
from consingan.watch.displays import DisplayName
from consingan.watch.log import MOMENTARY, RESERVED, Log, Observer, Record, last_time, number
from consingan.watch.memory import peak_memory, reset_peak_memory

if TYPE_CHECKING:
    from torch import Tensor

MAX_PENDING = 512  # records kept as tensors; a very fast loop reports earlier instead of keeping more


@dataclass
class _Pending:
    """Records that wait for their floats, and the values last shown."""

    # (iteration, time_s, terms)
    records: list[tuple[int, float, dict[str, Any]]] = field(default_factory=list)
    shown: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """What a display shows."""
        return {**self.shown, **self.figures}


class Monitor:
    """Tells how a training goes; see the head of this file.

    Args:
        log: the file that keeps the records; its folder must exist.
        display: rich bars (plain lines where ``stream`` is no terminal), plain, json, quiet.
        stream: where the display shows them; stderr if None.
        interval_s: seconds between two records of progress, fewer where an observer has a smaller ``interval_s``.
        log_every: iterations between two whose values are kept, beside the last of each stage.
        observers: told of every record.

    Raises:
        UserError: from every method, where the log cannot be written.

    Attributes:
        faults: a sentence for each observer that failed.
    """

    def __init__(
        self,
        log: Path | None = None,
        display: DisplayName = "rich",
        stream: TextIO | None = None,
        interval_s: float = 5.0,
        log_every: int = 10,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.faults: list[str] = []
        self._log = None if log is None else Log(Path(log))
        self._earlier_s = 0.0 if log is None else last_time(Path(log))
        self._display = displays.display(display, sys.stderr if stream is None else stream)
        self._observers: list[Observer] = [self._display, *observers]
        self._interval_s = min(interval_s, *(getattr(each, "interval_s", interval_s) for each in self._observers))
        self._log_every = log_every
        self._clock = Clock()
        self._whole: WholeTime | None = None
        self._stage: StageTime | None = None
        self._pending = _Pending()
        self._reported_at = 0.0

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish an open stage (its record then says complete: false), whatever ended the block."""
        try:
            self.break_off()
        except Exception:
            if kind is None:  # while another fault is on its way up, a full disk must not hide it
                raise
        finally:
            self._display.close()

    @property
    def seconds(self) -> float:
        """Seconds of training in this process, without what ran inside `paused`."""
        return self._clock.seconds()

    def message(self, text: str) -> None:
        """A sentence for the person; also a line of the log."""
        self.tell("message", text=text)

    def tell(self, event: str, **facts: Any) -> None:
        """A record of what happened to the training as a whole: started, message, stopped, finished, failed."""
        self._emit({"event": event, **facts, "time_s": self._time()})

    def pictures(self, stage: int, iteration: int, files: Sequence[str]) -> None:
        """Pictures were made after `iteration` iterations of `stage`: their paths below the run folder, with /."""
        record = {"stage": stage, "iteration": iteration, "files": list(files), "time_s": self._time()}
        self._emit({"event": "pictures", **record})

    def begin(self, weights: Sequence[float], beside: float = 0.0) -> None:
        """Say what each stage costs, in any unit: gives the share of the whole training and its time left.

        `beside` are seconds of each stage that lie inside `paused`.
        """
        self._whole = WholeTime([float(weight) for weight in weights], beside)

    def begin_stage(self, stage: int, stages: int, iterations: int, start_iteration: int = 0, **facts: Any) -> None:
        """Stage `stage` (from 0) of `stages` starts at `start_iteration` (above 0 when resumed).

        `facts` (size, amplitude ...) go into the log lines of the stage.
        """
        if self._stage is not None:
            raise RuntimeError("begin_stage() before end_stage()")
        now = self._clock.seconds()
        self._stage = StageTime(stage, stages, iterations, start_iteration, now, facts, done=start_iteration)
        if self._whole is not None and self._whole.began is None:
            if len(self._whole.weights) != stages:
                raise ValueError(f"{len(self._whole.weights)} weights for {stages} stages")
            self._whole.began = (self._whole.work(self._stage), now)
        self._pending = _Pending()
        self._reported_at = now
        reset_peak_memory()
        record = {
            "stage": stage,
            "stages": stages,
            "iterations": iterations,
            "start_iteration": start_iteration,
            "time_s": self._time(),
        }
        self._emit({**facts, "event": "begin_stage", **record})

    def observe(self, iteration: int, scalars: Mapping[str, float | Tensor]) -> None:
        """Call after every iteration (from 0) with its losses: floats, or tensors of one element anywhere.

        Waits for no GPU, except when it reports. The caller may reuse the tensors: what is kept is copied.
        """
        stage = self._open("observe")
        stage.done = iteration + 1
        now = self._clock.seconds()
        if iteration % self._log_every == 0 or stage.done >= stage.iterations:
            if not RESERVED.isdisjoint(scalars):
                raise ValueError(f"a loss term may not be called {sorted(RESERVED & set(scalars))}")
            kept = {name: _keep(value) for name, value in scalars.items()}
            self._pending.records.append((iteration, self._earlier_s + now, kept))
        if now - self._reported_at >= self._interval_s:
            self._flush()
            self._pending.shown = {name: number(value) for name, value in scalars.items()}
            self._emit(self._progress(stage, now))
            self._reported_at = now
        elif len(self._pending.records) >= MAX_PENDING:
            self._flush()

    def figures(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures of the stage after `iteration`, which `observe` has been told of; see convergence.Figures."""
        stage = self._open("figures")
        self._flush()  # lines of the log stand in the order of their iterations
        # the loss term of the reconstruction is shown already
        self._pending.figures = {
            name: value for name, value in values.items() if name.split(".")[-1] != "reconstruction"
        }
        place = {"stage": stage.number, "iteration": iteration, "time_s": self._time()}
        self._emit({"event": "figures", **place, **values})

    def expect(self, iterations: int) -> None:
        """The stage will end after so many iterations, unlike what `begin_stage` was told."""
        self._open("expect").iterations = iterations

    def go_back(self, iteration: int) -> None:
        """The stage goes on from `iteration`; what was observed from there on no longer counts."""
        stage = self._open("go_back")
        self._finish(stage, complete=False)
        self.begin_stage(stage.number, stage.stages, stage.iterations, iteration, **stage.facts)

    def end_stage(self) -> None:
        """Write what is pending and the record of the stage."""
        self._finish(self._open("end_stage"), complete=True)

    def break_off(self) -> None:
        """The same where the training ends within a stage; without a stage it does nothing."""
        if self._stage is not None:
            self._finish(self._stage, complete=False)

    @contextmanager
    def beside(self, what: str) -> Iterator[None]:
        """What shows a training and is no part of it: a fault inside ends the block, is said, and ends nothing more.

        Args:
            what: what there will not be, as the first words of a sentence.
        """
        try:
            yield
        except Exception as error:
            self.message(f"{what}: {str(error) or type(error).__name__}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What runs inside (previews, checkpoints) does not count as training time."""
        self._flush()  # also waits for the GPU's work of the last iterations, which is training
        with self._clock.pause():
            yield

    # ---- inside

    def _open(self, asked: str) -> StageTime:
        if self._stage is None:
            raise RuntimeError(f"{asked}() before begin_stage()")
        return self._stage

    def _finish(self, stage: StageTime, complete: bool) -> None:
        self._flush()  # the floats wait for the GPU, so that the seconds hold all of its work
        now = self._clock.seconds()
        self._stage = None
        seconds, count = now - stage.started, stage.done - stage.first
        memory, memory_of = peak_memory()
        record = {
            "stage": stage.number,
            "stages": stage.stages,
            "iterations": count,
            "seconds": seconds,
            "seconds_per_iteration": seconds / count if count else None,
            "peak_memory_mb": memory,
            "memory_of": memory_of,
            "complete": complete,
            "time_s": self._time(),
        }
        self._emit(self._progress(stage, now, ended=True))
        self._emit({**stage.facts, "event": "stage", **record})

    def _flush(self) -> None:
        """Turn the pending records into lines: the one place where tensors become numbers for the log."""
        pending, self._pending.records = self._pending.records, []
        if not pending or self._stage is None:
            return
        stage = self._stage.number
        for iteration, time_s, terms in pending:
            self._pending.shown = {name: number(value) for name, value in terms.items()}
            place = {"stage": stage, "iteration": iteration, "time_s": time_s}
            self._emit({"event": "iteration", **place, **self._pending.shown})

    def _emit(self, record: Record) -> None:
        if self._log is not None:
            self._log(record)
        failed = []
        for observer in tuple(self._observers):
            try:
                observer(record)
            except Exception as error:
                self._observers.remove(observer)
                failed.append(f"{_name(observer)} failed and is told nothing more: {type(error).__name__}: {error}")
        self.faults += failed
        for sentence in failed:
            self.message(sentence)

    def _time(self) -> float:
        return self._earlier_s + self._clock.seconds()

    def _progress(self, stage: StageTime, now: float, ended: bool = False) -> Record:
        whole = self._whole
        return {
            "event": MOMENTARY,
            "stage": stage.number,
            "stages": stage.stages,
            "iteration": stage.done,
            "iterations": stage.iterations,
            "rate": stage.rate(now),
            "stage_left_s": stage.seconds_left(now),
            "left_s": None if whole is None else whole.seconds_left(stage, now),
            "share": (whole or WholeTime([1.0] * stage.stages)).share(stage, now),
            "values": self._pending.values(),
            "memory_mb": peak_memory()[0],
            "ended": ended,
        }


def _name(observer: Observer) -> str:
    """What an observer is called in a sentence."""
    return f"The observer {getattr(observer, '__qualname__', type(observer).__qualname__)}"


def _keep(value: Any) -> Any:
    """A copy that later iterations cannot change (a captured graph writes into the same tensor each time)."""
    return value.detach().clone() if hasattr(value, "detach") else value
