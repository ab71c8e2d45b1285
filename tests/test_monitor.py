"""The log parsed back, the clock, the displays, and that no iteration waits for its losses."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consingan.errors import UserError
from consingan.watch import clock as clock_module
from consingan.watch import log as log_module
from consingan.watch import monitor as monitor_module
from consingan.watch.clock import StageTime, WholeTime, duration
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor


class Time:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    clock = Time()
    monkeypatch.setattr(clock_module, "perf_counter", clock)
    return clock


class Scalar:
    """A loss that counts how often it is made a float, which on a GPU would wait for it."""

    conversions = 0

    def __float__(self) -> float:
        Scalar.conversions += 1
        return 0.5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events(records: list[dict], event: str) -> list[dict]:
    return [record for record in records if record["event"] == event]


def lines(path: Path) -> list[dict]:
    """Every line, strictly: bare NaN is no JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def train(monitor: Monitor, time: Time, iterations: int = 25, start: int = 0, stage: int = 0) -> None:
    """One second per iteration; the loss is the iteration's number."""
    monitor.begin_stage(stage, 3, iterations, start, size=[25, 33])
    for iteration in range(start, iterations):
        time.sleep(1.0)
        monitor.observe(iteration, {"critic": torch.tensor(float(iteration)), "penalty": 0.25})
    monitor.end_stage()


# ---- the log


def test_the_log_tells_the_whole_training(tmp_path, time):
    with Monitor(tmp_path / "log.jsonl", "quiet") as monitor:
        time.sleep(2.0)  # setting up
        train(monitor, time)
    begun, *iterations, ended = lines(tmp_path / "log.jsonl")
    assert begun == {
        "event": "begin_stage",
        "stage": 0,
        "stages": 3,
        "iterations": 25,
        "start_iteration": 0,
        "size": [25, 33],
        "time_s": 2.0,
    }
    assert iterations == [
        {
            "event": "iteration",
            "stage": 0,
            "iteration": i,
            "time_s": 3.0 + i,
            "critic": float(i),
            "penalty": 0.25,
        }
        for i in (0, 10, 20, 24)
    ]
    memory = ended.pop("peak_memory_mb")
    assert 1 < memory < 1e6
    assert ended == {
        "event": "stage",
        "stage": 0,
        "stages": 3,
        "iterations": 25,
        "seconds": 25.0,
        "seconds_per_iteration": 1.0,
        "memory_of": "cuda" if torch.cuda.is_initialized() else "process",
        "complete": True,
        "size": [25, 33],
        "time_s": 27.0,
    }


