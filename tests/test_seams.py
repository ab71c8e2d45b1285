"""Injection at a later stage, and edited pictures whose seams are made anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from consingan import config
from consingan.applications import cases, seams
from consingan.command import cli
from consingan.gan.generator import GrowingGenerator
from consingan.gan.injection import showing
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.grid.resize import resize
from consingan.pictures import images
from consingan.storage import results
from consingan.training.loop import train
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

DRAW = Draw(0, ("edit",))
VALUES = {"train_stages": 3, "max_size": 32, "min_size": 20, "niter": (3,), "nfc": 16, "precision": "fp32"}


@pytest.fixture(scope="module")
def model():
    settings = config.resolve("generation", "x.png", ("test", VALUES))[0]
    picture = torch.sin(torch.arange(30 * 32 * 3).reshape(1, 3, 30, 32) / 40)
    return train(Training.start(settings, picture), Monitor(display="quiet"))


# ---- injection


@pytest.mark.parametrize("border", ["extend", "zero"])
def test_features_that_show_a_picture_are_the_nearest(border):
    """Against the pseudoinverse of the tail as a matrix."""
    torch.manual_seed(0)
    generator = GrowingGenerator(features=5, border=border).double()
    torch.nn.init.normal_(generator.tail.weight, std=0.3)
    torch.nn.init.normal_(generator.tail.bias, std=0.3)
    features, picture = torch.randn(1, 5, 6, 7).double(), 0.9 * torch.rand(1, 3, 6, 7).double()
    with torch.no_grad():
        nothing = torch.zeros_like(features)
        offset = generator.tail(nothing)
        units = torch.eye(features.numel()).double().view(-1, *features.shape[1:])
        matrix = (generator.tail(units) - offset).flatten(1).T
        missing = (torch.atanh(picture) - generator.tail(features)).flatten()
        wanted = features + (torch.linalg.pinv(matrix) @ missing).view_as(features)
        found = showing(generator, features, picture)
        assert (generator.picture(found) - picture).abs().max() < 3e-3  # half a level of 255 is 4e-3
    assert (found - wanted).abs().max() < 0.02 * (wanted - features).abs().max()


def test_a_picture_at_a_last_stage_that_adds_nothing_stays_as_it_is(model, tmp_path):
    """So all that injection at the last stage changes is what the last stage does."""
    model.save(tmp_path / "model.safetensors")
    model = SingleImageModel.load(tmp_path)
    last = model.generator.stages[-1][-1]
    for weights in last.parameters():
        torch.nn.init.zeros_(weights)
    picture = resize(torch.rand(1, 3, 8, 8) * 1.6 - 0.8, model.size).clamp(-1, 1)
    made = model.transform(picture, model.stages - 1)
    assert (made - picture).abs().mean() < 1 / 127.5
    assert (model.transform(picture, 0) - picture).abs().mean() > 20 / 127.5


# ---- seams


def copied() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A rough disk on dark grey, laid on lighter grey: the picture, the mask of what was laid, where the disk is."""
    y, x = torch.meshgrid(torch.arange(72), torch.arange(96), indexing="ij")
    picture = torch.full((1, 3, 72, 96), 0.6)
    mask = torch.zeros(1, 1, 72, 96)
    mask[:, :, 16:56, 28:68] = 1
    disk = ((y - 36) ** 2 + (x - 48) ** 2 < 100)[None, None]
    rough = 0.5 + 0.4 * Draw(0, ("rough",)).normal((1, 3, 72, 96)).clamp(-1, 1)
    rough[:, 2] = 0  # of a colour that the ground has not
    return torch.where(disk, rough, torch.where(mask > 0, 0.45, picture)), mask, disk


def test_the_ground_of_a_part_takes_the_colour_around_it_and_its_middle_stays():
    picture, mask, disk = copied()
    made, where = seams.mended(picture, picture, mask, DRAW)
    ground = (~disk & (mask > 0)).expand_as(made)
    assert (made - 0.6)[ground].abs().mean() < 0.02  # 0.15 before
    assert (made - 0.6)[ground].abs().max() < 0.05
    assert (made - picture)[disk.expand_as(made)].abs().mean() < 0.01
    assert torch.equal(torch.where(where > 0, 0, made), torch.where(where > 0, 0, picture))
    assert bool((where >= mask).all())


def test_where_something_ends_at_the_outline_neither_takes_the_other_s_colour():
    picture, mask, _ = copied()
    rough = 0.5 + 0.4 * DRAW.normal((1, 3, 72, 96)).clamp(-1, 1)
    for edited in (torch.where(mask > 0, rough, picture), torch.where(mask > 0, picture, rough)):
        assert (seams.recoloured(edited, mask) - edited).abs().mean() < 1e-3


