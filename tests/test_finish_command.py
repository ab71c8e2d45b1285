"""benchmarks/finish.py in small form: seconds and memory by size."""

import re
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import finish


@pytest.mark.slow
def test_every_size_is_a_row_with_its_time_and_memory(picture_file):
    done = CliRunner().invoke(finish.main, [str(picture_file), "--size", "40", "--size", "80", "--samples", "2"])
    assert done.exit_code == 0, done.output
    assert "stripes.png, torch " in done.output
    rows = re.findall(r"^\| (\d+)x(\d+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \(process\) \|$", done.output, re.MULTILINE)
    assert [row[:2] for row in rows] == [("40", "30"), ("80", "60")]
    for _, _, first, following, peak in rows:
        assert 0 < float(first) < 60
        assert 0 < float(following) < 60
        assert 100 < float(peak) < 3000


def test_a_size_that_fails_is_told(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    done = CliRunner().invoke(finish.main, [str(broken), "--size", "40"])
    assert done.exit_code == 1
    assert "40 px failed" in done.output


@pytest.mark.parametrize(("longest", "size"), [(100, (75, 100)), (200, (150, 200))])
def test_an_enlarged_picture_has_detail_to_search(longest, size):
    picture = torch.zeros(1, 3, 90, 120)
    made = finish.detailed(picture, longest)
    assert made.shape[2:] == size
    assert torch.equal(made, finish.detailed(picture, longest))
    assert made.std().item() == pytest.approx(finish.GRAIN if longest > 120 else 0, rel=0.02)


def test_samples_without_content_are_an_error(monkeypatch):
    monkeypatch.setattr(finish, "instant", lambda photo, n, size, *rest: iter([torch.zeros(1, 3, *size)] * n))
    with pytest.raises(RuntimeError, match="40x30 px has the spread 0"):
        finish.timed(torch.rand(1, 3, 90, 120), 40, torch.device("cpu"))
