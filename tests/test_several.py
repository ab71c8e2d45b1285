"""Several pictures as one model: which is learned from, what is kept and resumed, what is refused."""

import json
import shutil
from math import prod

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import stripes
from PIL import Image
from test_training import same_tensors

from consingan import config
from consingan.command import cli
from consingan.command.cli import train as train_command
from consingan.command.train import each_flagged
from consingan.finish import photo
from consingan.finish.atlas import Atlas
from consingan.finish.patches import finish
from consingan.finish.photo import Photo
from consingan.finish.regions import Regions
from consingan.finish.scales import Plan
from consingan.gan.album import atlas
from consingan.gan.model import SingleImageModel
from consingan.gan.steering import wanted
from consingan.gan.stills import Stills
from consingan.grid.kinds import Kind
from consingan.grid.noise import Draw
from consingan.grid.ranges import unit
from consingan.metrics.table import evaluate
from consingan.pictures import images
from consingan.storage.results import Role, kept
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.training.convergence import Figures, over
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

SMALL = {"train_stages": 2, "min_size": 20, "max_size": 34, "nfc": 4, "niter": (6,), "lr_g": 5e-4, "lr_d": 5e-4}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    shapes = {"a.png": (48, 64), "b.png": (52, 40), "c.png": (60, 60)}
    for number, (name, shape) in enumerate(shapes.items()):
        Image.fromarray(255 - stripes(*shape) if number else stripes(*shape)).save(folder / name)
    Image.fromarray(stripes()[:, :, 0]).save(folder / "grey.png")
    Image.fromarray(np.dstack([stripes(), stripes()[:, :, :1]])).save(folder / "alpha.png")
    Image.fromarray(stripes(9, 9)).save(folder / "tiny.png")
    Image.fromarray(stripes(600, 700)).save(folder / "huge.png")
    images.save(folder / "deep.png", torch.rand(1, 3, 48, 64) * 2 - 1, kind=Kind(3, depth="uint16"))
    (folder / "none.png").write_text("no picture")
    return folder


def begun(files):
    given = {**TASKS["generation"].recipes["fast"], **SMALL, "also": ("b.png", "c.png"), "weights": (2.0, 1.0, 1.0)}
    settings = config.resolve("generation", "a.png", ("test", given))[0]
    first, *also = (images.load(files / name).pixels for name in ("a.png", "b.png", "c.png"))
    return Training.start(settings, first, also=also)


def test_a_picture_is_chosen_as_often_as_its_weight_says():
    album = config.Album(also=("b", "c"), weights=(2.0, 1.0, 1.0))
    found = [album.chosen((number + 0.5) / 400) for number in range(400)]
    assert [found.count(picture) for picture in range(3)] == [200, 100, 100]


@pytest.mark.parametrize(
    ("mode", "preset", "given", "variation"),
    [
        ("generation", "fast", {}, 0.6),
        ("generation", "fast", {"also": ("b.png",)}, 0.45),
        ("generation", "best", {"also": ("b.png",)}, 0.64),
        ("retarget", "fast", {"also": ("b.png",)}, 0.15),
        ("generation", "fast", {"also": ("b.png",), "variation": 0.6}, 0.6),
    ],
)
def test_samples_of_several_pictures_leave_their_layouts_less_far(mode, preset, given, variation):
    settings, origins = plan.resolve(mode, preset, "a.png", 3, given)
    assert settings.sampling.variation == variation
    assert ("several" in origins["variation"]) == (given.keys() == {"also"})


def test_a_stopped_training_goes_on_to_the_same_bits_and_the_file_holds_all(files, tmp_path):
    whole = begun(files)
    wanted = train(whole, Monitor(None, "quiet"))
    run = Run.create(tmp_path, "a", "test")
    state = begun(files)
    write_start(state, run)
    asked = iter([False] * 8 + [True])
    with pytest.raises(StoppedError):
        train(state, Monitor(None, "quiet"), run, stop=lambda: next(asked))
    found = train(resume(run, torch.device("cpu"), print), Monitor(None, "quiet"), run)
    same_tensors(wanted.tensors(), found.tensors())
    loaded = SingleImageModel.load(run.model)
    same_tensors(wanted.tensors(), loaded.tensors())
    assert [page.sizes for page in loaded.pages] == [page.sizes for page in wanted.pages]
    assert torch.equal(loaded.pages[1].reconstruct(), wanted.pages[1].reconstruct())
    samples = list(loaded.samples(Stills(num_samples=2, of="b.png")))
    assert samples[0].shape[2:] == (52, 40)
    assert not torch.equal(samples[0], samples[1])


