"""The painting's hand: what it takes over, what it leaves."""

from pathlib import Path

import pytest
import torch

from consingan.applications import cases
from consingan.applications.cases import Applied, Case
from consingan.finish import hand
from consingan.grid.resize import resize
from consingan.pictures import masks


def random_picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def box_mask(height, width, margin=20):
    """1 but for a border of 0."""
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, margin:-margin, margin:-margin] = 1
    return mask


def striped(height=120, width=160, period=6, amplitude=0.1, channels=3):
    """Upright stripes, a sine around 0.1."""
    wave = 0.1 + amplitude * torch.sin(torch.arange(width) * 2 * torch.pi / period)
    return wave.expand(1, channels, height, width).contiguous()


def band(picture, mask):
    """Power of what is smaller than a window of 19 px, well inside the mask."""
    inside = masks.dilated(1 - mask, 10) == 0
    fine = picture.mean(dim=1, keepdim=True)
    return (fine - hand.window_mean(fine, 9)).square()[inside].mean().item()


@pytest.fixture(scope="module")
def scene():
    """An object with an edge, a painting of random facets, a mask with a soft rim."""
    facets = random_picture(30, 40, seed=1).repeat_interleave(4, 2).repeat_interleave(4, 3) * 0.4
    picture = random_picture(120, 160, seed=2) * 0.05
    picture[..., 80:] += 0.6
    return picture, facets, masks.softened(box_mask(120, 160, 45), 2, 2)


def test_outside_the_mask_no_bit_changes_and_inside_it_does(scene):
    picture, painting, mask = scene
    result = hand.painted(picture, painting, mask)
    assert torch.equal(result[(mask == 0).expand_as(result)], picture[(mask == 0).expand_as(picture)])
    assert ((result - picture).abs().mean(dim=1)[mask[:, 0] > 0.9] > 1e-3).float().mean() > 0.9
    assert result.abs().max() <= 1


