"""What each loss of a translation does: both pictures of a pair translated by trainings that lack one, as a table.

    python benchmarks/translation.py --out FOLDER PICTURE TARGET [PICTURE TARGET ...] [--set niter=200]

The trainings are the default one, and the same without the cycle, without identity and with more of it, without the
loss of structure, without the history of fakes, with layers that are shared, and with a shared latent; --only takes
some of them. Figures are of both
directions; those of the generator alone show the loss, those of the result what is left of that when patches are laid
over it.

distance    the patch distance of ``consingan score`` (swd) to the picture whose manner is wanted, as a share of that of
            the source; less is nearer
structure   what is left of the source's structure, 1 all of it (``metrics.pairs.structure_kept``)
cycle       mean absolute difference of the source to what comes of going there and back again, in [0, 1]

FOLDER gets a sheet for each pair: in rows the trainings, in columns the source, the generator's picture, the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

import consingan
from consingan.grid.ranges import unit
from consingan.metrics.figures import swd
from consingan.metrics.pairs import cycle_error, structure_kept
from consingan.pictures import images
from consingan.pictures.sheets import grid, side_by_side
from consingan.storage.results import Role

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "no cycle": {"cycle": 0},
    "no identity": {"identity": 0},
    "identity 5": {"identity": 5},
    "no structure": {"structure": 0},
    "no history": {"history": 0},
    "shared layers": {"share": "layers"},
    "shared latent": {"share": "latent"},
}
DIRECTIONS = ("forward", "back")
COLUMNS = (
    "pair",
    "training",
    "distance, generator",
    "distance",
    "structure, generator",
    "structure",
    "cycle",
    "seconds",
)


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, metavar="PICTURE TARGET...")
@click.option("--out", required=True, metavar="FOLDER")
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="a setting of all trainings")
@click.option("--only", multiple=True, type=click.Choice(list(WAYS)), help="this training; may be given again")
def main(files: tuple[str, ...], out: str, settings: tuple[str, ...], only: tuple[str, ...]) -> None:
    if len(files) % 2:
        raise click.UsageError("give a target for every picture")
    given = {name: float(value) for name, value in (each.split("=") for each in settings)}
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for one, two in zip(files[::2], files[1::2], strict=True):
        rows: dict[str, list[Tensor]] = {way: [] for way in DIRECTIONS}
        for name in only or WAYS:
            began = perf_counter()
            numbers = {key: int(value) if value.is_integer() else value for key, value in given.items()}
            model = consingan.train(one, mode="translation", target_name=two, **{**numbers, **WAYS[name]})
            seconds = perf_counter() - began
            for way, shown, row in directions(model, Path(one), Path(two)):
                rows[way].append(side_by_side([(name, shown[0]), ("generator", shown[1]), ("result", shown[2])]))
                cells = [f"{row[0]}", name, *(f"{value:.3g}" for value in row[1:]), f"{seconds:.0f}"]
                click.echo(f"| {' | '.join(cells)} |")
        for way, sheets in rows.items():
            images.save(folder / f"{Path(one).stem}_{Path(two).stem}_{way}.png", grid(sheets, columns=1))


def directions(model: Any, one: Path, two: Path) -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor], tuple]]:
    """Of each direction its name, the source, the generator's picture and the result, and the figures."""
    for way, (source, target) in zip(DIRECTIONS, ((one, two), (two, one)), strict=True):
        before, wanted = (images.load(file, channels=3).pixels for file in (source, target))
        plainly, finished = (consingan.sample(model, direction=way, finish=finish) for finish in ("none", "patches"))
        alone, back = (first(plainly, role) for role in (Role.TRANSLATED, Role.BACK))
        made = first(finished, Role.TRANSLATED)
        old, new, plain, goal, returned = (unit(x).clamp(0, 1) for x in (before, made, alone, wanted, back))
        far = swd(goal, old)
        figures = (swd(goal, plain) / far, swd(goal, new) / far, structure_kept(old, plain), structure_kept(old, new))
        yield way, (before, alone, made), (f"{source.stem} as {target.stem}", *figures, cycle_error(old, returned))


def first(gallery: Any, role: Role) -> Tensor:
    """The first picture of a role, ``[1, C, H, W]`` in [-1, 1]."""
    return next(result.frames[0] for result in gallery if result.role is role)


if __name__ == "__main__":
    main()
