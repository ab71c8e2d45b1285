from itertools import pairwise

import pytest
import torch

from consingan.gan.generator import GrowingGenerator
from consingan.gan.schedule import DECAYS, first_learning, linear, parameter_groups, rates, step

TABLE = {  # newest stage -> part -> rate in units of lr, for train_depth 3 and lr_scale 0.1
    0: {"0": 1, "head": 1, "tail": 1},
    1: {"0": 0.1, "1": 1, "head": 0.1, "tail": 1},
    2: {"0": 0.01, "1": 0.1, "2": 1, "head": 0.01, "tail": 1},
    3: {"1": 0.01, "2": 0.1, "3": 1, "tail": 1},
    4: {"2": 0.01, "3": 0.1, "4": 1, "tail": 1},
    5: {"3": 0.01, "4": 0.1, "5": 1, "tail": 1},
}


@pytest.mark.parametrize("stage", TABLE)
def test_published_rates(stage):
    assert rates(stage, 3, 5e-4, 0.1) == pytest.approx({part: 5e-4 * rate for part, rate in TABLE[stage].items()})


def test_depth_one_trains_stage_by_stage():
    assert rates(0, 1, 1.0, 0.1) == {"0": 1.0, "head": 1.0, "tail": 1.0}
    assert rates(4, 1, 1.0, 0.1) == {"4": 1.0, "tail": 1.0}


def test_more_depth_than_stages_trains_all():
    assert first_learning(2, 10) == 0
    assert set(rates(2, 10, 1.0, 0.5)) == {"0", "1", "2", "head", "tail"}


def test_groups_hold_every_learning_parameter_once_and_freeze_the_rest():
    generator = GrowingGenerator(features=2)
    for _ in range(4):
        generator.grow()
    groups = parameter_groups(generator, 3, 1e-3, 0.1)
    held = [p for group in groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in generator.parameters() if p.requires_grad} == {id(p) for p in held}
    assert not any(p.requires_grad for part in (generator.head, *generator.stages[:2]) for p in part.parameters())
    assert [group["lr"] for group in groups] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-3])


def test_a_stage_that_was_frozen_can_learn_again():
    generator = GrowingGenerator(features=2)
    generator.requires_grad_(False)
    parameter_groups(generator, 1, 1.0, 0.1)
    assert all(p.requires_grad for p in generator.parameters())


@pytest.mark.parametrize(("iterations", "first"), [(2000, 1600), (1, 1), (3, 2), (7, 6), (1001, 801)])
def test_steps_down_at_eighty_per_cent_also_where_that_is_not_whole(iterations, first):
    factors = [step(i, iterations, 0.1) for i in range(iterations)]
    assert factors == [1.0] * first + [0.1] * (iterations - first)
    assert torch.tensor(factors).sum() > 0


def test_linear_is_level_until_forty_per_cent_then_falls_straight_to_gamma():
    factors = [linear(i, 4000, 0.02) for i in range(4000)]
    assert factors[:1600] == [1.0] * 1600
    falls = [a - b for a, b in pairwise(factors[1600:])]
    assert falls == pytest.approx([0.98 / 2400] * len(falls))
    assert factors[-1] == pytest.approx(0.02)


@pytest.mark.parametrize(("iterations", "level"), [(8000, 1.0), (4000, 1.0), (1000, 0.5), (40, 0.1)])
def test_short_stages_begin_lower(iterations, level):
    assert linear(0, iterations, 0.1) == pytest.approx(level)
    assert linear(iterations - 1, iterations, 0.1) == pytest.approx(0.1 * level)


@pytest.mark.parametrize("law", DECAYS.values())
@pytest.mark.parametrize("iterations", [1, 2, 3, 10])
def test_rates_stay_positive_and_never_rise(law, iterations):
    factors = [law(i, iterations, 0.1) for i in range(iterations)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] > 0
