"""Colours of differences: the equations by a second writing, no step where light differs, the rest to the bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from consingan.finish import blend, search, waves
from consingan.finish.atlas import Sheet
from consingan.finish.blend import blended, difference, evened, gathered, solved
from consingan.finish.patches import finish
from consingan.finish.photo import REACH, Photo, Scale
from consingan.finish.vote import vote
from consingan.grid.kinds import Kind
from consingan.grid.noise import Draw
from consingan.grid.sizes import WRAPS


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def hole_of(height, width, rows, columns):
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[slice(*rows), slice(*columns)] = True
    return hole


def forward_differences(x):
    return difference(x, 2), difference(x, 3)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
def test_gathering_is_the_transpose_of_differences(dim, wrap):
    x, steps = noise(1, 2, 5, 7), noise(1, 2, 5, 7, seed=1)
    there = (difference(x, dim, wrap) * steps).sum().item()
    assert (x * gathered(steps, dim, wrap)).sum().item() == pytest.approx(there, rel=1e-5)


# ---- whole pictures


@pytest.mark.parametrize("length", [1, 2, 7, 8, 30])
def test_waves_as_they_are_defined_and_back(length):
    """Sums written out, in float64."""
    x, n, k = noise(3, length), np.arange(length), np.arange(length)[:, None]
    cosine = np.cos(np.pi * k * (2 * n + 1) / (2 * length))
    turn = 2 * np.pi * k * n / length
    for transform, matrix in ((waves.cosines, cosine), (waves.hartley, np.cos(turn) + np.sin(turn))):
        assert np.abs(transform(x).numpy() - x.double().numpy() @ matrix.T).max() < 1e-5
    assert (waves.from_cosines(waves.cosines(x)) - x).abs().max() < 1e-6
    assert (waves.hartley(waves.hartley(x)) / length - x).abs().max() < 1e-6


@pytest.mark.parametrize("wraps", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("size", [(9, 12), (8, 7), (1, 5)])
def test_a_plane_is_solved_as_by_elimination(monkeypatch, size, wraps):
    monkeypatch.setattr(search, "STRIP", 20)
    wanted, held = noise(2, 3, *size) - 0.5, 0.01
    found = waves.solved(wanted, held, wraps)
    units = torch.eye(size[0] * size[1], dtype=torch.float64).view(-1, 1, *size)
    matrix = held * units.flatten(1)
    for dim, wrap in zip((2, 3), wraps, strict=True):
        matrix = matrix + gathered(difference(units, dim, wrap), dim, wrap).flatten(1)
    exact = torch.linalg.solve(matrix, wanted.double().flatten(2).flatten(0, 1).T).T.view(2, 3, *size)
    assert (found - exact).abs().max() < 1e-4 * exact.abs().max()


def test_one_plane_among_many_has_the_same_bits():
    wanted = noise(3, 3, 37, 53) - 0.5
    assert torch.equal(waves.solved(wanted, 1e-3)[1:2], waves.solved(wanted[1:2], 1e-3))


def pieces(photo, cut, shift):
    """A field whose left part is the photo's own place, and whose right part comes from so many columns further."""
    height, width = photo.shape[2:]
    rows = torch.arange(REACH, height - REACH)[:, None].expand(-1, width - 2 * REACH)
    columns = torch.arange(REACH, width - REACH).expand(height - 2 * REACH, -1)
    columns = torch.where(columns < cut, columns, columns + shift).clamp(REACH, width - 1 - REACH)
    return rows[None], columns[None]


def test_pieces_of_other_light_leave_no_step():
    slope = torch.linspace(0.2, 0.6, 120).expand(1, 3, 40, 120).contiguous()
    store, field = Scale(slope, slope), pieces(slope, 60, 12)
    made = vote(field, (40, 120), store, 0.6)
    found = evened(made, field, store, 0.6)
    inner = (slice(None), slice(None), slice(4, 36), slice(50, 70))
    steps = [x[inner].diff(dim=3).max().item() for x in (made, found)]
    ordinary = slope.diff(dim=3).max().item()
    assert steps[0] > 5 * ordinary
    assert steps[1] < 1.5 * ordinary


def test_another_thing_beside_a_piece_keeps_its_edge():
    photo = torch.full((1, 1, 40, 120), 0.8)
    photo[..., 70:] = 0.1
    store, field = Scale(photo, photo), pieces(photo, 60, 30)
    made = vote(field, (40, 120), store, 0)
    found = evened(made, field, store, 0)
    assert (found[..., 61] - found[..., 58]).abs().min() > 0.6


def test_the_photo_as_it_is_stays_to_the_bit():
    photo = noise(1, 3, 30, 40)
    store, field = Scale(photo, photo), pieces(photo, 100, 0)
    made = vote(field, (30, 40), store, 0)
    assert torch.equal(evened(made, field, store, 0), made)


def test_differences_of_a_scale_and_of_each_photo_of_a_sheet():
    photos = [noise(1, 3, 12, 15), noise(1, 3, 9, 20, seed=1)]
    sheet = Sheet(photos, photos)
    for axis in (0, 1):
        laid = sheet.differences(axis).view(21, 20, 3).permute(2, 0, 1)[None]
        for photo, top in zip(photos, (0, 12), strict=True):
            height, width = photo.shape[2:]
            wanted = difference(photo, axis + 2)
            assert torch.equal(laid[:, :, top : top + height, :width], wanted)
            own = Scale(photo, photo).differences(axis).view(height, width, 3).permute(2, 0, 1)[None]
            assert torch.equal(own, wanted)


def test_what_is_transparent_stays_so():
    """A disc becomes an ellipse, whose patches meet in many places."""
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    disc = (rows - 30) ** 2 + (columns - 30) ** 2 < 18**2
    levels = torch.stack([disc * (80 + 2 * columns)] * 3 + [disc * 255])[None].to(torch.uint8)
    kind = Kind(4, alpha=True)
    photo = Photo(levels, kind=kind)
    layout = F.interpolate(photo.picture, (60, 100), mode="bilinear")[..., 20:80]
    alpha = kind.stored(finish(photo, layout, (60, 60), [Draw(0)]).picture)[0, 3]
    assert (alpha == 255).float().mean() > 0.35
    assert ((alpha > 0) & (alpha < 20)).float().mean() < 0.01


# ---- holes


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
