"""Enlarging: shrunk again it is the picture, any factor works, figures agree with a second writing."""

from __future__ import annotations

from math import log10
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import stripes
from PIL import Image

from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, quiet
from consingan.command import cli
from consingan.errors import UserError
from consingan.finish import across
from consingan.finish.photo import Photo
from consingan.grid.resize import resize
from consingan.metrics.fidelity import psnr, ssim
from consingan.pictures import images
from consingan.storage import results


def picture(height: int = 30, width: int = 40) -> torch.Tensor:
    """``[1, 3, H, W]`` in [0, 1]."""
    return torch.from_numpy(stripes(height, width)).permute(2, 0, 1)[None] / 255


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """A function that types a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(command, *words: object):
        return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)

    return run


# ---- the method


@pytest.mark.parametrize("factor", [1.1, 2.0, 3.3, 8.0])
def test_an_enlarged_picture_shrunk_again_is_the_picture(factor):
    photo = 0.1 + 0.8 * picture()
    size = (round(30 * factor), round(40 * factor))
    made = across.enlarge(photo, size)
    assert made.shape[2:] == size
    assert made.min() >= 0
    assert made.max() <= 1
    assert (resize(made, (30, 40)) - photo).abs().max() < 2 / 255


def test_detail_comes_back():
    """Of a picture that repeats across scales more is right than bicubic interpolation makes."""
    rows, columns = np.mgrid[:96, :96]
    truth = torch.from_numpy(((rows // 12 + columns // 12) % 2).astype(np.float32))[None, None] * 0.6 + 0.2
    small = resize(truth, (48, 48)).clamp(0, 1)
    made, plain = across.enlarge(small, (96, 96)), resize(small, (96, 96)).clamp(0, 1)
    assert psnr(truth, made) > psnr(truth, plain) + 2


def test_a_value_goes_no_further_beyond_those_around_it_than_their_range():
    """An edge from 0.4 to 0.6: beside it 0.2 to 0.8 is left, and two pixels away from it the colour itself."""
    photo = torch.full((1, 1, 10, 16), 0.4)
    photo[..., 8:] = 0.6
    limits = across.Limits(photo)
    dark, bright = limits.keep(torch.zeros(1, 1, 40, 64)), limits.keep(torch.ones(1, 1, 40, 64))
    for x, found in ((2, (0.4, 0.4)), (31, (0.2, 0.8)), (32, (0.2, 0.8)), (61, (0.6, 0.6))):
        assert (dark[0, 0, 20, x].item(), bright[0, 0, 20, x].item()) == pytest.approx(found)
    inside = resize(photo, (40, 64)).clamp(0.3, 0.7)
    assert torch.allclose(limits.keep(inside.clone()), inside, atol=1e-6)


def test_lines_of_bricks_leave_no_streaks_between_them():
    """Bright lines on grey, shrunk and enlarged four times: between them it stays nearly grey."""
    truth = torch.full((1, 1, 128, 160), 0.4)
    for column in range(8, 160, 28):
        truth[..., column : column + 3] = 0.8
    small = resize(truth, (32, 40))
    made = across.enlarge(small, (128, 160))
    between = made[:, :, 20:-20, 43:60]  # 4 px away from the lines on either side
    assert (between - 0.4).abs().max() < 0.1


def test_strips_change_nothing(monkeypatch):
    whole = across.enlarge(picture(), (60, 80))
    monkeypatch.setattr(
        across, "strips_of", lambda height, width: (range(k, min(k + 7, height)) for k in range(0, height, 7))
    )
    assert (across.enlarge(picture(), (60, 80)) - whole).abs().max() < 1e-5


def test_one_colour_and_the_smallest_picture_work():
    assert torch.allclose(across.enlarge(torch.full((1, 1, 8, 8), 0.3), (9, 9)), torch.tensor(0.3), atol=1e-5)


def test_it_tells_how_far_it_is():
    heard: list[float] = []
    across.enlarge(picture(), (60, 80), heard.append)
    assert heard == sorted(heard)
    assert (len(heard), heard[-1]) == (3, 1)


# ---- figures


def test_figures_agree_with_a_second_writing():
    truth, made = picture(20, 24).numpy()[0].astype(float), picture(20, 24).roll(1, 3).numpy()[0].astype(float)
    error = np.mean((truth - made) ** 2)
    one, other = torch.from_numpy(truth)[None], torch.from_numpy(made)[None]
    assert psnr(one, other) == pytest.approx(10 * log10(1 / error))
    at = np.arange(-5, 6)
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for a, b in zip(truth, made, strict=True):
        for y in range(10):
            for x in range(14):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq, both = (
                    (window * (p - mp) ** 2).sum(),
                    (window * (q - mq) ** 2).sum(),
                    (window * (p - mp) * (q - mq)).sum(),
                )
                found.append((2 * mp * mq + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    assert ssim(one, other) == pytest.approx(np.mean(found))
    assert ssim(one, one) == pytest.approx(1)
    assert psnr(one, one) == float("inf")


# ---- the command


def test_the_command_enlarges_and_judges(typed):
    truth = picture(64, 96)
    images.save("truth.png", truth * 2 - 1)
    images.save("small.png", resize(truth, (32, 48)).clamp(0, 1) * 2 - 1)
    done = typed(cli.main, "enlarge", "small.png", "--factor", 2, "--truth", "truth.png", "--not_cuda")
    assert done.exit_code == 0, done.output
    assert "Against the truth: PSNR" in done.stderr
    folder = Path("trained_models/small/enlarged")
    assert done.stdout == f"{folder}\n"
    kept = {str(each.role): each for each in results.kept(folder)}
    assert set(kept) == {"enlarged", "view"}
    facts, made = kept["enlarged"].facts, images.load(kept["enlarged"].path).pixels
    assert made.shape[2:] == (64, 96)
    assert float(facts["psnr"]) == pytest.approx(psnr(truth, (made + 1) / 2), abs=0.2)  # eight bits


def test_one_file_of_a_size_that_is_no_whole_number(typed, picture_file):
    done = typed(cli.main, "enlarge", picture_file, "--factor", 1.1, "--out", "large.webp", "--not_cuda")
    assert (done.exit_code, done.stdout) == (0, "large.webp\n"), done.output
    assert Image.open("large.webp").size == (70, 53)
    assert list(Path().iterdir()) == [Path("large.webp")]


def test_the_picture_of_a_run(typed, trained_run):
    done = typed(cli.main, "enlarge", trained_run, "--factor", 1.5, "--out", "made", "--not_cuda", "--quiet")
    assert (done.exit_code, done.stdout) == (0, "made\n"), done.output
    assert Image.open("made/enlarged_96x72_patches.png").size == (96, 72)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("{picture}", "--factor", 1), "--factor is 1.0; give a number from 1.1 to 8"),
        (("{picture}", "--factor", 9), "--factor is 9.0; give a number from 1.1 to 8"),
        (("{picture}", "--factor", "nan"), "--factor is not a number; give a number from 1.1 to 8"),
        (("nothing.png",), "nothing.png does not exist"),
        (("nothing",), "PHOTO|RUN nothing does not exist"),
        (("https://a.b/c.png",), "is an address"),
        (("{picture}", "--truth", "nothing.png"), "nothing.png does not exist"),
        (("{picture}", "--truth", "{picture}"), "has 64x48 px, and the enlarged picture 256x192"),
        (("{picture}", "--out", "{picture}"), "exists already"),
    ],
)
def test_bad_input_ends_in_one_sentence(typed, picture_file, words, sentence):
    done = typed(cli.main, "enlarge", *(str(word).replace("{picture}", str(picture_file)) for word in words))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == [done.stderr.splitlines()[-1]]
    assert not any(path.suffix == ".png" for path in Path().rglob("*"))


def test_what_is_too_large_is_refused_before_it_is_begun():
    material = Material(photo=Photo(torch.zeros(1, 3, 3000, 4000, dtype=torch.uint8)))
    enlarge = APPLICATIONS["enlarge"]
    with pytest.raises(UserError, match="--factor 8 makes 32000x24000 px of 4000x3000 px, 768 million pixels"):
        enlarge.announce(material, chosen(enlarge, {"factor": 8.0}))
    with pytest.raises(UserError, match="choose a smaller factor"):
        next(iter(enlarge.apply(material, chosen(enlarge, {"factor": 8.0}), quiet)))
