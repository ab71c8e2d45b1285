"""Enlarging: every method on pictures that were shrunk, against what they were; the table of docs/enlarge.md.

    python benchmarks/enlarge.py --out FOLDER [--way WAY ...] [PICTURE ...]

By default every way, and the pictures of images/generation and images/textures. Each is shrunk bicubically with
antialiasing, by 2 and by 4, and enlarged again by

bicubic     interpolation alone
corrected   interpolation, corrected until it is the small picture when it is shrunk again (back-projection)
patches     ``consingan enlarge``
singan      ``consingan enlarge --method singan``, its training included in the seconds

Figures are PSNR in dB, SSIM, patch distance (swd, less is nearer), and the largest difference of a channel from the
small picture when the result is shrunk again, of 255. FOLDER gets the pictures, sheets to look at, and
``enlarge.json``, from which a benchmark that was stopped goes on; the table goes to stdout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

import consingan
from consingan.finish import across
from consingan.gan.finest import enlarged
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of
from consingan.metrics.fidelity import psnr, ssim
from consingan.metrics.figures import swd
from consingan.pictures import images
from consingan.pictures.sheets import labelled_row

ROOT = Path(__file__).parent.parent
FACTORS = (2, 4)
SHOWN = 160  # px of the part in the middle that a sheet shows
Way = Callable[[Tensor, Size], Tensor]  # a picture [1, C, h, w] in [0, 1] and (H, W) -> [1, C, H, W]


def bicubic(small: Tensor, size: Size) -> Tensor:
    return resize(small, size).clamp(0, 1)


def corrected(small: Tensor, size: Size) -> Tensor:
    return across.corrected(bicubic(small, size), small, across.LAST_CORRECTIONS)


def singan(small: Tensor, size: Size) -> Tensor:
    model = consingan.train(signed(small)[0], mode="enlargement", device="cpu")
    return enlarged(model, small, size, seed=0)


WAYS: dict[str, Way] = {"bicubic": bicubic, "corrected": corrected, "patches": across.enlarge, "singan": singan}


@click.command(help=__doc__)
@click.argument("pictures", nargs=-1, metavar="[PICTURE...]")
@click.option("--out", required=True, metavar="FOLDER")
@click.option("--way", "ways", type=click.Choice(list(WAYS)), multiple=True, default=list(WAYS))
def main(pictures: tuple[str, ...], out: str, ways: tuple[str, ...]) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [Path(name) for name in pictures] or sorted(ROOT.glob("images/generation/*.png"))
    files += [] if pictures else sorted(ROOT.glob("images/textures/*.png"))
    kept = folder / "enlarge.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for factor in reversed(FACTORS):
        for file in files:
            row = rows.setdefault(f"{file.stem} {factor}", {})
            for way in (way for way in ways if way not in row):
                row[way] = judged(file, factor, way, folder)
                kept.write_text(json.dumps(rows, indent=1))
            write_sheet(file, factor, folder, ways)
    print("| picture, factor | figure |", " | ".join(ways), "|")
    print("|---" * (len(ways) + 2) + "|")
    for factor in FACTORS:
        for file in files:
            for figure in ("psnr", "ssim", "swd", "back", "seconds"):
                values = " | ".join(f"{rows[f'{file.stem} {factor}'][way][figure]:.4g}" for way in ways)
                print(f"| {file.stem}, {factor} | {figure} | {values} |")


def judged(file: Path, factor: int, way: str, folder: Path) -> dict[str, float]:
    """The figures of a way, whose picture is written."""
    truth = read(file, factor)
    size = size_of(truth)
    small = resize(truth, (size[0] // factor, size[1] // factor)).clamp(0, 1)
    begun = perf_counter()
    made = WAYS[way](small, size)
    seconds = perf_counter() - begun
    images.save(folder / f"{file.stem}_{factor}_{way}.png", signed(made))
    back = (resize(made, size_of(small)) - small).abs().max().item() * 255
    return {
        "psnr": psnr(truth, made),
        "ssim": ssim(truth, made),
        "swd": swd(truth, made),
        "back": back,
        "seconds": seconds,
    }


def read(file: Path, factor: int) -> Tensor:
    """A picture, ``[1, C, H, W]`` in [0, 1], without the rows and columns that the factor does not divide."""
    whole = unit(images.load(file).pixels)
    height, width = (side // factor * factor for side in size_of(whole))
    return whole[:, :, :height, :width]


def write_sheet(file: Path, factor: int, folder: Path, ways: Sequence[str]) -> None:
    """The middle of the truth and of what each of the ways made, side by side."""
    made = [(way, unit(images.load(folder / f"{file.stem}_{factor}_{way}.png").pixels)) for way in ways]
    shown = [("truth", read(file, factor)), *made]
    images.save(folder / f"{file.stem}_{factor}_sheet.png", labelled_row([(name, middle(x)) for name, x in shown]))


def middle(x: Tensor) -> Tensor:
    """The middle of a picture in [0, 1], pixels doubled, ``[1, C, 2 h, 2 w]`` in [-1, 1]."""
    top, left = (max(0, side - SHOWN) // 2 for side in size_of(x))
    part = signed(x[:, :, top : top + SHOWN, left : left + SHOWN])
    return torch.nn.functional.interpolate(part, scale_factor=2)


if __name__ == "__main__":
    main()
