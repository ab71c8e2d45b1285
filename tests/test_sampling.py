"""Sampling a picture without a model, the first look of a run, and what is said of how long sampling takes."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import TINY, stripes
from PIL import Image

from consingan.applications import progress
from consingan.applications.base import Result
from consingan.applications.progress import Progress
from consingan.command import cli
from consingan.finish.pace import slowness
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.watch.report import page, reading


def typed(command, *arguments: object):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with a picture of 64x48 px, where commands are typed."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(stripes()).save("photo.png")
    return tmp_path


def test_a_picture_gives_new_pictures_without_a_model(desk):
    result = typed(cli.sample, "photo.png", "--num_samples", 2, "--quiet", "--not_cuda")
    assert (result.exit_code, result.stdout.strip()) == (0, "trained_models/photo/instant")
    (folder,) = [path for path in Path(result.stdout.strip()).iterdir() if path.is_dir()]
    assert folder.name == "samples_64x48_variation_0.6_instant"
    assert sorted(path.name for path in folder.iterdir()) == [
        "grid.png",
        "seed_0_sample_000.png",
        "seed_0_sample_001.png",
    ]
    with Image.open(folder / "seed_0_sample_001.png") as picture:
        assert picture.size == (64, 48)
        assert picture.text == {
            "picture": "photo.png",
            "seed": "0",
            "sample": "1",
            "variation": "0.6",
            "model": "none",
        }
    first = (folder / "seed_0_sample_000.png").read_bytes()
    assert first != (folder / "seed_0_sample_001.png").read_bytes()
    again = typed(cli.sample, "photo.png", "--num_samples", 1, "--out", "again", "--quiet", "--not_cuda")
    assert again.exit_code == 0
    assert (desk / "again" / folder.name / "seed_0_sample_000.png").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("photo.png", "--model_dir", "run"), "photo.png and run is given to sample; name one"),
        (("photo.png", "--finish", "none"), "--finish none needs a trained model"),
        (("photo.png", "--gen_start_scale", 1), "--gen_start_scale 1 needs a trained model"),
        (("photo.png", "--finish_seed", 3), "--finish_seed 3 needs a trained model"),
        (
            ("photo.png", "--alpha", 0.1),
            "--alpha is a flag of --application walk, not of instant; leave it out, or give",
        ),
        (("photo.png", "--variation", 2), "--variation is 2.0; give a number from 0 to 1"),
        (("photo.png", "--size", "20000x20000"), "--size 20000x20000 has 400 million pixels; at most 64 million"),
        (("photo.png", "--size", "10x10"), "--size 10x10 has a side below 16 px"),
        (("nothing.png",), "nothing.png"),
    ],
)
def test_what_cannot_be_made_of_a_picture_is_refused_and_nothing_is_written(desk, arguments, words):
    result = typed(cli.sample, *arguments)
    assert result.exit_code == 2
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert words in error
    assert [path.name for path in desk.iterdir()] == ["photo.png"]


def test_a_run_shows_a_first_look_before_it_has_trained(desk):
    flags = (*TINY, "--finish", "patches", "--outdir", "runs", "--not_cuda", "--quiet")
    result = typed(cli.train, "photo.png", *flags)
    run = Run(Path(result.stdout.strip()))
    found = reading.read(run)
    assert len(found.first_look) == 3
    assert all("samples_64x48" in each.path.parent.name for each in found.first_look)
    assert found.picture == run.picture
    for stage in found.stages:  # what a run is like before its first previews
        for path in (*(each.path for each in stage.samples), stage.reconstruction):
            path.unlink()
    shots = page.hero(reading.read(run))
    assert [shot.caption for shot in shots] == ["the picture"] + 3 * ["first look, without training"]


def test_a_run_of_the_published_method_has_no_first_look(trained_run):
    assert reading.read(Run(trained_run)).first_look == []


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time of day, to be moved by hand."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    monkeypatch.setattr("consingan.finish.pace.slowness", lambda: 2.0)
    return now


def test_sampling_says_what_it_takes_and_how_far_it_is(clock):
    said: list[str] = []
    progress = Progress(said.append, 4, [(2000, 3000)], begun=0.0, spoken=0.0)
    assert said == ["4 samples of 3000x2000 px: about 45 s and 1208 MB of memory."]
    clock[0] = 4.9
    progress.told(0.5)
    assert len(said) == 1  # too soon
    clock[0] = 10.0
    progress.told(0.5)
    progress.told(0.2)  # nothing more so soon
    assert said[1:] == ["12% of 4 samples, 1 min 10 s left."]
    results = [Result("a", Role.RECONSTRUCTION, []), Result("b", Role.SAMPLE, []), Result("c", Role.SAMPLE, [])]
    assert list(progress.seen(results)) == results
    clock[0] = 20.0
    progress.told(0.0)
    assert said[2:] == ["50% of 4 samples, 20 s left."]


def test_how_slow_this_machine_is_changes_no_random_numbers(monkeypatch):
    times = iter([0.0, 0.044, 1.0, 1.022, 2.0, 2.1, 3.0, 3.05])
    monkeypatch.setattr("consingan.finish.pace.perf_counter", lambda: next(times))
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    slowness.cache_clear()
    assert slowness() == pytest.approx(2.0)
    assert torch.equal(torch.rand(2), wanted)
    slowness.cache_clear()


def test_a_panorama_takes_as_much_longer_as_it_is_longer():
    """All of it is searched, while a large picture of the photo's shape is searched as a small one."""
    one, five, large = (progress.finishing(size) - progress.SECONDS for size in ((256, 384), (256, 1920), (1280, 1920)))
    assert five == pytest.approx(5 * one)
    assert large < five


def test_little_that_is_done_tells_no_time(clock):
    """The first per cent are loading as well."""
    said: list[str] = []
    progress = Progress(said.append, 1, [(3000, 4000)], begun=0.0, spoken=0.0)
    for clock[0], share in ((6.0, 0.01), (12.0, 0.1), (18.0, 1.0)):
        progress.told(share)
    assert said[1:] == ["1% of 1 sample.", "10% of 1 sample, 1 min 48 s left."]


def test_what_takes_no_time_or_an_unknown_one_is_not_announced(clock):
    for number, sizes in ((2, [(48, 64)]), (0, [])):
        said: list[str] = []
        progress = Progress(said.append, number, sizes, begun=0.0, spoken=0.0)
        progress.told(1.0) if number else None
        assert said == []
