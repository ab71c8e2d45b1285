"""benchmarks/gpu.py in its small form: every row is there, and a broken part is told while the rest goes on."""

import re
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import gpu

from consingan.finish import patches
from consingan.training.branch import Branch

ROWS = (
    "device",
    "versions",
    "agreement: iteration of stage 0, 38x25 px",
    "agreement: iteration of stage 1, 40x27 px",
    "agreement: generator's samples",
    "agreement: finish at 50x33 px",
    "engine, float32: ms per iteration by stage",
    "engine, tf32: ms per iteration by stage",
    "engine, bfloat16: ms per iteration by stage",
    "engine, auto, graphs on: ms per iteration by stage",
    "engine, float32, graphs on: ms per iteration by stage",
    "default training of meadow.png, with its previews",
    "its samples (2) at 40x27 px",
    "finish at 40x27 px",
    "finish at 44x29 px",
    "finish at 48x32 px",
    "2 samples by the command line",
    "tests marked gpu, found",
)


def small(*words):
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(gpu.main, ["--device", "cpu", "--small", *words])
    finally:
        torch.set_num_threads(threads)


def rows_of(text):
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {what: (found, good, seconds) for what, found, good, seconds in cells[2:]}


@pytest.mark.slow
def test_every_row_is_there_and_as_it_must_be(tmp_path):
    done = small("--out", str(tmp_path / "gpu.md"))
    assert done.exit_code == 0, done.output
    assert "All is as it must be" in done.output
    text = (tmp_path / "gpu.md").read_text()
    rows = rows_of(text)
    assert rows == rows_of(done.output)
    assert tuple(rows) == ROWS
    for what, (found, good, seconds) in rows.items():
        assert good == "yes", what
        assert not re.search(r"\b(nan|inf)\b", found), what
        assert what == "device" or re.search(r"\d", found), what
        assert 0 <= float(seconds) < 100
    assert "100.00 % of the values are equal" in rows["agreement: finish at 50x33 px"][0]
    assert re.search(r"swd 0\.\d+, coherence 0\.\d+", rows["its samples (2) at 40x27 px"][0])
    assert re.match(r"\d+ tests collected", rows["tests marked gpu, found"][0])


def only(monkeypatch, *names):
    monkeypatch.setattr(gpu, "CHECKS", {name: gpu.CHECKS[name] for name in names})


def test_a_finish_that_fails_is_a_row_and_the_rest_goes_on(monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("it | broke")

    monkeypatch.setattr(patches, "finish", broken)
    only(monkeypatch, "agreement of the finish", "machine")
    done = small()
    assert done.exit_code == 1
    rows = rows_of(done.output)
    assert rows["agreement of the finish"][:2] == ("ValueError: it / broke", "**no**")
    assert rows["versions"][1] == "yes"
    assert "1 of 3 rows are not as they must be" in done.output


def test_a_finish_that_differs_is_no_agreement(monkeypatch):
    own, calls = patches.finish, []

    def other(photo, layout, size, draws):
        calls.append(size)
        finished = own(photo, layout, size, draws)
        if len(calls) == 1:
            finished.picture[:, :, :1] += 0.1
        return finished

    monkeypatch.setattr(patches, "finish", other)
    only(monkeypatch, "agreement of the finish")
    done = small()
    assert done.exit_code == 1
    assert "| **no** |" in done.output


def test_networks_that_differ_are_no_agreement(monkeypatch):
    monkeypatch.setattr(Branch, "learned", lambda self: {})  # those of the one are not given to the other
    only(monkeypatch, "agreement of iterations")
    own, settings = gpu.Training.start, []

    def start(config, picture, device="cpu"):
        settings.append(device)
        return own(config, picture if len(settings) == 1 else -picture, device)

    monkeypatch.setattr(gpu.Training, "start", start)
    done = small()
    assert done.exit_code == 1
    assert done.output.count("| **no** |") == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_without_cuda_a_sentence_says_what_can_be_done():
    done = CliRunner().invoke(gpu.main, [])
    assert done.exit_code == 1
    assert "There is no CUDA device here; python benchmarks/gpu.py --device cpu --small" in done.output
