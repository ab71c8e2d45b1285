"""Colours of differences: the equations by a second writing, no step where light differs, the rest to the bit."""

import numpy as np
import pytest
import torch

from consingan.finish import blend
from consingan.finish.blend import blended, forward_differences, gathered, solved


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def hole_of(height, width, rows, columns):
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[slice(*rows), slice(*columns)] = True
    return hole


def test_gathering_is_the_transpose_of_differences():
    x, down, right = noise(1, 2, 5, 7), noise(1, 2, 5, 7, seed=1), noise(1, 2, 5, 7, seed=2)
    down[:, :, -1], right[:, :, :, -1] = 0, 0
    assert (x * gathered(down, right)).sum().item() == pytest.approx(
        sum((a * b).sum() for a, b in zip(forward_differences(x), (down, right), strict=True)).item(), rel=1e-5
    )


@pytest.mark.parametrize(("rows", "columns"), [((2, 7), (3, 9)), ((0, 5), (6, 12)), ((0, 9), (0, 1))])
def test_the_colours_are_those_of_a_dense_solution(rows, columns):
    """In numpy and float64, one equation a difference that has an end in the hole."""
    height, width = 9, 12
    hole, made = hole_of(height, width, rows, columns), noise(1, 1, height, width)
    said = tuple(x + 0.04 * (noise(*x.shape, seed=s) - 0.5) for s, x in enumerate(forward_differences(made), 3))
    found = blended(made, said, hole)
    number = {place: k for k, place in enumerate(zip(*np.nonzero(hole.numpy()), strict=True))}
    held = (blend.HELD / width) ** 2
    lines, wanted = [], []
    values, said = made[0, 0].double().numpy(), [x[0, 0].double().numpy() for x in said]
    for place, k in number.items():
        line = np.zeros(len(number))
        line[k] = held**0.5
        lines.append(line)
        wanted.append(held**0.5 * values[place])
    for y in range(height):
        for x in range(width):
            for axis, other in enumerate(((y + 1, x), (y, x + 1))):
                if max(other[0] - height, other[1] - width) >= 0 or not {(y, x), other} & set(number):
                    continue
                line, right = np.zeros(len(number)), said[axis][y, x]
                for place, sign in ((other, 1), ((y, x), -1)):
                    if place in number:
                        line[number[place]] += sign
                    else:
                        right -= sign * values[place]
                lines.append(line)
                wanted.append(right)
    exact = np.linalg.lstsq(np.array(lines), np.array(wanted), rcond=None)[0]
    assert np.abs(found[0, 0][hole].numpy() - exact).max() < 1e-4
    assert torch.equal(found[0, 0][~hole], made[0, 0][~hole])


def test_light_of_two_places_leaves_no_step():
    """Patches of a slope, of which half come from where it is lighter."""
    slope = torch.linspace(0.2, 0.6, 60).expand(1, 3, 40, 60).contiguous()
    hole = hole_of(40, 60, (10, 30), (15, 45))
    made = slope.clone()
    made[:, :, 10:30, 30:45] += 0.05
    found = blended(made, forward_differences(slope), hole)
    assert (made - slope).abs().max() > 0.04
    assert (found - slope).abs().max() < 0.01


def test_another_thing_at_the_rim_does_not_bleed_into_the_hole():
    picture = torch.full((1, 1, 40, 40), 0.5)
    picture[:, :, :, :10] = 0.0  # a dark thing beside the hole, and the patches say that there is none
    hole = hole_of(40, 40, (10, 30), (10, 30))
    found = blended(picture, forward_differences(torch.full_like(picture, 0.5)), hole)
    assert (found[0, 0][hole] - 0.5).abs().max() < 0.06


def test_a_large_hole_is_solved_as_well(monkeypatch):
    wanted, inside = noise(1, 1, 90, 131) - 0.5, hole_of(90, 131, (3, 88), (2, 129))
    wanted *= inside
    held = 1e-3
    found = solved(wanted, inside, held)
    monkeypatch.setattr(blend, "COARSE", 1000)
    monkeypatch.setattr(blend, "ROUNDS", 5000)
    exact = solved(wanted, inside, held)
    assert (found - exact).abs().max() < 0.02 * exact.abs().max()
