"""The watchdog: what is seen, what is judged, and that a run is rescued or ends in words."""

from __future__ import annotations

import itertools
import math
import re
from time import perf_counter

import pytest
import torch
from test_training import settings_for, striped

from consingan import watchdog
from consingan.engine import Step
from consingan.interrupt import StoppedError
from consingan.monitor import Monitor, read_log
from consingan.run import Run
from consingan.state import Training
from consingan.training import resume, train, write_start
from consingan.watchdog import Attempt, CollapsedError, Look, due, look, trouble

SOUND = Look({"critic_real": 45.0, "penalty": 10.1, "adversarial": -59.6}, weights=20.0, spread=0.5, saturated=False)
TINY = {"train_stages": 1, "nfc": 4}


@pytest.fixture
def every_ten(monkeypatch):
    """Look every 10 iterations, so that the tests are quick."""
    monkeypatch.setattr(watchdog, "EVERY", 10)


def watched(picture=None, run=None, stop=lambda: False, **changes):
    """Train a tiny model; the lines that the watchdog said come with it."""
    said = []
    state = Training.start(settings_for(**{**TINY, **changes}), striped() if picture is None else picture)
    if run:
        write_start(state, run)
    monitor = Monitor(run.log if run else None, "quiet", log_every=1)
    monitor._display.message = said.append
    with monitor:
        return train(state, monitor, run, stop=stop), said


# ---- what is judged


def test_the_worst_of_normal_runs_is_no_trouble():
    assert trouble(SOUND, 1.0) is None


@pytest.mark.parametrize(
    ("seen", "before", "words"),
    [
        (Look({"penalty": math.nan}, 1.0, 0.5, False), 0.0, "penalty is nan.*precision fp32"),
        (Look({"adversarial": -math.inf}, 1.0, 0.5, False), 0.0, "adversarial is -inf"),
        (Look({"penalty": 0.1}, math.nan, 0.5, False), 0.0, "weights is nan.*--lr_g"),
        (Look({"critic_fake": -2e4}, 1.0, 0.5, False), 0.0, "critic_fake is -2e.04.*--lambda_grad"),
        (Look({"penalty": 0.1}, 1.0, 0.001, False), 0.5, "one flat colour.*--lr_g"),
        (Look({"penalty": 0.1}, 1.0, 0.001, True), 0.0, "one flat colour"),
    ],
)
def test_each_kind_of_trouble_is_named_with_what_to_change(seen, before, words):
    found = trouble(seen, before)
    message = str(watchdog.collapsed(found, 2, 150))
    assert "stage 3, iteration 150" in message
    assert re.search(words, message)


def test_an_output_that_never_had_spread_is_no_collapse():
    assert trouble(Look({"penalty": 0.1}, 1.0, 0.001, False), 0.05) is None


def test_a_picture_of_one_colour_has_no_share():
    seen = look({}, {"w": torch.ones(2)}, striped(), torch.zeros(1, 3, 30, 32))
    assert math.isnan(seen.spread)
    assert trouble(seen, 1.0) is None


def test_a_look_reads_what_is_there():
    real = striped()
    seen = look({"a": torch.tensor(2.0)}, {"w": torch.tensor([3.0, 4.0]), "step": torch.tensor(9.0)}, real / 2, real)
    assert (seen.terms, seen.weights) == ({"a": 2.0}, 5.0)
    assert seen.spread == pytest.approx(0.5)
    assert not seen.saturated
    assert look({}, {"w": torch.ones(1)}, torch.ones_like(real), real).saturated


def test_every_so_many_iterations_and_at_the_end():
    assert [n for n in range(1, 26) if due(n, 25)] == [10, 20, 25]


# ---- what is done

pytestmark = pytest.mark.usefixtures("every_ten")


def test_a_healthy_run_is_left_alone():
    _, said = watched(niter=(14,))
    assert said == []


def test_far_too_high_a_rate_is_noticed_and_rescued():
    model, said = watched(niter=(14,), lr_g=1.0)
    assert "Going back to iteration 0" in said[0]
    assert "iteration 10" in said[0]
    assert len(said) <= 3
    assert model.reconstruct().std() > 0.1


