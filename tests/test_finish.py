"""The finish, by oracles: the picture comes back as itself, and every pixel of a sample is the picture's."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from test_training import settings_for, striped

from consingan.errors import UserError
from consingan.finish import patches, scales, search
from consingan.finish.instant import instant
from consingan.finish.patches import finish
from consingan.finish.photo import LARGEST, REACH, Photo, Scale, stored
from consingan.finish.scales import Plan, check_size, own_size
from consingan.finish.search import distances, enlarged, exact, improved, prices
from consingan.finish.vote import vote, weights
from consingan.gan.model import SingleImageModel
from consingan.gan.sampling import chain
from consingan.gan.sampling import own_size as own_size_of
from consingan.gan.stills import Stills
from consingan.grid.noise import Draw
from consingan.grid.resize import resize
from consingan.pictures import images
from consingan.storage import files
from consingan.storage.run import Run
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

TEXTURE = Path(__file__).parent.parent / "images" / "textures" / "brick.png"


@cache
def bricks(height: int, width: int) -> torch.Tensor:
    return stored(resize(images.load(TEXTURE).pixels, (height, width)))


def texture(height: int, width: int, channels: int = 3) -> Photo:
    """A picture of bricks, shrunk."""
    return Photo(bricks(height, width)[:, :channels])


def draws(*numbers: int, seed: int = 0) -> list[Draw]:
    return [Draw(seed, ("sample", number)) for number in numbers]


def noise(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """A layout that is like nothing."""
    return Draw(7, ("layout",)).normal((1, channels, height, width)).clamp(-1, 1)


def in_bytes(picture: torch.Tensor) -> torch.Tensor:
    return ((picture + 1) * 127.5).round().byte()


def rigid(height: int, width: int, down: int, right: int) -> search.Field:
    """The field of a sample of ``(height, width)`` whose patches lie so far down and right of their places."""
    rows, columns = (torch.arange(REACH, side - REACH) for side in (height, width))
    shape = (1, height - 2 * REACH, width - 2 * REACH)
    return (rows[:, None] + down).expand(shape).clone(), (columns + right).expand(shape).clone()


# ---- sizes


@pytest.mark.parametrize(
    ("size", "photo", "canvas", "of_photo", "of_sample"),
    [
        ((50, 100), (50, 100), (1, 1), ((20, 40), (25, 50), (32, 63), (40, 80), (50, 100)), None),
        ((50, 100), (100, 200), (1, 1), ((20, 40), (25, 50), (32, 63), (40, 80), (50, 100)), None),
        ((40, 120), (40, 60), (1, 2), ((27, 40), (33, 49), (40, 60)), ((27, 80), (33, 98), (40, 120))),
        ((90, 40), (60, 40), (1.5, 1), ((40, 27), (49, 33), (60, 40)), ((60, 27), (74, 33), (90, 40))),
        ((128, 128), (64, 32), (2, 4), ((40, 20), (51, 25), (64, 32)), ((80, 80), (102, 100), (128, 128))),
        ((20, 20), (100, 100), (1, 1), ((40, 40),), ((40, 40),)),
        ((1000, 60), (1000, 60), (1, 1), ((233, 14), (301, 18), (388, 23), (500, 30), (1000, 60)), None),
        ((60, 60), (60, 1000), (1000 / 60, 1), ((14, 233),), ((233, 233),)),
    ],
    ids=["equal", "smaller", "wider", "taller", "larger", "tiny", "long", "of a long one"],
)
def test_plans_by_hand(size, photo, canvas, of_photo, of_sample):
    plan = Plan.of(size, photo)
    assert plan.canvas == pytest.approx(canvas)
    assert plan.photo == of_photo
    assert plan.sample == (of_sample or of_photo)
    assert plan.pixels == sum(h * w for h, w in plan.sample)


SIDES = st.integers(16, 3000)


@given(st.tuples(SIDES, SIDES), st.tuples(st.integers(8, 3000), st.integers(8, 3000)))
@example((23, 46), (16, 48))  # whose last scale a rounding made another
def test_every_plan_leads_to_its_size(size, photo):
    plan = Plan.of(size, photo)
    never_enlarged = min(size[0] / photo[0], size[1] / photo[1], 1)
    assert plan.canvas == pytest.approx((size[0] / photo[0] / never_enlarged, size[1] / photo[1] / never_enlarged))
    assert plan.sample[-1] == size or len(plan.sample) == 1
    assert min(plan.photo[0]) >= scales.SHORTEST
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(plan.photo))
    if len(plan.photo) > 1:
        assert plan.photo[-1] <= photo
    for shown, made in zip(plan.photo, plan.sample, strict=True):
        assert made == pytest.approx([side * share for side, share in zip(shown, plan.canvas, strict=True)], rel=0.04)
    for below, above in itertools.pairwise(max(each) for each in plan.photo):
        assert above / below < (scales.RATIO + 0.04 if above < scales.SEARCHED else 3)


@pytest.mark.parametrize(
    ("photo", "longest", "expected"),
    [
        ((300, 200), 1024, (300, 200)),
        ((3000, 2000), 1024, (1024, 683)),
        ((2000, 3000), 600, (400, 600)),
        ((12, 30), 1024, (16, 30)),
        ((20, 1500), 1024, (16, 1024)),
    ],
)
def test_own_size(photo, longest, expected):
    assert own_size(photo, longest) == expected
    check_size(expected)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((15, 40), r"--size 40x15 has a side below 16 px, too small .*; choose a larger one, or --finish none\."),
        ((8001, 8000), r"--size 8000x8001 has 64 million pixels; at most 64 million can be made, choose a smaller one"),
    ],
)
def test_sizes_that_cannot_be_made_are_refused(size, words):
    with pytest.raises(UserError, match=words):
        check_size(size)
    check_size((16, 16))
    check_size((8000, 8000))


def test_a_picture_is_kept_with_its_pixels_and_shrunk_where_it_is_huge():
    pixels = texture(30, 40).pixels
    assert torch.equal(stored(pixels / 127.5 - 1), pixels)
    assert stored(torch.zeros(1, 1, 20, 2 * LARGEST)).shape == (1, 1, 10, LARGEST)


# ---- the picture as its own layout


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(60, 80), (45, 60), (40, 30)], ids=["its size", "shrunk", "upright"])
def test_the_picture_comes_back_as_itself(size, channels):
    photo = texture(80, 60, channels) if size[0] > size[1] else texture(60, 80, channels)
    made = finish(photo, photo.picture, size, draws(0)).picture
    assert torch.equal(in_bytes(made), (photo.at(size) * 255).round().byte())


def test_the_picture_comes_back_beyond_the_search_too(monkeypatch):
    searched_up_to(monkeypatch, 60)
    photo = texture(96, 128)
    assert torch.equal(in_bytes(finish(photo, photo.picture, photo.size, draws(0)).picture), photo.pixels)
    assert [scale.searched for scale in photo.scales] == [True, False, False]


@pytest.mark.parametrize("size", [(600, 16), (16, 600)])
def test_very_long_pictures_are_finished(size):
    """Their coarsest scale is above what is searched elsewhere."""
    photo = Photo(texture(16, 200).pixels.repeat(1, 1, 1, 3))
    photo = Photo(photo.pixels.transpose(2, 3)) if size[0] > size[1] else photo
    made = finish(photo, photo.picture, size, draws(0)).picture
    assert (made - photo.picture).abs().mean() < 0.02
    assert [scale.searched for scale in photo.scales] == [True, False]


def searched_up_to(monkeypatch, side: int) -> None:
    """Take a picture of more than so many px for one that is too large to be searched."""
    for module in ("scales", "photo"):
        monkeypatch.setattr(f"consingan.finish.{module}.SEARCHED", side)


def test_progress_ends_at_one():
    told = []
    finish(texture(60, 80), noise(20, 20), (60, 80), draws(0), told=told.append)
    assert told == sorted(set(told))
    assert 0 < told[0] < told[-1] == 1


# ---- the vote


def test_with_one_voter_every_pixel_is_the_one_that_the_field_names():
    photo = texture(20, 24)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    scale.pixels = torch.arange(20.0 * 24)[:, None].expand(-1, 3)  # told apart
    field = tuple(torch.randint(REACH, side - REACH, (2, 26, 34)) for side in scale.size)
    made = vote(field, (32, 40), scale, 0)
    for row, column in itertools.product(range(32), range(40)):
        at = min(max(row, REACH), 28), min(max(column, REACH), 36)
        wanted = [
            (found[:, at[0] - REACH, at[1] - REACH] + place - centre)
            for found, place, centre in zip(field, (row, column), at, strict=True)
        ]
        assert torch.equal(made[:, 0, row, column], 24.0 * wanted[0] + wanted[1])
    assert torch.equal(made.unique(), scale.pixels.unique()[torch.isin(scale.pixels.unique(), made.unique())])


@pytest.mark.parametrize("spread", [0, 0.6, 0.8, 2])
def test_a_rigid_field_makes_a_piece_of_the_picture(spread):
    photo = texture(20, 24)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    made = vote(rigid(16, 18, 2, 5), (16, 18), scale, spread)
    torch.testing.assert_close(made, photo.at(photo.size)[:, :, 2:18, 5:23], rtol=0, atol=2e-7)


def test_weights_of_the_vote():
    assert weights(0) == {(0, 0): 1}
    for spread in (0.6, 0.8, 5):
        found = weights(spread)
        assert sum(found.values()) == pytest.approx(1)
        assert found[0, 0] / found[0, 1] == pytest.approx(torch.tensor(0.5 / spread**2).exp().item())
        assert found[1, 1] * found[0, 0] == pytest.approx(found[0, 1] * found[1, 0])
    assert max(max(offset) for offset in weights(5)) == REACH


def test_a_sample_is_as_sharp_as_the_picture():
    """Whatever the layout: the votes are narrow, so that little is averaged."""
    photo = texture(60, 80)
    made = finish(photo, noise(12, 16), photo.size, draws(0)).picture
    had, wanted = (x.diff(dim=3).abs().mean().item() for x in (made, photo.picture))
    assert had == pytest.approx(wanted, rel=0.12)


# ---- the exact search


QUERIES, KEYS = torch.tensor([[0.0], [0.9], [10.0]]), torch.tensor([[0.0], [2.0], [10.0]])


@pytest.mark.parametrize("balanced", [False, True])
def test_a_key_that_the_nearest_forget_is_taken(monkeypatch, balanced):
    """Query 0.9 is nearest to 0, as query 0 is; but of those it is the one that 2 may have."""
    if not balanced:
        monkeypatch.setattr(search, "BALANCED", 0)
    assert torch.cdist(QUERIES, KEYS).argmin(1).tolist() == [0, 0, 2]
    assert exact(QUERIES, KEYS).tolist() == [0, 1, 2]


def test_the_normalised_score_written_out(monkeypatch):
    monkeypatch.setattr(search, "BALANCED", 0)
    draw = Draw(0)
    queries, keys, dear = (draw.at(n).normal((side, 5)) for n, side in (("q", 90), ("k", 30), ("d", 30)))
    dear = 1 + 0.5 * dear[:, 0].abs()
    distance = (queries[:, None] - keys).square().sum(2) * dear
    wanted = (distance / (search.WANTED + distance.amin(0))).argmin(1)
    assert torch.equal(exact(queries, keys, dear), wanted)
    assert not torch.equal(wanted, distance.argmin(1))
    monkeypatch.setattr(search, "CHUNK", 7 * 30)  # queries at once
    assert torch.equal(exact(queries, keys, dear), wanted)


@pytest.mark.parametrize("balanced", [False, True])
def test_a_dear_key_is_left_to_others(monkeypatch, balanced):
    if not balanced:
        monkeypatch.setattr(search, "BALANCED", 0)
    queries, keys = torch.tensor([[0.0], [0.5], [1.0]]), torch.tensor([[0.0], [1.0]])
    for dear, taken in (([1.0, 1.5], 0), ([1.5, 1.0], 1)):
        assert exact(queries, keys, torch.tensor(dear)).tolist() == [0, taken, 1]


def test_balanced_every_key_is_taken_about_as_often():
    queries, keys = Draw(0, ("q",)).normal((400, 2)), Draw(0, ("k",)).normal((40, 2))
    nearest = Counter(torch.cdist(queries, keys).argmin(1).tolist())
    taken = Counter(exact(queries, keys).tolist())
    assert min(nearest[key] for key in range(40)) <= 2  # or it would prove nothing
    assert max(nearest.values()) >= 20
    assert min(taken[key] for key in range(40)) >= 5
    assert max(taken.values()) <= 15


def test_a_forgotten_key_has_the_highest_price():
    distance = (QUERIES - KEYS[:, 0]).square()
    price = prices(distance)
    assert price.argmax() == 1
    everything_alike = prices(torch.ones(5, 4))
    torch.testing.assert_close(everything_alike, torch.zeros(4), rtol=0, atol=1e-6)


def test_no_cost_along_an_axis_that_shows_more_than_the_picture(monkeypatch):
    monkeypatch.setattr(patches, "ROW", 4.0)
    monkeypatch.setattr(patches, "COLUMN", 1.0)
    both = patches.located((3, 5), (1.0, 1.0)).view(3, 5, 2)
    assert both[:, 0, 0].tolist() == [0, 1, 2]  # squared, ROW from border to border
    assert both[0, :, 1].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert (both[:, :, 0] == both[:, :1, 0]).all()
    assert not patches.located((3, 5), (1.0, 2.0))[:, 1].any()
    assert not patches.located((3, 5), (1.5, 1.0))[:, 0].any()
    assert torch.equal(patches.located((3, 5), (1.5, 1.0))[:, 1], both[:, :, 1].flatten())


def test_where_all_patches_are_alike_each_keeps_its_place(monkeypatch):
    photo = Photo(torch.full((1, 3, 20, 30), 77, dtype=torch.uint8))
    for balanced, off in ((search.BALANCED, 3), (0, 0)):  # border patches are wanted less, which the balance moves
        monkeypatch.setattr(search, "BALANCED", balanced)
        made = finish(photo, noise(10, 15), (20, 30), draws(0))
        assert in_bytes(made.picture).unique().tolist() == [77]
        (field,) = made.fields
        for had, wanted in zip(field, rigid(27, 40, 0, 0), strict=True):
            assert (had - wanted).abs().max() <= off


# ---- the search from place to place


def at_the_last_scale(photo: Photo) -> tuple[torch.Tensor, search.Field, Scale]:
    """A sample's patches as they come from the scale below, the field that comes with them, and the picture."""
    plan = Plan.of(photo.size, photo.size)
    fields = finish(photo, torch.roll(photo.picture, (7, 11), (2, 3)), photo.size, draws(0)).fields
    scale, below = photo.scales[-1], photo.scales[-2]
    made = resize(vote(fields[-2], plan.sample[-2], below, patches.SPREADS[-1]), plan.sample[-1]).clamp(0, 1)
    return scale.patches(made), enlarged(fields[-2], plan.sample[-2], plan.sample[-1], plan.photo[-2], scale), scale