def test_the_flag_takes_all_files_that_follow_it():
    assert each_flagged(["--input-name", "a", "b", "--niter", "5", "c"]) == [
        *("--input-name", "a", "--input_name", "b", "--niter", "5", "c")
    ]


GENERATOR = "--train_stages 2 --min_size 20 --max_size 34 --nfc 4 --niter 1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a.png a.png b.png", "a.png is given twice; name each picture once"),
        ("a.png b.png ./b.png", "./b.png is given twice; name each picture once"),
        ("a.png b.png --weights 1,2,3", "--weights 1,2,3 has 3 numbers, and there are 2 pictures; give one for each."),
        ("a.png b.png --weights 1", "--weights 1 has 1 number, and there are 2 pictures; give one for each."),
        ("a.png --weights 2", "--weights 2 is for several pictures, and one is given; leave it out, or name others."),
        ("a.png b.png --weights 1,0", "--weights is 0.0; give a number above 0"),
        ("a.png b.png --train_mode editing", "--train_mode editing learns from one"),
        ("a.png b.png --naive_img b.png", "--naive_img b.png does not go with --train_mode generation"),
        ("a.png b.png --target_name b.png", "--target_name b.png does not go with --train_mode generation"),
        ("a.png b.png --train_mode translation --target_name b.png", "--train_mode translation learns from one"),
        ("a.png b.png --graphs on", "--graphs on goes with one picture only, and 2 are given; leave it out."),
        ("a.png grey.png", "grey.png is 8-bit grey, and a.png is 8-bit colour; give --nc_im 3"),
        ("a.png alpha.png", "alpha.png is 8-bit colour with alpha, and a.png is 8-bit colour; give --nc_im 3"),
        ("alpha.png a.png", "a.png is 8-bit colour, and alpha.png is 8-bit colour with alpha; give --nc_im 3"),
        ("a.png deep.png", "deep.png is 16-bit colour, and a.png is 8-bit colour; save both with as many bits."),
        ("a.png deep.png --nc_im 3", "deep.png is 16-bit colour, and a.png is 8-bit colour; save both with"),
        ("a.png tiny.png", "tiny.png: The coarsest stage would be 9x9 px"),
        ("tiny.png a.png", "tiny.png: The coarsest stage would be 9x9 px"),
        ("a.png huge.png", "huge.png is 700 px long and a.png 64 px, too different for one model"),
        ("a.png none.png", "none.png is no picture that can be read"),
        ("a.png gone.png", "There is no picture at gone.png"),
        ("a.png .", ". is a folder; name its pictures, or give the folder alone with --as_one."),
        ("a.png -", "none can be read from standard input"),
        ("a.png b.png --as_one", "--as_one takes one folder"),
    ],
)
def test_what_does_not_go_is_one_sentence_and_writes_nothing(files, monkeypatch, words, said):
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    asked = [*words.split(), *GENERATOR.split(), "--not_cuda", "--quiet", "--outdir", "out"]
    result = CliRunner().invoke(train_command, asked)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(files.iterdir()) == before


def test_what_does_not_go_may_go_with_fewer_channels(files, monkeypatch):
    monkeypatch.chdir(files)
    for words in ("a.png alpha.png --nc_im 3", "a.png grey.png --nc_im 1"):
        result = CliRunner().invoke(train_command, [*words.split(), *GENERATOR.split(), "--not_cuda", "--dry_run"])
        assert result.exit_code == 0, result.output


def blotches(seed, colour):
    """A photo of one colour, lighter above, with blotches: 60x80."""
    rough = torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(seed))
    made = torch.nn.functional.interpolate(rough, size=(60, 80), mode="bilinear") * 0.3
    made = made + torch.linspace(0.3, 0.0, 60)[:, None]
    return (made * torch.tensor(colour).view(1, 3, 1, 1)).clamp(0, 1) * 2 - 1


RED, GREEN = blotches(0, (1.0, 0.3, 0.2)), blotches(1, (0.2, 0.9, 0.4))


def origin(layout):
    """By place of the finest field of a finished layout, whether its patch is of the second of two photos."""
    photos = [Photo(photo.stored(picture)) for picture in (RED, GREEN)]
    atlas = Atlas.of(photos, [(30, 40), (30, 40)])
    made = finish(atlas, layout, (60, 80), [Draw(0, ("sample", 0))])
    return atlas.prepared(Plan.of((60, 80), atlas.size))[-1].photo_of(made.fields[-1][0])[0]


def test_a_spot_like_the_other_photo_is_no_island():
    layout = RED.clone()
    layout[:, :, 8:20, 30:46] = GREEN[:, :, 8:20, 30:46]
    assert not origin(layout).any()
    assert origin(GREEN).all()


