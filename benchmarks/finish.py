"""The finish alone: seconds a sample and peak memory, by size.

    python benchmarks/finish.py
    python benchmarks/finish.py photo.jpg --size 250 --size 1024 --threads 2 --samples 3 --device cuda

Each size is made in a process of its own, so that its peak is its own. The layout is a noisy coarse copy of the
picture, as long a way to a sample as one from a generator. A picture that is smaller than the size is enlarged, with
fine noise of a fixed seed, so that there is detail to search. The first sample prepares the picture's scales, which
later ones of the same size share.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.finish.instant import instant
from consingan.finish.photo import Photo, stored
from consingan.finish.scales import own_size
from consingan.grid.noise import Draw
from consingan.grid.resize import resize
from consingan.pictures import images
from consingan.watch.memory import peak_memory

PICTURE = Path(__file__).parent.parent / "images" / "generation" / "meadow.png"
GRAIN = 0.02  # deviation of the fine noise, in units of [-1, 1]


@dataclass(frozen=True)
class Timed:
    """One size: pixels, seconds of the first sample, mean of the following ones, MB at the peak and of what."""

    height: int
    width: int
    first: float
    following: float
    peak_mb: float
    peak_of: str


def detailed(picture: Tensor, longest: int) -> Tensor:
    """A picture ``[1, C, H, W]`` whose longer side is ``longest``; an enlarged one gets fine noise."""
    shrink = longest / max(picture.shape[2:])
    size = (round(picture.shape[2] * shrink), round(picture.shape[3] * shrink))
    made = resize(picture, size)
    if shrink > 1:
        made = made + GRAIN * Draw(0, ("grain",)).normal(made.shape)
    return made.clamp(-1, 1)


def timed(picture: Tensor, longest: int, device: torch.device, samples: int = 1) -> Timed:
    """Make samples of a size, one after the other, in this process.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        longest: longer side of the samples, px.
        device: where to work.
        samples: how many after the first.
    """
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)
    photo = Photo(stored(detailed(picture, longest)), device)
    size = own_size(photo.size, longest)
    made = instant(photo, 1 + samples, size, 0.6, 0)
    each = []
    for _ in range(1 + samples):
        begin = perf_counter()
        spread = next(made).std().item()  # waits for the device
        each.append(perf_counter() - begin)
        if not spread > 0:
            raise RuntimeError(f"The sample of {size[1]}x{size[0]} px has the spread {spread}.")
    peak, of = peak_memory()
    return Timed(*size, each[0], sum(each[1:]) / max(1, samples) if samples else each[0], peak or 0.0, of)


@click.command(help=__doc__)
@click.argument("picture", type=click.Path(exists=True), default=str(PICTURE))
@click.option("--size", "sizes", multiple=True, type=int, default=[250, 1024, 4096], help="longer side, px")
@click.option("--threads", default=1, show_default=True)
@click.option("--samples", default=1, show_default=True, help="samples after the first, whose mean is given")
@click.option("--device", default="cpu", show_default=True)
@click.option("--as-json", is_flag=True, hidden=True, help="one size, in this process")
def main(picture: str, sizes: Sequence[int], threads: int, samples: int, device: str, as_json: bool) -> None:
    if as_json:
        torch.set_num_threads(threads)
        pixels = images.load(picture, channels=3).pixels
        click.echo(json.dumps(asdict(timed(pixels, sizes[0], torch.device(device), samples))))
        return
    threads_told = f"{threads} thread{'s' if threads > 1 else ''}"
    click.echo(f"{Path(picture).name}, torch {torch.__version__}, {device}, {threads_told}\n")
    click.echo("| size | first sample, s | following, s | peak, MB (of) |\n|---|---|---|---|")
    common = ["--threads", str(threads), "--samples", str(samples), "--device", device, "--as-json"]
    for size in sizes:
        words = [sys.executable, __file__, picture, "--size", str(size), *common]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(f"{size} px failed: {done.stderr.strip()[-500:]}")
        row = Timed(**json.loads(done.stdout))
        click.echo(
            f"| {row.width}x{row.height} | {row.first:.2f} | {row.following:.2f} | {row.peak_mb:.0f} ({row.peak_of}) |"
        )


if __name__ == "__main__":
    main()
