"""A window of a picture is computed from the parts of the stages that it depends on, and equals the whole there."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consingan.gan.generator import GrowingGenerator
from consingan.grid.resize import aligned_span, aligned_weights
from consingan.grid.windows import Window, at_random

SIZES = [(25, 19), (33, 26), (47, 40), (70, 61)]
WINDOWS = [
    Window((0, 70), (0, 61)),
    Window((0, 16), (0, 16)),
    Window((54, 70), (45, 61)),
    Window((20, 37), (0, 61)),
    Window((31, 47), (3, 20)),
    Window((69, 70), (30, 31)),
]


def grown(border, kernel, padding):
    torch.manual_seed(0)
    generator = GrowingGenerator(features=6, kernel=kernel, padding=padding, border=border)
    for _ in SIZES[1:]:
        generator.grow()
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    return generator.double()


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("border", ["extend", "zero"])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 0), (3, 1), (5, 0), (5, 1), (1, 0)])
def test_a_window_equals_that_part_of_the_whole(border, kernel, padding, window):
    generator = grown(border, kernel, padding)
    shapes = [generator.input_shape(stage, size) for stage, size in enumerate(SIZES)]
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    amplitudes = [1.0, 0.5, 0.5, 0.5]
    parts = generator.parts(SIZES, window)
    cut = [part.noise.cut(x) for part, x in zip(parts, inputs, strict=True)]
    with torch.no_grad():
        whole = generator(inputs, amplitudes, SIZES)
        part = generator(cut, amplitudes, SIZES, window=window)
        below = generator.features(cut[:2], amplitudes, SIZES, wanted=parts[:2])
        from_below = generator(cut, amplitudes, SIZES, 2, below, window)
    assert part.shape[2:] == window.size
    torch.testing.assert_close(part, window.cut(whole), rtol=0, atol=1e-12)
    torch.testing.assert_close(from_below, part, rtol=0, atol=1e-12)


def test_a_small_window_takes_a_small_part_of_every_stage():
    sizes = [(25, 38), (60, 90), (400, 600), (1000, 1500)]
    parts = GrowingGenerator(features=4).parts(sizes, Window((500, 580), (700, 780)))
    assert [part.noise.size for part in parts[1:]] == [(16, 17), (44, 44), (88, 88)]
    assert parts[0].noise.size == sizes[0]


@given(st.integers(2, 60), st.integers(2, 90), st.data())
def test_the_span_holds_every_input_that_has_weight(n_in, n_out, data):
    first = data.draw(st.integers(0, n_out - 1))
    wanted = (first, data.draw(st.integers(first + 1, n_out)))
    span = aligned_span(n_in, n_out, wanted)
    whole = aligned_weights(n_in, n_out)[slice(*wanted)]
    outside = [column for column in range(n_in) if not span[0] <= column < span[1]]
    assert not whole[:, outside].any()
    assert (aligned_weights(n_in, n_out, wanted, span) == whole[:, slice(*span)]).all()


@given(st.integers(8, 300), st.integers(8, 300), st.integers(8, 100), st.floats(0, 1, exclude_max=True), st.data())
def test_a_random_window_lies_in_the_picture(height, width, side, u, data):
    window = at_random((height, width), side, (u, data.draw(st.floats(0, 1, exclude_max=True))))
    assert 0 <= window.rows[0] < window.rows[1] <= height
    assert 0 <= window.columns[0] < window.columns[1] <= width
    assert window.size in ((min(side, height), min(side, width)), (height, width))


def test_the_border_is_seen_as_often_as_the_middle():
    seen = torch.zeros(200, 300)
    places = [(k + 0.5) / 64 for k in range(64)]
    for where in product(places, places):
        window = at_random((200, 300), 80, where)
        seen[slice(*window.rows), slice(*window.columns)] += 1
    assert seen[0].mean() > 0.95 * seen[90:110].mean()
    assert seen[:, -1].mean() > 0.95 * seen[:, 140:160].mean()
    assert seen[0, 0] > 0.9 * seen[100, 150]


def test_a_window_that_would_be_most_of_the_picture_is_the_whole():
    assert at_random((60, 90), 80, (0.5, 0.5)) == Window.whole((60, 90))
    assert at_random((115, 171), 80, (0.5, 0.5)).size == (80, 80)
