"""One call per iteration feeds rich bars, plain lines, JSON lines and log.jsonl, or nothing at all.

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
something is reported, every few seconds.

log.jsonl holds one JSON object per line:
    {"event": "begin_stage", "stage", "stages", "iterations", "start_iteration", "time_s", facts...}
    {"event": "iteration", "stage", "iteration", "time_s", terms...}   the values of that iteration, no mean
    {"event": "figures", "stage", "iteration", "time_s", "reconstruction", "balance", "convergence", "swd"}
                                                                      every so often, see convergence.py
    {"event": "stage", "stage", "stages", "iterations", "seconds", "seconds_per_iteration", "peak_memory_mb",
     "memory_of", "complete", "time_s", facts...}                      what was done since begin_stage
    {"event": "pictures", "stage", "iteration", "files", "time_s"}                    paths below the run folder
    {"event": "message", "text", "time_s"}
time_s is training time in seconds over all processes of the run, without what ran inside `paused()`.
Values that are not finite are the strings "NaN", "Infinity", "-Infinity", which float() reads.
A run that is resumed appends; `read_log` gives the lines that count.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from consingan.errors import UserError, printable

if TYPE_CHECKING:
    from torch import Tensor

DisplayName = Literal["rich", "plain", "json", "quiet"]
Watcher = Callable[[Mapping[str, Any]], None]
RESERVED = frozenset({"event", "stage", "iteration", "time_s"})  # no loss term may have these names
LIVE_INTERVAL_S = 0.25  # bars feel alive at this pace; a line in a file does not need it
MAX_PENDING = 512  # records kept as tensors; a very fast loop reports earlier instead of keeping more


# ---------------------------------------------------------------------------------------------------------
# time


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


class _Clock:
    """Seconds of training: runs from its making, stands still inside `pause`."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._stopped_at: float | None = None

    def seconds(self) -> float:
        return (perf_counter() if self._stopped_at is None else self._stopped_at) - self._start

    @contextmanager
    def pause(self) -> Iterator[None]:
        if self._stopped_at is not None:  # a pause inside a pause
            yield
            return
        self._stopped_at = perf_counter()
        try:
            yield
        finally:
            self._start += perf_counter() - self._stopped_at
            self._stopped_at = None


# ---------------------------------------------------------------------------------------------------------
# what is known while training


@dataclass
class _Stage:
    """The stage in training: `done` of its iterations are complete, `first` of them before this process."""

    number: int
    stages: int
    iterations: int
    first: int
    started: float  # seconds of training
    facts: dict[str, Any]
    done: int = 0

    def rate(self, now: float) -> float:
        """Iterations per second in this process; 0 while unknown."""
        seconds = now - self.started
        return (self.done - self.first) / seconds if seconds > 0 else 0.0

    def seconds_left(self, now: float) -> float:
        """Infinite while unknown."""
        rate = self.rate(now)
        return (self.iterations - self.done) / rate if rate > 0 else math.inf


@dataclass
class _Whole:
    """How far the whole training is, in units of cost: weights[i] is what stage i costs."""

    weights: list[float]
    began: tuple[float, float] | None = None  # work and seconds when this process began its first stage

    def work(self, stage: _Stage) -> float:
        part = stage.done / max(stage.iterations, 1)
        return sum(self.weights[: stage.number]) + self.weights[stage.number] * part

    def seconds_left(self, stage: _Stage, now: float) -> float:
        """Infinite while unknown."""
        work = self.work(stage)
        work_before, seconds_before = self.began or (0.0, 0.0)
        gained = work - work_before
        return (sum(self.weights) - work) * (now - seconds_before) / gained if gained > 0 else math.inf


@dataclass(frozen=True)
class _State:
    """What a display shows."""

    stage: _Stage
    rate: float  # iterations per second
    stage_left: float  # seconds, infinite while unknown
    left: float | None  # seconds to the end of the training; None without weights
    share: float  # of the whole training, 0..1
    values: dict[str, float]
    memory_mb: float | None  # the peak so far; None where the system does not tell

    def time_left(self) -> str:
        if self.left is not None:
            return f"{duration(self.left)} left" if math.isfinite(self.left) else ""
        return f"{duration(self.stage_left)} left in this stage" if math.isfinite(self.stage_left) else ""


class _Display(Protocol):
    """Where a person, or a program, watches."""

    def message(self, text: str) -> None: ...
    def progress(self, state: _State) -> None: ...
    def stage_done(self, state: _State, seconds: float) -> None: ...
    def records(self, block: str) -> None: ...
    def close(self) -> None: ...


