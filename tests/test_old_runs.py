"""Runs of 0.1.0 go on working: they load, sample, report, resume to the same end, and can be fine-tuned.

``runs_0_1_0`` was written by version 0.1.0 with four features and four to six iterations. The stopped runs hold beside
their checkpoint the model with which that version ended from there, on the CPU.
"""

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from consingan.command.cli import report, sample, train
from consingan.gan.model import SingleImageModel
from consingan.storage.files import load_tensors

OLD = Path(__file__).parent / "runs_0_1_0"
FINISHED = ("generation", "retarget", "animation", "harmonization", "fine_tuned")
STOPPED = ("stopped_generation", "stopped_fine_tuning")


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    """A copy of all of them, where commands are typed."""
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    monkeypatch.chdir(folder)
    return folder


def typed(command, *words: object) -> str:
    """What a command prints as its result."""
    done = CliRunner().invoke(command, [*map(str, words), *([] if command is report else ["--quiet"])])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", FINISHED)
def test_a_model_makes_pictures(old, name):
    flags = {
        "animation": ("--frames", 3, "--start_scale", 0, "--reconstruction"),
        "generation": ("--num_samples", 2),
    }.get(name, ())
    if name == "retarget":
        flags = ("--num_samples", 1)
    if name in ("harmonization", "fine_tuned"):
        flags = ("--naive_img", "naive.png")
    out = Path(typed(sample, name, *flags, "--out", "made").strip())
    assert len([path for path in out.rglob("*") if path.suffix in (".png", ".gif")]) >= 2
    model = SingleImageModel.load(Path(name))
    picture = model.reconstruct()
    assert picture.shape == (1, 3, 30, 40)
    assert picture.isfinite().all()
    assert picture.std() > 0.01


@pytest.mark.parametrize("name", FINISHED + STOPPED)
def test_a_run_has_a_report(old, name):
    page = Path(typed(report, name).strip()).read_text()
    assert "stripes.png" in page


@pytest.mark.parametrize("name", STOPPED)
def test_a_stopped_run_ends_as_it_would_have(old, name):
    typed(train, "--resume", name, "--not_cuda")
    (ours, header), (theirs, before) = (
        load_tensors(old / name / f"{file}.safetensors") for file in ("model", "as_0_1_0_ends")
    )
    assert header["amplitudes"] == before["amplitudes"]
    assert set(theirs) <= set(ours)
    for part, value in theirs.items():
        torch.testing.assert_close(ours[part], value, rtol=1e-4, atol=1e-5)


def test_a_model_can_be_fine_tuned(old):
    words = ("--train_mode", "harmonization", "--input_name", "stripes.png", "--naive_img", "naive.png", "--fine_tune")
    run = Path(typed(train, *words, "--model_dir", "harmonization", "--niter", 2, "--not_cuda").strip())
    (ours, _), (base, _) = (load_tensors(path / "model.safetensors") for path in (run, old / "harmonization"))
    frozen = [name for name in base if name.startswith(("generator.head.", "generator.stages.0."))]
    learned = [name for name in base if name.startswith("generator.stages.1.") and name.endswith(".0.weight")]
    assert frozen
    assert learned
    assert all(torch.equal(ours[name], base[name]) for name in frozen)
    assert not any(torch.equal(ours[name], base[name]) for name in learned)


def test_what_0_1_0_did_not_keep_is_refused_in_a_sentence(old):
    done = CliRunner().invoke(sample, ["generation", "--finish", "patches", "--quiet"])
    assert done.exit_code == 2
    assert "needs the training picture, which this model does not hold" in done.stderr
