"""Flicker of animations by finish, as a markdown table.

    python benchmarks/flicker.py RUN ... --frames 20

Of each run the same walk is finished in several ways. Changes are means over pixels and channels, as shares of the
range from black to white.

- flicker: change between frames where the generator's own frames, enlarged, change by less than --still.
- motion: change between frames, times that of the generator's own.
- jerk: change of the change, over the change; 2 for pieces that come and go, less for smooth motion.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from time import perf_counter

import click
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.finish import patches
from consingan.finish.scales import own_size
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.grid.resize import resize


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--frames", default=20, show_default=True, type=click.IntRange(3), help="of each walk")
@click.option("--start_scale", default=0, show_default=True, help="first stage that moves")
@click.option("--beta", default=0.9, show_default=True, help="smoothness of the motion")
@click.option("--longest", default=512, show_default=True, help="longer side of finished frames, px")
@click.option("--still", default=0.004, show_default=True, help="change below which the generator stands still")
def main(runs: tuple[str, ...], frames: int, start_scale: int, beta: float, longest: int, still: float) -> None:
    click.echo("| picture | finish | flicker | motion | jerk | s per frame |\n|---|---|---|---|---|---|")
    for run in runs:
        model = SingleImageModel.load(run)
        assert model.photo is not None
        size = own_size(model.photo.size, longest)
        layouts = list(model.walk(frames, 0.1, beta, start_scale, 0))
        own = [resize(layout, size) for layout in layouts]
        row(run, "none", own, own, still, 0.0)
        ways = {
            "patches, each frame alone": alone(model, layouts, longest),
            "patches": model.animate(frames, 0.1, beta, start_scale, 0, "patches", longest),
            "moved": model.animate(frames, 0.1, beta, start_scale, 0, "moved", longest),
        }
        for name, way in ways.items():
            begun = perf_counter()
            made = list(way)
            row(run, name, own, made, still, (perf_counter() - begun) / frames)


def alone(model: SingleImageModel, layouts: Sequence[Tensor], longest: int) -> Iterator[Tensor]:
    """Frames of patches that do not look at the frame before."""
    photo = model.photo
    assert photo is not None
    for layout in layouts:
        yield patches.finish(photo, layout, own_size(photo.size, longest), [Draw(0, ("walk",))]).picture


def row(run: str, name: str, own: Sequence[Tensor], made: Sequence[Tensor], still: float, seconds: float) -> None:
    """One line of the table."""
    changes = [b - a for a, b in pairwise(made)]
    moves = [b - a for a, b in pairwise(own)]
    calm = [c.abs().mean(1)[m.abs().amax(1) / 2 < still] / 2 for c, m in zip(changes, moves, strict=True)]
    pixels = sum(len(each) for each in calm)
    flicker = sum(each.sum().item() for each in calm) / max(1, pixels)
    jerk = mean([b - a for a, b in pairwise(changes)]) / max(mean(changes), 1e-9)
    motion = mean(changes) / max(mean(moves), 1e-9)
    picture = Path(run).resolve().parent.name
    click.echo(f"| {picture} | {name} | {flicker:.4f} | {motion:.2f} | {jerk:.2f} | {seconds:.2f} |")


def mean(pictures: Sequence[Tensor]) -> float:
    """Mean size of some pictures' numbers."""
    return fmean(picture.abs().mean().item() for picture in pictures)


if __name__ == "__main__":
    main()
