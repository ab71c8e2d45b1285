"""fill and uncrop: what is missing is made of the rest, and the rest stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result
from conftest import stripes
from PIL import Image

from consingan import api
from consingan.command.cli import main
from consingan.config import Network
from consingan.errors import UserError
from consingan.finish import completion
from consingan.finish.completion import completed
from consingan.finish.hole import Hole, prices
from consingan.gan import around
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.pictures import holes, images
from consingan.storage import results
from consingan.training import filling, rest
from consingan.training.job import Job
from consingan.training.order import Order

DRAW = Draw(0, ("fill", 0))


def consingan(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)


def colours(height: int = 40, width: int = 52) -> np.ndarray:
    """Noise of all values of 8 bits, smooth enough to have structure: ``[H, W, 3]``."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    slow = np.kron(values[::4, ::4], np.ones((4, 4, 1), int))[:height, :width]
    return ((values // 4 + slow) % 256).astype(np.uint8)


def boxed(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    """A mask, ``[H, W]`` uint8, white in a box."""
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = 255
    return mask


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """``[1, C, H, W]`` in [0, 1]."""
    return torch.from_numpy(picture).float().div(255).permute(2, 0, 1)[None]


def hole_of(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask > 0).float()[None, None]


@pytest.fixture
def photo(tmp_path) -> Path:
    """A photo of 52x40 px with a mask beside it."""
    Image.fromarray(colours()).save(tmp_path / "photo.png")
    Image.fromarray(boxed(40, 52, slice(10, 24), slice(20, 36))).save(tmp_path / "mask.png")
    return tmp_path / "photo.png"


def test_what_is_in_the_hole_has_no_influence():
    picture, mask = stripes(), boxed(48, 64, slice(12, 30), slice(20, 44))
    other = picture.copy()
    other[mask > 0] = 255 - other[mask > 0]
    made, again = (completed(as_tensor(x), hole_of(mask), DRAW) for x in (picture, other))
    assert torch.equal(made, again)


def test_the_rest_stays_to_the_bit_and_proposals_differ(photo, tmp_path):
    result = consingan("fill", photo, "--mask", tmp_path / "mask.png", "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 0, result.output
    made = [each for each in results.kept(tmp_path / "out") if each.role is results.Role.SAMPLE]
    assert len(made) == 3
    assert all(each.facts["mask"] == "mask.png" for each in made)
    found = [np.asarray(Image.open(each.path)) for each in made]
    mask = boxed(40, 52, slice(10, 24), slice(20, 36)) > 0
    for one in found:
        assert np.array_equal(one[~mask], colours()[~mask])
        assert not np.array_equal(one[mask], colours()[mask])
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    one_file = tmp_path / "one.png"
    assert consingan("fill", photo, "--mask", tmp_path / "mask.png", "--out", one_file, "--quiet").exit_code == 0
    assert np.array_equal(np.asarray(Image.open(one_file)), found[0])


def test_an_inverted_mask_means_the_same(photo, tmp_path):
    inverted = tmp_path / "inverted.png"
    Image.fromarray(255 - boxed(40, 52, slice(10, 24), slice(20, 36))).save(inverted)
    masks = (("--mask", tmp_path / "mask.png"), ("--mask", inverted, "--invert_mask"))
    for number, mask in enumerate(masks):
        assert consingan("fill", photo, *mask, "--out", tmp_path / f"{number}.png", "--quiet").exit_code == 0
    assert (tmp_path / "0.png").is_file()
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / f"{number}.png")) for number in (0, 1)))


def test_a_flat_picture_is_filled_exactly():
    flat = torch.full((1, 3, 48, 64), 0.25)
    hole = hole_of(boxed(48, 64, slice(8, 40), slice(0, 30)))
    assert torch.allclose(completed(flat, hole, DRAW), flat, atol=1e-6)


