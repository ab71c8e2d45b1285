"""One line in METRICS is a figure: score, report and comparison show it with its own words."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import trained

from consingan.command import cli
from consingan.metrics.table import METRICS, Metric, each
from consingan.storage.run import Run
from consingan.watch import compare
from consingan.watch.report import judged, report_page


@pytest.fixture
def toy(monkeypatch):
    """How bright samples are beside the picture, as a figure."""

    def brightness(real, samples):
        return (samples.mean() / real.mean()).item()

    metric = Metric(each(brightness), "Toy brightness", "light of samples over that of the picture", better=1, digits=2)
    monkeypatch.setitem(METRICS, "toy", metric)
    judged._find.cache_clear()
    yield metric
    judged._find.cache_clear()


def scored(*arguments: str) -> str:
    result = CliRunner().invoke(cli.main, ["score", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def samples_of(run: Path) -> str:
    return str(next((run / "samples").glob("stage_1/samples_*")))


def test_score_shows_it(toy, trained_run):
    real, samples = str(trained_run / "picture.png"), samples_of(trained_run)
    value = json.loads(scored(real, samples, "--json"))["toy"]
    assert 0.2 < value < 5
    (line,) = [line for line in scored(real, samples).splitlines() if " toy " in line]
    assert f" {value:.2f} " in line


def test_a_study_shows_it(toy, trained_run, tmp_path):
    (tmp_path / "real").mkdir()
    shutil.copy(trained_run / "picture.png", tmp_path / "real" / "a.png")
    shutil.copytree(samples_of(trained_run), tmp_path / "method" / "a")
    found = json.loads(scored(str(tmp_path / "real"), str(tmp_path / "method"), "--json"))
    assert found["method"]["mean"]["toy"] == found["method"]["each"]["a"]["toy"] > 0


def test_the_report_shows_it(toy, trained_run):
    page = report_page(Run(trained_run))
    assert "Toy brightness" in page
    assert "light of samples over that of the picture; higher is better" in page


def test_a_comparison_shows_it_and_marks_the_best(toy, trained_run, picture_file, tmp_path):
    other = trained(picture_file, tmp_path, "--nfc", "6")
    runs = [Run(trained_run), Run(other)]
    page = compare.comparison(runs)
    assert "<td>Toy brightness</td>" in page
    columns = [compare.Column(name, None, [], {"toy": value}, 3) for name, value in (("A", 0.5), ("B", 0.75))]
    (row,) = compare.figure_rows(columns, same=True)
    assert (row.cells, row.best) == (["0.50", "0.75"], [1])


def test_what_a_figure_needs_decides_where_it_exists(toy, monkeypatch, trained_run):
    monkeypatch.setitem(METRICS, "toy", Metric(toy.begin, "Toy", "of many", samples=1000))
    found = json.loads(scored(str(trained_run / "picture.png"), samples_of(trained_run), "--json"))
    assert found["toy"] is None
    assert found["sifid64"] is None