class _Quiet:
    """Shows nothing."""

    def message(self, text: str) -> None: ...
    def progress(self, state: _State) -> None: ...
    def stage_done(self, state: _State, seconds: float) -> None: ...
    def records(self, block: str) -> None: ...
    def close(self) -> None: ...


class _Json:
    """The lines of log.jsonl on the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def message(self, text: str) -> None: ...
    def progress(self, state: _State) -> None: ...
    def stage_done(self, state: _State, seconds: float) -> None: ...

    def records(self, block: str) -> None:
        _print(self._stream, block)

    def close(self) -> None: ...


class _Plain:
    """A line every few seconds, for files, pipes and schedulers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def message(self, text: str) -> None:
        _print(self._stream, _printable(text, self._stream) + "\n")

    def progress(self, state: _State) -> None:
        stage = state.stage
        parts = [
            f"stage {stage.number + 1}/{stage.stages}",
            f"iteration {stage.done}/{stage.iterations}",
            _speed(state.rate),
            _terms(state.values),
            state.time_left(),
        ]
        _print(self._stream, "  ".join(part for part in parts if part) + "\n")

    def stage_done(self, state: _State, seconds: float) -> None:
        stage = state.stage
        parts = [
            f"stage {stage.number + 1}/{stage.stages}",
            f"{stage.done - stage.first} iterations in {duration(seconds)}",
            _speed(state.rate),
            _terms(state.values),
        ]
        _print(self._stream, "  ".join(part for part in parts if part) + "\n")

    def records(self, block: str) -> None: ...
    def close(self) -> None: ...


class _Rich:
    """Two bars and a line of losses and memory at the foot of the terminal; messages scroll above them."""

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
        self._live = Live(console=self._console, auto_refresh=False)

    def message(self, text: str) -> None:
        text = _printable(text, self._console.file)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def progress(self, state: _State) -> None:
        from rich.console import Group
        from rich.text import Text

        self._live.start()  # does nothing from the second time on
        stage = state.stage
        left = "" if state.left is None or math.isinf(state.left) else f"{duration(state.left)} left"
        self._bars.update(self._whole, completed=state.share, facts=left)
        stage_left = "" if math.isinf(state.stage_left) else f"  {duration(state.stage_left)} left"
        self._bars.update(
            self._stage,
            description=f"stage {stage.number + 1}/{stage.stages}",
            completed=stage.done,
            total=max(stage.iterations, 1),
            facts=f"{stage.done}/{stage.iterations}  {_speed(state.rate)}{stage_left}",
        )
        memory = "" if state.memory_mb is None else f"  memory {state.memory_mb:.0f} MB"
        self._live.update(Group(self._bars, Text(_terms(state.values) + memory, style="dim")), refresh=True)

    def stage_done(self, state: _State, seconds: float) -> None:
        self.progress(state)

    def records(self, block: str) -> None: ...

    def close(self) -> None:
        self._live.stop()


def _display(name: DisplayName, stream: TextIO) -> _Display:
    """The display of that name; rich needs a terminal that can move its cursor and falls to plain without."""
    if name == "quiet":
        return _Quiet()
    if name == "json":
        return _Json(stream)
    if name == "rich" and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return _Rich(stream)
    return _Plain(stream)


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


# ---------------------------------------------------------------------------------------------------------
# the log


class _Log:
    """Appends whole lines to a file. Raises UserError when the file cannot be written."""

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

    def write(self, block: str) -> None:
        """One call to the system per block, so that a kill finds whole lines."""
        data = block.encode("ascii")
        try:
            with open(self._path, "ab", buffering=0) as file:
                while data:  # a raw write may take less than it is given
                    data = data[file.write(data) :]
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> UserError:
        reason = error.strerror or error
        return UserError(f"Cannot write {self._path}: {reason}; free some space or check its rights.")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl that count, in order.

    Half lines of killed processes are left out. Where a resumed run went back to a checkpoint, the iterations
    and stages it trained again replace the earlier ones. Raises UserError when the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}; check the run folder.") from error
    return _counting(text)


def _counting(text: str) -> list[dict[str, Any]]:
    """The records of the log's text that count."""
    records: list[dict[str, Any]] = []
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or "event" not in record:
            continue
        if record["event"] == "begin_stage":
            place = _place(record)
            records = [earlier for earlier in records if not _undone(earlier, place)]
        records.append(record)
    return records


def _place(record: Mapping[str, Any]) -> tuple[int, int]:
    """(stage, iteration) at which the record stands."""
    key = "start_iteration" if record["event"] == "begin_stage" else "iteration"
    stage, iteration = (record.get(name) for name in ("stage", key))
    return (stage if isinstance(stage, int) else 0, iteration if isinstance(iteration, int) else 0)