def test_values_that_are_not_finite_stay_valid_json_and_readable(tmp_path, time):
    values = {"a": math.nan, "b": torch.tensor(math.inf), "c": -math.inf, "d": 1}
    with Monitor(tmp_path / "log", "quiet") as monitor:
        monitor.begin_stage(0, 1, 1, amplitude=math.nan)
        monitor.observe(0, values)
        monitor.end_stage()
    record = events(lines(tmp_path / "log"), "iteration")[0]
    assert [record[name] for name in "abcd"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert math.isnan(float(record["a"]))
    assert float(record["c"]) == -math.inf


@given(value=st.floats(width=64))
def test_every_float_goes_through_the_log_unchanged(value):
    line = log_module.line({"loss": value})
    back = float(json.loads(line, parse_constant=pytest.fail)["loss"])
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_facts_of_any_kind_can_be_logged(tmp_path, time):
    facts = {
        "path": Path("a"),
        "size": torch.Size([3, 4]),
        "amplitude": torch.tensor(0.5),
        "inner": {"k": (1, None)},
    }
    with Monitor(tmp_path / "log", "quiet") as monitor:
        monitor.begin_stage(0, 1, 1, **facts)
    found = lines(tmp_path / "log")[0]
    expected = {"path": "a", "size": [3, 4], "amplitude": 0.5, "inner": {"k": [1, None]}}
    assert {name: found[name] for name in facts} == expected


def test_kept_losses_do_not_change_when_the_tensor_is_reused(tmp_path, time):
    """A captured CUDA graph writes every iteration's loss into the same tensor."""
    loss = torch.zeros((), requires_grad=True)
    with Monitor(tmp_path / "log", "quiet", log_every=1) as monitor:
        monitor.begin_stage(0, 1, 3)
        for iteration in range(3):
            with torch.no_grad():
                loss.fill_(iteration)
            monitor.observe(iteration, {"loss": loss})
        monitor.end_stage()
    assert [record["loss"] for record in events(lines(tmp_path / "log"), "iteration")] == [0, 1, 2]


def test_an_interrupted_stage_is_written_and_marked(tmp_path, time):
    def interrupted() -> None:
        with Monitor(tmp_path / "log", "quiet") as monitor:
            monitor.begin_stage(0, 1, 100)
            monitor.observe(0, {"loss": 1.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    _, iteration, stage = lines(tmp_path / "log")
    assert iteration["loss"] == 1.0
    assert (stage["complete"], stage["iterations"]) == (False, 1)


# ---- resuming


def test_a_resumed_run_appends_and_its_time_goes_on(tmp_path, time):
    log = tmp_path / "log"
    with Monitor(log, "quiet") as monitor:
        train(monitor, time, iterations=5)
    time.sleep(1000.0)  # no process is alive
    with Monitor(log, "quiet") as monitor:
        train(monitor, time, iterations=5, stage=1)
    assert [record["time_s"] for record in events(lines(log), "stage")] == [5.0, 10.0]


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path, time):
    log = tmp_path / "log"
    log.write_text('{"event": "message", "text": "whole", "time_s": 1}\n{"event": "iterat')
    with Monitor(log, "quiet") as monitor:
        monitor.message("after")
    assert [record["text"] for record in read_log(log)] == ["whole", "after"]


def test_iterations_that_were_trained_again_replace_the_earlier_ones(tmp_path, time):
    log = tmp_path / "log"
    with Monitor(log, "quiet", log_every=1) as monitor:
        train(monitor, time, iterations=3)
        monitor.begin_stage(1, 3, 4)
        for iteration in range(3):
            monitor.observe(iteration, {"critic": -1.0})
    with Monitor(log, "quiet", log_every=1) as monitor:  # from the checkpoint after iteration 0 of stage 1
        monitor.begin_stage(1, 3, 4, start_iteration=1)
        for iteration in range(1, 4):
            monitor.observe(iteration, {"critic": 5.0})
        monitor.end_stage()
    found = [(r["stage"], r["iteration"], r["critic"]) for r in events(read_log(log), "iteration")]
    assert found == [
        (0, 0, 0.0),
        (0, 1, 1.0),
        (0, 2, 2.0),
        (1, 0, -1.0),
        (1, 1, 5.0),
        (1, 2, 5.0),
        (1, 3, 5.0),
    ]
    assert [(r["stage"], r["complete"]) for r in events(read_log(log), "stage")] == [
        (0, True),
        (1, False),
        (1, True),
    ]


def test_a_stage_that_starts_anew_replaces_all_of_its_earlier_lines(tmp_path, time):
    log = tmp_path / "log"
    for _ in range(2):
        with Monitor(log, "quiet") as monitor:
            train(monitor, time, iterations=3, stage=1)
    assert len(lines(log)) == 8
    assert [record["event"] for record in read_log(log)] == ["begin_stage", "iteration", "iteration", "stage"]


@given(st.binary(max_size=100))
def test_any_file_can_be_read_as_a_log(data):
    path = Path(log_module.__file__).parent  # a folder: refused in a sentence
    with pytest.raises(UserError, match="Cannot read"):
        read_log(path)
    text = data.decode("utf-8", "replace")
    odd = f'{text}\n[1]\n{{"event": "begin_stage", "stage": "x"}}\n{{"event": [], "stage": null}}\n'
    records = log_module.counting(odd)
    assert records[-1] == {"event": "begin_stage", "stage": "x"}  # what has no name is no record


# ---- time


def test_paused_time_is_no_training_time(tmp_path, time):
    with Monitor(tmp_path / "log", "quiet") as monitor:
        monitor.begin_stage(0, 1, 2)
        time.sleep(3.0)
        monitor.observe(0, {"loss": 0.0})
        with monitor.paused():
            time.sleep(50.0)
            with monitor.paused():
                time.sleep(50.0)
            assert monitor.seconds == 3.0
        with pytest.raises(ZeroDivisionError), monitor.paused():
            time.sleep(1 / sum(time.sleep(9.0) or 0 for _ in range(1)))
        time.sleep(1.0)
        monitor.observe(1, {"loss": 0.0})
        monitor.end_stage()
        assert monitor.seconds == 4.0
    records = lines(tmp_path / "log")
    assert [record["time_s"] for record in events(records, "iteration")] == [3.0, 4.0]
    assert events(records, "stage")[0]["seconds"] == 4.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (45, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (130, "2 min 10 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (7199, "2 h 00 min"),
        (100 * 3600, "100 h 00 min"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


# ---- cheap


def test_losses_become_floats_only_when_something_is_reported(tmp_path, time):
    Scalar.conversions = 0
    with Monitor(tmp_path / "log", "plain", io.StringIO(), interval_s=5.0) as monitor:
        monitor.begin_stage(0, 1, 1000)
        for iteration in range(49):  # 4.9 s
            time.sleep(0.1)
            monitor.observe(iteration, {"loss": Scalar()})
        assert Scalar.conversions == 0
        time.sleep(0.11)
        monitor.observe(49, {"loss": Scalar()})
        assert Scalar.conversions == 6  # the log's 0, 10, 20, 30, 40 and the one that is shown
        monitor.observe(50, {"loss": Scalar()})
        assert Scalar.conversions == 6


def test_tensors_are_not_read_between_reports(tmp_path, time, monkeypatch):
    def read(*_: object) -> None:
        raise AssertionError("an iteration waited for its loss")

    for name in ("item", "__float__", "tolist", "cpu", "numpy", "__bool__", "__format__"):
        monkeypatch.setattr(torch.Tensor, name, read)
    monitor = Monitor(tmp_path / "log", "plain", io.StringIO())
    monitor.begin_stage(0, 1, 1000)
    for iteration in range(100):
        monitor.observe(iteration, {"loss": torch.ones((), requires_grad=True) * 2})
    monkeypatch.undo()


def test_a_very_fast_loop_keeps_a_bounded_number_of_tensors(tmp_path, time):
    monitor = Monitor(tmp_path / "log", "quiet", log_every=1)
    monitor.begin_stage(0, 1, 10_000)
    for iteration in range(2000):
        monitor.observe(iteration, {"loss": 1.0})
        assert len(monitor._pending.records) < monitor_module.MAX_PENDING
    assert len(events(lines(tmp_path / "log"), "iteration")) == 3 * monitor_module.MAX_PENDING


# ---- displays


def test_plain_lines_say_where_how_fast_how_good_and_how_long(time):
    stream = io.StringIO()
    with Monitor(None, "plain", stream, interval_s=4.0) as monitor:
        monitor.message("Training the quay.")
        monitor.begin([1.0, 1.0, 2.0])
        monitor.begin_stage(0, 3, 10)
        for iteration in range(10):
            time.sleep(1.0)
            monitor.observe(iteration, {"critic": -0.12, "penalty": torch.tensor(0.03)})
        monitor.end_stage()
    assert stream.getvalue().splitlines() == [
        "Training the quay.",
        "stage 1/3  iteration 4/10  1 it/s  critic -0.12 penalty 0.03  36 s left",
        "stage 1/3  iteration 8/10  1 it/s  critic -0.12 penalty 0.03  32 s left",
        "stage 1/3  10 iterations in 10 s  1 it/s  critic -0.12 penalty 0.03",
    ]


def test_figures_are_logged_in_their_place_and_shown_beside_the_losses(tmp_path, time):
    stream = io.StringIO()
    values = {"reconstruction": 0.5, "balance": -0.25, "convergence": 0.75, "swd": 0.125}
    with Monitor(tmp_path / "log.jsonl", "plain", stream, interval_s=4.0, log_every=1) as monitor:
        for stage in range(2):
            monitor.begin_stage(stage, 2, 10)
            for iteration in range(4):
                time.sleep(1.0)
                monitor.observe(iteration, {"reconstruction": 3.0})
                if iteration == 1 and stage == 0:
                    monitor.figures(iteration, values)
                    monitor.expect(4)
            monitor.end_stage()
    found = [line for line in lines(tmp_path / "log.jsonl") if line["stage"] == 0]
    assert [line["event"] for line in found] == [
        "begin_stage", "iteration", "iteration", "figures", "iteration", "iteration", "stage"]  # fmt: skip
    assert found[3] == {"event": "figures", "stage": 0, "iteration": 1, "time_s": 2.0, **values}
    shown = stream.getvalue().splitlines()
    terms = "reconstruction 3 balance -0.25 convergence 0.75 swd 0.125"
    assert shown[0] == f"stage 1/2  iteration 4/4  1 it/s  {terms}  0 s left in this stage"
    assert shown[2] == "stage 2/2  iteration 4/10  1 it/s  reconstruction 3  6 s left in this stage"


def test_figures_of_iterations_that_are_trained_again_do_not_count(tmp_path, time):
    with Monitor(tmp_path / "log.jsonl", "quiet") as monitor:
        monitor.begin_stage(0, 1, 10)
        for iteration in (1, 3, 5):
            monitor.figures(iteration, {"swd": 0.5})
        monitor.go_back(4)
        monitor.figures(5, {"swd": 0.25})
    found = [(r["iteration"], r["swd"]) for r in read_log(tmp_path / "log.jsonl") if r["event"] == "figures"]
    assert found == [(1, 0.5), (3, 0.5), (5, 0.25)]


def test_without_costs_the_time_left_is_that_of_the_stage(time):
    stream = io.StringIO()
    with Monitor(None, "plain", stream, interval_s=4.0) as monitor:
        monitor.begin_stage(1, 3, 100, start_iteration=50)  # resumed: only its own iterations make the speed
        for iteration in range(50, 54):
            time.sleep(1.0)
            monitor.observe(iteration, {"critic": 0.0})
    line = stream.getvalue().splitlines()[0]
    assert line == "stage 2/3  iteration 54/100  1 it/s  critic 0  46 s left in this stage"


def test_time_left_of_a_resumed_run_does_not_count_what_was_done_before(time):
    stream = io.StringIO()
    with Monitor(None, "plain", stream, interval_s=1.0) as monitor:
        monitor.begin([1.0, 1.0])
        time.sleep(7.0)  # loading is no training
        monitor.begin_stage(1, 2, 10, start_iteration=5)
        time.sleep(1.0)
        monitor.observe(5, {})
    assert stream.getvalue().splitlines()[0] == "stage 2/2  iteration 6/10  1 it/s  4 s left"


def test_time_left_holds_what_is_done_beside_the_iterations(time):
    stream = io.StringIO()
    with Monitor(None, "plain", stream, interval_s=1.0) as monitor:
        monitor.begin([1.0, 1.0, 1.0], beside=100.0)
        monitor.begin_stage(1, 3, 2)
        time.sleep(1.0)
        monitor.observe(0, {})
    assert stream.getvalue().splitlines()[0].endswith("  3 min 23 s left")  # three iterations, two stages' pictures


def test_rich_without_a_terminal_is_plain(time, monkeypatch):
    text = {}
    for display in ("rich", "plain"):
        stream = io.StringIO()
        with Monitor(None, display, stream) as monitor:
            train(monitor, time)
        text[display] = stream.getvalue()
    assert text["rich"] == text["plain"] != ""
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Monitor(None, "rich", stream) as monitor:
        train(monitor, time)
    assert stream.getvalue() == text["plain"]


def test_rich_bars_show_stage_speed_losses_and_messages(time, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(monitor_module, "peak_memory", lambda: (321.4, "process"))
    stream = Terminal()
    with Monitor(None, "rich", stream) as monitor:
        monitor.begin([1, 1, 2])
        train(monitor, time, iterations=20)
        monitor.message("[red] is a file's name, not a colour \x1b[2J")
    shown = stream.getvalue()
    for piece in (
        "training",
        "stage 1/3",
        "20/20",
        "1 it/s",
        "critic 19 penalty 0.25",
        "memory 321 MB",
        "25 %",
        "1 min 00 s left",
    ):
        assert piece in shown
    assert "[red] is a file's name, not a colour \\x1b[2J" in shown


def test_observers_are_given_every_record_of_the_log(tmp_path, time):
    seen = []
    with Monitor(tmp_path / "log", "quiet", observers=[seen.append]) as monitor:
        monitor.tell("started", run=None)
        monitor.message("hello")
        train(monitor, time)
        monitor.pictures(2, 7, ["samples/stage_2/grid.png"])
    written = lines(tmp_path / "log")
    assert [record for record in seen if record["event"] != "progress"] == written
    wanted = {"event": "pictures", "stage": 2, "iteration": 7, "files": ["samples/stage_2/grid.png"]}
    assert written[-1] == wanted | {"time_s": written[-1]["time_s"]}


def test_observers_are_told_the_progress_which_is_not_kept(tmp_path, time):
    seen = []
    with Monitor(tmp_path / "log", "quiet", interval_s=4.0, observers=[seen.append]) as monitor:
        monitor.begin([1.0, 1.0, 2.0])
        train(monitor, time, iterations=6)
    first, last = events(seen, "progress")
    memory = first.pop("memory_mb")
    assert 1 < memory < 1e6
    assert first == {
        "event": "progress",
        "stage": 0,
        "stages": 3,
        "iteration": 4,
        "iterations": 6,
        "rate": 1.0,
        "stage_left_s": 2.0,
        "left_s": pytest.approx(20.0),
        "share": pytest.approx(1 / 6),
        "values": {"critic": 3.0, "penalty": 0.25},
        "ended": False,
    }
    assert (last["iteration"], last["share"], last["ended"]) == (6, 0.25, True)
    assert not events(read_log(tmp_path / "log"), "progress")


def test_an_observer_may_ask_for_more_progress(time):
    class Often(list):
        interval_s = 1.0

        def __call__(self, record):
            self.append(record)

    often = Often()
    with Monitor(None, "quiet", interval_s=100.0, observers=[often]) as monitor:
        train(monitor, time, iterations=6)
    assert [record["iteration"] for record in events(often, "progress")] == [1, 2, 3, 4, 5, 6, 6]


def test_an_observer_that_fails_is_told_nothing_more_and_that_is_said(tmp_path, time):
    seen, calls = [], []

    def broken(record):
        calls.append(record["event"])
        if record["event"] == "iteration":
            raise ZeroDivisionError("no more")

    stream = io.StringIO()
    with Monitor(tmp_path / "log", "plain", stream, interval_s=100.0, observers=[broken, seen.append]) as monitor:
        train(monitor, time)
    sentence = f"The observer {broken.__qualname__} failed and is told nothing more: ZeroDivisionError: no more"
    assert calls == ["begin_stage", "iteration"]
    assert monitor.faults == [sentence]
    assert stream.getvalue().splitlines()[0] == sentence
    written = lines(tmp_path / "log")
    assert [record["text"] for record in events(written, "message")] == [sentence]
    assert [record for record in seen if record["event"] != "progress"] == written
    assert len(events(written, "iteration")) == 4


def test_the_records_of_a_whole_training_count_though_a_stage_begins_anew(tmp_path, time):
    log = tmp_path / "log"
    for _ in range(2):
        with Monitor(log, "quiet") as monitor:
            monitor.tell("started", run=None)
            train(monitor, time, iterations=1)
            monitor.tell("stopped")
    found = [record["event"] for record in read_log(log)]
    assert found == ["started", "stopped", "started", "begin_stage", "iteration", "stage", "stopped"]


def test_pictures_of_what_is_trained_again_do_not_count(tmp_path):
    with Monitor(tmp_path / "log", "quiet") as monitor:
        monitor.begin_stage(0, 1, 10)
        for iteration in (0, 2, 5):
            monitor.pictures(0, iteration, [f"{iteration}.png"])
        monitor.go_back(5)
    assert [record["files"] for record in events(read_log(tmp_path / "log"), "pictures")] == [["0.png"], ["2.png"]]


def test_json_display_is_the_log(tmp_path, time):
    stream = io.StringIO()
    with Monitor(tmp_path / "log", "json", stream) as monitor:
        monitor.message("käse")
        train(monitor, time)
    assert stream.getvalue() == (tmp_path / "log").read_text()
    assert json.loads(stream.getvalue().splitlines()[0]) == {
        "event": "message",
        "text": "käse",
        "time_s": 0.0,
    }


def test_quiet_shows_nothing(time):
    stream = Terminal()
    with Monitor(None, "quiet", stream) as monitor:
        monitor.message("hello")
        train(monitor, time)
    assert stream.getvalue() == ""


def test_names_from_files_cannot_steer_the_terminal_or_break_its_encoding(tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as stream, Monitor(None, "plain", stream) as monitor:
        monitor.message("k\u00e4se \x1b[2J \udcff")
    assert (tmp_path / "out").read_text() == "k\\xe4se \\x1b[2J \\udcff\n"


def test_a_reader_that_has_gone_does_not_end_the_training(tmp_path, time):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Monitor(tmp_path / "log", "plain", Gone()) as monitor:
        monitor.message("hello")
        train(monitor, time)
    assert events(read_log(tmp_path / "log"), "stage")


# ---- refusals


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"Cannot write .*log: No such file"):
        Monitor(tmp_path / "gone" / "log", "quiet")


def test_a_full_disk_does_not_hide_the_fault_that_came_first(tmp_path, time):
    def faulty() -> None:
        with Monitor(tmp_path / "log", "quiet") as monitor:
            monitor.begin_stage(0, 1, 10)
            monitor.observe(0, {"loss": 1.0})
            (tmp_path / "log").unlink()
            (tmp_path / "log").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        faulty()


def test_calls_out_of_order_and_reserved_names_are_refused(time):
    monitor = Monitor(None, "quiet")
    with pytest.raises(RuntimeError, match="before begin_stage"):
        monitor.observe(0, {})
    with pytest.raises(RuntimeError, match="before begin_stage"):
        monitor.end_stage()
    monitor.begin_stage(0, 1, 10)
    with pytest.raises(RuntimeError, match="before end_stage"):
        monitor.begin_stage(1, 2, 10)
    with pytest.raises(ValueError, match="stage"):
        monitor.observe(0, {"stage": 1.0})
    monitor = Monitor(None, "quiet")
    monitor.begin([1.0, 2.0])
    with pytest.raises(ValueError, match="2 weights for 3 stages"):
        monitor.begin_stage(0, 3, 10)


def test_a_stage_without_iterations_is_no_division_by_zero(time):
    stream = io.StringIO()
    with Monitor(None, "plain", stream) as monitor:
        monitor.begin([0.0])
        monitor.begin_stage(0, 1, 0)
        monitor.end_stage()
    assert stream.getvalue() == "stage 1/1  0 iterations in 0 s  0 it/s\n"


def test_the_share_counts_what_lies_between_the_stages():
    """Two stages of 10 s of work and 5 s of previews each: the bar is full where nothing is left, and not before."""
    whole = WholeTime([10.0, 10.0], beside=5.0, began=(0.0, 0.0))
    first = StageTime(0, 2, 100, 0, 0.0, {}, done=50)
    assert whole.share(first, 5.0) == pytest.approx(5 / 30)
    last = StageTime(1, 2, 100, 0, 10.0, {}, done=100)
    assert whole.share(last, 20.0) == pytest.approx(25 / 30)
    assert whole.seconds_left(last, 20.0) == pytest.approx(5.0)
    assert WholeTime([10.0, 10.0], beside=5.0).share(StageTime(0, 2, 100, 0, 0.0, {}), 0.0) == 0