def nearest_of_all(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """The least squared distance of each query to any key, written out."""
    return torch.cat([torch.cdist(part, keys).square().amin(1) for part in queries.flatten(0, 2).split(2000)])


@pytest.mark.parametrize(("joined", "share"), [(1.0, 0.95), (search.JOINED, 0.94)])
def test_from_place_to_place_nearly_the_best_patch_is_found(monkeypatch, joined, share):
    """In two looks, as a scale has; patches at random are 1.2 apart.

    Where the best is nearly perfect, one that is 0.1 off is as good: 6 of 255 grey values. ``JOINED`` prefers a
    neighbour's continued patch up to twice the distance, so that it finds a little less.
    """
    monkeypatch.setattr(search, "JOINED", joined)
    queries, field, scale = at_the_last_scale(texture(96, 96))
    anywhere = 2 * (scale.blurred - scale.blurred.mean(0)).square().sum(1).mean().item()
    assert anywhere == pytest.approx(1.24, abs=0.1)
    best = nearest_of_all(queries, scale.blurred)
    for _ in range(2):
        field = improved(queries, scale.blurred, scale, field)
    found = distances(queries, scale.blurred, scale, field).flatten()
    assert (found >= best - 1e-3).all()
    assert (found <= 1.5 * best + 0.1).float().mean() > share


def test_a_field_is_only_ever_improved(monkeypatch):
    monkeypatch.setattr(search, "JOINED", 1.0)
    queries, field, scale = at_the_last_scale(texture(60, 80))
    before = distances(queries, scale.blurred, scale, field)
    after = distances(queries, scale.blurred, scale, improved(queries, scale.blurred, scale, field))
    assert (after <= before).all()
    assert after.mean() < 0.9 * before.mean()


@pytest.mark.parametrize(("down", "right"), [(0, 1), (1, 0), (-1, -1), (1, -1)])
def test_a_pixel_off_is_put_right(down, right):
    photo = texture(24, 30)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    queries, here = scale.patches(photo.at(photo.size)), rigid(24, 30, 0, 0)
    found = improved(queries, scale.sharp, scale, rigid(24, 30, down, right))
    assert all(map(torch.equal, found, here))


def test_what_one_place_has_found_its_neighbours_go_on_with():
    photo = texture(40, 40)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    queries, here = scale.patches(photo.at(photo.size)), rigid(40, 40, 0, 0)
    field = tuple(torch.full_like(each, 37) for each in here)  # the last corner
    assert (field[0][0, 15, 15], field[1][0, 15, 15]) != (here[0][0, 15, 15], here[1][0, 15, 15])
    for each, right in zip(field, here, strict=True):
        each[0, 15, 15] = right[0, 15, 15]
    found = improved(queries, scale.sharp, scale, field)
    hops = [0, *search.NEIGHBOURS, *(-hop for hop in search.NEIGHBOURS)]
    for row, column in [(15 + hop, 15) for hop in hops] + [(15, 15 + hop) for hop in hops]:
        assert [each[0, row, column].item() for each in found] == [row + REACH, column + REACH]
    # no further in one look
    assert [each[0, 15, 18].item() for each in found] != [15 + REACH, 18 + REACH]


def test_patches_that_lay_together_are_carried_together():
    photo = texture(60, 80)
    scale = Scale(photo.at((60, 80)), photo.at((60, 80)))
    grown = enlarged(rigid(30, 40, 3, -2), (30, 40), (60, 80), (30, 40), scale)
    inside = (slice(None), slice(0, -6), slice(4, None))  # where the picture goes on
    for had, wanted in zip(grown, rigid(60, 80, 6, -4), strict=True):
        assert torch.equal(had[inside], wanted[inside])
    assert (grown[0].min(), grown[0].max(), grown[1].min(), grown[1].max()) == (9, 56, 3, 72)


def test_distances_are_those_of_the_pixels():
    photo = texture(24, 30, 1)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    scale.filters, scale.offset = torch.eye(49).view(49, 1, 7, 7), torch.zeros(49)
    keys, other = (scale.patches(x) for x in (photo.at(photo.size), noise(24, 30, 1)))
    field = rigid(24, 30, 0, 0)
    had = distances(other, keys.flatten(0, 2), scale, field)
    torch.testing.assert_close(had, (other - keys).square().sum(3))
    raw = search.raw(scale.pixels, (field[0] * 30 + field[1]).flatten(), 30)
    torch.testing.assert_close(raw, keys.flatten(0, 2))


def test_most_of_a_patch_is_in_its_components():
    photo = texture(60, 80)
    picture = photo.at(photo.size)
    scale = Scale(picture, picture)
    whole = torch.nn.functional.unfold(picture, 7)[0].T
    a, b = torch.randperm(len(whole), generator=Draw(0).generator()).chunk(2)
    wanted, had = ((x[a] - x[b]).square().sum(1) for x in (whole, scale.sharp))
    assert (had <= wanted * 1.0001).all()
    assert had.mean() > 0.85 * wanted.mean()


# ---- strips, seeds, batches


@pytest.mark.parametrize("searched", [50, 512], ids=["mended", "improved"])
def test_strips_are_the_whole(monkeypatch, searched):
    searched_up_to(monkeypatch, searched)
    monkeypatch.setattr(patches, "EXACT", 0)
    photo = texture(60, 80)
    whole = finish(photo, noise(12, 16), photo.size, draws(0))
    assert photo.scales[-1].searched is (searched > 60)
    monkeypatch.setattr(search, "STRIP", 400)
    assert len(list(search.strips_of(54, 74))) > 10
    parts = finish(photo, noise(12, 16), photo.size, draws(0))
    assert torch.equal(parts.picture, whole.picture)
    for a, b in zip(parts.fields, whole.fields, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 5000))
