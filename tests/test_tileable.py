"""Pictures that repeat without a seam: resizing, the finish, samples, trainings, and what is refused."""

import itertools
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from conftest import trained
from PIL import Image

from consingan import config
from consingan.applications.base import Result
from consingan.applications.tiles import Tiles
from consingan.command.cli import main
from consingan.finish import search
from consingan.finish.instant import instant
from consingan.finish.patches import finish, located
from consingan.finish.photo import Photo
from consingan.finish.scales import Plan
from consingan.finish.vote import vote
from consingan.gan.model import SingleImageModel
from consingan.gan.stills import Stills
from consingan.grid.noise import Draw, Field
from consingan.grid.sizes import NOWHERE, WRAPS
from consingan.grid.torus import going_on, halfway, joined, quiet, repeated, resized, seams, surrounded
from consingan.grid.windows import Window
from consingan.pictures import images
from consingan.storage.files import load_tensors
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.training import plan
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

WORDS = ["x", "y", "xy"]


def noisy(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A rough picture ``[1, 3, H, W]`` in [-1, 1]."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def only(wraps, shift):
    return tuple(by if wrap else 0 for by, wrap in zip(shift, wraps, strict=True))


# ---------------------------------------------------------------------------------------------------------
# planes


@pytest.mark.parametrize("size", [(35, 27), (20, 18), (13, 9), (7, 40)])
def test_a_plane_is_resized_as_torch_resizes_it_repeated(size):
    x = noisy(20, 18).double()
    around = F.interpolate(x.repeat(1, 1, 9, 9), (9 * size[0], 9 * size[1]), mode="bicubic", antialias=True)
    middle = around[:, :, 4 * size[0] : 5 * size[0], 4 * size[1] : 5 * size[1]]
    torch.testing.assert_close(resized(x, size, WRAPS["xy"]), middle, rtol=0, atol=1e-9)


def test_along_the_other_axis_a_plane_is_resized_as_any_picture():
    x = noisy(20, 18).double()
    wide = F.interpolate(x.repeat(1, 1, 1, 9), (31, 9 * 27), mode="bicubic", antialias=True)
    torch.testing.assert_close(resized(x, (31, 27), WRAPS["x"]), wide[:, :, :, 4 * 27 : 5 * 27], rtol=0, atol=1e-9)


def test_noise_goes_on_at_its_other_side_and_is_the_field_within():
    field = Field(Draw(0, ("test",)), 2).cut
    whole = field(Window.whole((50, 40)))
    source = going_on(field, (50, 40))
    assert torch.equal(source(Window((3, 9), (0, 40))), whole[:, :, 3:9])
    twice = whole.repeat(1, 1, 3, 3)
    for window in (Window((-7, 5), (30, 44)), Window((49, 52), (-40, -30)), Window((-1, 51), (3, 78))):
        rows, columns = (
            (first + n, last + n) for (first, last), n in zip((window.rows, window.columns), (50, 40), strict=True)
        )
        assert torch.equal(source(window), twice[:, :, slice(*rows), slice(*columns)])
        assert torch.equal(window.cut(whole), twice[:, :, slice(*rows), slice(*columns)])


@pytest.mark.parametrize("word", WORDS)
def test_a_picture_is_joined_by_as_smooth_a_change_as_there_is(word):
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 30), torch.linspace(-1, 1, 40), indexing="ij")
    picture = (0.6 * rows + 0.4 * columns + 0.05 * noisy(30, 40)[:, :1]).double()
    made, wraps = joined(picture, WRAPS[word]), WRAPS[word]
    before, after = seams(picture), seams(made)
    for axis, wrap in zip("yx", wraps, strict=True):
        assert before[axis] > 5
        assert (after[axis] < 1.6) == wrap, axis
    change = (made - picture)[:, :, 2:-2, 2:-2]  # inside, what is added has no detail
    assert (change.diff(dim=3).diff(dim=3).abs().mean() + change.diff(dim=2).diff(dim=2).abs().mean()) < 0.02
    assert change.std() > 0.1


