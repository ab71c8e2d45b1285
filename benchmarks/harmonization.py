"""How far the pasted region is from the painting, before and after harmonization, as a markdown table.

    python benchmarks/harmonization.py RUN NAIVE [RUN NAIVE ...]

RUN is a trained run, plain or fine-tuned; of a fine-tuned one both it and the run it began as are shown, as the model
made them; "with hand" is the last of them with the painting's strokes (``--hand 1``). NAIVE is a picture with its mask
beside it. The figure is the sliced Wasserstein distance between the 7x7 patches of the mask's bounding box and those
of the painting (``consingan.metrics.swd``, without bringing the two to one size); less is nearer. The grain is the
contrast of what is smaller than 9 px in the object's flat parts, beside that of the painting where it has no strong
edges. The last columns are about resolution: how many times larger the naive picture is than the model's own, and the
sharpness inside the mask, as a share of the naive picture's own there, of the result and of the model's output
enlarged: the root of the mean squared difference between neighbours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.applications import APPLICATIONS, cases
from consingan.applications.naive import began_as
from consingan.finish.hand import spread, window_mean
from consingan.gan.model import SingleImageModel
from consingan.grid.ranges import unit
from consingan.grid.resize import resize
from consingan.metrics.features import random_directions
from consingan.metrics.figures import DIRECTIONS, QUANTILES, SCALES, mean_of
from consingan.metrics.pictures import as_rgb, shrink
from consingan.metrics.statistics import projected_quantiles
from consingan.pictures import images
from consingan.pictures.masks import dilated
from consingan.storage.run import Run
from consingan.tasks import TASKS

COLUMNS = (
    "naive picture",
    *("pasted", "harmonized", "fine-tuned", "with hand"),
    *("grain", "with hand", "painting's"),
    *("times the model's size", "sharpness", "enlarged"),
)
GRAIN = 4  # px, radius of the window whose mean is taken off
FLAT, EDGELESS = 0.01, 0.05  # variance in that window, of the squared range [-1, 1], below which places count


@click.command(help=__doc__)
@click.argument("pairs", nargs=-1, required=True, metavar="RUN NAIVE...")
@click.option("--painting", help="the training picture, where it is no longer at the path that the run names")
@click.option("--noise_scale", default=1.0, show_default=True, help="times the noise of the later stages")
@click.option("--stage", default=0, show_default=True, help="stage that the naive picture enters at")
def main(pairs: tuple[str, ...], painting: str | None, noise_scale: float, stage: int) -> None:
    if len(pairs) % 2:
        raise click.UsageError("give a naive picture for every run")
    click.echo(f"| {' | '.join(COLUMNS)} |")
    click.echo("|---" * len(COLUMNS) + "|")
    for run, naive in zip(pairs[::2], pairs[1::2], strict=True):
        row = figures(Run.open(run, "RUN"), Path(naive), painting, noise_scale, stage)
        click.echo(f"| {Path(naive).name} | {' | '.join(row)} |")


def figures(run: Run, naive: Path, painting: str | None, noise_scale: float, stage: int) -> Iterator[str]:
    """A row: the distance as pasted, harmonized, fine-tuned and with the hand, empty without a model; resolution."""
    model = SingleImageModel.load(run.folder)
    channels = model.settings.network.nc_im
    real = images.load(painting or model.settings.image, channels=channels).pixels
    case = cases.read(naive, channels)
    if case.mask is None:
        raise click.UsageError(f"{naive} has no mask beside it")
    tuned = model.settings.naive.fine_tune
    use: Any = APPLICATIONS[TASKS[model.settings.mode].sampling.application]

    def applied(by: SingleImageModel | None) -> cases.Applied | None:
        return None if by is None else cases.apply(by, case, use.dilation, use.keep_edges, stage, noise_scale)

    yield f"{swd(real, cropped(case.picture, case.mask)):.4f}"
    for made in (applied(began_as(model) if tuned else model), applied(model if tuned else None)):
        yield "" if made is None else f"{swd(real, cropped(made.masked, case.mask)):.4f}"
    last = applied(model)
    handed = cases.with_hand(last, case, cases.training_picture(model, run), 1.0, use.keep_edges)
    yield f"{swd(real, cropped(handed.masked, case.mask)):.4f}"
    yield from (f"{figure:.3f}" for figure in grains(real, last.masked, handed.masked, case.mask))
    size = (case.picture.shape[2], case.picture.shape[3])
    yield f"{max(size) / max(last.native.shape[2:]):.1f}"
    for picture in (last.masked, resize(last.native, size)):
        yield f"{sharpness(picture, case.mask) / sharpness(case.picture, case.mask):.2f}"


def grains(real: Tensor, before: Tensor, after: Tensor, mask: Tensor) -> tuple[float, float, float]:
    """The contrast of what is smaller than 9 px: before and after where the object is flat before, the painting's.

    The object's flat parts keep away from its outline; the painting's places are those without strong edges.
    """
    flat = (spread(before, GRAIN).mean(dim=1, keepdim=True) < FLAT) & (dilated((mask <= 0.5).float(), GRAIN) == 0)
    edgeless = spread(real, GRAIN).mean(dim=1, keepdim=True) < EDGELESS

    def grain(picture: Tensor, places: Tensor) -> float:
        fine = (picture - window_mean(picture, GRAIN)).square().mean(dim=1, keepdim=True)
        return fine[places].mean().sqrt().item()

    return grain(before, flat), grain(after, flat), grain(real, edgeless)


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
    ours, theirs = (as_rgb(unit(x), "the pictures") for x in (crop, real))

    def quantiles(picture: Tensor, scale: float) -> Tensor:
        return projected_quantiles(shrink(picture, scale), directions, QUANTILES)

    return mean_of((quantiles(ours, s) - quantiles(theirs, s)).abs().mean().item() for s in SCALES)


if __name__ == "__main__":
    main()
