import pytest
import torch

from consingan.pictures import structure

PICTURE = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (0.5, 0.3), (2, -1)])
def test_brightness_and_contrast_do_not_count(gain, offset):
    assert structure.difference(PICTURE, gain * PICTURE + offset).item() == pytest.approx(0, abs=0.02)


def test_a_negative_has_the_opposite_structure():
    assert structure.difference(PICTURE, -PICTURE).item() == pytest.approx(2, abs=0.15)


def test_the_hue_does_not_count():
    assert structure.difference(PICTURE, PICTURE[:, [2, 0, 1]]).item() == pytest.approx(0, abs=1e-6)


def test_flat_pictures_have_the_same_structure():
    flat = torch.full((1, 3, 12, 12), 0.9)
    assert structure.difference(flat, -flat).item() == pytest.approx(0, abs=1e-6)


def test_what_is_flat_in_one_only_counts_by_its_contrast():
    board = torch.tensor([1.0, -1.0]).repeat(6, 6)[None, None]
    lost = [structure.difference(a * board, torch.zeros(1, 1, 6, 12)).item() for a in (0.01, 0.05, 0.5)]
    expected = [1 - (1 + a**2 / structure.FAINT) ** -0.5 for a in (0.01, 0.05, 0.5)]
    assert lost == pytest.approx(expected, abs=0.02)


def test_other_noise_has_no_structure_in_common():
    other = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert structure.difference(PICTURE, other).item() == pytest.approx(1, abs=0.1)
