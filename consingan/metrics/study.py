"""Figures of samples on disk: of one picture, or of a study of many pictures by several methods.

A sample belongs to a picture by its name: to ``NAME.jpg`` belong ``NAME.*`` and ``NAME_*.*`` in a method's folder, and
everything in its sub-folder ``NAME``. No torch here before there is work: mistakes are refused quickly.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from consingan.errors import UserError
from consingan.grid import ranges
from consingan.grid.sizes import size_of
from consingan.storage.formats import SUFFIXES
from consingan.storage.results import INDEX, Role, by_name, kept
from consingan.storage.run import Run

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from consingan.metrics.inception import InceptionTrunk

Say = Callable[[str], None]
Values = dict[str, float | None]  # by figure; None where it does not exist
Networks = Mapping[int, "InceptionTrunk"]  # of SIFID, by their number of features

TOGETHER = 2**22  # pixels


# ---- which files


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, 2 before 10; a grid of them (``grid.*``) is left out."""
    found = (
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and by_name(path).role is not Role.GRID
    )
    return sorted(found, key=in_order)


def in_order(path: Path) -> list[tuple[int, str]]:
    """Sorts names as people count."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"[0-9]+|[^0-9]+", path.name)]


def samples_at(sources: Sequence[str]) -> list[Path]:
    """The files behind files, folders and patterns.

    Raises:
        UserError: there is none behind one of them.
    """
    found: list[Path] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            here = (newest_samples(path) if (path / INDEX).is_file() else []) or pictures_in(path)
        else:
            here = [path] if path.is_file() else [Path(file) for file in sorted(glob.glob(source))]
        if not here:
            what = "is a folder without pictures" if path.is_dir() else "does not exist"
            raise UserError(f"{source} {what}; name samples, or a folder of them as RUN/Evaluation/samples_...")
        found += here
    return found


def newest_samples(folder: Path) -> list[Path]:
    """Of the stills below a folder that are samples, those that lie where the newest of them lies."""
    known = [each.path for each in kept(folder) if each.role is Role.SAMPLE and not each.moving]
    newest = max(known, key=lambda path: path.stat().st_mtime_ns, default=None)
    return [path for path in known if newest and path.parent == newest.parent]


def of_run(run: Run) -> tuple[list[Path], list[Path]]:
    """The pictures of a run, the first one first, and the newest stills that were sampled from it.

    Raises:
        UserError: there are none.
    """
    samples = newest_samples(run.evaluation)
    if not samples:
        raise UserError(
            f"{run.folder} has no samples yet; make some first, or name the picture and what is to be held against it, "
            "as in: consingan score photo.jpg result.png"
        )
    sizes = sorted(run.pyramid.glob("*.png"), key=in_order)
    return [run.picture if run.picture.is_file() else sizes[-1], *run.further], samples


def samples_by_name(folder: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """A method's samples of each picture that it has any of; of several fitting names the longest counts."""
    names = sorted(names, key=len, reverse=True)
    found: dict[str, list[Path]] = {}
    for path in pictures_in(folder):
        fitting = [name for name in names if path.stem == name or path.stem.startswith(f"{name}_")]
        if path.is_file() and fitting:
            found.setdefault(fitting[0], []).append(path)
    for name in names:
        if (folder / name).is_dir():
            found[name] = found.get(name, []) + pictures_in(folder / name)
    return {name: paths for name, paths in found.items() if paths}


@dataclass(frozen=True)
class Study:
    """What is to be compared.

    Args:
        reals: the picture files by name.
        methods: per method the samples' files by the same names.
    """

    reals: Mapping[str, Path]
    methods: Mapping[str, Mapping[str, Sequence[Path]]]

    @classmethod
    def find(cls, real: Path, folders: Sequence[str], say: Say) -> Study:
        """The pictures in a folder that all methods have samples of.

        Args:
            real: folder of the pictures.
            folders: per method the folder of its samples.
            say: is told of pictures that are left out.

        Raises:
            UserError: a folder is none, or nothing belongs together.
        """
        pictures = pictures_in(real)
        reals = {path.stem: path for path in pictures}
        if len(reals) < len(pictures):
            twice = next(path for path in pictures if reals[path.stem] != path)
            raise UserError(f"{real} holds {twice.name} and {reals[twice.stem].name}; give each picture its own name.")
        methods = {}
        for folder in folders:
            if not Path(folder).is_dir():
                raise UserError(f"{folder} is no folder, but {real} is one; name the folder of a method's samples.")
            name = folder if [Path(f).name for f in folders].count(Path(folder).name) > 1 else Path(folder).name
            methods[name] = samples_by_name(Path(folder), reals)
        for method, found in methods.items():
            missing = [name for name in reals if name not in found]
            if len(missing) == len(reals):
                raise UserError(
                    f"{method} holds no sample of any picture in {real}; samples of NAME.jpg are called NAME.*, "
                    "NAME_*.*, or lie in a folder NAME."
                )
            if missing:
                say(f"{method} lacks samples of {', '.join(missing)}: left out of every method.")
        common = {name: path for name, path in reals.items() if all(name in found for found in methods.values())}
        if not common:
            raise UserError(f"No picture in {real} has samples of every method; leave a method out.")
        return cls(common, {method: {name: found[name] for name in common} for method, found in methods.items()})

    def score(self, networks: Networks, say: Say, step: Callable[[int], object] = int) -> dict[str, dict[str, Any]]:
        """Per method, as JSON values: ``pictures``, ``samples``, ``mean``, ``spread`` and ``each`` by picture.

        Args:
            networks, say: as ``figures``.
            step: is told of 1 after the samples of each picture; there are ``len(self)`` such steps.

        Raises:
            UserError: as ``figures``.
        """
        scores = {}
        for method, found in self.methods.items():
            each = {}
            for name, paths in found.items():
                each[name] = figures(self.reals[name], paths, networks, say)
                step(1)
            scores[method] = summary(each, sum(len(paths) for paths in found.values()))
        return scores

    def __len__(self) -> int:
        return len(self.reals) * len(self.methods)