def _undone(record: Mapping[str, Any], place: tuple[int, int]) -> bool:
    """True when a process that starts at `place` trains again what this record tells of."""
    if record["event"] == "stage":
        # a record of a stage of which only a part is trained again stays: its seconds were spent
        return _place(record)[0] > place[0] or (_place(record)[0] == place[0] and place[1] == 0)
    return record["event"] != "message" and _place(record) >= place


def _plain_value(value: Any) -> Any:
    """What JSON can hold, of what a log is given: any kind of number, strings, lists, dicts."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_plain_value(inner) for inner in value]
    if not hasattr(value, "__float__"):
        return str(value)
    number = _number(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _number(value: Any) -> float:
    """A float of a float, of numpy's or of a tensor of one element; waits for the GPU that computes it."""
    return float(value.detach() if hasattr(value, "detach") else value)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(_plain_value(record), allow_nan=False) + "\n"


# ---------------------------------------------------------------------------------------------------------
# memory


def _resetpeak_memory() -> None:
    """Start a new peak on the GPUs; a process has no such reset."""
    if cuda := _cuda():
        for index in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(index)


def peak_memory() -> tuple[float | None, str]:
    """(MiB, of what): the most the fullest GPU held since the reset, else the process since its start."""
    if cuda := _cuda():
        peak = max(cuda.max_memory_allocated(index) for index in range(cuda.device_count()))
        if peak > 0:
            return peak / 2**20, "cuda"
    try:
        import resource
    except ImportError:  # Windows
        return None, "unknown"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak / (2**20 if sys.platform == "darwin" else 2**10), "process"


