"""Painting to photo, and injection at a stage for models of any task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from consingan.command import cli
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.grid.resize import resize
from consingan.pictures import images, palette
from consingan.storage import results


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """A function that types a command in an empty folder, where painting.png is a painting of 50x20 px."""
    monkeypatch.chdir(tmp_path)
    painting = torch.full((1, 3, 20, 50), 0.5)
    painting[:, 0, 10:] = -0.5
    images.save("painting.png", painting)

    def run(*words: object):
        return CliRunner().invoke(cli.main, [str(word) for word in words], catch_exceptions=False)

    return run


def made(typed, *words: object) -> dict[str, list[str]]:
    """What a command leaves: role -> names."""
    done = typed(*words, "--out", "made", "--quiet", "--not_cuda")
    assert (done.exit_code, done.stdout) == (0, "made\n"), done.output
    found: dict[str, list[str]] = {}
    for each in results.kept(Path("made")):
        found.setdefault(str(each.role), []).append(each.path.relative_to("made").as_posix())
    return found


# ---- the palette


@pytest.mark.parametrize("count", [2, 5, 40])
def test_a_palette_has_exactly_so_many_colours_of_the_picture(picture_file, count):
    picture = images.load(picture_file).pixels
    colours = palette.palette(picture, count)
    own = {tuple(colour) for colour in picture[0].flatten(1).T.tolist()}
    found = {tuple(colour) for colour in colours.tolist()}
    assert len(colours) == len(found) == count
    assert found <= own
    assert torch.equal(colours, palette.palette(picture, count))


def test_a_palette_is_that_of_the_clusters():
    """Three clouds of colours: a palette of three has one of each, and gives each pixel that of its cloud."""
    middles = torch.tensor([[-0.8, -0.8, 0.8], [0.8, -0.6, -0.8], [0.0, 0.9, 0.0]])
    cloud = torch.arange(300) % 3
    pixels = middles[cloud] + 0.05 * torch.randn(300, 3, generator=torch.Generator().manual_seed(1))
    picture = pixels.T.reshape(1, 3, 10, 30)
    colours = palette.palette(picture, 3)
    assert sorted(torch.cdist(colours, middles).argmin(1).tolist()) == [0, 1, 2]
    exchanged = palette.in_colours(picture, colours)[0].flatten(1).T
    assert torch.cdist(exchanged, middles).argmin(1).tolist() == cloud.tolist()
    assert len(torch.unique(exchanged, dim=0)) == 3


def test_a_picture_of_few_colours_has_no_larger_palette():
    picture = torch.zeros(1, 1, 9, 9)
    picture[:, :, 4:] = 1
    assert palette.palette(picture, 2).flatten().sort().values.tolist() == [0, 1]
    with pytest.raises(UserError, match="--quantise is 3, but the picture has 2 colours; give at most as many"):
        palette.palette(picture, 3)


# ---- paint


def test_a_painting_becomes_photos_and_a_strip(typed, trained_run):
    words = ("--finish", "patches", "--longest", 40, "--quantise", 3, "--num_samples", 2, "--seed", 5)
    found = made(typed, "paint", trained_run, "painting.png", *words)
    assert found == {
        "painted": [f"painting_quantise_3_stage_1_seed_{seed}.png" for seed in (5, 6)],
        "sketch": ["painting_quantise_3_painting.png"],
        "view": ["painting_quantise_3_stages_view.png"],
    }
    first, second = (images.load(Path("made", name)).pixels for name in found["painted"])
    assert first.shape == (1, 3, 16, 40)  # the painting's shape
    assert not torch.equal(first, second)
    facts = {str(each.role): each.facts for each in results.kept(Path("made"))}["painted"]
    assert (facts["start_stage"], facts["quantise"], facts["clipart"]) == ("1", "3", "painting.png")
    quantised = images.load("made/painting_quantise_3_painting.png").pixels
    photo = SingleImageModel.load(trained_run).photo
    assert photo is not None
    own = {tuple(colour) for colour in photo.pixels[0].flatten(1).T.tolist()}
    assert {tuple(c) for c in ((quantised[0].flatten(1).T + 1) * 127.5).round().int().tolist()} <= own


def test_the_same_seed_paints_the_same_and_one_file_is_one(typed, trained_run):
    for name in ("a.png", "b.png"):
        done = typed("paint", trained_run, "painting.png", "--out", name, "--size", "60x30", "--finish", "patches")
        assert (done.exit_code, done.stdout) == (0, f"{name}\n"), done.output
    assert Image.open("a.png").size == (60, 30)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_later_stages_of_a_model_that_has_learned_little_keep_more(trained_run):
    """Of the picture itself. Of a default model only the last does: docs/harmonization.md has its figures."""
    model = SingleImageModel.load(trained_run)
    assert model.photo is not None
    picture = resize(model.photo.picture, model.size).clamp(-1, 1)
    apart = [(model.transform(picture, stage, 0.0) - picture).abs().mean().item() for stage in range(model.stages)]
    assert apart[-1] < apart[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("painting.png", "--start_stage", 2),
            "--start_stage is 2, but this model has stages 0 to 1",
        ),
        (("painting.png", "--quantise", 1), "--quantise is 1; give a number from 2 to 256"),
        (("nothing.png",), "nothing.png does not exist"),
        (("tiny.png",), "tiny.png"),
        (("painting.png", "--size", "60x30", "--finish", "none"), "--size 60x30 needs the finish"),
        (("painting.png", "--size", "4x4", "--finish", "patches"), "has a side below 16 px"),
        (("painting.png", "--out", "painting.png"), "exists already"),
    ],
)
def test_bad_input_of_paint_ends_in_one_sentence(typed, trained_run, words, sentence):
    Image.new("RGB", (4, 30)).save("tiny.png")
    before = sorted(Path().rglob("*"))
    done = typed("paint", trained_run, *words, "--not_cuda", *(() if "--out" in words else ("--out", "made")))
    assert done.exit_code == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert sorted(Path().rglob("*")) == before


# ---- edit and harmonize


@pytest.mark.parametrize("verb", ["edit", "harmonize"])
def test_a_verb_is_the_application_with_its_masks_and_full_size(typed, trained_run, picture_file, verb):
    naive = resize(images.load(picture_file).pixels, (96, 128)).clamp(-1, 1)
    naive[:, :, 20:40, 20:40] = 1
    images.save("naive.png", naive)
    mask = torch.full((1, 1, 96, 128), -1.0)
    mask[:, :, 20:40, 20:40] = 1
    images.save("naive_mask.png", mask)
    found = made(typed, verb, trained_run, "naive.png", "--injection_stage", 1)
    (name,) = found["masked"]
    result, naive = images.load(Path("made", name)).pixels, images.load("naive.png").pixels
    assert result.shape == naive.shape
    assert torch.equal(result[:, :, 80:], naive[:, :, 80:])
    assert not torch.equal(result, naive)
    done = typed("sample", trained_run, "--application", verb, "--naive_img", "naive.png", "--injection_stage", 1,
                 "--out", "same", "--not_cuda")  # fmt: skip
    assert done.exit_code == 0
    assert Path("same", name).read_bytes() == Path("made", name).read_bytes()


@pytest.mark.parametrize("verb", ["edit", "harmonize", "paint"])
def test_bad_input_of_a_verb_on_a_run_ends_in_one_sentence(typed, trained_run, verb):
    flag = "--start_stage" if verb == "paint" else "--injection_stage"
    for words, sentence in (
        ((trained_run, "nothing.png"), "nothing.png"),
        (("nowhere", "painting.png"), "RUN nowhere does not exist"),
        ((trained_run, "painting.png", flag, 7), f"{flag} is 7, but this model has stages 0 to 1"),
    ):
        done = typed(verb, *words, "--not_cuda", "--out", "made")
        assert done.exit_code == 2
        assert sentence in done.stderr.splitlines()[-1]
    assert not Path("made").exists() or not list(Path("made").iterdir())
