"""Layouts that vary: from the picture itself, over pieces that have moved, to noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from consingan.layouts import KNOTS, MOVE, mixed, moved, varied
from consingan.noise import Draw


@dataclass(frozen=True)
class Constant:
    """Stands for a ``Draw``: the same displacement everywhere.

    Args:
        right, down: along each axis, in deviations.
    """

    right: float
    down: float

    def normal(self, shape: Sequence[int]) -> Tensor:
        return torch.tensor([float(self.right), float(self.down)]).view(1, 2, 1, 1).expand(tuple(shape)).contiguous()


def spot(height: int, width: int, row: int, column: int) -> Tensor:
    picture = torch.zeros(1, 3, height, width)
    picture[:, :, row, column] = 1
    return picture


def test_no_variation_is_the_picture_itself():
    picture, noise = Draw(0).normal((1, 3, 20, 30)), Draw(1).normal((1, 3, 20, 30))
    assert torch.equal(varied(picture, noise, 0, Draw(2)), picture)
    assert torch.equal(varied(picture, noise, 0.0, Constant(5, 5)), picture)
    assert torch.equal(moved(picture, 0, Draw(2)), picture)
    assert torch.equal(varied(picture.fill_(torch.nan), noise, 1, Draw(2)), noise)


@pytest.mark.parametrize("variation", [0.25, 0.5])
def test_between_them_is_a_mixture_of_what_has_moved(variation):
    picture, noise = Draw(0).normal((1, 3, 20, 30)), Draw(1).normal((1, 3, 20, 30))
    had = varied(picture, noise, variation, Draw(2))
    wanted = (1 - variation) * moved(picture, MOVE * variation, Draw(2)) + variation * noise
    assert torch.equal(had, wanted)
    assert torch.equal(mixed(picture, noise, variation), (1 - variation) * picture + variation * noise)
    assert mixed(picture, noise, 0).equal(picture)
    assert mixed(picture, noise, 1).equal(noise)


@pytest.mark.parametrize("size", [(21, 41), (41, 21), (33, 33)])
@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-1, 2), (0, 0)])
def test_a_spot_moves_by_the_amount(size, right, down):
    """An amount is a share of the longer side: 0.1 of 41 px is 4.1, whatever the axis."""
    height, width = size
    longer = max(size)
    made = moved(spot(height, width, 10, 10), 0.1, Constant(right, down))[0, 0]
    # shown is what lies so far away; places are in steps of 2 / (side - 1), amounts in steps of 2 / side
    rows, columns = torch.arange(height), torch.arange(width)
    weight = made.sum()
    row, column = ((made.sum(1) * rows).sum() / weight).item(), ((made.sum(0) * columns).sum() / weight).item()
    assert row == pytest.approx(10 - 0.1 * longer * down * (height - 1) / height, abs=1e-4)
    assert column == pytest.approx(10 - 0.1 * longer * right * (width - 1) / width, abs=1e-4)
    assert weight.item() == pytest.approx(1, abs=1e-4)


def test_beyond_its_borders_the_picture_is_mirrored():
    ramp = torch.arange(11.0).expand(1, 1, 11, 11)
    made = moved(ramp, 0.2, Constant(1, 0))[0, 0, 5]  # by two pixels, nearly: 2.2 * 10 / 11
    assert made.tolist() == pytest.approx([2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 8], abs=1e-5)


def test_displacements_are_smooth_and_of_the_deviation():
    """A ramp shows how far each place has moved."""
    width, amount = 400, 0.01
    ramp = torch.arange(float(width)).expand(1, 1, width, width)
    shifts = torch.cat([moved(ramp, amount, Draw(seed)) - ramp for seed in range(12)])[:, 0, 20:-20, 20:-20]
    assert shifts.square().mean().sqrt().item() == pytest.approx(amount * width, rel=0.4)  # at the knots; less between
    assert shifts.diff(dim=2).abs().max() < 10 * amount * KNOTS  # per px, where knots lie width / KNOTS apart
    assert not torch.equal(shifts[0], shifts[1])
    assert torch.equal(moved(ramp, amount, Draw(1)), moved(ramp, amount, Draw(1)))


def test_twice_the_amount_moves_twice_as_far():
    ramp = torch.arange(200.0).expand(1, 1, 200, 200)
    once, twice = ((moved(ramp, amount, Draw(4)) - ramp)[:, :, :, 40:160] for amount in (0.01, 0.02))
    torch.testing.assert_close(twice, 2 * once, rtol=0, atol=1e-3)
