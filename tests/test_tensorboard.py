"""Event files, read back by TensorBoard's own reader."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import TINY, trained
from PIL import Image

from consingan.command import cli
from consingan.storage.run import Run
from consingan.watch import tensorboard
from consingan.watch.log import read_log

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="needs the extra: pip install 'consingan[tensorboard]'"
)


def events(run: Run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run.tensorboard), size_guidance={"images": 0, "scalars": 0}).Reload()


@needs_package
def test_losses_figures_and_pictures_are_read_back(picture_file, tmp_path):
    run = Run(trained(picture_file, tmp_path, "--tensorboard"))
    read = events(run)
    log = [r for r in read_log(run.log) if r["event"] == "iteration"]
    for name in ("reconstruction", "critic_real", "penalty"):
        found = [(e.step, e.value) for e in read.Scalars(f"losses/{name}")]
        assert found == [(2 * r["stage"] + r["iteration"], pytest.approx(r[name], rel=1e-5)) for r in log]
    assert [e.step for e in read.Scalars("cost/seconds_per_iteration")] == [1, 3]
    pictures = read.Images("pictures/reconstruction")
    assert [picture.step for picture in pictures] == [2, 4]
    from io import BytesIO

    shown = np.asarray(Image.open(BytesIO(pictures[-1].encoded_image_string)), dtype=int)
    stored = np.asarray(Image.open(run.samples / "stage_1" / "reconstruction.png"), dtype=int)
    assert np.abs(shown - stored).max() <= 1
    assert {"pictures/samples", "pictures/over_time"} <= set(read.Tags()["images"])


@needs_package
def test_what_is_trained_again_replaces_what_was_taken_back(picture_file, tmp_path):
    run = Run(trained(picture_file, tmp_path))
    files = tensorboard.EventFiles()
    files({"event": "started", "run": str(run.folder), "iterations": [2, 2]})

    def iteration(stage: int, number: int, value: float) -> dict:
        return {"event": "iteration", "stage": stage, "iteration": number, "time_s": 0.0, "loss": value}

    files({"event": "begin_stage", "stage": 1, "start_iteration": 0})
    for number in range(2):
        files(iteration(1, number, 1.0))
    files({"event": "figures", "stage": 1, "iteration": 1, "time_s": 0.0, "swd": 0.25})
    files({"event": "begin_stage", "stage": 1, "start_iteration": 1})  # gone back by one
    files(iteration(1, 1, 2.0))
    files.close()
    read = events(run)
    assert [(e.step, e.value) for e in read.Scalars("losses/loss")] == [(2, 1.0), (3, 2.0)]


def test_without_the_package_it_is_a_sentence(picture_file, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    command = [str(picture_file), *TINY, "--outdir", str(tmp_path / "runs"), "--tensorboard"]
    result = CliRunner().invoke(cli.train, command)
    assert result.exit_code == 2
    assert result.stderr.endswith("-m pip install tensorboard\n")
    assert result.stderr.count("\n") == 1
    assert not Path(tmp_path / "runs").exists()
