"""One picture in the manner of another: figures of several ways on several pairs, as a table, and a sheet to look at.

    python benchmarks/styles.py --out FOLDER CONTENT STYLE [CONTENT STYLE ...] [--with NAME=FOLDER_OR_PICTURE ...]

Every pair is made both ways: CONTENT in the manner of STYLE and the other way round. The ways are the source as it is,
each channel's histogram matched, and ``consingan style``. ``--with`` adds pictures that another program made, such as a
trained translation: FOLDER holds CONTENT_as_STYLE.png by the names of the two files, as ``consingan sample`` of a
translation writes it, and CONTENT_as_STYLE_and_back.png; a single picture stands for the first direction of the first
pair.

distance    the patch distance of ``consingan score`` (swd) to the style; less is nearer
structure   what is left of the source's structure, 1 all of it (``metrics.pairs.structure_kept``)
coherence   mean squared distance of the patches to the style's nearest
cycle       mean absolute difference of the source to what comes of going there and back again, in [0, 1]

The table goes to stdout, FOLDER gets the pictures, ``CONTENT_in_STYLE_sheet.png`` and ``styles.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.finish.photo import Photo, stored
from consingan.finish.style import restyled
from consingan.grid.noise import Draw
from consingan.grid.ranges import unit
from consingan.grid.sizes import size_of
from consingan.metrics.figures import coherence, swd
from consingan.metrics.pairs import cycle_error, structure_kept
from consingan.pictures import images
from consingan.pictures.sheets import at_most, side_by_side

Way = Callable[[Tensor, Tensor], Tensor]  # content and style, [1, 3, h, w] in [-1, 1] -> content in its manner
COLUMNS = ("pair", "way", "distance", "of the source's", "structure", "coherence", "cycle", "seconds")


def histograms(content: Tensor, style: Tensor) -> Tensor:
    """The content with each channel's values replaced by the style's of the same rank."""
    made = torch.empty_like(content)
    for channel in range(content.shape[1]):
        values, wanted = content[0, channel].flatten(), style[0, channel].flatten().sort().values
        places = torch.linspace(0, len(wanted) - 1, len(values)).round().long()
        made[0, channel].view(-1)[values.argsort()] = wanted[places]
    return made


def by_patches(content: Tensor, style: Tensor) -> Tensor:
    """What ``consingan style`` makes with its defaults."""
    return restyled(Photo(stored(style)), content, Draw(0, ("style", 0)))


WAYS: dict[str, Way] = {"source": lambda content, style: content, "histograms": histograms, "style": by_patches}


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, metavar="CONTENT STYLE...")
@click.option("--out", required=True, metavar="FOLDER")
@click.option("--with", "others", multiple=True, metavar="NAME=FOLDER_OR_PICTURE")
@click.option("--longest", default=640, show_default=True, help="px of the longer side that pictures are shrunk to")
def main(files: tuple[str, ...], out: str, others: tuple[str, ...], longest: int) -> None:
    if len(files) % 2:
        raise click.UsageError("give a style for every content")
    given = {}
    for other in others:
        name, equals, place = other.partition("=")
        if not equals or not Path(place).exists():
            raise click.UsageError(f"--with is {other!r}; give NAME=FOLDER_OR_PICTURE that is there")
        given[name] = Path(place)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    rows = []
    for number, (one, two) in enumerate(zip(files[::2], files[1::2], strict=True)):
        for row in pair(Path(one), Path(two), folder, given, longest, first=number == 0):
            rows.append(row)
            shown = (f"{row[c]:.4g}" if isinstance(row[c], float) else str(row[c]) for c in COLUMNS)
            click.echo(f"| {' | '.join(shown)} |")
            (folder / "styles.json").write_text(json.dumps(rows, indent=1))


def pair(
    one: Path, two: Path, folder: Path, given: dict[str, Path], longest: int, first: bool
) -> Iterator[dict[str, str | float]]:
    """The rows of a pair, both ways; its sheets are written."""
    a, b = (at_most(images.load(file, channels=3).pixels, longest) for file in (one, two))
    for content, style, source, target in ((one, two, a, b), (two, one, b, a)):
        name = f"{content.stem}_in_{style.stem}"
        items = [(content.stem, source), (style.stem, target)]
        before = swd(unit(target), unit(source))
        for way, make in WAYS.items():
            began = perf_counter()
            made = make(source, target)
            seconds = perf_counter() - began
            back = make(made, source) if way != "source" else made
            row = figures(name, way, source, target, made, before)
            yield row | {"cycle": cycle_error(unit(source), in_range(back)), "seconds": seconds}
            if way != "source":
                images.save(folder / f"{name}_{way}.png", made)
                items.append((way, made))
        for way, place in given.items():
            as_style = f"{content.stem}_as_{style.stem}"
            found = place if place.is_file() and first and content == one else named(place, as_style)
            if found is None:
                continue
            made = images.load(found, channels=3).pixels
            row = figures(name, way, source, target, made, before)
            back_file = named(place, f"{as_style}_and_back")
            back = float("nan")
            if back_file is not None:
                back = cycle_error(unit(source), in_range(images.load(back_file, channels=3).pixels))
            yield row | {"cycle": back, "seconds": float("nan")}
            items.append((way, made))
        images.save(folder / f"{name}_sheet.png", side_by_side(items))


def named(folder: Path, name: str) -> Path | None:
    """The picture of a name in a folder; None where there is none."""
    return next(iter(sorted(folder.glob(f"{name}.*"))), None)


def figures(name: str, way: str, source: Tensor, target: Tensor, made: Tensor, before: float) -> dict[str, str | float]:
    """The figures of one result; ``before`` is the distance of the source."""
    unit_made, unit_target = in_range(made), unit(target)
    distance = swd(unit_target, unit_made)
    return {
        "pair": name,
        "way": way,
        "size": "x".join(str(side) for side in reversed(size_of(made))),
        "distance": distance,
        "of the source's": distance / before,
        "structure": structure_kept(unit(source), unit_made),
        "coherence": coherence(unit_target, unit_made),
    }


def in_range(picture: Tensor) -> Tensor:
    """``[-1, 1]`` -> ``[0, 1]``, clamped."""
    return unit(picture).clamp(0, 1)


if __name__ == "__main__":
    main()