def test_a_texture_that_repeats_is_filled_almost_exactly():
    rows, columns = np.mgrid[:64, :96]
    wave = np.where((columns % 12 < 6) ^ (rows % 16 < 8), 230, 30)
    picture = as_tensor(np.stack([wave, 255 - wave, wave], axis=-1).astype(np.uint8))
    hole = hole_of(boxed(64, 96, slice(20, 42), slice(36, 62)))
    error = (completed(picture, hole, DRAW) - picture).abs()[hole.expand_as(picture) > 0].mean()
    assert error < 0.01


def test_every_pixel_of_the_hole_is_a_mix_of_the_rest():
    """The rest has no red at all; so has what is made of it, whatever the hole held and wherever it lies."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 40, 52, generator=generator)
    hole = hole_of(boxed(40, 52, slice(0, 20), slice(0, 26)))
    picture[:, :1] = hole
    made = completed(picture, hole, DRAW)
    assert made[:, 0].abs().max() == 0
    assert made[:, 1:][hole.expand(1, 2, -1, -1) > 0].std() > 0.05


def test_places_and_sources_of_a_hole():
    hole = Hole.of(hole_of(boxed(20, 30, slice(10, 11), slice(15, 16)))[0, 0] > 0)
    assert len(hole.places) == 49
    assert int(hole.sources.sum()) == 14 * 24 - 49
    assert hole.depth.max() == 1
    assert int((hole.depth == 1).sum()) == 1


def test_a_proposal_likes_the_same_regions_at_all_scales_and_another_other_ones():
    def maps(draw):
        holes = [Hole.of(torch.zeros(side, side, dtype=torch.bool)) for side in (46, 86)]
        found = [prices(hole, draw, 0.0).view(1, 1, side, side) for hole, side in zip(holes, (40, 80), strict=True)]
        return found[0], F.interpolate(found[1], (40, 40), mode="area")

    (coarse, fine), (other, _) = maps(DRAW), maps(Draw(1))
    assert coarse.min() >= 1
    assert 2 < coarse.max() <= 4
    assert (coarse - fine).abs().max() < 0.3
    assert (coarse - other).abs().max() > 1


@pytest.mark.parametrize("pairs", [0, completion.EXACT])
def test_neighbours_find_what_all_pairs_find_in_a_texture(pairs, monkeypatch):
    monkeypatch.setattr(completion, "EXACT", pairs)
    picture = as_tensor(np.tile(stripes(12, 12), (5, 7, 1)))
    hole = hole_of(boxed(60, 84, slice(20, 40), slice(30, 52)))
    error = (completed(picture, hole, DRAW) - picture).abs()[hole.expand_as(picture) > 0].mean()
    assert error < 0.12


def test_large_pictures_have_their_seams_mended_alone(monkeypatch):
    monkeypatch.setattr(completion, "SEARCHED", 50)
    picture = as_tensor(stripes(60, 84))
    mask = boxed(60, 84, slice(20, 40), slice(30, 52))
    made = completed(picture, hole_of(mask), DRAW)
    inside = torch.from_numpy(mask > 0)
    assert torch.equal(made[..., ~inside], picture[..., ~inside])
    assert (made - picture)[..., inside].abs().mean() < 0.4


def test_uncrop_keeps_the_picture_in_its_place(photo, tmp_path):
    out = tmp_path / "wide.png"
    result = consingan("uncrop", photo, "--left", 20, "--top", 6, "--right", 3, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    made = np.asarray(Image.open(out))
    assert made.shape == (46, 75, 3)
    assert np.array_equal(made[6:, 20:72], colours())
    assert made[:, :20].std() > 20


def test_a_mask_that_leaves_no_patch_is_refused():
    mask = boxed(48, 64, slice(0, 48), slice(0, 64))
    mask[:, ::6] = 0
    with pytest.raises(UserError, match="no whole patch of 7x7 px"):
        completed(as_tensor(stripes()), hole_of(mask), DRAW)


@pytest.mark.parametrize(
    ("mask", "words", "sentence"),
    [
        (boxed(20, 26, slice(2, 9), slice(2, 9)), (), "is 26x20 px and the picture 52x40 px"),
        (boxed(40, 52, slice(0, 0), slice(0, 0)), (), "is empty"),
        (boxed(40, 52, slice(None), slice(None)), (), "is full"),
        (boxed(40, 52, slice(None), slice(None)), ("--invert_mask",), "inverted is empty"),
        (None, (), "does not exist"),
        (boxed(40, 52, slice(0, 9), slice(0, 9)), ("--num_samples", "0"), "--num_samples is 0"),
        (boxed(40, 52, slice(0, 9), slice(0, 9)), ("--seed", "-1"), "--seed is -1"),
    ],
)
def test_masks_that_cannot_be_used(mask, words, sentence, photo, tmp_path):
    file = tmp_path / "other.png"
    if mask is not None:
        Image.fromarray(mask).save(file)
    result = consingan("fill", photo, "--mask", file, "--out", tmp_path / "out", "--quiet", *words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "No margin is given"),
        (("--left", "0"), "No margin is given"),
        (("--left", "-3"), "--left is -3"),
        (("--bottom", "81"), "give at most 80"),
        (("--right", "99999"), "--right is 99999"),
    ],
)
def test_margins_that_cannot_be_used(words, sentence, photo, tmp_path):
    result = consingan("uncrop", photo, *words, "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_filled(photo, trained_run, tmp_path):
    mask = ("--mask", tmp_path / "mask.png")
    assert "--mask is missing" in consingan("fill", photo).output
    assert "does not exist" in consingan("fill", tmp_path / "none.png", *mask, "--quiet").output
    result = consingan("sample", trained_run, "--application", "fill", *mask, "--quiet", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "has learned from all of its picture" in result.output
    result = consingan("sample", photo, "--application", "fill", "--quiet", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--mask is missing" in result.output


def test_margins_around_a_picture():
    picture, hole = holes.Margins(left=2, bottom=1).around(torch.ones(1, 3, 4, 5))
    assert picture.shape == (1, 3, 5, 7)
    assert hole.sum() == 5 * 7 - 4 * 5
    assert picture[0, 0, :4, 2:].min() == 1
    assert hole[0, 0, :4, 2:].max() == 0


# ---- layouts by a generator that is trained on the rest

TINY = {"niter": (2,), "nfc": 4, "train_stages": 2, "min_size": 20, "max_size": 32, "finish": "none"}


def holed(picture: np.ndarray, mask: np.ndarray) -> images.Picture:
    return images.Picture(as_tensor(picture) * 2 - 1, (), hole=hole_of(mask))


@pytest.fixture(scope="module")
def filled_run(tmp_path_factory) -> Path:
    """The folder of a finished run on the rest of stripes; tests must not change it."""
    outdir = tmp_path_factory.mktemp("runs")
    ended = filling.train(holed(stripes(), MASK), "stripes.png", outdir=str(outdir), not_cuda=True, settings=TINY)
    assert ended.run is not None
    return ended.run.folder


MASK = boxed(48, 64, slice(16, 30), slice(24, 40))


def test_what_is_in_the_hole_has_no_influence_on_the_weights(filled_run):
    other, changed = stripes(), stripes()
    other[MASK > 0] = 255 - other[MASK > 0]
    changed[:4] = 255 - changed[:4]
    model = SingleImageModel.load(filled_run / "model.safetensors")
    again, apart = (
        filling.train(holed(x, MASK), "stripes.png", not_cuda=True, settings=TINY).model for x in (other, changed)
    )
    weights = model.generator.state_dict()
    assert all(torch.equal(weights[name], x) for name, x in again.generator.state_dict().items())
    assert not all(torch.equal(weights[name], x) for name, x in apart.generator.state_dict().items())
    assert torch.equal(model.fixed[0], again.fixed[0])
    assert torch.equal(model.photo.pixels, again.photo.pixels)


def test_a_run_on_the_rest_goes_on_to_the_bit(filled_run, tmp_path):
    stops = iter([False, False, True])
    order = {"outdir": str(tmp_path), "not_cuda": True, "settings": TINY}
    ended = filling.train(holed(stripes(), MASK), "stripes.png", stop=lambda: next(stops), **order)
    assert ended.how == "stopped"
    assert Job(Order(resume=str(ended.run.folder), not_cuda=True)).run().how == "finished"
    model, again = (SingleImageModel.load(folder / "model.safetensors") for folder in (filled_run, ended.run.folder))
    for mine, theirs in zip(model.generator.parameters(), again.generator.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_proposals_of_a_run(filled_run, tmp_path):
    result = consingan("sample", filled_run, "--application", "fill", "--num_samples", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    made = [each for each in results.kept(tmp_path / "out") if each.role is results.Role.SAMPLE]
    assert [each.facts["layout"] for each in made] == ["trained", "trained"]
    first, second = (np.asarray(Image.open(each.path)) for each in made)
    assert np.array_equal(first[MASK == 0], stripes()[MASK == 0])
    assert np.array_equal(second[MASK == 0], stripes()[MASK == 0])
    other = tmp_path / "other.png"
    Image.fromarray(np.roll(MASK, 3)).save(other)
    result = consingan("sample", filled_run, "--application", "fill", "--mask", other, "--quiet", "--out", tmp_path)
    assert result.exit_code == 2
    assert "another than the one" in result.output


def test_errors_and_scores_count_in_the_rest_alone():
    known = torch.ones(1, 1, 20, 24)
    known[..., 9:11, 12:14] = 0
    real, made = torch.zeros(1, 3, 20, 24), torch.zeros(1, 3, 20, 24)
    made[..., 9:11, 12:14] = 5
    assert rest.error(made, real, known) == 0
    made[..., 0, 0] = 1
    assert rest.error(made, real, known) == pytest.approx(1 / (20 * 24 - 4))
    counts = rest.counts(known, Network())
    assert counts.shape == (1, 1, 10, 14)
    assert counts.mean() == pytest.approx(1)
    touched = torch.zeros(10, 14, dtype=torch.bool)
    touched[:, 2:14] = True  # patches of 11x11 that reach rows 9 and 10, and columns 12 and 13
    assert torch.equal(counts[0, 0] == 0, touched)


def test_the_rest_enters_as_it_is_and_noise_in_the_hole():
    picture, known = torch.rand(1, 3, 12, 12), torch.ones(1, 1, 12, 12)
    known[..., 4:8, 4:8] = 0
    made, other = (around.entering(picture, known, Draw(seed, ("x",)), 1.0) for seed in (0, 1))
    inside = known.expand_as(picture) == 0
    assert torch.equal(made[~inside], picture[~inside])
    assert not torch.equal(made[inside], other[inside])
    assert torch.equal(around.entering(picture, known, Draw(0, ("x",)), 0.0), picture)


def test_masks_that_leave_too_little_to_train_on():
    with pytest.raises(UserError, match="--layout patches"):
        filling.sides(hole_of(boxed(48, 64, slice(0, 42), slice(0, 64))))
    assert filling.sides(hole_of(MASK)) == {"min_size": 24, "max_size": 48}


def test_flags_of_trained_layouts_alone(photo, tmp_path):
    result = consingan("fill", photo, "--mask", tmp_path / "mask.png", "--variation", "0.5")
    assert result.exit_code == 2
    assert "--variation 0.5 is of --layout trained" in result.output


def test_fill_and_uncrop_from_python():
    picture = colours()
    mask = boxed(40, 52, slice(10, 24), slice(20, 36))
    made = api.fill(picture, mask, num_samples=2)
    assert len(made) == 2
    assert np.array_equal(np.asarray(made[1].pictures[0])[mask == 0], picture[mask == 0])
    wide = np.asarray(api.uncrop(picture, right=10, num_samples=1)[0].pictures[0])
    assert np.array_equal(wide[:, :52], picture)
    with pytest.raises(UserError, match="layout is 'x'"):
        api.fill(picture, mask, layout="x")
