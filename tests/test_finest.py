"""Enlarging by a generator's finest stage: shrunk again it is the picture, tiles are exact, a run stops and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import stripes
from PIL import Image

import consingan
from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, quiet
from consingan.command import cli
from consingan.errors import UserError
from consingan.finish import across
from consingan.gan import finest
from consingan.gan.borders import BORDERS
from consingan.gan.finest import Finest, enlarged
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.windows import Window
from consingan.pictures.pyramid import sizes, thirds
from consingan.storage import results
from consingan.storage.run import Run
from consingan.tasks import TASKS

SMALL = {"niter": (2,), "nfc": 4}


def photo(height: int = 30, width: int = 40) -> torch.Tensor:
    """``[1, 3, H, W]`` in [0.1, 0.9]."""
    return 0.1 + 0.8 * torch.from_numpy(stripes(height, width)).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def model() -> SingleImageModel:
    """Trained for two iterations, with lively noise."""
    made = consingan.train(stripes(30, 40), mode="enlargement", device="cpu", **SMALL)
    made.amplitudes[-1] = 0.5
    return made


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """A function that types a command in an empty folder, with a tiny recipe."""
    monkeypatch.chdir(tmp_path)
    tiny = replace(TASKS["enlargement"])
    recipes = {"fast": {**tiny.recipes["fast"], **SMALL}}
    monkeypatch.setattr(type(tiny), "recipes", property(lambda self: recipes))

    def run(*words: object):
        return CliRunner().invoke(cli.main, [str(word) for word in words], catch_exceptions=False)

    return run


# ---- the method


@pytest.mark.parametrize("factor", [1.1, 2.0, 3.3])
def test_an_enlarged_picture_shrunk_again_is_the_picture(model, factor):
    size = (round(30 * factor), round(40 * factor))
    made = enlarged(model, photo(), size, seed=0)
    assert made.shape[2:] == size
    assert made.min() >= 0
    assert made.max() <= 1
    assert (resize(made, (30, 40)) - photo()).abs().max() < 3 / 255


@pytest.mark.parametrize("border", BORDERS)
def test_tiles_are_exact(model, border, monkeypatch):
    monkeypatch.setattr(model.generator, "border", BORDERS[border](3, 0))
    step, draw = Finest(model).step, Draw(3, ("here",))
    whole = step(signed(photo()), (50, 70), draw)
    monkeypatch.setattr(model, "tile", 300)
    assert (step(signed(photo()), (50, 70), draw) - whole).abs().max() < 1e-5


def test_a_step_is_the_head_stage_0_and_the_finest_stage(model):
    """A second writing, of a whole picture."""
    picture, draw = signed(photo()), Draw(3, ("here",))
    generator, size = model.generator, (38, 50)
    noise = model.noise(draw, 1)(Window.whole(size))
    with torch.no_grad():
        wanted = generator([picture, noise], model.amplitudes, [(30, 40), size])
    assert torch.allclose(Finest(model).step(picture, size, draw), wanted, atol=1e-6)


def test_steps_are_repeated_and_corrected(model):
    """Two steps by hand, with the numbers of each step's own place."""
    given, way = photo(), across.steps((30, 40), (48, 64))
    made = given
    for number, size in enumerate(way):
        made = unit(Finest(model).step(signed(made), size, Draw(5, ("enlarged", number))))
        made = across.corrected(made, given, finest.CORRECTIONS)
    wanted = across.corrected(made, given, finest.LAST_CORRECTIONS)
    heard: list[float] = []
    assert len(way) == 3
    assert torch.equal(enlarged(model, given, (48, 64), 5, heard.append), wanted)
    assert (len(heard), heard[-1], heard == sorted(heard)) == (3, 1, True)
    assert not torch.equal(enlarged(model, given, (48, 64), 6), wanted)


