from itertools import pairwise

import pytest
import torch

from consingan.pictures import pyramid
from consingan.pictures.pyramid import geometric, rescaling, sizes


def test_published_sizes():
    assert sizes((188, 250), 6, 25, 250) == [(25, 34), (32, 42), (42, 56), (63, 84), (126, 167), (188, 250)]
    assert sizes((167, 250), 6, 25, 250) == [(25, 38), (31, 47), (41, 61), (60, 89), (115, 171), (167, 250)]


def test_a_larger_picture_is_shrunk_and_a_smaller_one_is_not_enlarged():
    assert sizes((376, 500), 6, 25, 250)[-1] == (188, 250)
    assert sizes((100, 120), 6, 25, 250)[-1] == (100, 120)


@pytest.mark.parametrize("law", [rescaling, geometric])
@pytest.mark.parametrize("stages", [1, 2, 3, 6, 12])
def test_laws_end_at_one_and_begin_at_the_ratio(law, stages):
    scales = law(stages, 0.15)
    assert len(scales) == stages
    assert scales[-1] == 1
    assert scales == sorted(scales)
    if stages > 1:
        assert scales[0] == pytest.approx(0.15)


def test_geometric_factor_is_constant():
    scales = geometric(5, 0.1)
    factors = [b / a for a, b in pairwise(scales)]
    assert factors == pytest.approx([0.1**-0.25] * 4)


def test_rescaling_has_more_small_stages_than_geometric():
    assert all(a <= b for a, b in zip(rescaling(6, 0.1), geometric(6, 0.1), strict=True))
    assert rescaling(6, 0.1)[3] < 0.75 * geometric(6, 0.1)[3]


def test_a_picture_below_min_size_keeps_its_size():
    assert sizes((20, 30), 3, 25, 250) == [(20, 30)] * 3


def test_build_keeps_range_and_the_last_is_the_picture():
    picture = torch.where(torch.rand(1, 3, 40, 60) > 0.5, 1.0, -1.0)
    reals = pyramid.build(picture, [(20, 30), (40, 60)])
    assert torch.equal(reals[1], picture)
    assert reals[0].shape == (1, 3, 20, 30)
    assert reals[0].abs().max() <= 1
