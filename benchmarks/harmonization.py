"""How far the pasted region is from the painting, before and after harmonization, as a markdown table.

    python benchmarks/harmonization.py RUN NAIVE [RUN NAIVE ...]

RUN is a trained run, plain or fine-tuned; of a fine-tuned one both it and the run it began as are shown. NAIVE is a
picture with its mask beside it. The figure is the sliced Wasserstein distance between the 7x7 patches of the mask's
bounding box and those of the painting (``consingan.metrics.swd``, without bringing the two to one size);
less is nearer. The last columns are about resolution: how many times larger the naive picture is than the model's own,
and the sharpness inside the mask, as a share of the naive picture's own there, of the result and of the model's output
enlarged: the root of the mean squared difference between neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from consingan import applying, images
from consingan.metrics.features import random_directions
from consingan.metrics.figures import DIRECTIONS, QUANTILES, SCALES, mean_of
from consingan.metrics.pictures import as_rgb, shrink
from consingan.metrics.statistics import projected_quantiles
from consingan.model import SingleImageModel
from consingan.resize import resize
from consingan.tasks import TASKS
from consingan.tasks.naive import tuned_from


@click.command(help=__doc__)
@click.argument("pairs", nargs=-1, required=True, metavar="RUN NAIVE...")
@click.option("--painting", help="the training picture, where it is no longer at the path that the run names")
@click.option("--noise_scale", default=1.0, show_default=True, help="times the noise of the later stages")
@click.option("--stage", default=0, show_default=True, help="stage that the naive picture enters at")
def main(pairs: tuple[str, ...], painting: str | None, noise_scale: float, stage: int) -> None:
    if len(pairs) % 2:
        raise click.UsageError("give a naive picture for every run")
    click.echo("| naive picture | pasted | harmonized | fine-tuned | times the model's size | sharpness | enlarged |")
    click.echo("|---|---|---|---|---|---|---|")
    for run, naive in zip(pairs[::2], pairs[1::2], strict=True):
        row = figures(SingleImageModel.load(run), Path(naive), painting, noise_scale, stage)
        click.echo(f"| {Path(naive).name} | {' | '.join(row)} |")


def figures(
    model: SingleImageModel, naive: Path, painting: str | None, noise_scale: float, stage: int
) -> Iterator[str]:
    """A row: the distance as pasted, harmonized and fine-tuned, empty where there is no model for it; resolution."""
    channels = model.settings.network.nc_im
    real = images.load(painting or model.settings.image, channels=channels).pixels
    case = applying.read(naive, channels)
    if case.mask is None:
        raise click.UsageError(f"{naive} has no mask beside it")
    tuned = model.settings.naive.fine_tune
    task: Any = TASKS[model.settings.mode]

    def applied(by: SingleImageModel | None) -> applying.Applied | None:
        return None if by is None else applying.apply(by, case, task.dilation, task.keep_edges, stage, noise_scale)

    yield f"{swd(real, cropped(case.picture, case.mask)):.4f}"
    for made in (applied(tuned_from(model) if tuned else model), applied(model if tuned else None)):
        yield "" if made is None else f"{swd(real, cropped(made.masked, case.mask)):.4f}"
    last = applied(model)
    size = (case.picture.shape[2], case.picture.shape[3])
    yield f"{max(size) / max(last.native.shape[2:]):.1f}"
    for picture in (last.masked, resize(last.native, size)):
        yield f"{sharpness(picture, case.mask) / sharpness(case.picture, case.mask):.2f}"


def sharpness(picture: Tensor, mask: Tensor) -> float:
    """Root of the mean squared difference between neighbours, of pairs that lie in the mask."""
    inside = mask > 0.5
    across = (picture.diff(dim=3).square() * (inside[..., 1:] & inside[..., :-1])).sum()
    down = (picture.diff(dim=2).square() * (inside[:, :, 1:] & inside[:, :, :-1])).sum()
    return ((across + down) / inside.sum()).sqrt().item()


def cropped(picture: Tensor, mask: Tensor) -> Tensor:
    """The bounding box of what is above half in the mask."""
    rows, columns = ((mask[0, 0] > 0.5).any(dim).nonzero() for dim in (1, 0))
    return picture[:, :, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def swd(real: Tensor, crop: Tensor) -> float:
    """As ``consingan.metrics.swd``, but each picture at its own size; both ``[1, C, h, w]`` in [-1, 1]."""
    directions = random_directions(DIRECTIONS)
    ours, theirs = (as_rgb((x + 1) / 2, "the pictures") for x in (crop, real))

    def quantiles(picture: Tensor, scale: float) -> Tensor:
        return projected_quantiles(shrink(picture, scale), directions, QUANTILES)

    return mean_of((quantiles(ours, s) - quantiles(theirs, s)).abs().mean().item() for s in SCALES)


if __name__ == "__main__":
    main()