def test_of_a_thin_part_as_much_stays_as_of_a_thick_one():
    for rows in (slice(30, 34), slice(20, 50)):
        mask = torch.zeros(1, 1, 72, 250)
        mask[:, :, rows, 40:200] = 1
        kept = mask * (1 - seams.strip_of(mask))
        assert kept.sum() >= seams.STAYS * mask.sum()
        assert seams.strip_of(mask)[0, 0, rows.start - 6, 100] == 1
        assert seams.strip_of(mask)[0, 0, rows.start - 8, 100] == 0


def test_the_strip_of_a_large_picture_is_as_wide_for_its_size():
    mask = torch.zeros(1, 1, 576, 2000)
    mask[:, :, 160:400, 320:1600] = 1
    strip = seams.strip_of(mask)[0, 0, :, 1000]
    assert (strip[: 160 - 52].sum(), strip[160 - 44 : 160 + 60].sum(), strip[160 + 68 : 400 - 68].sum()) == (0, 104, 0)


def test_the_smaller_the_parts_the_later_the_stage(model):
    mask = torch.zeros(1, 1, 30, 32)
    found = []
    for side in (28, 15, 14, 3):
        mask[:] = 0
        mask[:, :, :side, :side] = 1
        found.append(cases.stage_for(model, case(mask)))
    assert model.sizes == [(20, 22), (25, 27), (30, 32)]  # a side of 11 px in the first is one of 16 px here
    assert found == [0, 1, 1, 2]
    assert cases.stage_for(model, case(None)) == 0


def case(mask: torch.Tensor | None) -> cases.Case:
    return cases.Case(Path("x.png"), torch.zeros(1, 3, 30, 32), mask, False, ())


# ---- the command


@pytest.fixture
def moved(picture_file, tmp_path, monkeypatch):
    """An empty folder with moved.png, whose mask is beside it."""
    monkeypatch.chdir(tmp_path)
    picture = images.load(picture_file).pixels.clone()
    picture[:, :, 20:36, 30:46] = picture[:, :, 2:18, 2:18]
    images.save("moved.png", picture)
    mask = torch.full((1, 1, 48, 64), -1.0)
    mask[:, :, 20:36, 30:46] = 1
    images.save("moved_mask.png", mask)
    return images.load("moved.png").pixels


def typed(*words: object):
    return CliRunner().invoke(cli.main, [str(word) for word in words], catch_exceptions=False)


def test_edit_with_the_finish_changes_the_neighbourhood_of_the_parts_alone(moved, trained_run):
    for out in ("made", "again"):
        done = typed("edit", trained_run, "moved.png", "--finish", "patches", "--out", out, "--not_cuda", "--quiet")
        assert done.exit_code == 0, done.output
    found = {str(each.role): each for each in results.kept(Path("made"))}
    made, mask = (images.load(found[role].path, channels=3).pixels for role in ("masked", "mask"))
    assert torch.equal(made[mask < 0], moved[mask < 0])
    assert 0.1 < (mask > 0).float().mean() < 0.35
    assert not torch.equal(made, moved)
    assert torch.equal(made[:, :, 25:31, 35:41], images.load(found["masked"].path).pixels[:, :, 25:31, 35:41])
    assert found["masked"].facts["finish"] == "patches"
    assert found["masked"].facts["injection_stage"] == "1"
    assert found["masked"].path.read_bytes() == Path("again", found["masked"].path.name).read_bytes()


@pytest.mark.parametrize(
    ("verb", "words", "sentence"),
    [
        ("harmonize", ("--finish", "patches"), "--application harmonize keeps an object's edges"),
        ("edit", ("--finish", "patches", "--hand", 1), "--hand 1 is for parts as the model makes them"),
        ("edit", ("--finish", "soft"), "--finish"),
    ],
)
def test_a_finish_that_does_not_go_is_refused(moved, trained_run, verb, words, sentence):
    done = typed("sample", trained_run, "--application", verb, "--naive_img", "moved.png", *words, "--not_cuda",
                 "--out", "made")  # fmt: skip
    assert done.exit_code == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not list(Path("made").glob("*"))


def test_with_the_hand_a_part_stays_as_the_model_makes_it(moved, trained_run):
    done = typed("edit", trained_run, "moved.png", "--hand", 0.5, "--out", "made", "--not_cuda", "--quiet")
    assert done.exit_code == 0, done.output
    facts = next(each.facts for each in results.kept(Path("made")) if str(each.role) == "masked")
    assert (facts["finish"], facts["injection_stage"]) == ("none", "0")
