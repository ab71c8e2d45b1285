"""Runs side by side."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import stripes, trained
from PIL import Image
from test_report import assert_self_contained

from consingan.command import cli
from consingan.metrics.pictures import match
from consingan.metrics.table import evaluate
from consingan.pictures import images
from consingan.storage.run import Run
from consingan.watch import compare
from consingan.watch.report import reading


@pytest.fixture(scope="module")
def others(picture_file, tmp_path_factory) -> dict[str, Path]:
    """Tiny runs that differ from ``trained_run`` in settings and size, and in the picture."""
    outdir = tmp_path_factory.mktemp("runs")
    file = outdir / "other.png"
    Image.fromarray(255 - stripes()[:, ::-1]).save(file)
    larger = trained(picture_file, outdir, "--max_size", "48", "--lr_scale", "0.3")
    return {"larger": larger, "picture": trained(file, outdir)}


def test_settings_figures_times_and_samples_stand_side_by_side(trained_run, others, tmp_path):
    out = tmp_path / "page.html"
    command = ["compare", str(trained_run), str(others["larger"]), "--out", str(out)]
    result = CliRunner().invoke(cli.main, command, catch_exceptions=False)
    assert (result.exit_code, result.stdout.strip()) == (0, str(out))
    text = out.read_text()
    read = assert_self_contained(text)
    assert "different pictures" not in text
    different = re.findall(r'<tr class="differs"><td>(\w+)</td>', text)
    assert set(different) == {"max_size", "nfc", "niter", "lr_g", "lr_d", "decay", "lr_scale", "noise_amp"}
    assert re.search(r"<td>lr_scale</td><td>0.1</td><td[^>]*>0.3</td>", text)
    assert sum(each.startswith("data:image/webp") for each in read.addresses) == 2 * 5
    assert {"figures", "cost", "settings", "samples", "curves"} <= set(read.ids)


def test_all_are_judged_at_the_smallest_size(trained_run, others):
    read = [reading.read(Run(folder)) for folder in (trained_run, others["larger"])]
    side = compare.common_side(read)
    assert side == 40
    figures, judged = compare.figures_at(read[1], side)
    stage = read[1].stages[-1]
    samples = torch.cat([images.load(each.path).pixels for each in stage.samples[:5]])
    small = match((samples + 1) / 2, (30, 40))
    assert figures == pytest.approx(evaluate((images.load(read[1].picture).pixels + 1) / 2, small), rel=1e-3)
    assert judged == 3


def test_the_best_is_marked_where_better_has_a_meaning():
    columns = [compare.Column(n, None, [], {"swd": v, "copy": v}, 5) for n, v in (("A", 0.2), ("B", 0.1), ("C", 0.3))]
    swd, copied = compare.figure_rows(columns, same=True)
    assert (swd.cells, swd.best) == (["0.2000", "0.1000", "0.3000"], [1])
    assert copied.best == []
    assert compare.figure_rows(columns, same=False)[0].best == []


def test_different_pictures_are_warned_of(trained_run, others):
    page = compare.comparison([Run(trained_run), Run(others["picture"])])
    assert "These runs are of different pictures." in page
    assert 'class="best"' not in page


def test_a_run_without_samples_is_shown(trained_run, tmp_path):
    copy = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    shutil.rmtree(copy / "samples")
    (copy / "log.jsonl").unlink()
    assert_self_contained(compare.comparison([Run(trained_run), Run(copy)]))


@pytest.mark.parametrize(
    ("names", "says"),
    [([], "got 0"), (["one"], "got 1"), (["one", "one"], "the same run twice"), (["one", "none"], "does not exist")],
)
def test_refusals(names, says, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {"one": str(trained_run), "none": "nowhere"}
    result = CliRunner().invoke(cli.main, ["compare", *(folders[name] for name in names)])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_page_may_not_be_a_folder(trained_run, others, tmp_path):
    result = CliRunner().invoke(cli.main, ["compare", str(trained_run), str(others["larger"]), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is a folder" in result.stderr