def test_a_half_like_the_other_photo_is_made_of_it():
    layout = torch.cat([RED[..., :40], GREEN[..., 40:]], dim=3)
    found = origin(layout).float()
    columns = found.mean(0)
    assert columns[:25].max() == 0
    assert columns[-25:].min() == 1
    assert 0.4 < found.mean() < 0.6


def test_of_a_photo_that_is_used_in_part_only_that_part_is_wanted():
    shares = torch.stack([torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])]).expand(2, 2, 3)
    wanted = Regions(shares).wanted([(2, 3), (4, 3)], (False, False)).split([6, 12])
    assert wanted[0].view(2, 3)[:, 0].tolist() == pytest.approx([3.0, 0.0], abs=0.02)
    rows = wanted[1].view(4, 3)[:, 0]
    assert rows.tolist() == sorted(rows.tolist())
    assert rows[0] < 0.01 * rows[3]
    assert sum(map(torch.sum, wanted)).item() == pytest.approx(18)
    anywhere = Regions(shares).wanted([(2, 3), (2, 3)], (True, False))
    assert anywhere.tolist() == pytest.approx([1.0] * 12)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """A finished run on three pictures; tests must not change it."""
    made = Run.create(tmp_path_factory.mktemp("runs"), "a", "test")
    state = begun(files)
    write_start(state, made)
    train(state, Monitor(None, "quiet"), made)
    return made


@pytest.fixture
def typed(files, run, tmp_path, monkeypatch):
    """A function that types a command in an empty folder; ``RUN`` in it stands for a copy of the run."""
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(run.folder, tmp_path / "a" / run.folder.name)
    images.save("painting.png", torch.linspace(-1, 1, 50).expand(1, 3, 20, 50).contiguous())

    def type_in(words):
        asked = [str(copy) if word == "RUN" else word for word in words.split()]
        return copy, CliRunner().invoke(cli.main, asked, catch_exceptions=False)

    return type_in


def results_of(copy, result, role):
    """By file, the facts of the results of a role."""
    assert result.exit_code == 0, result.output
    return {each.path.name: each.facts for each in kept(copy / "Evaluation") if each.role is role}


@pytest.mark.parametrize(
    "words",
    [
        "sample RUN --of d.png --num_samples 1",
        "sample RUN --of 4 --like painting.png --num_samples 1",
        "sample RUN --application walk --of 0",
        "paint RUN painting.png --of d.png",
    ],
)
def test_an_unknown_picture_is_one_sentence_and_makes_nothing(typed, words):
    copy, result = typed(f"{words} --not_cuda --quiet")
    assert result.exit_code == 2, result.output
    assert "give a number from 1 to 3, or one of a.png, b.png, c.png." in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not kept(copy / "Evaluation")


def test_samples_after_a_sketch_are_near_the_picture_that_is_named(typed):
    copy, result = typed("sample RUN --like painting.png --of b --num_samples 2 --not_cuda --quiet")
    found = results_of(copy, result, Role.SAMPLE)
    assert [facts["near"] for facts in found.values()] == ["b.png"] * 2
    assert all(sum(map(float, facts["shares"].split(","))) == pytest.approx(1, abs=0.01) for facts in found.values())


def test_a_sketch_takes_the_colours_of_each_picture_that_layouts_are_near(typed):
    copy, _ = typed("--version")
    model = SingleImageModel.load(copy / "model.safetensors")
    first, second = (wanted(model, Stills(like="painting.png", of=of)) for of in ("1", "2"))
    assert not torch.equal(first.sketch.picture, second.sketch.picture)
    assert torch.equal(first.beside(model.pages[0]).sketch.picture, second.sketch.picture)
    exact = wanted(model, Stills(like="painting.png", of="2", colours="exact"))
    assert exact.beside(model.pages[0]) is exact


def test_a_walk_goes_around_the_picture_that_is_named(typed):
    copy, result = typed("sample RUN --application walk --of b.png --frames 2 --beta 0.9 --not_cuda --quiet")
    (name, facts), *more = results_of(copy, result, Role.SAMPLE).items()
    assert not more
    assert name.endswith("_moved_of_2.gif")
    assert facts["near"] == "b.png"
    with Image.open(next((copy / "Evaluation").rglob(name))) as made:
        assert made.size == (40, 52)


