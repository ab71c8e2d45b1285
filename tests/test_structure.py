import numpy as np
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


# ---- at several scales


def windows(x):
    """The pixels of the picture within 3 px of each pixel, as far as there are any."""
    height, width = x.shape
    return [x[max(0, r - 3) : r + 4, max(0, c - 3) : c + 4].ravel() for r in range(height) for c in range(width)]


def blocks(x, by):
    """Means of squares of pixels, those at the far borders of what is left."""
    height, width = x.shape
    return np.array([[x[r : r + by, c : c + by].mean() for c in range(0, width, by)] for r in range(0, height, by)])


def likeness(a, b):
    """The mean over windows of the correlation, 0.003 being added to each of its three parts."""
    found = []
    for one, two in zip(windows(a), windows(b), strict=True):
        (of_a, both), (_, of_b) = np.cov(one, two, bias=True) + 0.003
        found.append(both / np.sqrt(of_a * of_b))
    return np.mean(found)


def random(seed, height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("size", [(12, 10), (9, 14), (5, 1)])
@pytest.mark.parametrize("coarser", [(1,), (2,), (1, 2, 4)])
def test_scales_count_alike(size, coarser):
    a, b = random(1, *size), random(2, *size)
    one, two = (np.asarray(x)[0].mean(0) for x in (a, b))
    wanted = np.mean([1 - likeness(blocks(one, by), blocks(two, by)) for by in coarser])
    assert structure.differences(a, b, coarser).item() == pytest.approx(wanted, rel=1e-10)
    assert structure.differences(a, a, coarser).item() == pytest.approx(0, abs=1e-12)


def test_its_gradient_is_that_of_small_steps():
    a, b = random(3, 7, 6), random(4, 7, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: structure.differences(a, x, (1, 2)), b)


def test_what_is_flat_gives_numbers():
    flat = torch.full((1, 3, 12, 12), 0.4)
    for a, b in ((flat, flat), (flat, PICTURE[:, :, :12, :12]), (PICTURE[:, :, :12, :12], flat)):
        made = b.clone().requires_grad_()
        lost = structure.differences(a, made, (1, 2))
        lost.backward()
        assert 0 <= lost.item() < 1
        assert made.grad.isfinite().all()
    assert structure.differences(flat, flat, (1, 2)).item() == pytest.approx(0, abs=1e-6)
