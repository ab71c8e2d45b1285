"""Steered samples: how well layouts follow five sketches, as a markdown table and a sheet.

    python benchmarks/steering.py RUN ... --out steering.webp

The sketches are drawn here, in two colours of the photo: that of its top and that of its bottom. Hill left, hill right,
a band of the upper colour across the lower half, a blob of the lower in the upper half; and the photo with its halves
exchanged. Columns are means over seeds:

- layout before, after: correlation of the generator's picture with the sketch, of all channels at 16 px, ordinary and
  steered; finished: the same of the finished picture.
- sketch: of the sketch that is finished by patches without a model, at the colours of the photo.
- coherence: what the steered and the ordinary finished samples show that the photo does not, and those of the sketch.
- diversity: how much the finished pictures of one sketch differ, steered and of the sketch alone.
- noise: deviation of the steered noise, and how far neighbours in it correlate.
- s: seconds of steering a sample.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from time import perf_counter

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.finish.scales import own_size
from consingan.gan.after import Patches
from consingan.gan.model import SingleImageModel
from consingan.gan.steering import Toward
from consingan.grid.noise import Draw
from consingan.grid.ranges import unit
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, at_most, size_of
from consingan.grid.windows import Window
from consingan.metrics.table import evaluate
from consingan.pictures import images, sheets
from consingan.pictures.sketches import Sketch

COMPARED, SHOWN, SIDE = 16, 200, 384  # px
HEAD = (
    "| picture | sketch | layout before | after | finished before | after | sketch | coherence before | after | sketch "
    "| diversity | sketch | noise | s |\n|" + "---|" * 14
)


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(2))
@click.option("--follow", default=0.5, show_default=True, type=click.FloatRange(0, 1))
@click.option("--out", default="steering.webp", show_default=True, help="the sheet")
def main(runs: tuple[str, ...], seeds: int, follow: float, out: str) -> None:
    click.echo(HEAD)
    cells = []
    for run in runs:
        model = SingleImageModel.load(run)
        for name, sketch in drawn(model):
            cells += row(model, Path(run).resolve().parent.name, name, Toward(sketch, follow), seeds)
    shown = [resize(cell, at_most(size_of(cell), SHOWN)).clamp(-1, 1) for cell in cells]
    images.save(out, sheets.grid(shown, columns=4 + seeds))


def drawn(model: SingleImageModel) -> Iterator[tuple[str, Sketch]]:
    """The five sketches for a model's photo."""
    photo = model.reconstruct()
    height, width = at_most(size_of(photo), 128)
    above, below = (part.mean((2, 3), keepdim=True) for part in (photo[:, :, :4], photo[:, :, -photo.shape[2] // 3 :]))
    y = torch.linspace(0, 1, height).view(1, 1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, -1)
    plain = (y > 0.65) & (x >= 0)
    places = {
        "hill left": y > 0.65 - 0.45 * torch.exp(-(((x - 0.22) / 0.17) ** 2)),
        "hill right": y > 0.65 - 0.45 * torch.exp(-(((x - 0.78) / 0.17) ** 2)),
        "band": (y > 0.45) & ~((y > 0.65) & (y < 0.82) & (x >= 0)),
        "blob": plain | (((x - 0.5) / 0.15) ** 2 + ((y - 0.25) / 0.18) ** 2 < 1),
    }
    for name, low in places.items():
        yield name, Sketch(torch.where(low, below, above).clamp(-1, 1))
    yield "halves exchanged", Sketch(photo.roll(photo.shape[3] // 2, 3).clamp(-1, 1))


def row(model: SingleImageModel, picture: str, name: str, toward: Toward, seeds: int) -> list[Tensor]:
    """A line of the table, and one of the sheet: sketch, ordinary, steered layout, steered, the sketch finished."""
    assert model.photo is not None
    size = own_size(model.photo.size, SIDE)
    step = Patches(model.photo, model.size)
    draws = [[Draw(0, ("sample", k))] for k in range(seeds)]
    ordinary = [model.layouts(draw, model.size) for draw in draws]
    begun = perf_counter()
    steered = [model.layouts(draw, model.size, toward=toward) for draw in draws]
    seconds = (perf_counter() - begun) / seeds
    sketch = toward.sketch.at(model.size)[0]
    layouts = (ordinary, steered, [sketch] * seeds)
    before, after, alone = (
        [step.apply(layout, size, draw) for layout, draw in zip(each, draws, strict=True)] for each in layouts
    )
    likes = [fmean(alike(x, sketch) for x in each) for each in (ordinary, steered, before, after, alone)]
    reference = unit(resize(model.photo.picture, size)).clamp(0, 1)
    pictures = [unit(torch.cat(each)).clamp(0, 1) for each in (before, after, alone)]
    figures = [evaluate(reference, each, names=("coherence", "diversity")) for each in pictures]
    deviation, beside = noise(model, toward, draws[0][0])
    texts = [f"{like:.2f}" for like in likes] + [f"{each['coherence']:.3f}" for each in figures]
    texts += [f"{each['diversity']:.2f}" for each in figures[1:]]
    click.echo(f"| {picture} | {name} | {' | '.join(texts)} | {deviation:.2f}, {beside:.2f} | {seconds:.1f} |")
    return [resize(sketch, size), before[0], resize(steered[0], size), *after, alone[0]]


def alike(made: Tensor, sketch: Tensor) -> float:
    """Correlation of two pictures at ``COMPARED`` px, over all pixels and channels, each channel's mean taken away."""
    grid: Size = at_most(size_of(sketch), COMPARED)
    one, other = ((y := resize(x, grid)) - y.mean((2, 3), keepdim=True) for x in (made, sketch))
    return float((one * other).sum() / (one.square().sum() * other.square().sum()).sqrt().clamp_min(1e-12))


def noise(model: SingleImageModel, toward: Toward, draw: Draw) -> tuple[float, float]:
    """Deviation of the coarsest stage's noise after steering, and the correlation of its neighbours."""
    sizes, share = model.sizes_for(model.size), model.settings.sampling.variation
    drawn = model.noise(draw, 0)(Window.whole(sizes[0]))
    picture = (1 - share) * model.fixed[0]
    given = [lambda window: picture + share * drawn, *(model.noise(draw, stage) for stage in range(1, model.stages))]
    entering = toward.sources(model, given, 0, share, sizes)[0](Window.whole(sizes[0]))
    after = (entering - picture) / share
    return after.std().item(), ((after[..., 1:] * after[..., :-1]).mean() / after.square().mean()).item()


if __name__ == "__main__":
    main()
