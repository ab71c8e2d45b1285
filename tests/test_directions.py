"""Both directions of a translation, in figures, on the report, in comparisons, and in the terminal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from consingan.applications import APPLICATIONS
from consingan.applications.base import Expected, Material, chosen
from consingan.applications.progress import Progress
from consingan.command.cli import score as score_command
from consingan.command.cli import train as train_command
from consingan.command.runs import line
from consingan.config import from_json
from consingan.gan.model import SingleImageModel
from consingan.grid.ranges import unit
from consingan.metrics.figures import swd
from consingan.metrics.pairs import PAIRS, cycle_error, of_pair, structure_kept
from consingan.pictures import images
from consingan.storage import results
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.training.convergence import Figures, pace
from consingan.watch import compare
from consingan.watch.log import read_log
from consingan.watch.report import directions, report_page

SMALL = ["--niter", "12", "--train_stages", "2", "--min_size", "20", "--max_size", "34", "--nfc", "4", "--not_cuda"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A translation of a bright and a dark picture, and what its training said."""
    folder = tmp_path_factory.mktemp("directions")
    for name, low, size in (("pale", 0.2, (40, 52)), ("deep", -0.9, (48, 44))):
        draw = torch.Generator().manual_seed(len(name) + size[0])
        images.save(folder / f"{name}.png", torch.rand(1, 3, *size, generator=draw) * 0.6 + low)
    words = ["--train_mode", "translation", "--input_name", str(folder / "pale.png")]
    words += ["--target_name", str(folder / "deep.png"), "--outdir", str(folder / "runs"), *SMALL]
    done = CliRunner().invoke(train_command, words)
    assert done.exit_code == 0, done.output
    return Run.open(done.stdout.strip()), done.stderr


@pytest.fixture
def run(trained):
    return trained[0]


@pytest.fixture
def settings(run):
    return from_json(json.loads(run.config.read_text()), "config.json")


def test_the_figures_of_a_direction_are_those_of_its_pictures(run, settings):
    forward, back = directions.of_previews(run, settings)
    assert [forward.title, back.title] == ["pale in the manner of deep", "deep in the manner of pale"]
    folder = run.samples / "stage_1"
    files = [run.picture, folder / "pale_as_deep.png", run.picture_of("target"), folder / "pale_as_deep_and_back.png"]
    assert [forward.source, forward.made, forward.target, forward.back] == files
    source, made, target, returned = (unit(images.load(file).pixels) for file in files)
    assert forward.figures == {
        "before": swd(target, source),
        "after": swd(target, made),
        "structure": structure_kept(source, made),
        "cycle": cycle_error(source, returned),
    }
    assert list(forward.figures) == list(PAIRS)
    assert forward.figures != back.figures
    assert "cycle" not in of_pair(source, made, target)


def test_results_of_other_pictures_are_no_direction(run, settings, tmp_path):
    made = results.kept(run.samples / "stage_1")
    assert len(directions.directions(run, settings, made)) == 2
    other = [replace(each, facts={**each.facts, "own": "no"}) for each in made]
    assert directions.directions(run, settings, other) == []
    back = [each for each in made if each.facts.get("direction") == "back"]
    assert [each.word for each in directions.directions(run, settings, back)] == ["back"]


def test_the_page_shows_both_pictures_both_ways_and_back(run):
    page = report_page(run)
    for words in (
        "pale in the manner of deep</figcaption>",
        "deep in the manner of pale</figcaption>",
        "pale, there and back, by colours alone</figcaption>",
        "deep, there and back, by colours alone</figcaption>",
        "Figures of both directions",
        "as pale critic real",
        "as deep critic fake",
    ):
        assert words in page, words
    assert page.count('class="hero three"') == 1
    assert page.count("stage 1 · ") >= 2  # of both pyramids


def test_the_last_words_and_the_list_name_both(trained, settings):
    run, said = trained
    for each in directions.of_previews(run, settings):
        assert each.said in said
        assert f"{each.figures['structure']:.2f}" in each.said
    assert line(run).endswith("with deep.png")