def test_smaller_tiles_where_memory_runs_out(model, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(model, "say", said.append)
    monkeypatch.setattr(model, "tile", 64**2 * 4)
    real, asked = Finest._tile, []

    def short(self, picture, size, draw, tile):
        asked.append(tile.size)
        if len(asked) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(self, picture, size, draw, tile)

    monkeypatch.setattr(Finest, "_tile", short)
    made = Finest(model).step(signed(photo()), (100, 100), Draw(0, ("here",)))
    assert made.shape[2:] == (100, 100)
    assert said == ["Memory ran out: going on with tiles of 64 px."]
    assert len(asked) > 3


def test_a_single_stage_enlarges_without_noise(model):
    one = consingan.train(stripes(30, 40), mode="enlargement", device="cpu", train_stages=1, **SMALL)
    assert torch.equal(enlarged(one, photo(), (33, 44), 0), enlarged(one, photo(), (33, 44), 1))


# ---- the task


def test_stages_are_steps_of_the_cube_root_of_two():
    assert thirds(4, 0.1) == pytest.approx([0.5, 2 ** (-2 / 3), 2 ** (-1 / 3), 1])
    task = TASKS["enlargement"]
    assert sizes((100, 200), 2, 8, 8192, task.law) == [(80, 159), (100, 200)]
    for recipe in task.recipes.values():
        assert (recipe["alpha"], recipe["train_stages"]) == (100, 2)


def test_the_picture_goes_in(model):
    coarsest = torch.rand(1, 3, 4, 5)
    task = TASKS["enlargement"]
    assert task.first_input(coarsest, Draw(0, ())) is coarsest
    assert task.anchor(coarsest, Draw(0, ())) is coarsest


# ---- the command


def test_the_command_trains_and_enlarges(typed, picture_file):
    done = typed("enlarge", picture_file, "--factor", 1.5, "--method", "singan", "--seed", 7, "--not_cuda")
    assert done.exit_code == 0, done.output
    (folder,) = Path("trained_models/stripes").glob("*_enlargement*")
    assert done.stdout == f"{folder}/Evaluation\n"
    assert "Training enlargement on" in done.stderr  # with time and memory
    kept = {str(each.role): each for each in results.kept(folder / "Evaluation") if "96x72" in each.path.name}
    assert set(kept) == {"enlarged", "view"}
    facts = kept["enlarged"].facts
    assert (facts["method"], facts["seed"], facts["factor"]) == ("singan", "7", "1.5")
    assert Image.open(kept["enlarged"].path).size == (96, 72)
    assert SingleImageModel.load(folder).settings.runtime.seed == 7
    again = typed(
        "enlarge", folder, "--factor", 1.5, "--method", "singan", "--seed", 7, "--out", "one.png", "--not_cuda"
    )
    assert again.exit_code == 0, again.output
    assert Path("one.png").exists()
    made = [Image.open(file).tobytes() for file in (kept["enlarged"].path, "one.png")]
    assert made[0] == made[1]
    sampled = typed("sample", folder, "--factor", 2, "--out", "two.png", "--not_cuda")  # what its task is for
    assert (sampled.exit_code, Image.open("two.png").size) == (0, (128, 96)), sampled.output


def test_the_same_command_goes_on_with_a_stopped_training(typed, picture_file):
    stopped = consingan.Job(consingan.Order(str(picture_file), "enlargement", outdir="trained_models", device="cpu"))
    asked = iter([False, False, False, True])
    assert stopped.run(stop=lambda: next(asked)).how == "stopped"
    done = typed("enlarge", picture_file, "--factor", 1.5, "--method", "singan", "--not_cuda")
    assert done.exit_code == 0, done.output
    (folder,) = Path("trained_models/stripes").iterdir()  # the same
    assert "Going on at stage" in done.stderr
    assert Run(folder).finished.exists()
    assert (folder / "Evaluation" / "enlarged_96x72_singan.png").exists()


def test_a_run_of_generation_enlarges(typed, trained_run):
    done = typed(
        "enlarge", trained_run, "--factor", 1.5, "--method", "singan", "--out", "made", "--not_cuda", "--quiet"
    )
    assert (done.exit_code, done.stdout) == (0, "made\n"), done.output
    assert Image.open("made/enlarged_96x72_singan.png").size == (96, 72)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("{picture}", "--method", "magic"), "'magic' is not one of 'patches', 'singan'"),
        (("{picture}", "--outdir", "here"), "--outdir here is of --method singan; give that too, or leave it out"),
        (("{run}", "--method", "singan", "--outdir", "here"), "is for a new run, and"),
        (("{picture}", "--method", "singan", "--factor", 9), "--factor is 9.0; give a number from 1.1 to 8"),
        (("{picture}", "--method", "singan", "--truth", "nothing.png"), "nothing.png does not exist"),
        (("{picture}", "--method", "singan", "--truth", "{picture}"), "has 64x48 px, and the enlarged picture 256x192"),
        (("nothing.png", "--method", "singan"), "nothing.png does not exist"),
    ],
)
def test_bad_input_ends_in_one_sentence_before_anything_is_trained(typed, picture_file, trained_run, words, sentence):
    named = {"{picture}": str(picture_file), "{run}": str(trained_run)}
    done = typed("enlarge", *(named.get(word, word) for word in words), "--not_cuda")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert list(Path().iterdir()) == []


def test_a_picture_alone_has_no_generator():
    material = Material.of_picture(consingan.pictures.images.of_array(stripes(30, 40)), torch.device("cpu"), whole=True)
    enlarge = APPLICATIONS["enlarge"]
    with pytest.raises(UserError, match="needs a model of the picture; train one with consingan enlarge PHOTO"):
        enlarge.announce(material, chosen(enlarge, {"method": "singan"}))
    with pytest.raises(UserError, match="needs a model of the picture"):
        next(iter(enlarge.apply(material, chosen(enlarge, {"method": "singan"}), quiet)))


def test_from_python(typed):
    made = consingan.enlarge(stripes(30, 40), method="singan", factor=1.1, device="cpu", seed=2)
    assert made[0].pictures[0].size == (44, 33)
    assert made[0].facts["method"] == "singan"
    plain = consingan.enlarge(stripes(30, 40), factor=1.1, device="cpu")
    assert plain[0].facts["method"] == "patches"
    assert not list(Path().iterdir())  # nothing is written
    with pytest.raises(UserError, match=r"factor is 80\.0; give a number from 1\.1 to 8"):
        consingan.enlarge(stripes(30, 40), method="singan", factor=80.0)