def test_strength_is_the_share_of_the_change(scene):
    picture, painting, mask = scene
    assert torch.equal(hand.painted(picture, painting, mask, 0), picture)
    assert torch.equal(hand.painted(picture, painting, torch.zeros_like(mask)), picture)
    whole, half = (hand.painted(picture, painting, mask, strength) - picture for strength in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_object_gets_the_paintings_contrast_and_keeps_its_colour(channels):
    painting, mask = striped(channels=channels), box_mask(120, 160)
    flat = torch.full_like(painting, 0.1)
    result = hand.painted(flat, painting, mask)
    assert result.shape == flat.shape
    assert band(result, mask) == pytest.approx(band(painting, mask), rel=0.15)
    inside = (mask == 1).expand_as(result)
    assert result[inside].mean().item() == pytest.approx(0.1, abs=0.01)


def test_the_strokes_go_on_from_block_to_block():
    painting, mask = striped(), box_mask(120, 160)
    result = hand.painted(torch.full_like(painting, 0.1), painting, mask)
    rows, columns = result[0, 0, 35:85, 35:125].diff(dim=0), result[0, 0, 35:85, 35:125].diff(dim=1)
    assert rows.abs().mean() < 0.01 * columns.abs().mean()  # the painting's has no differences between rows


def test_a_calm_painting_leaves_a_calm_object():
    flat, calm = torch.full((1, 3, 90, 90), 0.3), torch.full((1, 3, 90, 90), 0.2)
    torch.testing.assert_close(hand.painted(flat, calm, box_mask(90, 90)), flat)


def test_an_edge_of_the_object_keeps_its_place_and_its_contrast(scene):
    _, painting, _ = scene
    picture = torch.full((1, 3, 120, 160), -0.4)
    picture[..., 80:] = 0.6
    result = hand.painted(picture, painting, box_mask(120, 160)).mean(dim=1)[0, 35:85]
    assert (result.diff(dim=1).argmax(dim=1) == 79).all()
    step = result[:, 80:83].mean(dim=1) - result[:, 77:80].mean(dim=1)
    assert step.mean() > 0.95  # of 1
    assert step.min() > 0.85  # the strokes of one row are part of it


def test_small_features_stay():
    picture = torch.full((1, 3, 120, 160), 0.5)
    picture[:, :, 55:63, 78:83] = -0.5  # a window
    result = hand.painted(picture, striped(), box_mask(120, 160))
    window, wall = result[:, :, 56:62, 79:82].mean(), result[:, :, 56:62, [74, 75, 85, 86]].mean()
    assert wall - window > 0.9


def test_texture_does_not_reach_over_an_edge():
    painting = torch.full((1, 3, 120, 200), -0.5)
    painting[..., 100:] = 0.5 + striped(width=100, period=4)  # strokes where it is light, none where it is dark
    picture = torch.full((1, 3, 120, 160), -0.5)
    picture[..., 81:] = 0.5  # the first light pixel is the middle of a block
    result = hand.painted(picture, painting, box_mask(120, 160))
    bends = result[0, :, 30:90].diff(n=2, dim=2).abs()  # column c is about pixel c + 1
    assert bends[..., 66:77].max() < 0.01 < 0.1 < bends[..., 83:94].max()


def test_chunks_give_what_the_whole_gives(scene, monkeypatch):
    whole = hand.painted(*scene)
    monkeypatch.setattr(hand, "BUDGET", 1)  # one block at a time
    torch.testing.assert_close(hand.painted(*scene), whole)


def test_the_same_bits_twice(scene):
    assert torch.equal(hand.painted(*scene), hand.painted(*scene))


def test_a_large_picture_gets_strokes_of_full_sharpness(monkeypatch):
    monkeypatch.setattr(hand, "WORKING_SIDE", 80)
    painting, mask = striped(period=4), box_mask(120, 160)
    result = hand.painted(torch.full_like(painting, 0.1), painting, mask)
    across = result[0, 0, 45:75, 45:115].diff(dim=1).square().mean()
    assert across > 0.5 * painting[0, 0].diff(dim=1).square().mean()


def test_nothing_is_taken_from_where_the_painting_is_hidden():
    painting, hidden = torch.full((1, 3, 120, 160), 0.1), torch.zeros(1, 1, 120, 160)
    painting[..., :80] = striped(width=80)
    hidden[..., :80] = 1
    flat, mask = torch.full_like(painting, 0.1), box_mask(120, 160)
    assert (hand.painted(flat, painting, mask) - flat).abs().max() > 0.05
    torch.testing.assert_close(hand.painted(flat, painting, mask, hidden=hidden), flat, rtol=0, atol=0.01)


@pytest.mark.parametrize("size", [(5, 7), (20, 90), (300, 40)])
def test_any_size_of_painting_goes(size):
    picture, mask = random_picture(70, 50, seed=3), box_mask(70, 50, 10)
    result = hand.painted(picture, random_picture(*size, seed=4), mask)
    assert result.isfinite().all()
    assert not torch.equal(result, picture)


# ------------------------------------------------------------------------------------------- where it is applied


@pytest.fixture(scope="module")
def case():
    """A naive picture, the painting with a box of grey in it, and what a model could have made of it."""
    painting = random_picture(24, 32, seed=5).repeat_interleave(4, 2).repeat_interleave(4, 3) * 0.3
    mask = box_mask(96, 128, 38)
    naive = masks.blend(painting, torch.full_like(painting, 0.2), mask)
    made = Applied(naive, naive + 0.05, naive + 0.05, masks.softened(mask, 7))
    return Case(Path("x.png"), naive, mask, False, ()), made, painting


def test_beyond_the_object_the_painting_stays_as_it_is(case):
    given, made, painting = case
    result = cases.with_hand(made, given, painting, 1.0)
    far = given.mask == 0
    assert ((made.mask > 0.1) & far).any()
    assert torch.equal(*(x[far.expand_as(x)] for x in (result.masked, given.picture)))
    wide = cases.with_hand(made, given, painting, 1.0, keep_edges=False)
    assert torch.equal(wide.mask, made.mask)


def test_without_a_mask_or_strength_nothing_changes(case):
    given, made, painting = case
    assert cases.with_hand(made, given, painting, 0.0) is made
    bare = Case(given.file, given.picture, None, False, ())
    unmasked = Applied(made.native, made.whole, None, None)
    assert cases.with_hand(unmasked, bare, painting, 1.0) is unmasked


def test_strokes_come_from_around_the_object_where_the_training_picture_is_smaller(case):
    given, _, painting = case
    small = resize(painting, (48, 64)).clamp(-1, 1)
    assert cases.strokes_of(given.picture, given.mask, small) == (given.picture, given.mask)
    assert cases.strokes_of(given.picture, given.mask, painting) == (painting, None)
    other = random_picture(48, 64, seed=9)
    assert cases.strokes_of(given.picture, given.mask, other) == (other, None)
