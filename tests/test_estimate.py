"""What a training will cost: measured stages as measured, the others by their work, within the time allowed."""

import math
from itertools import pairwise

import pytest
import torch

from consingan import config
from consingan.training import estimate as estimate_module
from consingan.training.estimate import BYTES_PER_PIXEL, Estimate, estimate, passes, work
from consingan.training.state import Training

SPEED = 1e-6  # seconds per unit of work
PLAIN = 0.2 + 2 * 0.05  # seconds of a stage beside its iterations, where samples are as the generator made them


def settings_of(**values):
    values = {"train_stages": 6, "min_size": 25, "max_size": 64, "nfc": 1, "num_layer": 1, "niter": 10} | values
    return config.resolve("generation", "a.png", ("test", values))[0]


@pytest.fixture
def picture():
    return torch.linspace(-1, 1, 3 * 48 * 64).reshape(1, 3, 48, 64)


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still but for the iterations, two per stage; ``measured`` tells the stages that were run."""

    class Clock:
        def __init__(self) -> None:
            self.now, self.measured = 0.0, []

        def __call__(self) -> float:
            return self.now

    clock = Clock()

    def seconds_of_one(state: Training) -> float:
        state.enter_stage()
        seconds = SPEED * work(state, state.stage)
        clock.now += 2 * seconds
        clock.measured.append(state.stage)
        return seconds

    monkeypatch.setattr(estimate_module, "perf_counter", clock)
    monkeypatch.setattr(estimate_module, "_seconds_of_one", seconds_of_one)
    return clock


def works(settings, picture) -> list[float]:
    """What an iteration of each stage costs by the clock above, in units of ``SPEED``."""
    state = Training.start(settings, picture)
    return [work(state, stage) for stage in range(len(state.reals))]


def between(settings, picture) -> float:
    """Seconds by that clock of the pictures that are made between the iterations, and of what is done beside."""
    sizes = Training.start(settings, picture).model.sizes
    return SPEED * sum(passes(sizes[: stage + 1]) for stage in range(len(sizes))) + PLAIN * len(sizes)


def test_weights_are_seconds_per_stage_and_sum_to_the_whole():
    cost = Estimate([0.5, 2.0, 3.0], 10 * 0.5 + 4 * 2.0 + 4 * 3.0, 100.0)
    assert cost.weights(settings_of(train_stages=3, niter=(10, 4))) == [5.0, 8.0, 12.0]
    assert sum(cost.weights(settings_of(train_stages=3, niter=(10, 4)))) == cost.seconds


@pytest.mark.parametrize("niter", [10, (10, 5), (9, 8, 7, 6, 5, 4)])
def test_the_whole_is_the_sum_over_all_iterations(picture, clock, niter):
    settings = settings_of(niter=niter)
    cost = estimate(Training.start(settings, picture))
    expected = [
        SPEED * count * config.iterations(settings.optimisation.niter, stage)
        for stage, count in enumerate(works(settings, picture))
    ]
    assert cost.weights(settings) == pytest.approx(expected)
    assert cost.seconds == pytest.approx(sum(expected) + between(settings, picture))
    assert clock.measured == list(range(6))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 0.9])
def test_what_is_not_measured_follows_from_its_work(picture, clock, share):
    """The time that is needed is proportional to the work here, so the extrapolation must be exact."""
    settings = settings_of()
    counts = works(settings, picture)
    cost = estimate(Training.start(settings, picture), budget=share * 2 * SPEED * sum(counts))
    assert cost.per_iteration == pytest.approx([SPEED * count for count in counts])
    assert 2 <= len(clock.measured) < 6
    assert clock.measured == list(range(len(clock.measured)))


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9, 1.001])
def test_the_time_allowed_is_kept(picture, clock, share):
    settings = settings_of()
    counts = works(settings, picture)
    budget = share * 2 * SPEED * sum(counts)
    estimate(Training.start(settings, picture), budget=budget)
    assert clock.now <= budget
    measured = len(clock.measured)
    if measured < 6:  # one stage more would have been too much
        assert clock.now + 2 * SPEED * counts[measured] > budget


@pytest.mark.parametrize("stages", [1, 2])
def test_two_stages_are_always_measured(picture, clock, stages):
    cost = estimate(Training.start(settings_of(train_stages=stages), picture), budget=0.0)
    assert clock.measured == list(range(stages))
    assert len(cost.per_iteration) == stages


def test_the_first_iteration_of_a_stage_warms_up_and_does_not_count(picture, monkeypatch):
    times = iter([0.0, 5.0, 8.0])  # begin of the first, begin of the second, end
    monkeypatch.setattr(estimate_module, "perf_counter", lambda: next(times))
    state = Training.start(settings_of(train_stages=1), picture)
    assert estimate_module._seconds_of_one(state) == 3.0
    assert state.iteration == 2


def test_a_training_that_begins_in_its_last_stage_costs_that_stage(picture, clock):
    settings = settings_of(train_stages=3, niter=(9, 8, 7))
    state = Training.start(settings, picture)
    for _ in range(2):
        state.enter_stage()
        state.leave_stage()
    last = SPEED * works(settings, picture)[2]
    cost = estimate(state)
    assert cost.per_iteration == [0.0, 0.0, last]
    assert cost.weights(settings) == [0.0, 0.0, 7 * last]
    assert cost.seconds == pytest.approx(7 * last + SPEED * passes(state.model.sizes) + PLAIN)


def held(state: Training) -> dict[str, torch.Tensor]:
    """Networks and pictures of a training."""
    parts = {"generator": state.model.generator.state_dict(), "critic": state.critic.state_dict()}
    tensors = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    return tensors | {f"real.{i}": x for i, x in enumerate(state.reals)} | {"photo": state.model.photo.pixels}


def test_real_iterations_are_timed_and_leave_no_trace(picture):
    settings = settings_of(train_stages=3)
    before = torch.get_rng_state()
    state = Training.start(settings, picture)
    untouched = {name: value.clone() for name, value in held(state).items()}
    cost = estimate(state)
    assert all(0 < seconds < 10 for seconds in cost.per_iteration)
    iterations = 10 * sum(cost.per_iteration)
    assert iterations < cost.seconds - 3 * PLAIN < 2 * iterations
    assert 10 < cost.peak_mb < 100_000
    assert torch.equal(torch.get_rng_state(), before)
    assert (state.stage, state.iteration, state.step, state.model.stages) == (0, 0, None, 0)
    now = held(state)
    assert now.keys() == untouched.keys()
    assert all(torch.equal(now[name], value) for name, value in untouched.items())


def test_what_is_tried_has_networks_of_its_own_and_the_same_pictures(picture):
    state = Training.start(settings_of(train_stages=3), picture)
    tried = estimate_module.trial(state)
    assert all(a is b for a, b in zip(tried.reals, state.reals, strict=True))
    assert tried.model.photo is state.model.photo
    for one, other in ((tried.model.generator, state.model.generator), (tried.critic, state.critic)):
        pairs = list(zip(one.parameters(), other.parameters(), strict=True))
        assert pairs
        assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)
        assert all(a.stride() == b.stride() for a, b in pairs)


def test_memory_grows_with_the_stages_that_are_not_measured(picture, clock, monkeypatch):
    """Two measured stages at 100 and 110 MB: the others follow by their growth from the second on."""
    used = iter([100.0, 110.0])
    monkeypatch.setattr(estimate_module, "peak_memory", lambda: (next(used), "process"))
    settings = settings_of()
    counts = works(settings, picture)
    cost = estimate(Training.start(settings, picture), budget=0.0)
    sizes = Training.start(settings, picture).model.sizes
    pixels = [height * width for height, width in sizes]
    pictures = BYTES_PER_PIXEL * (pixels[-1] - pixels[1]) / 2**20
    expected = 110.0
    for before, after in pairwise(counts[1:]):
        expected += (expected - 100.0) * (after / before - 1)
    assert cost.peak_mb == pytest.approx(expected + pictures)
    assert cost.peak_mb == pytest.approx(100.0 + 10.0 * counts[-1] / counts[1] + pictures)


def test_the_work_of_a_whole_picture_by_hand(picture):
    """Stage 2 of three, of which two learn: two passes of the frozen one, six of the others, 33 of the critic."""
    settings = settings_of(train_stages=3, train_depth=2, Dsteps=3)
    state = Training.start(settings, picture)
    first, second, third = (height * width for height, width in state.model.sizes)
    assert work(state, 2) == 2 * first + 6 * second + 6 * third + 33 * third
    assert work(state, 0) == 6 * first + 33 * first


def test_with_windows_the_work_does_not_grow_with_the_picture():
    state = Training.start(settings_of(max_size=2000, train_stages=10), torch.zeros(1, 3, 1500, 2000))
    last = [work(state, stage) for stage in range(10) if math.prod(state.model.sizes[stage]) > 256**2]
    assert len(last) == 3
    assert max(last) < 1.25 * min(last)
    state.widest = 96
    assert work(state, 9) < 0.4 * last[-1]


def test_previews_of_a_large_picture_are_fewer():
    assert passes([(25, 38), (100, 150)]) == 5 * (25 * 38 + 100 * 150)
    assert passes([(1365, 2048)]) == 3 * 1365 * 2048


def test_memory_that_runs_out_while_it_is_estimated_makes_the_window_smaller(picture, monkeypatch):
    own, calls = Training.iterate, []

    def tight(state):
        calls.append(state.widest)
        return None if state.widest is None else own(state)

    monkeypatch.setattr(Training, "iterate", tight)
    state = Training.start(settings_of(train_stages=1, min_size=48), picture)
    assert estimate_module._seconds_of_one(state) > 0
    assert calls == [None, 32, 32]


def test_memory_that_cannot_be_told_is_not_a_number(picture, clock, monkeypatch):
    monkeypatch.setattr(estimate_module, "peak_memory", lambda: (None, "process"))
    assert math.isnan(estimate(Training.start(settings_of(train_stages=2), picture)).peak_mb)


def test_pictures_of_the_result_and_the_report_are_part_of_the_time(picture, clock):
    def seconds(**values) -> float:
        return estimate(Training.start(settings_of(**values), picture)).seconds

    first, after, on_the_way = 2.5, 4.9, 0.85
    plain = seconds()
    assert seconds(finish="patches") == pytest.approx(plain + first + 6 * (after + 2 * on_the_way - PLAIN))
    often = seconds(finish="patches", snapshot_every=2)  # five in ten iterations
    assert often == pytest.approx(plain + first + 6 * (after + 5 * on_the_way - PLAIN))


def test_a_training_that_goes_on_knows_its_stages_by_their_work(picture):
    settings = settings_of(niter=(9, 8, 7), train_stages=3)
    state = Training.start(settings, picture)
    counts = works(settings, picture)
    assert estimate_module.relative(state) == [9 * counts[0], 8 * counts[1], 7 * counts[2]]