def test_a_rate_beyond_help_ends_in_words():
    with pytest.raises(CollapsedError, match=r"stage 1, iteration 10.* lower --lr_[gd]") as caught:
        watched(niter=(14,), lr_g=1e9, lr_d=1e9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("colour", [-1.0, 0.0, 1.0])
def test_a_picture_of_one_colour_trains(colour):
    model, said = watched(torch.full((1, 3, 30, 32), colour), niter=(14,))
    assert said == []
    assert all(value.isfinite().all() for value in model.tensors().values())


def test_a_picture_with_two_grey_levels_trains():
    picture = torch.where(striped() > 0, 127 / 255, 128 / 255) * 2 - 1
    model, said = watched(picture, niter=(14,))
    assert said == []
    assert all(value.isfinite().all() for value in model.tensors().values())


def broken_once(monkeypatch, at):
    """Make the generator's weights NaN in the `at`-th iteration of the process."""
    calls = itertools.count(1)
    real_step = Step.__call__

    def step(self, *drawn):
        terms = real_step(self, *drawn)
        if next(calls) == at:
            with torch.no_grad():
                self.model.generator.tail.weight.fill_(math.nan)
        return terms

    monkeypatch.setattr(Step, "__call__", step)


def test_not_a_number_goes_back_to_the_last_good_look_with_other_draws(monkeypatch, tmp_path):
    broken_once(monkeypatch, at=12)
    run = Run.create(tmp_path, "stripes", "test")
    model, said = watched(run=run, niter=(24,))
    (line,) = said
    assert re.fullmatch(
        r"Stage 1, iteration 20: \w+ is nan\. Going back to iteration 10 with other draws and 0\.5 times the learning "
        r"rates, attempt 1 of 3\.",
        line,
    )
    assert all(value.isfinite().all() for value in model.tensors().values())
    iterations = [r["iteration"] for r in read_log(run.log) if r["event"] == "iteration"]
    assert iterations == list(range(24))  # what was taken back no longer counts
    assert any("Going back" in r.get("text", "") for r in read_log(run.log))


def test_a_loss_that_stays_broken_ends_after_three_attempts(monkeypatch):
    real_step = Step.__call__

    def step(self, *drawn):
        return real_step(self, *drawn) | {"penalty": torch.tensor(math.nan)}

    monkeypatch.setattr(Step, "__call__", step)
    with pytest.raises(CollapsedError, match="stage 1, iteration 10, penalty is nan, also after 3 attempts"):
        watched(niter=(14,))


def test_going_back_restores_every_bit():
    state = Training.start(settings_for(**TINY), striped())
    step = state.enter_stage()
    step(*state.draw(3))
    state.iteration = 1
    state.keep(0.5)
    kept = {name: value.clone() for name, value in state.learned().items()}
    first_draw = state.draw(1)[0][0]
    for _ in range(3):
        step(*state.draw(3))
        state.iteration += 1
    state.go_back()
    now = state.learned()
    assert now.keys() == kept.keys()
    assert all(torch.equal(now[name], kept[name]) for name in kept)
    assert (state.iteration, state.attempt) == (1, Attempt(1, 0.5))
    assert not torch.equal(state.draw(1)[0][0], first_draw)
    step(*state.draw(3))  # the kept state must not have been handed out
    assert all(torch.equal(value, kept[name]) for name, value in state.good.tensors.items())


@pytest.mark.parametrize("stop_after", [5, 13, 20, 21, 26, 33])
def test_stopped_around_a_rescue_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, stop_after):
    """Rates that need a rescue in the first look of each stage; stopped before, at and after it."""
    changes = {"niter": (24,), "lr_g": 1.0, "lr_d": 0.3, "train_stages": 1}
    uninterrupted, said = watched(**changes)
    assert said
    run = Run.create(tmp_path, "stripes", "test")
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        watched(run=run, stop=lambda: next(calls) == stop_after, **changes)
    state = resume(run, "cpu", pytest.fail)
    model = train(state, Monitor(display="quiet"), run)
    wanted, had = uninterrupted.tensors(), model.tensors()
    assert all(torch.equal(wanted[name], had[name]) for name in wanted)


def test_the_attempt_is_in_the_checkpoint_and_ends_with_the_stage(monkeypatch, tmp_path):
    broken_once(monkeypatch, at=6)
    run = Run.create(tmp_path, "stripes", "test")
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        watched(run=run, stop=lambda: next(calls) == 15, niter=(10,), train_stages=2)
    state = resume(run, "cpu", pytest.fail)
    assert (state.stage, state.iteration, state.attempt.number) == (0, 5, 1)
    state.leave_stage()
    assert state.attempt == Attempt()


@pytest.mark.slow
def test_a_look_costs_less_than_half_a_per_cent_of_fifty_iterations():
    state = Training.start(settings_for(train_stages=3, nfc=32, min_size=25, max_size=100), striped(100, 100))
    for stage in range(3):
        step = state.enter_stage()
        if stage < 2:
            state.leave_stage()
    inputs, uniforms, _ = state.draw(3)
    terms = step(inputs, uniforms)
    begin = perf_counter()
    for _ in range(5):
        terms = step(*state.draw(3))
    iteration = (perf_counter() - begin) / 5
    begin = perf_counter()
    for _ in range(5):
        look(terms, state.learned(), state.model.generate(inputs, state.model.sizes), state.reals[2])
        state.keep(1.0)
    assert (perf_counter() - begin) / 5 < 0.005 * 50 * iteration