def test_a_picture_that_repeats_already_stays():
    x = torch.arange(24) * 2 * torch.pi / 24
    picture = (torch.sin(x)[:, None] + torch.cos(2 * x)).double()[None, None]
    step = picture.diff(dim=2).abs().max()  # the step to the other side is as any
    assert (joined(picture, WRAPS["xy"]) - picture).abs().max() < step
    assert joined(picture, NOWHERE) is picture


def test_the_figure_of_a_seam_is_the_step_across_it_over_those_inside():
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 6, 8)
    assert seams(ramp) == {"x": 7.0, "y": 1.0}
    assert seams(ramp.transpose(2, 3)) == {"x": 1.0, "y": 7.0}
    zigzag = torch.tensor([0.0, 1.0] * 4).view(1, 1, 1, 8).expand(1, 1, 6, 8)
    assert seams(zigzag)["x"] == 1.0


def test_a_tile_is_cut_at_the_nearest_place_whose_step_is_at_most_the_mean():
    line = torch.tensor([5.0, 4.0, 4.0, 3.0, 0.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 8).expand(1, 1, 6, 8)
    cut = quiet(line, WRAPS["xy"])  # steps before place 0: 5, 1: 1, 4: 3; their mean is 10 / 8
    assert torch.equal(cut, line.roll(-1, 3))
    before = torch.tensor([0.0, 9.0, 0.0, 9.0, 9.0, 9.0, 5.0, 5.0]).view(1, 1, 1, 8)  # 5, 9, 9, 9, 0, 0, 4, 0
    assert torch.equal(quiet(before, WRAPS["x"]), before.roll(1, 3))
    assert torch.equal(quiet(line.transpose(2, 3), WRAPS["y"]), cut.transpose(2, 3))
    assert torch.equal(quiet(line, WRAPS["y"]), line)
    assert torch.equal(quiet(cut, WRAPS["xy"]), cut)  # one that is cut well stays
    rough = noisy(20, 30)
    assert max(seams(quiet(rough, WRAPS["xy"])).values()) <= 1


def test_a_plane_is_rolled_by_half_and_repeated_along_the_axes_that_wrap():
    x = noisy(6, 10)
    assert torch.equal(halfway(x, WRAPS["x"]), x.roll(5, 3))
    assert torch.equal(halfway(x, WRAPS["xy"]), x.roll((3, 5), (2, 3)))
    assert halfway(x, NOWHERE) is x
    assert torch.equal(repeated(x, 3, WRAPS["y"]), x.repeat(1, 1, 3, 1))
    assert torch.equal(surrounded(x, 2, WRAPS["y"]), F.pad(x, (0, 0, 2, 2), mode="circular"))


# ---------------------------------------------------------------------------------------------------------
# the finish


@pytest.mark.parametrize("word", WORDS)
def test_a_rolled_layout_is_finished_to_the_rolled_picture(word, monkeypatch):
    """At one scale: from one to the next halves are rounded to even, which a roll moves."""
    monkeypatch.setattr("consingan.finish.search.BALANCED", 0)
    photo = Photo(((noisy(40, 40) + 1) * 127.5).byte())
    size, wraps = (60, 80), WRAPS[word]
    layout, shift = noisy(45, 60, seed=1), only(wraps, (20, 40))
    small = only(wraps, (15, 30))
    made, rolled, other = (
        finish(photo, x, size, [Draw(0)], wraps=along).picture
        for x, along in ((layout, wraps), (layout.roll(small, (2, 3)), wraps), (layout.roll(small, (2, 3)), NOWHERE))
    )
    assert alike(rolled, made.roll(shift, (2, 3))) > 0.99
    assert alike(other, made.roll(shift, (2, 3))) < 0.9


def alike(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the numbers that are the same."""
    return ((one - other).abs() < 1e-4).float().mean().item()


@pytest.mark.parametrize("word", WORDS)
def test_each_step_of_the_finish_of_a_rolled_field_gives_the_rolled_one(word):
    photo, wraps, size = Photo(((noisy(40, 48) + 1) * 127.5).byte()), WRAPS[word], (36, 44)
    scale = photo.prepared(Plan.of((40, 48), photo.size))[-1]
    shift = only(wraps, (11, 17))
    picture = (noisy(*size, seed=2) + 1) / 2
    grid = [side if wrap else side - 6 for side, wrap in zip(size, wraps, strict=True)]
    random = torch.Generator().manual_seed(0)
    field = tuple(torch.randint(3, side - 3, (1, *grid), generator=random) for side in (40, 48))

    def roll(x: torch.Tensor, dims: tuple[int, int]) -> torch.Tensor:
        return x.roll(shift, dims)

    def rolled(field):
        return tuple(roll(each, (1, 2)) for each in field)

    def better(field, picture):
        around = surrounded(picture, 3, wraps)
        return search.improved(scale.patches(around), scale.sharp, scale, field, wraps)

    def mended(field, picture):
        return search.mended(surrounded(picture, 3, wraps), scale, field, wraps)

    for step in (better, mended):
        found, expected = step(rolled(field), roll(picture, (2, 3))), rolled(step(field, picture))
        assert all(map(torch.equal, found, expected)), step
        assert not torch.equal(expected[0], rolled(field)[0])
    made = vote(rolled(field), size, scale, 0.8, wraps)
    torch.testing.assert_close(made, roll(vote(field, size, scale, 0.8, wraps), (2, 3)), rtol=0, atol=1e-6)
    twice = [2 * side for side in size]
    finer = search.enlarged(rolled(field), size, twice, (20, 24), scale, wraps)
    expected = search.enlarged(field, size, twice, (20, 24), scale, wraps)
    double = tuple(2 * by for by in shift)
    assert all(torch.equal(one, other.roll(double, (1, 2))) for one, other in zip(finer, expected, strict=True))


def smooth_photo(side: int = 56) -> Photo:
    """Waves of a length that does not fit the side: laid beside itself the photo has seams."""
    at = torch.arange(float(side))
    waves = torch.stack(
        [
            torch.sin(at[:, None] / 5 + at / 7),
            torch.cos(at[:, None] / 6 - at / 4),
            torch.sin(at[:, None] / 3).expand(side, side),
        ]
    )
    return Photo(((waves[None] + 1) * 127.5).byte())


@pytest.mark.parametrize("word", WORDS)
def test_new_pictures_of_a_photo_alone_close(word):
    photo, wraps = smooth_photo(), WRAPS[word]
    closed = [seams(x) for x in instant(photo, 2, (56, 70), 0.6, 0, wraps=wraps)]
    usual = [seams(x) for x in instant(photo, 2, (56, 70), 0.6, 0)]
    for axis, wrap in zip("yx", wraps, strict=True):
        mean, before = (sum(found[axis] for found in each) / 2 for each in (closed, usual))
        assert before > 2
        assert mean < 1.5 if wrap else mean > 2, axis


def test_patches_may_lie_anywhere_along_an_axis_without_ends():
    both = located((3, 5), (1.0, 1.0))
    assert both.any(dim=0).tolist() == [True, True]
    assert located((3, 5), (1.0, 1.0), WRAPS["x"]).any(dim=0).tolist() == [True, False]
    assert located((3, 5), (1.0, 1.0), WRAPS["y"]).any(dim=0).tolist() == [False, True]


def test_the_finish_in_strips_is_that_of_the_whole(monkeypatch):
    photo, layout = smooth_photo(), noisy(40, 60)
    whole = finish(photo, layout, (56, 84), [Draw(0)], wraps=WRAPS["xy"]).picture
    monkeypatch.setattr("consingan.finish.search.STRIP", 700)
    assert torch.equal(finish(photo, layout, (56, 84), [Draw(0)], wraps=WRAPS["xy"]).picture, whole)


# ---------------------------------------------------------------------------------------------------------
# samples and trainings


def said(*words) -> str:
    """What a command that must refuse says."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def sampled(*words) -> str:
    result = CliRunner().invoke(main, ["sample", *map(str, words), "--not_cuda"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("word", WORDS)
def test_a_trained_run_makes_tiles_with_their_views_and_figures(trained_run, tmp_path, word):
    heard = sampled(trained_run, "--out", tmp_path, "--tileable", word, "--seam", "--num_samples", 1, "--size", "70x56")
    index = json.loads((tmp_path / "results.json").read_text())["results"]
    found = {each["role"]: each for each in index}
    assert set(found) == {"sample", "repeated"}
    tile = images.load(tmp_path / found["sample"]["file"]).pixels
    view = images.load(tmp_path / found["repeated"]["file"]).pixels
    assert torch.equal(view, repeated(tile, 3, WRAPS[word]))
    facts = found["sample"]["facts"]
    assert facts["tileable"] == word
    for axis in "xy":
        assert (f"seam_{axis}" in facts) == (axis in word)
        if axis in word:
            assert float(facts[f"seam_{axis}"]) == pytest.approx(seams(tile)[axis], rel=0.02)
            assert float(facts[f"seam_{axis}"]) <= 1.02
            assert f"seam_{axis} {facts[f'seam_{axis}']}" in heard
            assert f"made_{axis} {facts[f'made_{axis}']}" in heard
    assert f"_tileable_{word}/" in found["sample"]["file"]


@pytest.mark.parametrize("moved", [True, False])
def test_a_tile_is_moved_unless_it_follows_a_sketch(tmp_path, moved):
    tile = noisy(20, 30).cumsum(3)
    tile = (tile / tile.abs().max()).roll(15, 3)
    tile[:, :, :, 0] = 1 - tile[:, :, :, -1]  # a large step at the border
    given = Result("folder/a", Role.SAMPLE, [tile], format="png")
    shown, view = Tiles(WRAPS["x"], moved=moved).shown(given)
    wanted = quiet(tile, WRAPS["x"])
    assert not torch.equal(wanted, tile)
    assert torch.equal(shown.frames[0], wanted if moved else tile)
    assert torch.equal(view.frames[0], repeated(shown.frames[0].clamp(-1, 1), 3, WRAPS["x"]))
    assert shown.facts["made_x"] == f"{seams(tile)['x']:.3f}"
    assert shown.facts["seam_x"] == f"{seams(shown.frames[0])['x']:.3f}"
    assert set(shown.facts) == {"tileable", "seam_x", "made_x"}


def test_a_sketch_says_where_a_tile_lies():
    assert Tiles.wanted(Stills(tileable="x")).moved
    assert not Tiles.wanted(Stills(tileable="x", like="sketch.png")).moved


def test_an_ordinary_sample_has_a_figure_only_where_it_is_asked_for(trained_run, tmp_path):
    sampled(trained_run, "--out", tmp_path / "a.png")
    sampled(trained_run, "--out", tmp_path / "b.png", "--seam")
    assert images.load(tmp_path / "a.png").pixels.equal(images.load(tmp_path / "b.png").pixels)
    assert "made_x" not in Image.open(tmp_path / "b.png").info
    assert "seam_x" not in Image.open(tmp_path / "a.png").info
    assert float(Image.open(tmp_path / "b.png").info["seam_x"]) > 0


@pytest.fixture(scope="module")
def tileable_run(picture_file, tmp_path_factory):
    return trained(picture_file, tmp_path_factory.mktemp("runs"), "--tileable", "xy", "--niter", "10")


def test_a_run_that_was_trained_for_it_makes_tiles_by_itself(tileable_run, tmp_path):
    model = SingleImageModel.load(tileable_run)
    assert model.wraps == (True, True)
    assert json.loads((tileable_run / "config.json").read_text())["network"]["tileable"] == "xy"
    sampled(tileable_run, "--out", tmp_path, "--num_samples", 1, "--scale_h", 1)
    assert {each["role"] for each in json.loads((tmp_path / "results.json").read_text())["results"]} == {
        "sample",
        "repeated",
    }
    layout = model.layouts([Draw(3)], (60, 80))
    assert torch.equal(layout, model.layouts([Draw(3)], (60, 80)))
    assert not torch.allclose(
        layout, SingleImageModel.load(tileable_run).sample(1, (60, 80), tileable="off"), atol=1e-3
    )


def settings_of(**given):
    tiny = {"max_size": 40, "train_stages": 2, "niter": 2, "nfc": 4, "min_size": 25, "tileable": "xy"}
    return plan.resolve("generation", "quick", "x.png", 3, {**tiny, **given}, (48, 64))[0]


def test_the_critic_looks_across_the_seam_of_the_fake_and_never_of_the_photo():
    state = Training.start(settings_of(), noisy(48, 64))
    state.enter_stage()
    learner = state.step.learners[0]
    (drawn,) = state.draw(1)
    made = learner.make(drawn)
    assert torch.equal(made.real, state.reals[0])
    sizes = state.model.sizes[:1]
    expected = state.model.generator(drawn.inputs, state.model.amplitudes, sizes)
    height, width = sizes[0]
    torch.testing.assert_close(made.fake, expected.roll((height // 2, width // 2), (2, 3)), rtol=0, atol=1e-6)


def test_a_training_that_was_stopped_goes_on_with_the_same_bits(tmp_path):
    def begun(folder: Path) -> tuple[Training, Run]:
        run = Run.create(folder, "noise", "test")
        state = Training.start(settings_of(niter=(3,), finish="none"), noisy(48, 64))
        write_start(state, run)
        return state, run

    state, run = begun(tmp_path / "whole")
    train(state, Monitor(display="quiet"), run)
    state, half = begun(tmp_path / "half")
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), half, stop=lambda: next(calls) == 5)
    train(resume(half, "cpu", pytest.fail), Monitor(display="quiet"), half)
    one, other = (load_tensors(each.model)[0] for each in (run, half))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_critic_that_knows_places_is_left_out_or_refused():
    assert plan.resolve("generation", "fast", "x.png", 3, {})[0].network.positions == 1.0
    assert plan.resolve("generation", "fast", "x.png", 3, {"tileable": "off"})[0].network.positions == 1.0
    assert plan.resolve("generation", "fast", "x.png", 3, {"tileable": "y"})[0].network.positions == 0.0


def test_older_configurations_are_of_pictures_that_do_not_repeat():
    settings = settings_of(tileable="off")
    values = config.to_json(settings)
    del values["network"]["tileable"]
    assert config.from_json(values, "test") == settings


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--tileable", "z"), "'z' is not one of 'off', 'x', 'y', 'xy'"),
        (("--tileable", "xy", "--positions", "1"), "--positions 1 does not go with --tileable xy"),
        (
            ("--tileable", "xy", "--train_mode", "harmonization"),
            "--tileable xy does not go with --train_mode harmonization; it is for generation, retarget.",
        ),
        (("--tileable", "x", "--train_mode", "animation"), "--tileable x does not go with --train_mode animation"),
    ],
)
def test_trainings_that_cannot_are_refused_before_they_begin(picture_file, tmp_path, words, wanted):
    assert wanted in said("train", picture_file, *words, "--outdir", tmp_path / "out", "--not_cuda")
    assert not (tmp_path / "out").exists()


def test_a_model_that_changes_given_pictures_makes_no_tiles(picture_file, tmp_path):
    run = trained(picture_file, tmp_path / "runs", "--train_mode", "editing")
    words = ("sample", run, "--application", "samples", "--gen_start_scale", "1", "--tileable", "xy")
    heard = said(*words, "--out", tmp_path / "out", "--not_cuda")
    assert "--tileable xy needs a model that makes new pictures, and this one, of editing, changes given ones" in heard
    assert not (tmp_path / "out").exists()
    assert "--tileable is a flag of --application samples, instant, not of walk" in said(
        "sample", picture_file, "--application", "walk", "--tileable", "xy"
    )