def test_strips_cover_every_row_once(height, width, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "STRIP", most)
        strips = list(search.strips_of(height, width))
    assert [row for rows in strips for row in rows] == list(range(height))
    assert all(len(rows) * width <= max(most, width) for rows in strips)


def test_seams_move_and_nothing_else():
    photo = texture(40, 60)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    left, right = rigid(40, 60, 0, 0), rigid(40, 60, 0, 0)
    assert all(map(torch.equal, search.mended(photo.at(photo.size), scale, left), left))
    right[1][:, :, 20:] = (right[1][:, :, 20:] - 7).clamp_min(REACH)  # another piece from column 20 on
    mended = search.mended(photo.at(photo.size), scale, right)
    changed = (mended[1] != right[1]).any(1)[0]
    assert changed[20:22].all()  # the sample is the picture: what is right at the seam is the left piece
    assert not changed[:20].any()
    assert not changed[22:].any()
    assert torch.equal(mended[1][:, :, 20:22], left[1][:, :, 20:22])


def test_the_same_draw_gives_the_same_bits_and_another_another_finish():
    photo, layout = texture(60, 80), noise(12, 16)
    one, again, two = (finish(photo, layout, photo.size, draws(n)).picture for n in (0, 0, 1))
    assert torch.equal(one, again)
    other = finish(photo, layout, photo.size, draws(0, seed=1)).picture
    assert not torch.equal(one, two)
    assert not torch.equal(one, other)
    assert (one - two).abs().mean() < (one - photo.picture).abs().mean()  # of one layout still


