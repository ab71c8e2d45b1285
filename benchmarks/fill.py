"""Holes filled: by patches, by a trained layout, and by OpenCV's two methods, in figures and side by side.

    python benchmarks/fill.py PICTURE... [--out FOLDER] [--methods patches,trained,telea,ns]

Every picture gets one hole of a tenth of its area, a rectangle whose place and proportions the seed draws. Figures are
those of consingan score, of the 7x7 patches that touch the hole alone:

    distance   sliced Wasserstein distance of these patches to the true ones there, at 3 scales; lower is better
    texture    the same of patches without their mean colours, which a blur has as well
    coherence  mean squared distance of these patches to the nearest of the rest, at half size
    psnr       of the hole's pixels against the true ones, dB; a hole can be filled well in many ways

OpenCV's methods need opencv-python-headless, which the project does not; without it they are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.finish.completion import completed
from consingan.finish.hole import opened
from consingan.gan.around import laid_out
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.pictures import images, sheets
from consingan.training.filling import train

AREA = 0.1
SIDE, PROJECTIONS, SCALES = 7, 256, (1.0, 0.5, 0.25)
Method = Callable[[Tensor, Tensor, int], Tensor]


def hole_in(size: tuple[int, int], number: int, seed: int) -> Tensor:
    """A rectangle of a tenth of the area, ``[1, 1, H, W]``."""
    ratio, down, right = Draw(seed, ("hole", number)).numbers(3)
    height, width = (round(side * AREA**0.5 * factor) for side, factor in zip(size, stretched(ratio), strict=True))
    top, left = round(down * (size[0] - height)), round(right * (size[1] - width))
    hole = torch.zeros(1, 1, *size)
    hole[:, :, top : top + height, left : left + width] = 1
    return hole


def stretched(ratio: float) -> tuple[float, float]:
    """Factors of height and width, from 1/1.5 to 1.5, whose product is 1."""
    factor = 1.5 ** (2 * ratio - 1)
    return factor, 1 / factor


def patches(picture: Tensor) -> Tensor:
    """``[1, C, H, W]`` -> ``[places, 49 * C]``."""
    return F.unfold(picture, SIDE)[0].T


def at(picture: Tensor, hole: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """A picture's patches at a scale, and which of them touch the hole."""
    size = tuple(max(SIDE + 1, round(side * scale)) for side in picture.shape[2:])
    small = picture if scale == 1 else resize(picture, size).clamp(0, 1)
    touched = F.unfold(F.adaptive_max_pool2d(hole, size), SIDE)[0].amax(0) > 0
    return patches(small), touched


def distance(made: Tensor, true: Tensor, hole: Tensor, coloured: bool = True) -> float:
    """The sliced Wasserstein distance, mean over scales; of patches without their mean colours if not ``coloured``."""
    total = 0.0
    for scale in SCALES:
        directions = torch.randn(made.shape[1] * SIDE**2, PROJECTIONS, generator=torch.Generator().manual_seed(0))
        directions /= directions.norm(dim=0, keepdim=True)
        found, touched = at(made, hole, scale)
        wanted, _ = at(true, hole, scale)
        if not coloured:
            found, wanted = (textured(x) for x in (found, wanted))
        a, b = (torch.sort(x[touched] @ directions, dim=0).values for x in (found, wanted))
        total += (a - b).abs().mean().item()
    return total / len(SCALES)


def textured(patches: Tensor) -> Tensor:
    """Patches ``[places, C * 49]`` without the mean colour of each."""
    by_channel = patches.view(len(patches), -1, SIDE**2)
    return (by_channel - by_channel.mean(2, keepdim=True)).flatten(1)


def coherence(made: Tensor, true: Tensor, hole: Tensor) -> float:
    """The mean squared distance to the nearest patch of the rest."""
    found, touched = at(made, hole, 0.5)
    rest = at(true, hole, 0.5)[0][~touched]
    squares = rest.square().sum(1)
    least = [(q.square().sum(1) + (squares - 2 * q @ rest.T).amin(1)) for q in found[touched].split(256)]
    return (torch.cat(least).clamp_min(0) / found.shape[1]).mean().item()


