"""The watchdog: what is seen, what is judged, and that a run is rescued or ends in words."""

from __future__ import annotations

import itertools
import math
import re
from time import perf_counter

import pytest
import torch
from test_training import settings_for, striped

from consingan.storage.run import Run
from consingan.training import watchdog
from consingan.training.branch import Branch
from consingan.training.lessons import OfOnePicture
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.step import Step
from consingan.training.watchdog import Attempt, CollapsedError, Look, due, look, trouble
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor

SOUND = Look({"critic_real": 45.0, "penalty": 10.1, "adversarial": -59.6}, weights=20.0, spread=0.5, passing=1.0)
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
    return trained(state, said, run, stop), said


def trained(state, said, run=None, stop=lambda: False):
    """Go on with a training to its end; what the watchdog says is added to a list."""

    def heard(record):
        said.extend([record["text"]] if record["event"] == "message" else [])

    with Monitor(run.log if run else None, "quiet", log_every=1, observers=[heard]) as monitor:
        return train(state, monitor, run, stop=stop)


def also(*moments):
    """Further moments to stop at, which are tried where slow tests are."""
    return [pytest.param(moment, marks=pytest.mark.slow) for moment in moments]


# ---- what is judged


def test_the_worst_of_normal_runs_is_no_trouble():
    assert trouble(SOUND, 1.0, "raise --lambda_grad") is None


@pytest.mark.parametrize(
    ("seen", "before", "words"),
    [
        (Look({"penalty": math.nan}, 1.0, 0.5, 1.0), 0.0, "penalty is nan.*precision fp32"),
        (Look({"adversarial": -math.inf}, 1.0, 0.5, 1.0), 0.0, "adversarial is -inf"),
        (Look({"penalty": 0.1}, math.nan, 0.5, 1.0), 0.0, "weights is nan.*--lr_g"),
        (Look({"critic_fake": -2e4}, 1.0, 0.5, 1.0), 0.0, "critic_fake is -2e.04.*--lambda_grad"),
        (Look({"penalty": 0.1}, 1.0, 0.001, 1.0), 0.5, "one flat colour.*--lr_g"),
        (Look({"penalty": 0.1}, 1.0, 0.05, 1e-4), 0.0, "dead .*0.0001 of the gradient.*--lr_g"),
    ],
)
def test_each_kind_of_trouble_is_named_with_what_to_change(seen, before, words):
    found = trouble(seen, before, "raise --lambda_grad")
    message = str(watchdog.collapsed(found, 2, 150))
    assert "stage 3, iteration 150" in message
    assert re.search(words, message)


def test_an_output_that_never_had_spread_is_no_collapse():
    assert trouble(Look({"penalty": 0.1}, 1.0, 0.001, 0.01), 0.05, "") is None


def test_a_picture_in_black_and_white_passes_no_gradient_and_is_no_trouble():
    black_and_white = torch.where(striped() > 0, 1.0, -1.0)
    seen = look({}, {"w": torch.ones(2)}, black_and_white.flip(3), black_and_white)
    assert seen.passing == 0
    assert trouble(seen, 1.0, "") is None
    assert (
        trouble(look({}, {"w": torch.ones(2)}, torch.ones_like(black_and_white), black_and_white), 0.0, "") is not None
    )


def test_a_picture_of_one_colour_has_no_share():
    seen = look({}, {"w": torch.ones(2)}, striped(), torch.zeros(1, 3, 30, 32))
    assert math.isnan(seen.spread)
    assert trouble(seen, 1.0, "") is None


def test_a_look_reads_what_is_there():
    real = striped()
    seen = look({"a": torch.tensor(2.0)}, {"w": torch.tensor([3.0, 4.0]), "step": torch.tensor(9.0)}, real / 2, real)
    assert (seen.terms, seen.weights) == ({"a": 2.0}, 5.0)
    assert seen.spread == pytest.approx(0.5)
    assert seen.passing == pytest.approx((1 - real.square() / 4).mean().item() / (1 - real.square()).mean().item())
    assert look({}, {"w": torch.ones(1)}, torch.ones_like(real), real).passing == 0


def test_every_so_many_iterations_and_at_the_end():
    assert [n for n in range(1, 26) if due(n, 25)] == [10, 20, 25]


# ---- what is done

pytestmark = pytest.mark.usefixtures("every_ten")


def test_a_healthy_run_is_left_alone():
    _, said = watched(niter=(14,))
    assert said == []


def test_far_too_high_a_rate_is_noticed_and_rescued():
    model, said = watched(niter=(24,), lr_g=1.0)
    assert "Going back to iteration 0" in said[0]
    assert "iteration 20" in said[0]
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
                self.learners[0].model.generator.tail.weight.fill_(math.nan)
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


