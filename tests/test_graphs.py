"""Replayed iterations, with a recorder that stands in for CUDA's: what is recorded reads what was copied for it."""

import pytest
import torch
from test_training import same_tensors, settings_for, striped

from consingan.training.graphs import WARM, Captured
from consingan.training.optimisers import adam
from consingan.training.state import Training
from consingan.training.step import Step
from consingan.training.watchdog import Attempt


class Rerun:
    """Replays by running the region again, without any argument: it must find its inputs in place."""

    def __init__(self):
        self.warmed = self.recorded = self.replayed = 0

    def warm(self, region):
        self.warmed += 1
        return region()

    def record(self, region):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return region()

        return replay


def iterate(state, step, number):
    losses = []
    for _ in range(number):
        step.decay(1 if state.iteration < 4 else 0.1)
        losses.append({name: value.item() for name, value in step(*state.draw(2)).items()})
        state.iteration += 1
    return losses


def fresh(**changes):
    state = Training.start(settings_for(**changes), striped())
    state.enter_stage()
    return state


def test_replayed_iterations_are_the_same_iterations():
    plain, recorded, recorder = fresh(), fresh(), Rerun()
    expected = iterate(plain, plain.step, 7)
    assert iterate(recorded, Captured(recorded.step, recorder), 7) == expected
    assert same_tensors(plain.model.tensors(), recorded.model.tensors())
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (WARM, 1, 7 - WARM)


def test_after_going_back_it_is_recorded_anew():
    state, recorder = fresh(), Rerun()
    state.step = Captured(state.step, recorder)
    iterate(state, state.step, 5)
    state.keep(1.0)
    state.go_back(Attempt(1, 0.5))
    iterate(state, state.step, 5)
    assert (recorder.warmed, recorder.recorded) == (2 * WARM, 2)


def test_windows_are_not_recorded():
    state = Training.start(settings_for(train_stages=1, min_size=80, max_size=80, window="32"), striped(80, 80))
    recorder = Rerun()
    iterate(state, Captured(state.enter_stage(), recorder), 5)
    assert (recorder.warmed, recorder.recorded) == (0, 0)


def test_recorded_rates_are_tensors_that_keep_their_place():
    weight = torch.nn.Parameter(torch.ones(3))
    recorded = adam([{"params": [weight], "lr": 0.5, "initial_lr": 0.5}], 0.5, recorded=False)
    assert recorded.param_groups[0]["lr"] == 0.5
    state = fresh()
    for optimiser in state.step.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(group["lr"])
    places = [group["lr"].data_ptr() for group in state.step.learners[0].generator_optimiser.param_groups]
    state.step.decay(0.1)
    groups = state.step.learners[0].generator_optimiser.param_groups
    assert [group["lr"].data_ptr() for group in groups] == places
    assert [group["lr"].item() for group in groups] == pytest.approx([0.1 * group["initial_lr"] for group in groups])


def test_without_a_gpu_nothing_is_recorded():
    state = fresh(graphs="on")
    assert isinstance(state.step, Step)


@pytest.mark.slow
def test_compiled_networks_take_the_same_steps():
    losses = []
    for compiled in (False, True):
        state = fresh(compile=compiled, train_stages=1)
        losses.append(iterate(state, state.step, 2))
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-2, abs=1e-3)