def test_a_batch_is_its_pictures():
    photo, layouts = texture(45, 60), torch.cat([noise(12, 16), -noise(12, 16)])
    both = finish(photo, layouts, (45, 75), draws(0, 1)).picture
    for number in range(2):
        alone = finish(photo, layouts[number : number + 1], (45, 75), draws(number)).picture
        torch.testing.assert_close(both[number : number + 1], alone, rtol=0, atol=1e-6)


def test_a_frame_s_patches_stay_where_nothing_is_much_better():
    photo = texture(24, 30)
    scale = Scale(photo.at(photo.size), photo.at(photo.size))
    queries = scale.patches(photo.at(photo.size))
    here, off = rigid(24, 30, 0, 0), rigid(24, 30, 0, 1)
    off[1].clamp_(max=26)
    kept = patches.steadied(off, here, queries, scale.sharp, scale)  # the old one is right
    assert torch.equal(kept[1], here[1])
    taken = patches.steadied(here, off, queries, scale.sharp, scale)
    assert torch.equal(taken[1], here[1])
    same = patches.steadied(off, off, queries, scale.sharp, scale)
    assert torch.equal(same[1], off[1])


def test_a_photo_is_prepared_anew_for_another_size():
    photo, fresh = texture(60, 80), Photo(texture(60, 80).pixels)
    first = finish(photo, noise(12, 16), (60, 80), draws(0)).picture
    finish(photo, noise(12, 16), (45, 60), draws(0))
    assert torch.equal(finish(photo, noise(12, 16), (60, 80), draws(0)).picture, first)
    assert torch.equal(finish(fresh, noise(12, 16), (60, 80), draws(0)).picture, first)