def test_a_loss_that_stays_broken_ends_after_four_starts_of_three_attempts(monkeypatch):
    real_step = Step.__call__

    def step(self, *drawn):
        return real_step(self, *drawn) | {"penalty": torch.tensor(math.nan)}

    monkeypatch.setattr(Step, "__call__", step)
    state, said = Training.start(settings_for(**TINY, niter=(14,)), striped()), []
    words = "stage 1, iteration 10, penalty is nan, also after 4 starts with 3 attempts each at lower rates; lower"
    with pytest.raises(CollapsedError, match=words):
        trained(state, said)
    ladder = [f"attempt {k} of 3." if k else f"start {start} of 4." for start in (1, 2, 3, 4) for k in range(4)]
    assert [line.split(", ")[-1] for line in said] == ladder[1:]


def test_going_back_restores_every_bit():
    state = Training.start(settings_for(**TINY), striped())
    step = state.enter_stage()
    step(*state.draw(3))
    state.iteration = 1
    state.keep(0.5)
    kept = {name: value.clone() for name, value in state.learned().items()}
    first_draw = state.draw(1)[0].inputs[0]
    for _ in range(3):
        step(*state.draw(3))
        state.iteration += 1
    state.go_back(state.attempt.next())
    now = state.learned()
    assert now.keys() == kept.keys()
    assert all(torch.equal(now[name], kept[name]) for name in kept)
    assert (state.iteration, state.attempt) == (1, Attempt(1, 0.5))
    assert not torch.equal(state.draw(1)[0].inputs[0], first_draw)
    step(*state.draw(3))  # the kept state must not have been handed out
    assert all(torch.equal(value, kept[name]) for name, value in state.good.tensors.items())


@pytest.mark.parametrize("stop_after", [20, 26, *also(5, 13, 21, 33)])
def test_stopped_around_a_rescue_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, stop_after):
    """Rates that need a rescue in the second look; stopped before, at and after it."""
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


# ---- a dead generator


def killed_while(monkeypatch, wanted):
    """Put tanh into saturation after each iteration of a state that is wanted."""
    real_iterate = Training.iterate

    def iterate(self):
        done = real_iterate(self)
        if wanted(self):
            with torch.no_grad():
                self.model.generator.tail.bias.fill_(50)
        return done

    monkeypatch.setattr(Training, "iterate", iterate)


def after_its_first_look(stage):
    """A place in the first start of a stage."""
    return lambda state: (state.stage, state.attempt.start) == (stage, 0) and state.iteration >= 12


def test_after_each_trouble_it_is_slower_and_then_begun_anew():
    ladder = [Attempt()]
    while (after := ladder[-1].next()) is not None:
        ladder.append(after)
    assert [(a.start, a.number) for a in ladder] == [(start, number) for start in range(4) for number in range(4)]
    rates = [full * slower for full in (1, 0.5, 0.25, 0.125) for slower in (1, 0.5, 0.05, 0.005)]
    assert [a.rate for a in ladder] == pytest.approx(rates)


def test_a_dead_state_is_not_kept_and_the_next_look_goes_back(monkeypatch):
    killed_while(monkeypatch, lambda state: state.attempt.number == 0 and state.iteration >= 12)
    kept = []
    real_keep = Training.keep
    monkeypatch.setattr(Training, "keep", lambda self, spread: (kept.append(self.iteration), real_keep(self, spread)))
    _, said = watched(niter=(50,))
    (line,) = said
    assert re.fullmatch(
        r"Stage 1, iteration 30: the generator is dead \(its values lie at the ends of their range, where 0 of the "
        r"gradient passes\)\. Going back to iteration 10 with other draws and 0\.5 times the learning rates, attempt 1 "
        r"of 3\.",
        line,
    )
    assert kept == [0, 10, 20, 30, 40, 50]


def test_one_that_is_dead_for_one_look_is_left_alone(monkeypatch):
    alive = {}

    def wanted(state):
        tail = state.model.generator.tail
        if state.iteration == 12:
            alive["bias"] = tail.bias.clone()
        if state.iteration == 22:
            with torch.no_grad():
                tail.bias.copy_(alive["bias"])
        return 12 <= state.iteration < 22

    killed_while(monkeypatch, wanted)
    _, said = watched(niter=(30,))
    assert said == []


def test_one_that_is_dead_at_the_end_of_its_stage_has_no_time(monkeypatch):
    killed_while(monkeypatch, lambda state: state.attempt.number == 0 and state.iteration == 17)
    _, said = watched(niter=(18,), train_stages=2)
    assert ["Going back to iteration 10" in line for line in said] == [True, True]