def psnr(made: Tensor, true: Tensor, hole: Tensor) -> float:
    """Of the hole's pixels, dB."""
    inside = hole.expand_as(made) > 0
    return -10 * (made - true)[inside].square().mean().clamp_min(1e-10).log10().item()


def by_patches(picture: Tensor, hole: Tensor, number: int) -> Tensor:
    """``consingan fill --layout patches``."""
    return completed(picture, hole, Draw(0, ("fill", 0)))


def by_training(picture: Tensor, hole: Tensor, number: int) -> Tensor:
    """``consingan fill --layout trained``."""
    ended = train(images.Picture(signed(picture), (), hole=hole), f"{number}.png", not_cuda=True)
    assert ended.model is not None
    draw = Draw(0, ("fill", 0))
    known = (~opened(hole > 0, ended.model.sizes[0])).float()[None, None]
    return completed(picture, hole, draw, unit(laid_out(ended.model, known, draw, None)))


def by_opencv(name: str) -> Method | None:
    """One of OpenCV's methods; None without the package."""
    try:
        import cv2
    except ImportError:
        return None

    def method(picture: Tensor, hole: Tensor, number: int) -> Tensor:
        pixels = (picture[0].permute(1, 2, 0) * 255).round().byte().numpy().copy()
        flag = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}[name]
        made = cv2.inpaint(pixels, hole[0, 0].byte().numpy(), 3, flag)
        return torch.from_numpy(made).permute(2, 0, 1)[None].float() / 255

    return method


METHODS: dict[str, Callable[[], Method | None]] = {
    "patches": lambda: by_patches,
    "trained": lambda: by_training,
    "telea": lambda: by_opencv("telea"),
    "ns": lambda: by_opencv("ns"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seed", type=int, default=0, help="of the holes")
    parser.add_argument("--out", type=Path, default=Path("fill"), help="folder for figures.json and a sheet a picture")
    arguments = parser.parse_args()
    methods = {name: made for name in arguments.methods.split(",") if (made := METHODS[name]()) is not None}
    if missing := [name for name in ("telea", "ns") if name in arguments.methods.split(",") and name not in methods]:
        print(f"OpenCV is not installed, so {' and '.join(missing)} are left out; pip install opencv-python-headless.")
    if not methods:
        parser.error("no method is left; name one with --methods.")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(arguments.pictures):
        true = unit(images.load(file, channels=3).pixels)
        hole = hole_in((true.shape[2], true.shape[3]), number, arguments.seed)
        shown = [("picture", true), ("hole", torch.where(hole > 0, 1.0, true))]
        for name, method in methods.items():
            begun = perf_counter()
            made = method(torch.where(hole > 0, 0.5, true), hole, number)
            seconds = perf_counter() - begun
            values = {
                "distance": distance(made, true, hole),
                "texture": distance(made, true, hole, coloured=False),
                "coherence": coherence(made, true, hole),
                "psnr": psnr(made, true, hole),
                "seconds": seconds,
            }
            found[name].append(values)
            shown.append((name, made))
            print(file, name, {key: round(value, 5) for key, value in values.items()}, flush=True)
        row = sheets.side_by_side([(name, signed(x)) for name, x in shown])
        images.save(arguments.out / f"row_{number:02d}.png", row)
        (arguments.out / "figures.json").write_text(json.dumps(found, indent=2))
    means = {name: {key: sum(v[key] for v in each) / len(each) for key in each[0]} for name, each in found.items()}
    print("| method | distance | texture | coherence | PSNR, dB | seconds |\n|---|---|---|---|---|---|")
    for name, mean in means.items():
        figures = f"{mean['distance']:.4f} | {mean['texture']:.4f} | {mean['coherence']:.5f}"
        print(f"| {name} | {figures} | {mean['psnr']:.1f} | {mean['seconds']:.1f} |")


if __name__ == "__main__":
    main()
