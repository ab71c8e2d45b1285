"""benchmarks/objectives.py in small form, and the page whose tables it writes."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import stripes
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import objectives
from objectives import BEGIN, END, FIRST, Outcome

from consingan.gan.objectives import OBJECTIVES
from consingan.pictures import images
from consingan.training.watchdog import CollapsedError

ROOT = Path(__file__).parent.parent
HIGH = "began --began_gamma 0.7"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The command on a small picture, as a function of its words."""
    Image.fromarray(stripes(36, 48)).save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objectives, "TIMED", 1)
    monkeypatch.setattr(objectives, "ROUNDS", 1)

    def run(*words, pictures=("one.png",)):
        fixed = ("--preset", "quick", "--longest", "32", "--samples", "2", "--json", "out.json")
        return CliRunner().invoke(objectives.main, [*pictures, *fixed, *words])

    return run


def outcome(objective, picture="a.png", swd=0.1, coherence=0.2, **how):
    figures = {"swd": swd, "coherence": coherence, "completeness": 0.3, "diversity": 0.4, "copy": 0.5}
    trace = [(stage, n, 1.0 / n, 2.0 / n) for stage in (0, 1) for n in (1, 2, 3)]
    found = {"niter": [3, 5], "figures": {"none": figures, "patches": figures}, "trace": trace, **how}
    return Outcome(objective, picture, "quick", **found)


def test_each_gets_its_time_is_kept_and_is_not_done_twice(bench, tmp_path):
    only = ("--only", FIRST, "--only", HIGH, "--seconds", "0.3")
    first = bench(*only, "--sheet", "sheet.png")
    assert first.exit_code == 0, first.output
    kept = json.loads((tmp_path / "out.json").read_text())
    assert [each["objective"] for each in kept] == [FIRST, HIGH]
    for each in kept:
        planned = sum(n * seconds for n, seconds in zip(each["niter"], each["per_iteration"], strict=True))
        assert planned == pytest.approx(0.3, rel=0.25)  # whole iterations
        assert 0 < each["cpu_seconds"] < 30
        assert [images.load(file).pixels.shape[2:] for file in each["samples"]["patches"]] == [(24, 32)] * 2
        assert [images.load(file).pixels.shape[2:] for file in each["samples"]["none"]] == [(30, 40)] * 2
        assert set(objectives.FIGURES) == set(each["figures"]["none"]) == set(each["figures"]["patches"])
        assert [row[:2] for row in each["trace"]] == [[stage, n - 1] for stage, n in enumerate(each["niter"])]
    sheet = images.load(tmp_path / "sheet.png").pixels
    assert sheet.shape[2] > 2 * 112
    again = bench(*only)
    assert again.exit_code == 0
    assert "s of CPU time" not in again.stdout  # nothing was trained
    assert json.loads((tmp_path / "out.json").read_text()) == kept


def test_a_training_that_collapses_is_told_and_the_others_go_on(bench, tmp_path, monkeypatch):
    train = objectives.consingan.train

    def fails(picture, **how):
        if how["objective"] == "began":
            raise CollapsedError("Training does not hold: at stage 1.")
        if how["objective"] == "ebgan":
            raise ValueError("x")
        return train(picture, **how)

    monkeypatch.setattr(objectives.consingan, "train", fails)
    done = bench("--only", "began", "--only", "ebgan", "--only", FIRST, "--seconds", "0.2", "--sheet", "sheet.png")
    assert done.exit_code == 0, done.output
    assert "- began, one.png: collapsed: Training does not hold: at stage 1." in done.stdout
    assert "- ebgan, one.png: failed: ValueError('x')" in done.stdout
    assert re.search(rf"\| `{FIRST}` \| 1 of 1 \| \d+ \| 0\.", done.stdout)
    assert "| `began` | 0 of 1 |  |" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "x"), "'x': no objective with such options"),
        (("--only", "began --x 3"), "no objective with such options"),
        (("--only", "began --margin 3"), "--margin is an option of --objective ebgan"),
        (("--only", "began --began_gamma 3"), "--began_gamma is 3"),
        (("--only", "began --began_gamma"), "no objective with such options"),
    ],
)
def test_what_it_cannot_train_is_refused_first(bench, words, message):
    done = bench(*words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_the_last_column_is_the_mean_share_of_the_first_objective_s_figures():
    rows = [outcome(FIRST), outcome(FIRST, "b.png", 1.0, 1.0), outcome("began", swd=0.05), outcome("ebgan", "c.png")]
    lines = [line for line in objectives.tables(rows) if line.startswith("| `")]
    assert [line.split("|")[-2].strip() for line in lines] == ["1.00", "0.75", "", "1.00", "0.75", ""]
    assert lines[0].startswith(f"| `{FIRST}` | 2 of 2 | 8 | 0.5500 | 0.6000 | 0.3000 | 0.4000 | 0.5000 |")


def test_the_page_is_written_anew_between_its_marks_alone(bench, tmp_path):
    rows = [outcome(FIRST, messages=["Stage 1 stands still at iteration 4"]), outcome("began")]
    (tmp_path / "out.json").write_text(json.dumps([asdict(each) for each in rows]))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        done = bench("--page", "page.md", "--sheet", "sheet.png", pictures=())
        assert done.exit_code == 0, done.output
        text = page.read_text()
        assert text.startswith(f"before\n{BEGIN}\n")
        assert text.endswith(f"{END}\nafter\n")
        assert text.count("| `began` | 1 of 1 | 8 | 0.1000 |") == 2
        assert "old" not in text
        assert f"- {FIRST}, a.png: 1 times still" in text
        assert "![sheet](sheet.png)" in text
    page.write_text("no marks")
    assert bench("--page", "page.md", pictures=()).exit_code == 2
    assert page.read_text() == "no marks"


def test_plots_are_of_began_s_gamma_and_of_its_measure(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [outcome("began"), outcome(HIGH), outcome(FIRST)]
    for name, draw in objectives.PLOTS.items():
        draw(rows, tmp_path / "plots" / name)
        assert "<svg" in (tmp_path / "plots" / name).read_text()
    assert objectives.correlation(rows[0]) == pytest.approx(1)
    backwards = outcome("began", trace=[(0, n, 1.0 * n, -2.0 * n) for n in (1, 2, 3)])
    assert objectives.correlation(backwards) == pytest.approx(-1)


def test_every_objective_has_a_row_of_its_own_in_the_page():
    page = (ROOT / "docs/objectives.md").read_text()
    named = re.findall(r"^\| `([a-z-]+)` \|", page.partition(BEGIN)[0], re.MULTILINE)
    assert {name.replace("_", "-") for name in OBJECTIVES} <= set(named)
    assert len(named) == len(set(named))
    assert END in page.partition(BEGIN)[2]