@pytest.mark.parametrize("stage", [0, 1])
def test_a_generator_that_is_dead_in_its_good_state_too_is_begun_anew(stage):
    settings = settings_for(**{**TINY, "train_stages": stage + 1}, niter=(30,))
    state, said = Training.start(settings, striped()), []
    state.enter_stage()
    if stage:
        state.leave_stage()
        state.enter_stage()
    state.iteration = 10
    state.keep(0.0)
    with torch.no_grad():
        for bias in (state.model.generator.tail.bias, state.good.tensors["generator.tail.bias"]):
            bias.fill_(50)
    state.iteration = 11
    model = trained(state, said)
    assert [("Going back" in line, "Beginning" in line) for line in said] == [(True, False)] * 3 + [(False, True)]
    assert said[-1].endswith(
        f" Beginning stage {stage + 1} anew with other random numbers and 0.5 times the learning rates, start 2 of 4."
    )
    assert model.reconstruct().abs().max() < 0.99


def test_a_new_start_of_the_first_stage_has_other_networks_from_the_seed():
    first, second = [], []
    for found in (first, second):
        state = Training.start(settings_for(**TINY), striped())
        state.enter_stage()(*state.draw(3))
        state.iteration = 1
        state.keep(0.7)
        for start in (1, 2):
            state.go_back(Attempt(0, 0.5, start))
            assert (state.iteration, state.good.iteration, state.good.spread) == (0, 0, 0.0)
            assert not any("optimiser" in name for name in state.learned())
            found.append({name: value.clone() for name, value in state.learned().items()})
    unborn = Training.start(settings_for(**TINY), striped())
    unborn.enter_stage()
    first.append(unborn.learned())
    names = [name for name in first[0] if name.endswith("weight")]
    for one, other in itertools.combinations(first, 2):
        assert not any(torch.equal(one[name], other[name]) for name in names)
    for one, other in zip(first, second, strict=False):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_new_start_of_a_later_stage_has_the_networks_that_it_began_with():
    state = Training.start(settings_for(**{**TINY, "train_stages": 2}), striped())
    state.enter_stage()
    state.keep(0.2)
    state.leave_stage()
    step = state.enter_stage()
    began = {name: value.clone() for name, value in state.learned().items()}
    drawn = state.draw(1)[0].inputs[1]
    for start in (1, 2):
        for _ in range(2):
            step(*state.draw(3))
            state.iteration += 1
        state.keep(0.7)
        state.go_back(Attempt(0, 0.5, start))
        assert (state.iteration, state.good.iteration, state.good.spread) == (0, 0, 0.2)
        now = state.learned()
        assert now.keys() == began.keys()
        assert all(torch.equal(now[name], began[name]) for name in began)
        assert not torch.equal(state.draw(1)[0].inputs[1], drawn)
        drawn = state.draw(1)[0].inputs[1]


def test_a_new_start_of_fine_tuning_has_the_trained_networks_also_with_one_stage():
    base = Training.start(settings_for(**TINY), striped())
    base.enter_stage()(*base.draw(3))
    began = {name: value.clone() for name, value in base.branches[0].learned().items()}
    branch = Branch("", base.model, base.critic, base.reals, {})
    state = Training([branch], OfOnePicture(base.reals[0], base.reals[0], 0.0))
    state.enter_stage()(*state.draw(3))
    state.go_back(Attempt(0, 0.5, 1))
    now = state.learned()
    assert now.keys() == began.keys()
    assert all(torch.equal(now[name], began[name]) for name in began)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("stop_after", [15, 66, *also(33, 65, 80)])
def test_stopped_around_a_second_start_and_resumed_equals_uninterrupted_to_the_bit(
    monkeypatch, tmp_path, stage, stop_after
):
    """The first start of a stage is dead at iteration 24, and in three attempts from 10 on: after 66 iterations."""
    changes = {"niter": (24,), "train_stages": stage + 1}
    killed_while(monkeypatch, after_its_first_look(stage))
    uninterrupted, said = watched(**changes)
    assert "start 2 of 4" in said[-1]
    run = Run.create(tmp_path, "stripes", "test")
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        watched(run=run, stop=lambda: next(calls) == stop_after + 24 * stage, **changes)
    state = resume(run, "cpu", pytest.fail)
    assert (state.stage, state.attempt.start) == (stage, int(stop_after >= 66))
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
    drawn = state.draw(3)
    terms = step(*drawn)
    begin = perf_counter()
    for _ in range(5):
        terms = step(*state.draw(3))
    iteration = (perf_counter() - begin) / 5
    begin = perf_counter()
    for _ in range(5):
        look(terms, state.learned(), state.model.generate(drawn[0].inputs, state.model.sizes), state.reals[2])
        state.keep(1.0)
    assert (perf_counter() - begin) / 5 < 0.005 * 50 * iteration
