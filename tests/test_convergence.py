"""Figures of a stage by closed forms; when it stands still; that stopping early is exact over a stop and a resume."""

import itertools
from functools import partial
from math import inf, nan
from time import process_time

import pytest
import torch
from click.testing import CliRunner
from conftest import TINY
from test_training import same_tensors, settings_for, striped

from consingan import config
from consingan.command import cli
from consingan.errors import UserError
from consingan.gan import schedule
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.wgan_gp import WganGp
from consingan.grid.noise import Draw
from consingan.metrics.figures import quick_swd, swd
from consingan.storage.run import Run
from consingan.training import convergence, watchdog
from consingan.training.convergence import WINDOW, Figures, length, measure, stands_still
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor

WGAN_GP = WganGp().composed()
JUDGED = WGAN_GP.judged


def history(*values: float, every: int = 50) -> list[Figures]:
    """Figures whose reconstruction and patch distance both are the values."""
    return [Figures(every * k - 1, value, 5.0 * k, value) for k, value in enumerate(values, 1)]


def measured(iteration, real, reconstruction, fake, critic):
    return measure(iteration, Sight(real, fake, {}, {}), reconstruction, critic, WGAN_GP)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the figures


def test_figures_by_closed_forms():
    real = torch.full((1, 3, 12, 12), 0.5)
    fake = torch.full((1, 3, 12, 12), -0.5)

    def by_brightness(pictures):
        return 7 * pictures[:, :1] + 3

    found = measured(9, real, real - 0.25, fake, by_brightness)
    assert found.reconstruction == pytest.approx(0.25)
    assert found.balance == pytest.approx(2)  # told apart at every place
    assert found.convergence == pytest.approx(2.25)
    assert found.swd == pytest.approx(swd((real + 1) / 2, (fake + 1) / 2), rel=1e-4)
    assert measured(9, real, real, real, by_brightness) == Figures(9, 0.0, 0.0, 0.0)
    assert measured(9, fake, fake, real, lambda pictures: -by_brightness(pictures)).balance == pytest.approx(2)


def test_balance_does_not_depend_on_the_scale_of_the_scores():
    real, fake = 2 * noise(2, 3, 20, 20).split(1)[0] - 1, noise(1, 3, 20, 20, seed=1)
    one, other = (measured(0, real, real, fake, lambda x, s=scale: s * x[:, :1]).balance for scale in (1.0, 1000.0))
    assert one == pytest.approx(other, rel=1e-5)
    assert -2 < one < 0


def test_quick_swd_is_near_swd_and_zero_for_copies():
    real, fake = noise(1, 3, 90, 70) ** 2, noise(1, 3, 90, 70, seed=1)
    assert quick_swd(real, real) == 0
    assert quick_swd(real, fake) == pytest.approx(swd(real, fake), rel=0.05)
    assert quick_swd(real[:, :, :20, :20], fake[:, :, :20, :20]) == pytest.approx(
        swd(real[:, :, :20, :20], fake[:, :, :20, :20]), rel=0.05
    )


# ---- standing still


def test_standing_still_is_no_better_mean_than_before():
    before, now = [1.0] * WINDOW, [0.98] * WINDOW
    assert stands_still(history(*before, *now), 0.03, JUDGED)
    assert not stands_still(history(*before, *now), 0.01, JUDGED)
    assert not stands_still(history(*before, *now[1:]), 0.03, JUDGED)
    assert stands_still(history(*[0.1] * 5, *before, *now), 0.03, JUDGED)  # what was earlier does not count
    assert stands_still(history(*now, *before), 0.0, JUDGED)  # worse is not better
    assert not stands_still(history(*before, nan, *now[1:]), 0.03, JUDGED)
    one_falls = [Figures(f.iteration, 1.0, 0.0, f.swd) for f in history(*before, *[0.5] * WINDOW)]
    assert not stands_still(one_falls, 0.03, JUDGED)


def test_a_stage_that_stands_still_gets_its_decayed_fifth_at_once():
    still = history(*[1.0] * 2 * WINDOW)
    now = still[-1].iteration + 1
    assert length(still[:-1], 10_000, 0.03, JUDGED) == 10_000
    shorter = length(still, 10_000, 0.03, JUDGED)
    assert shorter == now * 5 / 4
    assert schedule.step(now - 1, shorter, 0.1) == 1
    assert schedule.step(now, shorter, 0.1) == 0.1
    assert length(still + history(*[0.1] * 30)[2 * WINDOW :], 10_000, 0.03, JUDGED) == shorter  # decided is decided
    assert length(still, shorter, 0.03, JUDGED) == shorter
    assert length(still, now, 0.03, JUDGED) == now  # never longer than it would be


def test_decay_begins_at_any_iteration():
    for iteration in range(1, 500):
        iterations = schedule.decaying_now(iteration)
        assert [schedule.step(i, iterations, 0.5) for i in (iteration - 1, iteration)] == [1, 0.5]


# ---- in training


STILL = {"niter": (40,), "train_stages": 2, "stop": "auto", "stop_tolerance": 1.0}  # still as soon as can be


@pytest.fixture
def often(monkeypatch):
    """Figures every two iterations, four of them for a judgement: iteration 8, so that a stage has 10."""
    monkeypatch.setattr(watchdog, "EVERY", 2)
    monkeypatch.setattr(convergence, "WINDOW", 2)


def logged(folder, **changes) -> list[dict]:
    with Monitor(folder / "log.jsonl", "quiet", log_every=1) as monitor:
        train(Training.start(settings_for(**changes), striped()), monitor)
    return read_log(folder / "log.jsonl")


