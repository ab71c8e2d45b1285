"""Figures of several sets of samples of one picture, side by side, as a markdown table.

    python benchmarks/quality.py photo.jpg ours=RUN/Evaluation/samples_120x80_start_0 published=FOLDER/10_*.jpg

Every set is a name and a file, a folder or a pattern. All samples are shrunk to ``--side`` pixels, so that sets of
different sizes are compared at the same one.
"""

from __future__ import annotations

import glob
import sys
from pathlib import Path

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.grid import ranges
from consingan.metrics.pictures import match
from consingan.metrics.table import evaluate
from consingan.pictures import images
from consingan.pictures.pyramid import ceil_size


@click.command(help=__doc__)
@click.argument("picture", type=click.Path(exists=True))
@click.argument("sets", nargs=-1, required=True, metavar="NAME=FILES...")
@click.option("--side", default=120, show_default=True, help="longer side at which all are compared, in pixels")
@click.option("--most", default=5, show_default=True, help="samples per set")
def main(picture: str, sets: tuple[str, ...], side: int, most: int) -> None:
    real = unit(picture, side)
    rows = []
    for named in sets:
        name, _, where = named.partition("=")
        samples = [match(unit(file, side), tuple(real.shape[2:])) for file in files(where)[:most]]
        rows.append((f"{name} ({len(samples)})", evaluate(real, torch.cat(samples))))
    figures = list(dict.fromkeys(figure for _, row in rows for figure in row))
    click.echo(f"| samples | {' | '.join(figures)} |\n|---|{'---|' * len(figures)}")
    for name, row in rows:
        click.echo(f"| {name} | {' | '.join(f'{row[f]:.4f}' if f in row else '' for f in figures)} |")


def unit(file: str | Path, side: int) -> Tensor:
    """A picture ``[1, 3, H, W]`` in [0, 1], its longer side shrunk to ``side``."""
    x = ranges.unit(images.load(file, channels=3).pixels)
    size = (x.shape[2], x.shape[3])
    return match(x, ceil_size(size, min(1.0, side / max(size))))


def files(where: str) -> list[str]:
    """The picture files behind a folder or a pattern, in order, without grids."""
    found = sorted(glob.glob(f"{where}/*" if Path(where).is_dir() else where))
    pictures = [file for file in found if Path(file).stem != "grid"]
    if not pictures:
        raise click.UsageError(f"{where} matches no file.")
    return pictures


if __name__ == "__main__":
    main()