# ---- without training


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_instant_pictures_of_many_are_those_of_few(channels):
    photo = texture(40, 50, channels)
    many, few = (torch.cat(list(instant(photo, n, (40, 50), 0.5, 3))) for n in (3, 2))
    assert torch.equal(many[:2], few)
    assert many.shape == (3, channels, 40, 50)
    assert not torch.equal(many[0], many[1])
    assert not torch.equal(next(instant(photo, 1, (40, 50), 0.5, 4)), many[:1])


def test_variation_of_instant_pictures_is_a_dial():
    photo = texture(45, 60)
    apart = [
        torch.stack([(made - photo.picture).abs().mean() for made in instant(photo, 3, photo.size, variation, 0)])
        for variation in (0, 0.1, 1)
    ]
    assert apart[0].max() < 1e-5
    assert apart[0].max() < apart[1].min()
    assert apart[1].mean() < apart[2].mean()


@pytest.mark.parametrize("size", [(40, 100), (90, 50), (20, 25), (16, 16)])
def test_instant_pictures_of_any_size(size):
    made = next(instant(texture(40, 50), 1, size, 0.5, 0))
    assert made.shape == (1, 3, *size)
    assert made.abs().max() <= 1
    assert made.mean() == pytest.approx(texture(40, 50).picture.mean().item(), abs=0.1)


