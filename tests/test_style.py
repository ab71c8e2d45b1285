"""One picture in the manner of another, without training: by oracles, then as people type it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import consingan
from consingan.command.cli import main
from consingan.errors import UserError
from consingan.finish import colours, search
from consingan.finish.colours import covariance, linear, matched
from consingan.finish.photo import Photo, stored
from consingan.finish.style import restyled
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.metrics import figures
from consingan.metrics.pairs import cycle_error, structure_kept
from consingan.pictures import images
from consingan.storage import results

IMAGES = Path(__file__).parent.parent / "images"
MEADOW, HOUSE = IMAGES / "generation" / "meadow.png", IMAGES / "generation" / "house.png"
PAINTING = IMAGES / "harmonization" / "meadow_painting.png"


@cache
def shrunk(file: Path, height: int = 48, width: int = 72) -> torch.Tensor:
    return resize(images.load(file).pixels, (height, width)).clamp(-1, 1)


def photo(file: Path, height: int = 48, width: int = 72) -> Photo:
    return Photo(stored(shrunk(file, height, width)))


# ---- colours


def test_colours_are_those_of_the_other_and_their_order_stays():
    a, b = (unit(shrunk(file)) for file in (MEADOW, HOUSE))
    made = matched(a, b)
    before, after = (
        (x.flatten(2).sort(dim=2).values - b.flatten(2).sort(dim=2).values).abs().mean() for x in (a, made)
    )
    assert after < 0.02 < 0.1 < before
    assert torch.allclose(covariance(made[0].flatten(1).T), covariance(b[0].flatten(1).T), atol=0.005)
    assert structure_kept(a, made) > 0.8


def test_mean_and_covariance_by_a_map_that_moves_least():
    a, b = (unit(shrunk(file))[0].flatten(1).T for file in (MEADOW, HOUSE))
    gain, offset = linear(a, b)
    moved = a @ gain + offset
    assert torch.allclose(covariance(moved), covariance(b), atol=1e-4)
    assert torch.allclose(moved.mean(0), b.mean(0), atol=1e-4)
    assert torch.allclose(gain, gain.T, atol=1e-4)  # of all maps that do so, the symmetric one moves least
    assert bool((torch.linalg.eigvalsh(gain) > 0).all())


def test_equal_pictures_have_equal_colours():
    a = unit(shrunk(MEADOW))
    assert torch.allclose(matched(a, a), a, atol=0.01)


def test_grey_is_matched_by_its_histogram_and_keeps_its_order():
    a = torch.linspace(0.2, 0.6, 64 * 64).view(1, 1, 64, 64)
    b = torch.linspace(0, 1, 64 * 64).square().view(1, 1, 64, 64)
    made = matched(a, b)
    assert torch.allclose(made, b, atol=0.005)


def test_a_picture_of_one_colour_takes_a_colour_of_the_other():
    made = matched(torch.full((1, 3, 20, 20), 0.5), unit(shrunk(HOUSE)))
    assert bool(made.isfinite().all())
    assert float(made.std(dim=(2, 3)).max()) < 1e-6


def test_colours_of_large_pictures_are_those_of_few_of_their_pixels(monkeypatch):
    a, b = (unit(shrunk(file)) for file in (MEADOW, HOUSE))
    whole = matched(a, b)
    monkeypatch.setattr(colours, "STRIP", 1000)
    assert torch.equal(matched(a, b), whole)
    monkeypatch.setattr(colours, "FITTED", 2000)
    assert float((matched(a, b) - whole).abs().mean()) < 0.02


# ---- the picture


def test_a_picture_in_its_own_manner_stays_as_it_is():
    made = restyled(photo(MEADOW), shrunk(MEADOW), Draw(0))
    assert float((made - shrunk(MEADOW)).abs().mean()) < 0.02


def test_it_has_the_manner_of_the_one_and_the_structure_of_the_other():
    content, style = shrunk(MEADOW, 80, 120), shrunk(HOUSE, 80, 120)
    made = restyled(photo(HOUSE, 80, 120), content, Draw(0))
    before, after = (figures.swd(unit(style), unit(x)) for x in (content, made))
    assert after < before / 2
    assert figures.coherence(unit(style), unit(made)) < figures.coherence(unit(style), unit(content)) / 2
    assert structure_kept(unit(content), unit(made)) > 0.7


def test_every_pixel_is_a_mean_of_the_styles():
    style = torch.full((1, 3, 48, 48), -0.5)
    style[:, 0] = torch.linspace(0, 0.5, 48)
    made = restyled(Photo(stored(style)), shrunk(MEADOW, 40, 60), Draw(0))
    assert float(made[:, 0].min()) >= -0.02
    assert float(made[:, 0].max()) <= 0.52
    assert torch.allclose(made[:, 1:], torch.tensor(-0.5), atol=0.01)


def test_strength_goes_from_the_content_to_the_style():
    content, style = shrunk(MEADOW), photo(HOUSE)
    assert torch.equal(restyled(style, content, Draw(0), strength=0), content)
    changes = [float((restyled(style, content, Draw(0), strength=s) - content).abs().mean()) for s in (0.01, 0.5, 1.0)]
    assert changes == sorted(changes)
    assert changes[0] < 0.02
    assert changes[-1] > 1.5 * changes[1]


def test_seeds_repeat_and_differ():
    one, again, other = (restyled(photo(HOUSE), shrunk(MEADOW), Draw(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_any_size_and_shape():
    told: list[float] = []
    for size in ((16, 90), (200, 40), (61, 83)):
        made = restyled(photo(HOUSE, 64, 48), shrunk(MEADOW), Draw(0), size=size, told=told.append)
        assert made.shape == (1, 3, *size)
        assert float(made.abs().max()) <= 1
    assert told.count(1.0) == 3


def test_strips_bound_the_memory_and_change_the_search_alone(monkeypatch):
    whole = restyled(photo(HOUSE), shrunk(MEADOW), Draw(0))
    monkeypatch.setattr(search, "STRIP", 1000)
    parts = restyled(photo(HOUSE), shrunk(MEADOW), Draw(0))
    difference = float((whole - parts).abs().mean())
    assert difference < 0.2  # the random search draws by strip
    assert structure_kept(unit(whole), unit(parts)) > 0.8


# ---- figures


def test_structure_kept_knows_no_brightness_and_no_contrast():
    a = unit(shrunk(MEADOW))
    assert structure_kept(a, a) == pytest.approx(1, abs=1e-5)
    assert structure_kept(a, 0.1 + 0.7 * a) > 0.95
    assert structure_kept(a, 1 - a) < -0.1  # flat parts count as kept
    noise = Draw(0, ("noise",)).uniform(tuple(a.shape))
    assert abs(structure_kept(a, noise)) < 0.3


def test_cycle_error_by_hand():
    a = torch.full((1, 3, 20, 30), 0.25)
    assert cycle_error(a, a) == 0
    assert cycle_error(a, torch.full((1, 3, 10, 15), 0.5)) == pytest.approx(0.25, abs=1e-6)


# ---- as people use it


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["style", *map(str, words)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    for name, file in (("meadow", MEADOW), ("house", HOUSE)):
        images.save(tmp_path / f"{name}.png", shrunk(file))
    return tmp_path / "meadow.png", tmp_path / "house.png"


def test_the_command_writes_results_a_view_and_their_index(files, tmp_path):
    out = tmp_path / "new"
    result = typed(*files, "--out", out, "--num_samples", 2, "--strength", 0.8, "--not_cuda")
    assert result.exit_code == 0, result.output
    kept = {each.path.name: each for each in results.kept(out)}
    names = [f"house_strength_0.8_seed_0_sample_{number:03d}.png" for number in range(2)]
    assert set(kept) == {*names, names[0].replace(".png", "_view.png")}
    assert kept[names[1]].role is results.Role.SAMPLE
    assert kept[names[1]].facts["content"] == "meadow"
    assert images.load(out / names[0]).pixels.shape == (1, 3, 48, 72)
    with Image.open(out / names[0]) as file:
        assert file.text["style"] == "house"
        assert file.text["strength"] == "0.8"


def test_one_file_and_the_api_give_the_same(files, tmp_path):
    out = tmp_path / "one.png"
    assert typed(*files, "--out", out, "--seed", 3, "--not_cuda").exit_code == 0
    assert [each.name for each in tmp_path.glob("one*")] == ["one.png"]
    gallery = consingan.style(files[0], Image.open(files[1]), seed=3, device="cpu")
    assert np.array_equal(np.asarray(gallery[0].pictures[0]), np.asarray(Image.open(out)))


def test_kept_colours_stay_where_light_changes():
    content = np.asarray(Image.open(MEADOW).resize((72, 48)))
    made = consingan.style(content, HOUSE, keep_colours=True, device="cpu", longest=64)[0]
    assert made.frames[0].shape == (1, 3, 43, 64)
    whole = consingan.style(content, HOUSE, keep_colours=True, device="cpu")[0].frames[0]
    change = whole - signed(torch.from_numpy(content / 255).permute(2, 0, 1)[None].float())
    inside = (whole.abs() < 0.999).all(dim=1)[0]
    spread = (change.amax(dim=1) - change.amin(dim=1))[0][inside]
    assert float(spread.max()) < 1e-3
    assert float(change.abs().mean()) > 0.05


def test_grey_beside_colour_is_said(files, tmp_path):
    grey = tmp_path / "grey.png"
    Image.open(files[0]).convert("L").save(grey)
    to_colour = typed(grey, files[1], "--out", tmp_path / "a.png", "--not_cuda")
    assert "grey is grey and house is not: the result has STYLE's colours." in to_colour.output
    assert np.asarray(Image.open(tmp_path / "a.png")).std(axis=2).max() > 5
    to_grey = typed(files[1], grey, "--out", tmp_path / "b.png", "--not_cuda")
    assert "grey is grey and house is not: the result is grey too." in to_grey.output
    assert np.asarray(Image.open(tmp_path / "b.png").convert("RGB")).std(axis=2).max() < 1


def test_a_smaller_stroke_shows_the_style_smaller(files):
    first = [consingan.style(*files, stroke=share, device="cpu")[1].frames[0] for share in (1.0, 0.7)]
    assert [view.shape[3] for view in first] == [72 * 3 + 8, 72 * 2 + 50 + 8]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("meadow.png", "none.png"), "STYLE none.png does not exist; check the spelling"),
        (("meadow.png", "./meadow.png"), "CONTENT and STYLE are the same picture, meadow.png; name another one"),
        (("meadow.png", "tiny.png"), "tiny is 20x20 px, too small to take patches from; use a picture of at least 32"),
        (("thin.png", "house.png"), "thin makes a result of 90x10 px, too small to be made of patches"),
        (("meadow.png", "house.png", "--stroke", "0.2"), "--stroke 0.2 shows house at 14x10 px, too small"),
        (("meadow.png", "house.png", "--strength", "2"), "strength is 2"),
        (("meadow.png", "ftp://e.org/a.png"), "is an address"),
        (("meadow.png", "."), ". is a folder: name one picture file"),
        (("meadow.png", "house.png", "--out", "a.png", "--num_samples", "2"), "--num_samples 2 do not fit into one"),
        (("meadow.png", "house.png", "--out", "meadow.png"), "--out meadow.png exists already"),
        (("huge.png", "house.png"), "huge has 81 million pixels; at most 64 million can be made"),
    ],
)
def test_every_mistake_is_one_sentence(files, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 20)).save("tiny.png")
    Image.new("RGB", (90, 10)).save("thin.png")
    if words[0] == "huge.png":
        Image.new("L", (9000, 9000)).save("huge.png", compress_level=1)
    before = sorted(tmp_path.rglob("*"))
    result = typed(*words)
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert result.output.count("Error: ") == 1
    assert "Traceback" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_an_option_that_is_none_is_refused(files):
    with pytest.raises(UserError, match="size is no option of style; choose from strength"):
        consingan.style(*files, size="3x3")