# ---- figures


def load_networks(weights: str | None) -> Networks:
    """The networks that figures need; none without their weights' file.

    Raises:
        UserError: the file cannot be read, or holds other weights.
    """
    if weights is None:
        return {}
    from consingan.metrics.inception import load_inception
    from consingan.metrics.table import METRICS

    return {features: load_inception(weights, features) for each in METRICS.values() if (features := each.network)}


def figures(real: Path, samples: Sequence[Path], networks: Networks, say: Say, others: Sequence[Path] = ()) -> Values:
    """Every figure of the samples of a picture; as many samples as have ``TOGETHER`` pixels are in memory at once.

    Args:
        real: the picture's file.
        samples: files; all are compared at the size of the first, and so is the picture.
        networks: from ``load_networks``.
        say: is told of what was resized.
        others: files of further pictures of a kind, which the samples may be like: see ``sets``.

    Raises:
        UserError: a file is no picture or too small.
    """
    import torch

    from consingan.metrics.pictures import match
    from consingan.metrics.table import METRICS, Reference, available, measured

    original = unit(real)
    first = unit(samples[0])
    size = size_of(first)
    picture = match(original, size)
    if picture is not original:
        say(f"{real} is {pixels(original)} and resized to {pixels(first)}, the size of its samples.")

    def fitted(path: Path) -> Tensor:
        sample = unit(path)
        if size_of(sample) != size:
            say(f"{path} is {pixels(sample)} and resized to {pixels(first)}, the size of the first sample.")
        return match(sample, size)

    together = max(1, TOGETHER // (size[0] * size[1]))
    batches = (
        torch.cat([fitted(path) for path in samples[start : start + together]])
        for start in range(0, len(samples), together)
    )
    reference = Reference(picture, original, networks, [unit(path) for path in others])
    found = measured(reference, batches, available(reference, len(samples)))
    return {name: found.get(name) for name in METRICS}


def unit(path: Path) -> Tensor:
    """A picture file as ``[1, 3, H, W]`` in [0, 1]."""
    from consingan.pictures import images

    return ranges.unit(images.load(path, channels=3).pixels)


def pixels(picture: Tensor) -> str:
    """The size in words."""
    return f"{picture.shape[3]}x{picture.shape[2]} px"


def summary(by_picture: Mapping[str, Values], samples: int) -> dict[str, Any]:
    """A method's figures over the pictures, as JSON values: mean, standard deviation, and each."""

    from consingan.metrics.table import METRICS

    def over(figure: str, value: Callable[[list[float]], float], least: int) -> float | None:
        found = [values[figure] for values in by_picture.values()]
        known = [number for number in found if number is not None]
        return value(known) if len(known) == len(found) >= least else None

    return {
        "pictures": len(by_picture),
        "samples": samples,
        "mean": {figure: over(figure, mean, 1) for figure in METRICS},
        "spread": {figure: over(figure, stdev, 2) for figure in METRICS},
        "each": by_picture,
    }


# ---- in words


def table(columns: Mapping[str, Values], spreads: Mapping[str, Values]) -> Table:
    """A row per figure that exists, a column per set of samples.

    Args:
        columns: the values.
        spreads: of each column, their standard deviation, where there is one.
    """
    from rich.table import Table

    from consingan.metrics.table import METRICS

    def cell(column: str, figure: str) -> str:
        value, spread = columns[column][figure], spreads.get(column, {}).get(figure)
        if value is None:
            return "-"
        shown = METRICS[figure].shown
        return shown(value) + (f" ± {shown(spread)}" if spread is not None else "")

    made = Table("figure", *columns, "meaning")
    for figure, metric in METRICS.items():
        if any(values[figure] is not None for values in columns.values()):
            made.add_row(figure, *(cell(column, figure) for column in columns), metric.note)
    return made