def test_the_log_holds_figures_in_their_form(tmp_path):
    log = logged(tmp_path, niter=(3,), train_stages=1)
    assert [record["event"] for record in log] == ["begin_stage", *["iteration"] * 3, "figures", "stage"]
    figures = log[-2]
    assert list(figures) == [
        "event", "stage", "iteration", "time_s", "reconstruction", "balance", "convergence", "swd"]  # fmt: skip
    assert (figures["stage"], figures["iteration"]) == (0, 2)
    assert 0 < figures["reconstruction"] < 2
    assert figures["convergence"] == figures["reconstruction"] + abs(figures["balance"])


def test_auto_ends_a_stage_that_stands_still(often, tmp_path, monkeypatch):
    factors = []
    monkeypatch.setitem(schedule.DECAYS, "step", lambda *a: factors.append(schedule.step(*a)) or factors[-1])
    log = logged(tmp_path, **STILL)
    assert [record["iterations"] for record in log if record["event"] == "stage"] == [10, 10]
    assert factors == ([1.0] * 8 + [0.1] * 2) * 2
    assert [r["iteration"] for r in log if r["event"] == "figures"] == [1, 3, 5, 7, 9] * 2
    assert [r["text"] for r in log if r["event"] == "message"] == [
        f"Stage {stage} stands still at iteration 8 of 40: the rates fall now, and it ends at 10." for stage in (1, 2)
    ]


def test_niter_is_the_bound_and_the_default(often, tmp_path):
    for number, changes in enumerate([{"stop_tolerance": 0.0, "niter": (9,)}, {"stop": "niter", "niter": (15,)}]):
        (tmp_path / str(number)).mkdir()
        log = logged(tmp_path / str(number), **{**STILL, **changes})
        assert [r["iterations"] for r in log if r["event"] == "stage"] == list(changes["niter"]) * 2
        assert not [r for r in log if r["event"] == "message"]
    assert config.Stopping().stop == "niter"


@pytest.mark.parametrize("stop_after", [1, 5, 7, 8, 9, 10, 13, 18])
def test_stopping_early_is_the_same_to_the_bit_after_a_resume(often, tmp_path, stop_after):
    state = Training.start(settings_for(**STILL), striped())
    uninterrupted = train(state, Monitor(display="quiet")).tensors()
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(**STILL), striped())
    write_start(state, run)
    calls = itertools.count(1)
    with Monitor(run.log, "quiet", log_every=1) as monitor, pytest.raises(StoppedError):
        train(state, monitor, run, stop=lambda: next(calls) == stop_after)
    with Monitor(run.log, "quiet", log_every=1) as monitor:
        resumed = resume(run, "cpu", pytest.fail)
        assert resumed.figures == state.figures
        assert same_tensors(train(resumed, monitor, run).tensors(), uninterrupted)
    log = read_log(run.log)
    for event, iterations in (("iteration", [*range(10)] * 2), ("figures", [1, 3, 5, 7, 9] * 2)):
        assert [r["iteration"] for r in log if r["event"] == event] == iterations
    assert len([r for r in log if r["event"] == "message"]) == 2


def test_going_back_forgets_the_figures_after_it(often):
    state = Training.start(settings_for(**STILL), striped())
    state.enter_stage()
    state.iteration, state.figures = 8, history(*[1.0] * 4, every=2)
    assert state.length() == 10
    state.good = watchdog.Good(4, 1.0, {name: value.clone() for name, value in state.learned().items()})
    state.go_back(watchdog.Attempt(1, 0.5))
    assert [figures.iteration for figures in state.figures] == [1, 3]
    assert state.length() == 40
    state.leave_stage()
    assert state.figures == []


def test_figures_of_a_stage_that_is_trained_on_windows_are_of_one_window():
    state = Training.start(settings_for(window="32", train_stages=2, max_size=80), striped(60, 80))
    state.enter_stage()
    state.leave_stage()
    state.enter_stage()
    window = state._entered(state.branches[0], Draw(0, ("figures",))).window
    assert window is not None
    whole = measured(-1, state.reals[1], state.model.reconstruct(), state.reals[1], state.critic)
    here = window.cut(state.model.reconstruct()) - window.cut(state.reals[1])
    found = state.measure()
    assert found == state.measure()
    assert found.reconstruction == pytest.approx(here.square().mean().sqrt().item(), rel=1e-4)
    assert found.reconstruction != pytest.approx(whole.reconstruction, rel=1e-4)


def test_figures_do_not_change_the_training(monkeypatch):
    def model() -> dict:
        return train(Training.start(settings_for(niter=(4,)), striped()), Monitor(display="quiet")).tensors()

    wanted = model()
    monkeypatch.setattr(watchdog, "EVERY", 1)
    assert same_tensors(model(), wanted)


def test_with_auto_the_estimate_is_a_bound(picture_file):
    for words, expected in (([], " px, about "), (["--stop", "auto"], " px, at most about ")):
        result = CliRunner().invoke(cli.train, [str(picture_file), *TINY, *words, "--dry-run"], catch_exceptions=False)
        assert expected in result.stdout


@pytest.mark.parametrize("value", [inf, nan])
def test_a_tolerance_that_is_none_is_refused(value):
    with pytest.raises(UserError, match="--stop_tolerance"):
        settings_for(stop_tolerance=value)


def seconds(work, times):
    """Of the processor, for one call."""
    work()
    begin = process_time()
    for _ in range(times):
        work()
    return (process_time() - begin) / times


@pytest.mark.slow
def test_figures_cost_less_than_two_per_cent_of_fifty_iterations():
    state = Training.start(settings_for(nfc=32, train_stages=2, max_size=60, Dsteps=1), striped(45, 60))
    for _ in range(2):
        step, drawn = state.enter_stage(), state.draw(1)
        assert seconds(state.measure, 10) < 0.02 * watchdog.EVERY * seconds(partial(step, *drawn), 20)
        state.leave_stage()
