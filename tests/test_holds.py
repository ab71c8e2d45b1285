"""benchmarks/holds.py: whether the training holds on every picture, in small form."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import stripes
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import holds

from consingan.pictures import images

SMALL = ("--niter", "3", "--max_size", "40", "--train_stages", "1", "--nfc", "4", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures, samples of others of the first, and a file that is no picture."""
    path = tmp_path_factory.mktemp("holds")
    Image.fromarray(stripes(36, 48)).save(path / "one.png")
    Image.fromarray(stripes(36, 48)[:, ::-1].copy()).save(path / "two.png")
    for number in range(2):
        Image.fromarray(stripes(36, 48)[::-1, :: 1 - 2 * number].copy()).save(path / f"others_one_{number}.png")
    (path / "broken.png").write_bytes(b"no picture")
    return path


@pytest.fixture
def hold(folder, monkeypatch):
    """The command in that folder, as a function of its words and the training's flags."""
    monkeypatch.chdir(folder)

    def hold(*words, flags=SMALL):
        options = ("--json", "out.json", "--longest", "48", "--samples", "2", "--measured", "2")
        command = [*words, *options, "--beside", "others=others_{stem}_*.png", "--", *flags]
        return CliRunner().invoke(holds.main, command)

    return hold


@pytest.mark.slow
def test_every_picture_is_told_and_none_is_done_twice(folder, hold):
    first = hold("one.png", "broken.png")
    assert first.exit_code == 1, first.output
    assert "1 of 2 held" in first.stdout
    assert "broken.png: did not hold: Error: " in first.stdout
    one, broken = sorted(json.loads((folder / "out.json").read_text()), key=lambda each: not each["held"])
    assert (one["picture"], broken["picture"]) == ("one.png", "broken.png")
    assert one["cpu_seconds"] > 0
    assert 0 < one["sampling_seconds"] < 100
    assert 100 < one["peak_mb"] < 2000
    assert one["messages"] == []
    assert [images.load(folder / file).pixels.shape[2:] for file in one["samples"]] == [(36, 48)] * 2
    assert set(one["figures"]) == {"swd", "coherence", "completeness", "copy", "diversity"}
    assert one["beside"]["others"]["swd"] < one["figures"]["swd"]  # the picture mirrored

    second = hold("one.png", "two.png", "--sheet", "sheet.png")
    assert second.exit_code == 0, second.output
    assert "one.png: held" not in second.stdout  # done before
    assert "two.png: held" in second.stdout
    assert "2 of 2 held" in second.stdout
    assert f"| fast {' '.join(SMALL)} (2) |" in second.stdout
    assert "| others (1) | " in second.stdout
    assert "| ratio to others, of means; lower on (1) |" in second.stdout
    assert len(json.loads((folder / "out.json").read_text())) == 3
    sheet = images.load(folder / "sheet.png").pixels
    assert sheet.shape[3] > 4 * 48  # photo, two samples, two of others
    assert sheet.shape[2] > 2 * 36


@pytest.mark.slow
def test_a_training_that_does_not_hold_is_told_with_its_messages(folder, hold):
    found = hold("two.png", flags=(*SMALL, "--lr_g", "1e6", "--lr_d", "1e6", "--positions", "0"))
    assert found.exit_code == 1
    assert "0 of 1 held" in found.stdout
    assert "Training does not hold" in found.stdout
    (bad,) = [each for each in json.loads((folder / "out.json").read_text()) if "1e6" in each["recipe"]]
    assert not bad["held"]
    assert any("Beginning stage 1 anew" in text for text in bad["messages"])


def test_a_missing_file_is_refused_before_anything_is_done(hold):
    found = hold("nowhere.png")
    assert found.exit_code == 2
    assert "nowhere.png: no such file" in found.output
