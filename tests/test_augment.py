"""Augmentations against closed forms, and that a draw can be replayed."""

import colorsys
import itertools
from collections import Counter

import pytest
import torch

from consingan.grid.noise import Draw
from consingan.tasks import augment
from consingan.tasks.augment import COLOURS, augmented, cutout, holes, shifted_hsv, shifted_tiles


def noisy(height=40, width=60, channels=3):
    """Values in [0, 1], all different."""
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1))


def draws(count):
    return (Draw(0, ("test", k)) for k in range(count))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("change", [augmented, shifted_tiles])
def test_an_augmentation_can_be_replayed_and_leaves_its_input_alone(change, channels):
    picture = noisy(channels=channels) * 2 - 1
    before = picture.clone()
    results = [change(picture, draw) for draw in draws(20)]
    for draw, result in zip(draws(20), results, strict=True):
        assert torch.equal(change(picture, draw), result)
        assert result.shape == picture.shape
        assert -1 <= result.min() <= result.max() <= 1
    assert torch.equal(picture, before)
    assert sum(not torch.equal(a, b) for a, b in itertools.pairwise(results)) > 10


def test_a_quarter_gets_other_colours_and_nine_tenths_a_hole(monkeypatch):
    seen = Counter()
    monkeypatch.setattr(augment, "one_of", lambda table, x, draw: (seen.update(["colour"]), x)[1])
    monkeypatch.setattr(augment, "cutout", lambda x, draw: (seen.update(["cutout"]), x)[1])
    picture = noisy(8, 8) * 2 - 1
    for draw in draws(4000):
        augmented(picture, draw)
    assert seen["colour"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert seen["cutout"] / 4000 == pytest.approx(0.9, abs=0.02)


def operations_met(channels, count):
    """How often each operation of the table is taken."""
    met = Counter()

    def recording(entry):
        if isinstance(entry.what, tuple):
            return augment.Choice(entry.weight, tuple(map(recording, entry.what)), entry.needs_colour)
        note = lambda x, draw: (met.update([entry.what.__name__]), x)[1]  # noqa: E731
        return augment.Choice(entry.weight, note, entry.needs_colour)

    table = tuple(map(recording, COLOURS))
    for draw in draws(count):
        augment.one_of(table, noisy(8, 8, channels), draw)
    return met


def test_operations_come_as_often_as_their_weights_say():
    met = operations_met(3, 4000)
    share = {name: number / 4000 for name, number in met.items()}
    whole = 1.6
    wanted = {
        "multiplicative_noise": 0.5 / 6,
        "gaussian_noise": 0.5 * 5 / 6,
        "invert": 0.25,
        "sepia": 0.25,
        "channel_drop": 0.25,
        "channel_shuffle": 0.25,
        "hue_saturation_value": 0.1,
    }
    assert share.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert share[name] == pytest.approx(weight / whole, abs=0.03)


def test_grey_pictures_get_no_operation_that_needs_colour():
    assert operations_met(1, 500).keys() == {"multiplicative_noise", "gaussian_noise", "invert"}


def test_closed_forms():
    x = noisy()
    draw = Draw(0, ("here",))
    assert torch.equal(augment.invert(x, draw), 1 - x)
    matrix = torch.tensor([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    torch.testing.assert_close(augment.sepia(x, draw), torch.einsum("ij,bjhw->bihw", matrix, x).clamp(0, 1))
    dropped = augment.channel_drop(x, draw)
    zero = [k for k in range(3) if not dropped[:, k].any()]
    assert len(zero) == 1
    assert all(torch.equal(dropped[:, k], x[:, k]) for k in range(3) if k not in zero)
    shuffled = augment.channel_shuffle(x, draw)
    assert sorted(plane.sum().item() for plane in shuffled[0]) == sorted(plane.sum().item() for plane in x[0])
    ratio = augment.multiplicative_noise(x, draw) / x
    inside = augment.multiplicative_noise(x, draw) < 1
    assert 0.5 <= ratio[inside].min() < 0.6
    assert 1.4 < ratio[inside].max() <= 1.5 + 1e-5
    spread = [(augment.gaussian_noise(x * 0 + 0.5, draw) - 0.5).std().item() for draw in draws(50)]
    assert 0.009 < min(spread) < 0.02
    assert 0.04 < max(spread) < 0.052


def test_hue_saturation_and_value_shift_as_colorsys_has_them():
    x = noisy(6, 7)
    moved = shifted_hsv(x, 0.3, 0.05, -0.04)
    for row in range(6):
        for column in range(7):
            h, s, v = colorsys.rgb_to_hsv(*x[0, :, row, column].tolist())
            h, s, v = (h + 0.3 / (2 * torch.pi)) % 1, min(1, s + 0.05), max(0, v - 0.04)
            wanted = torch.tensor(colorsys.hsv_to_rgb(h, s, v))
            torch.testing.assert_close(moved[0, :, row, column], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(shifted_hsv(x, 0.0, 0.0, 0.0), x, atol=1e-5, rtol=0)


def test_shifts_of_hue_saturation_and_value_reach_their_published_ranges_and_no_further(monkeypatch):
    shifts = []
    monkeypatch.setattr(augment, "shifted_hsv", lambda x, *shift: (shifts.append(shift), x)[1])
    for draw in draws(400):
        augment.hue_saturation_value(noisy(2, 2), draw)
    ranges = torch.tensor([2 * torch.pi * 20 / 180, 30 / 255, 20 / 255])  # hue in half degrees, the rest in bytes
    reached = torch.tensor(shifts) / ranges
    assert reached.abs().max() <= 1
    assert (reached.amax(0) > 0.97).all()
    assert (reached.amin(0) < -0.97).all()


@pytest.mark.parametrize(("size", "scale"), [((250, 200), 1), ((100, 125), 0.5), ((500, 400), 2)])
def test_holes_are_in_pixels_at_250_px_and_scale(size, scale):
    sides = {1: [], 2: []}
    for draw in draws(300):
        # centres anywhere cut holes off at the border: look at those that are whole
        found = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in holes(size, draw)]
        sides[len(found)] += [max(pair) for pair in found]
    assert 100 < len(sides[1]) < 200
    for count, low, high in ((1, 30, 60), (2, 15, 30)):
        assert max(sides[count]) <= high * scale + 1
        assert sorted(sides[count])[len(sides[count]) // 10] >= 0.95 * low * scale
        assert max(sides[count]) > 0.9 * high * scale


def test_a_cutout_changes_its_holes_to_one_colour_and_nothing_else():
    x = noisy(120, 160)
    for draw in draws(20):
        result = cutout(x, draw)
        inside = torch.zeros(120, 160, dtype=torch.bool)
        for rows, columns in holes((120, 160), draw):
            inside[rows, columns] = True
        assert torch.equal(result[..., ~inside], x[..., ~inside])
        filled = result[0][:, inside]
        assert torch.equal(filled, filled[:, :1].expand_as(filled))


def test_tiles_are_copies_from_a_little_way_off():
    height, width = 200, 100
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([rows, columns])[None].float()
    counts = Counter()
    for draw in draws(100):
        moved = shifted_tiles(place, draw) - place
        counts[1 + int(5 * augment.uniform(draw.at("count")))] += 1
        for axis, side in ((0, height), (1, width)):
            shifts = moved[0, axis].abs()
            assert shifts.max() <= round(0.15 * side)
            assert shifts[shifts > 0].numel() == 0 or shifts[shifts > 0].min() >= round(0.05 * side)
        assert (moved.abs().sum(1) > 0).any()
    assert counts.keys() == TILES.keys()


# per cent of a side, as published: the least and the most that a tile covers, and that it is moved by
TILES = {1: ((20, 50), (5, 15)), 2: ((15, 30), (5, 10)), 3: ((10, 20), (5, 10)), 4: ((10, 15), (5, 10))}
TILES[5] = TILES[4]


@pytest.mark.parametrize("count", TILES)
def test_tiles_have_the_published_sizes_and_shifts_and_reach_both_ends(count):
    placed = [augment.tile_on_side(1000, count, draw) for draw in draws(600)]
    lengths, shifts = [length for _, length, _ in placed], [abs(shift) for *_, shift in placed]
    for seen, (low, high) in zip((lengths, shifts), TILES[count], strict=True):
        assert 10 * low <= min(seen) <= 10 * low + 5
        assert 10 * high - 5 <= max(seen) <= 10 * high
    assert 0.4 < sum(shift > 0 for *_, shift in placed) / len(placed) < 0.6


@pytest.mark.parametrize("count", TILES)
def test_tiles_of_a_picture_are_moved_as_far_as_their_count_allows(count):
    rows, columns = torch.meshgrid(torch.arange(200), torch.arange(100), indexing="ij")
    place = torch.stack([rows, columns])[None].float()
    _, (_, furthest) = TILES[count]
    met = 0
    for draw in draws(200):
        if 1 + int(5 * augment.uniform(draw.at("count"))) == count:
            moved = (shifted_tiles(place, draw) - place).abs()
            assert moved[0, 0].max() <= 2 * furthest
            assert moved[0, 1].max() <= furthest
            met += 1
    assert met > 20


@pytest.mark.parametrize("count", TILES)
def test_a_tile_stays_inside_before_and_after_its_shift(count):
    for draw in draws(300):
        start, length, shift = augment.tile_on_side(100, count, draw)
        assert 0 <= start <= start + length <= 100
        assert 0 <= start + shift <= start + shift + length <= 100