def test_score_measures_both_directions(run, settings):
    done = CliRunner().invoke(score_command, [str(run.folder), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {word: {k: v for k, v in one.items() if k != "title"} for word, one in found.items()} == {
        each.word: dict(each.figures) for each in directions.of_previews(run, settings)
    }
    table = CliRunner().invoke(score_command, [str(run.folder)]).stdout
    assert all(f"{each.figures['structure']:.3g}" in table for each in directions.of_previews(run, settings))


def test_comparison_marks_the_better_of_each_direction(run, tmp_path):
    import shutil

    other = Run(tmp_path / "other")
    shutil.copytree(run.folder, other.folder)
    shutil.copy(run.picture, other.samples / "stage_1" / "pale_as_deep.png")  # the source itself: nothing has changed
    read = [compare.reading.read(each) for each in (run, other)]
    rows = {row.name: row for row in compare.direction_rows(read, same=True)}
    assert len(rows) == 2 * len(PAIRS)
    assert rows["Structure kept, forward"].best == [1]
    assert rows["Structure kept, forward"].cells[1] == "1"
    assert rows["Distance after, forward"].best == [0]
    assert rows["Structure kept, back"].best == [0, 1]
    assert rows["Distance before, forward"].best == []
    assert all(row.best == [] for row in compare.direction_rows(read, same=False))
    assert "Structure kept, back" in compare.comparison([run, other])


def test_pictures_of_the_way_are_views_of_both(run):
    taken = [each for each in results.kept(run.samples / "stage_0") if each.role is Role.SNAPSHOT]
    assert len(taken) == 3
    width = images.load(taken[0].path).pixels.shape[3]
    assert width >= 4 * 44  # manner, picture, result and way back, side by side


def test_the_log_has_figures_of_both_branches(run):
    (first, *_) = [record for record in read_log(run.log) if record["event"] == "figures"]
    names = ("reconstruction", "balance", "convergence", "swd")
    assert {*names, *(f"target.{name}" for name in names)} <= set(first)
    assert first["swd"] != first["target.swd"]


def test_a_stage_ends_when_both_branches_stand_still(settings):
    stopping = replace(settings.stopping, stop="auto", stop_tolerance=0.05)
    settings = replace(settings, stopping=stopping, optimisation=replace(settings.optimisation, niter=(10_000,)))
    still = [Figures(20 * k, 1.0, 1.0, 1.0, 1.0) for k in range(1, 14)]
    better = [Figures(one.iteration, *[0.7**k] * 4, branch="target") for k, one in enumerate(still)]
    judged = ["swd"]
    assert pace(still, settings, 0, 1.0, judged).iterations < 10_000
    both = [one for pair in zip(still, better, strict=True) for one in pair]
    assert pace(both, settings, 0, 1.0, judged).iterations == 10_000
    same = [one for each in still for one in (each, replace(each, branch="target"))]
    assert pace(same, settings, 0, 1.0, judged) == pace(still, settings, 0, 1.0, judged)


def direction(word="forward", **figures):
    """A direction with figures that are all well, but for these."""
    found = {"before": 0.1, "after": 0.03, "structure": 0.9, "cycle": 0.02} | figures
    return directions.Direction(word, "a", "b", *[None] * 4, found)


@pytest.mark.parametrize(
    ("figures", "turned"),
    [
        ({"structure": 0.69}, "--start_stage 1"),
        ({"after": 0.051}, "--identity"),
        ({"cycle": 0.11}, "--cycle"),
        ({}, "nothing has to be turned"),
    ],
)
def test_what_the_figures_mean_and_what_to_turn(figures, turned):
    said = list(directions.meaning([direction(**figures)], finished=True))
    assert said[0].startswith("A in the manner of b: patch distance ")
    assert turned in said[1]
    assert len(said) == 2
    assert list(directions.meaning([replace(direction(), figures={})], finished=True)) == []


def test_sampling_tells_how_many_translations_come_and_how_far_they_are(run):
    application = APPLICATIONS["translate"]
    model = SingleImageModel.load(run.model)
    material = Material.of(model, run)
    expected = application.announce(material, chosen(application, {"num_samples": 3}))
    assert (expected.number, list(expected.sizes), expected.what) == (3, [(40, 52), (48, 44)], "translation")
    plain = application.announce(material, chosen(application, {"num_samples": 3, "finish": "none"}))
    assert plain.before < expected.before
    one = application.announce(material, chosen(application, {"direction": "back"}))
    assert list(one.sizes) == [(48, 44)]
    said = []
    large = Expected(3, [(750, 1000)], finished=False, before=8.0, what="translation")
    progress = Progress(said.append, **vars(large))
    assert said[0].startswith("3 translations of 1000x750 px: about 24 s")
    shares = []
    for result in progress.seen(application.apply(material, chosen(application, {"direction": "back"}), shares.append)):
        assert result.facts.get("direction", "back") == "back"
    assert shares[-1] == pytest.approx(1.0)
    assert progress.done == 1
