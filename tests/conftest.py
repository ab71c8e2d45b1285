"""What several test files share: a small picture file and a run that was trained on it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # pictures here are too small for threads to gain; before torch

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from consingan.finish import pace
from consingan.tasks import TASKS
from consingan.tasks.terms import Guided

# the published way of sampling, which most tests speak of: what the generator makes, of pure noise
PUBLISHED = ("--noise", "pure", "--positions", "0", "--finish", "none", "--variation", "1", "--min_size", "25")
# stages of 34x25 and 40x30 px
TINY = ("--max_size", "40", "--train_stages", "2", "--niter", "2", "--nfc", "4", *PUBLISHED)
# samples that can be told apart
LIVELY = ("--niter", "10", "--decay", "step", "--nfc", "8", "--lr_g", "0.005", "--lr_d", "1.5e-3", "--noise_amp", "3")

# tasks of one picture; test_translation trains, resumes, reports and refuses the one of two
OF_ONE = [mode for mode, task in TASKS.items() if not isinstance(task, Guided)]


@pytest.fixture(autouse=True)
def _free_core(monkeypatch):
    """What is announced does not depend on how busy this machine is."""
    monkeypatch.setattr(pace, "slowness", lambda: 1.0)


def stripes(height: int = 48, width: int = 64) -> np.ndarray:
    """Diagonal stripes, another width in each channel: ``[H, W, 3]`` uint8."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin((rows + columns) / 2), np.sin((rows - columns) / 3), np.cos(columns / 4)]
    return ((np.stack(waves, axis=-1) + 1) * 127.5).round().astype(np.uint8)


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory) -> Path:
    """A colour picture of 64x48 px."""
    path = tmp_path_factory.mktemp("picture") / "stripes.png"
    Image.fromarray(stripes()).save(path)
    return path


def trained(picture: Path, outdir: Path, *flags: str) -> Path:
    """The folder of a tiny run, trained by the command in this process."""
    from consingan.command.cli import train

    command = [str(picture), *TINY, *flags, "--outdir", str(outdir), "--not_cuda", "--quiet"]
    result = CliRunner().invoke(train, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


@pytest.fixture(scope="session")
def trained_run(picture_file, tmp_path_factory) -> Path:
    """The folder of a finished generation run; tests must not change it."""
    return trained(picture_file, tmp_path_factory.mktemp("runs"), *LIVELY)


@pytest.fixture(scope="session")
def animation_run(picture_file, tmp_path_factory) -> Path:
    """The folder of a finished animation run of three stages; tests must not change it."""
    flags = ("--train_mode", "animation", "--train_stages", "3", *LIVELY)
    return trained(picture_file, tmp_path_factory.mktemp("runs"), *flags)


@contextmanager
def serving(run, port: int | None = None) -> Iterator[str]:
    """The live page of a run until the block ends; gives its address."""
    from consingan.watch.live import Live

    with closing(Live(port, shown=False)) as live:
        live.serve(run)
        yield live.address