def _cuda() -> Any:
    """torch.cuda if this process already uses it: to look must not start a GPU, nor import torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


# ---------------------------------------------------------------------------------------------------------
# the monitor


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
    """Tells how a training goes; see the head of this file for its use and its log.

    `display`: rich bars (plain lines where `stream` is no terminal), plain, json, quiet. A plain line comes
    every `interval_s` seconds; a line of the log every `log_every` iterations and for the last of each stage.
    Each of `watchers` is given every record of the log, when it is written.
    Methods raise UserError when the log cannot be written.
    """

    def __init__(
        self,
        log: Path | None = None,
        display: DisplayName = "rich",
        stream: TextIO | None = None,
        interval_s: float = 5.0,
        log_every: int = 10,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._watchers = tuple(watchers)
        self._log = None if log is None else _Log(Path(log))
        self._earlier_s = 0.0 if log is None else _last_time(Path(log))
        self._display = _display(display, sys.stderr if stream is None else stream)
        live = isinstance(self._display, _Rich)
        self._interval_s = min(interval_s, LIVE_INTERVAL_S) if live else interval_s
        self._log_every = log_every
        self._clock = _Clock()
        self._whole: _Whole | None = None
        self._stage: _Stage | None = None
        self._pending = _Pending()
        self._reported_at = 0.0

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish an open stage (its record then says complete: false), whatever ended the block."""
        try:
            if self._stage is not None:
                self._finish(complete=False)
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
        self._display.message(text)
        self._emit([{"event": "message", "text": text, "time_s": self._time()}])

    def pictures(self, stage: int, iteration: int, files: Sequence[str]) -> None:
        """Pictures were made after `iteration` iterations of `stage`: their paths below the run folder, with /."""
        record = {"stage": stage, "iteration": iteration, "files": list(files), "time_s": self._time()}
        self._emit([{"event": "pictures", **record}])

    def begin(self, weights: Sequence[float]) -> None:
        """Say what each stage costs, in any unit: gives the bar of the whole training and its time left."""
        self._whole = _Whole([float(weight) for weight in weights])

    def begin_stage(self, stage: int, stages: int, iterations: int, start_iteration: int = 0, **facts: Any) -> None:
        """Stage `stage` (from 0) of `stages` starts at `start_iteration` (above 0 when resumed).

        `facts` (size, amplitude ...) go into the log lines of the stage.
        """
        if self._stage is not None:
            raise RuntimeError("begin_stage() before end_stage()")
        now = self._clock.seconds()
        self._stage = _Stage(stage, stages, iterations, start_iteration, now, facts, done=start_iteration)
        if self._whole is not None and self._whole.began is None:
            if len(self._whole.weights) != stages:
                raise ValueError(f"{len(self._whole.weights)} weights for {stages} stages")
            self._whole.began = (self._whole.work(self._stage), now)
        self._pending = _Pending()
        self._reported_at = now
        _resetpeak_memory()
        record = {
            "stage": stage,
            "stages": stages,
            "iterations": iterations,
            "start_iteration": start_iteration,
            "time_s": self._time(),
        }
        self._emit([{**facts, "event": "begin_stage", **record}])

    def observe(self, iteration: int, scalars: Mapping[str, float | Tensor]) -> None:
        """Call after every iteration (from 0) with its losses: floats, or tensors of one element anywhere.

        Waits for no GPU, except when it reports. The caller may reuse the tensors: what is kept is copied.
        """
        stage = self._stage
        if stage is None:
            raise RuntimeError("observe() before begin_stage()")
        stage.done = iteration + 1
        now = self._clock.seconds()
        if iteration % self._log_every == 0 or stage.done >= stage.iterations:
            if not RESERVED.isdisjoint(scalars):
                raise ValueError(f"a loss term may not be called {sorted(RESERVED & set(scalars))}")
            kept = {name: _keep(value) for name, value in scalars.items()}
            self._pending.records.append((iteration, self._earlier_s + now, kept))
        if now - self._reported_at >= self._interval_s:
            self._flush()
            self._pending.shown = {name: _number(value) for name, value in scalars.items()}
            self._display.progress(self._state(stage, now))
            self._reported_at = now
        elif len(self._pending.records) >= MAX_PENDING:
            self._flush()

    def figures(self, iteration: int, values: Mapping[str, float]) -> None:
        """Figures of the stage after `iteration`, which `observe` has been told of; see convergence.Figures."""
        stage = self._stage
        if stage is None:
            raise RuntimeError("figures() before begin_stage()")
        self._flush()  # lines of the log stand in the order of their iterations
        # the loss term of the reconstruction is shown already
        self._pending.figures = {name: value for name, value in values.items() if name != "reconstruction"}
        place = {"stage": stage.number, "iteration": iteration, "time_s": self._time()}
        self._emit([{"event": "figures", **place, **values}])

    def expect(self, iterations: int) -> None:
        """The stage will end after so many iterations, unlike what `begin_stage` was told."""
        if self._stage is None:
            raise RuntimeError("expect() before begin_stage()")
        self._stage.iterations = iterations

    def go_back(self, iteration: int) -> None:
        """The stage goes on from `iteration`; what was observed from there on no longer counts."""
        stage = self._stage
        if stage is None:
            raise RuntimeError("go_back() before begin_stage()")
        self._finish(complete=False)
        self.begin_stage(stage.number, stage.stages, stage.iterations, iteration, **stage.facts)

    def end_stage(self) -> None:
        """Write what is pending and the record of the stage."""
        if self._stage is None:
            raise RuntimeError("end_stage() before begin_stage()")
        self._finish(complete=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What runs inside (previews, checkpoints) does not count as training time."""
        self._flush()  # also waits for the GPU's work of the last iterations, which is training
        with self._clock.pause():
            yield

    # ---- inside

    def _finish(self, complete: bool) -> None:
        stage = self._stage
        assert stage is not None
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
        self._emit([{**stage.facts, "event": "stage", **record}])
        self._display.stage_done(self._state(stage, now), seconds)

    def _flush(self) -> None:
        """Turn the pending records into lines: the one place where tensors become numbers for the log."""
        pending, self._pending.records = self._pending.records, []
        if not pending or self._stage is None:
            return
        number = self._stage.number
        values = [{name: _number(value) for name, value in terms.items()} for _, _, terms in pending]
        self._pending.shown = values[-1]
        self._emit(
            [
                {"event": "iteration", "stage": number, "iteration": iteration, "time_s": time_s, **terms}
                for (iteration, time_s, _), terms in zip(pending, values, strict=True)
            ]
        )

    def _emit(self, records: Sequence[Mapping[str, Any]]) -> None:
        block = "".join(_line(record) for record in records)
        self._display.records(block)
        if self._log is not None:
            self._log.write(block)
        for watcher in self._watchers:
            for record in records:
                watcher(record)

    def _time(self) -> float:
        return self._earlier_s + self._clock.seconds()

    def _state(self, stage: _Stage, now: float) -> _State:
        whole = self._whole
        left = None if whole is None else whole.seconds_left(stage, now)
        weights = whole or _Whole([1.0] * stage.stages)
        share = weights.work(stage) / (sum(weights.weights) or 1.0)
        values, memory = self._pending.values(), peak_memory()[0]
        return _State(stage, stage.rate(now), stage.seconds_left(now), left, share, values, memory)


def _keep(value: Any) -> Any:
    """A copy that later iterations cannot change (a captured graph writes into the same tensor each time)."""
    return value.detach().clone() if hasattr(value, "detach") else value


def _last_time(log: Path) -> float:
    """The time_s at which an earlier process of this run stopped; 0 for a new run."""
    times = [record.get("time_s") for record in read_log(log)]
    return max((float(time) for time in times if isinstance(time, int | float)), default=0.0)