def test_a_painting_becomes_a_photo_by_the_picture_that_is_named(typed):
    copy, result = typed("paint RUN painting.png --of 3 --not_cuda --quiet")
    (name, facts), *more = results_of(copy, result, Role.PAINTED).items()
    assert not more
    assert "_of_3_" in name
    assert facts["near"] == "c.png"
    model = SingleImageModel.load(copy / "model.safetensors")
    painting, draw = images.load("painting.png").pixels, Draw(0, ("paint",))
    layout = model.pages[1].transform(painting, int(facts["start_stage"]), 1.0, 0)
    found = images.load(next((copy / "Evaluation").rglob(name))).pixels
    made = finish(atlas(model, 2), layout, (found.shape[2], found.shape[3]), [draw]).picture
    assert (made - found).abs().max() < 0.01


def test_score_holds_samples_against_all_pictures(typed):
    copy, result = typed("sample RUN --num_samples 4 --variation 0.3 --not_cuda --quiet")
    near = [facts["near"] for facts in results_of(copy, result, Role.SAMPLE).values()]
    assert len(set(near)) > 1
    _, told = typed("score RUN --json")
    found = json.loads(told.stdout)
    files = [each.path for each in kept(copy / "Evaluation") if each.role is Role.SAMPLE]
    real = [unit(images.load(copy / name).pixels) for name in ("picture.png", "picture_2.png", "picture_3.png")]
    samples = torch.cat([unit(images.load(file).pixels) for file in files])
    assert found["coherence"] == pytest.approx(evaluate(real[0], samples, ["coherence"], real[1:])["coherence"])
    assert found["coherence"] < 0.9 * evaluate(real[0], samples, ["coherence"])["coherence"]


def test_the_report_shows_every_picture_and_what_samples_are_near(typed):
    copy, result = typed("report RUN")
    assert result.exit_code == 0, result.output
    page = (copy / "report.html").read_text("utf-8")
    for name in ("a.png", "b.png", "c.png"):
        assert f"{name} reconstruction" in page
    assert "the 3 pictures that it learned from" in page
    near = {each.facts["near"] for each in kept(copy / "samples" / "stage_1") if each.role is Role.SAMPLE}
    assert near
    assert all(f", near {name} (" in page for name in near)


def test_figures_of_the_training_are_the_mean_of_all_pictures(files):
    state = begun(files)
    state.enter_stage()
    state.iteration = 1
    alone = [state._beside(branch) for branch in state.branches[0].pictures]
    found = state.measure()
    weights = (0.5, 0.25, 0.25)
    for name in ("reconstruction", "balance", "swd", "convergence"):
        values = [getattr(each, name) for each in alone]
        assert len(set(values)) == 3
        assert getattr(found, name) == pytest.approx(sum(map(prod, zip(weights, values, strict=True))))


def test_of_many_pictures_few_are_measured():
    seen = []

    def measured(number):
        seen.append(number)
        return Figures(0, number, 0.0, 0.0)

    found = over([(number, 1.0 if number < 50 else 3.0) for number in range(100)], measured)
    assert seen == [0, 12, 25, 37, 50, 62, 75, 87]
    assert found.reconstruction == pytest.approx((sum(seen[:4]) + 3 * sum(seen[4:])) / 16)


def test_edits_are_made_with_the_picture_that_is_named(typed, files):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save("mask.png")
    made, seen = {}, set()
    for words in ("", "--of 2", "--of b.png"):
        copy, done = typed(f"edit RUN {files / 'a.png'} --mask mask.png --finish none {words}")
        assert done.exit_code == 0, done.output
        masked = [each for each in kept(copy / "Evaluation") if each.role is Role.MASKED]
        (made[words],) = [each for each in masked if each.path not in seen]
        seen.add(made[words].path)
    assert "of_2" in made["--of 2"].path.name
    assert [each.facts["near"] for each in made.values()] == ["a.png", "b.png", "b.png"]
    pixels = {words: np.asarray(Image.open(each.path)) for words, each in made.items()}
    assert np.array_equal(pixels["--of 2"], pixels["--of b.png"])
    assert not np.array_equal(pixels[""], pixels["--of 2"])
    _, done = typed(f"edit RUN {files / 'a.png'} --mask mask.png --of d.png")
    assert done.exit_code == 2
    assert "--of is 'd.png'" in done.stderr


def test_a_run_of_several_pictures_gives_the_layout_of_one(typed, run):
    _, done = typed("export RUN --pt2 m.pt2 --noise n.npz --seed 4 --of 2 --tileable x")
    assert done.exit_code == 0, done.output
    model = SingleImageModel.load(run.model)
    ours = model.sample(1, seed=4, of="2", tileable="x", size=model.pages[0].size, finish="none")
    given = {name: torch.from_numpy(x) for name, x in np.load("n.npz").items()}
    maps = [given[f"noise_{stage}"] for stage in range(model.stages)]
    theirs = torch.export.load("m.pt2").module()(maps, given["amplitudes"], given["variation"])
    assert (theirs - ours).abs().max() < 1e-4