# ---- the picture of a model


@pytest.fixture(scope="module")
def model() -> SingleImageModel:
    """Tests must not change it."""
    state = Training.start(settings_for(train_stages=2, finish="patches"), striped())
    return train(state, Monitor(display="quiet"))


def test_samples_are_finished_where_the_model_says_so(model):
    first = model.sample(2, seed=3)
    assert first.shape == (2, 3, 30, 32)
    assert torch.equal(model.sample(2, seed=3, finish="patches"), first)
    assert torch.equal(model.sample(3, seed=3)[:2], first)
    plain = model.sample(2, seed=3, finish="none")
    assert not torch.equal(plain, first)
    layout = model.layouts(draws(0, seed=3), model.size)
    assert torch.equal(finish(model.photo, layout, (30, 32), draws(0, seed=3)).picture, first[:1])
    assert not torch.equal(model.sample(1, seed=4), first[:1])


def test_samples_finished_together_are_the_same(model):
    """Of the same layouts: a layout itself may differ in its last bits by how many are made together."""
    after, draws = chain(model, Stills()), [Draw(0, ("sample", number)) for number in range(3)]
    layouts = torch.rand(3, 3, 30, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = after.apply(layouts, (30, 32), draws)
    alone = [after.apply(layout[None], (30, 32), [draw]) for layout, draw in zip(layouts, draws, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
    assert not torch.equal(together[0], together[1])


def test_sizes_of_finished_samples(model):
    assert own_size_of(model) == (30, 32)
    large = SingleImageModel(model.settings, "extend", [(25, 27), (30, 32)])
    large.amplitudes, large.photo = [1.0, 0.1], Photo(torch.zeros(1, 3, 600, 640, dtype=torch.uint8))
    assert (own_size_of(large), own_size_of(large, "none"), own_size_of(large, longest=64)) == (
        (600, 640),
        (30, 32),
        (60, 64),
    )
    (step,) = chain(large, Stills()).steps
    assert step.size_before((600, 640)) == (30, 32)
    assert step.size_before((300, 640)) == (30, 64)  # half as high: two as wide, shown at half the size
    assert step.size_before((60, 64)) == (30, 32)
    with pytest.raises(UserError, match="--size 640x15 has a side below 16 px"):
        large.sample(1, size=(15, 640))


def test_a_model_s_file_holds_its_picture(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = SingleImageModel.load(tmp_path)
    assert torch.equal(loaded.photo.pixels, stored(striped()))
    assert torch.equal(loaded.sample(2), model.sample(2))


def test_a_model_s_file_without_its_picture_is_finished_by_none(model, tmp_path):
    model.save(tmp_path / "model.safetensors", picture=False)
    assert "picture" not in files.load_tensors(tmp_path / "model.safetensors")[0]
    loaded = SingleImageModel.load(tmp_path)
    assert loaded.photo is None
    for finished in ("patches", None):
        with pytest.raises(
            UserError, match=r"--finish patches needs the training picture, which .*; give --finish none"
        ):
            loaded.sample(1, finish=finished)
    assert torch.equal(loaded.sample(2, finish="none"), model.sample(2, finish="none"))
    assert model.photo is not None  # it has kept its own


PIXELS = torch.zeros(1, 3, 30, 32, dtype=torch.uint8)
DAMAGED = {
    "floats": PIXELS.float(),
    "one channel": PIXELS[:, :1],
    "two pictures": PIXELS.repeat(2, 1, 1, 1),
    "three dimensions": PIXELS[..., 0],
    "too small": PIXELS[:, :, :7],
    "nothing": PIXELS[:, :, :0],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_picture_is_refused_in_one_sentence(model, tmp_path, damage):
    tensors = {**model.tensors(), "picture": DAMAGED[damage].contiguous()}
    files.save_tensors(tmp_path / "model.safetensors", tensors, {"kind": "model", **model.header()})
    with pytest.raises(UserError, match=r"model\.safetensors holds a damaged 'picture'; use a file that") as caught:
        SingleImageModel.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_finishes_as_an_uninterrupted_one(tmp_path):
    wanted = train(Training.start(settings_for(train_stages=1, finish="patches"), striped()), Monitor(display="quiet"))
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(train_stages=1, finish="patches"), striped())
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == 1)
    assert torch.equal(stored(images.load(run.picture).pixels), stored(striped()))
    resumed = train(resume(run, "cpu", pytest.fail), Monitor(display="quiet"), run)
    for had in (resumed, SingleImageModel.load(run.folder)):
        assert torch.equal(had.sample(2), wanted.sample(2))
    assert any(run.samples.glob("stage_0/*_patches/*.png"))


def test_a_grey_model_is_finished_in_grey(tmp_path):
    settings = settings_for(train_stages=1, nc_im=1, finish="patches")
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings, striped(channels=1))
    write_start(state, run)
    wanted = train(state, Monitor(display="quiet"), run).sample(1)
    assert wanted.shape == (1, 1, 30, 32)
    assert torch.equal(SingleImageModel.load(run.folder).sample(1), wanted)
    assert torch.equal(resume(run, "cpu", pytest.fail).model.photo.pixels, state.model.photo.pixels)


def test_another_seed_of_the_finish_alone_finishes_the_same_layouts_otherwise():
    state = Training.start(settings_for(finish="patches", train_stages=1), striped())
    model = train(state, Monitor(display="quiet"))
    own, again, other = (model.sample(2, finish_seed=seed) for seed in (None, 0, 5))
    assert torch.equal(own, again)  # the seed of the noise is 0
    assert not torch.equal(own, other)
    assert torch.equal(other[:1], model.sample(1, finish_seed=5))
