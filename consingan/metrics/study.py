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
from consingan.pictures.formats import SUFFIXES
from consingan.storage.results import Role, by_name

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor

    from consingan.metrics.inception import InceptionTrunk

Say = Callable[[str], None]
Values = dict[str, float | None]  # by figure; None where it does not exist
Trunks = Mapping[str, "InceptionTrunk"]

MEANING = {
    "swd": "distance of the patches; lower is better",
    "coherence": "what the picture does not hold; lower is better",
    "completeness": "what of the picture is missing; lower is better",
    "diversity": "how much samples differ; higher is more diverse",
    "copy": "share of patches in their old place; 1 is a copy",
    "sifid64": "Frechet distance of 64 features; lower is better",
    "sifid192": "Frechet distance of 192 features; lower is better",
}
PER_SAMPLE = ("swd", "coherence", "completeness", "copy")
TOGETHER = 2**22  # pixels
SIFID = {"sifid64": 64, "sifid192": 192}


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


def samples_at(places: Sequence[str]) -> list[Path]:
    """The files behind files, folders and patterns.

    Raises:
        UserError: there is none behind one of them.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place)
        if path.is_dir():
            here = pictures_in(path)
        else:
            here = [path] if path.is_file() else [Path(file) for file in sorted(glob.glob(place))]
        if not here:
            what = "folder without pictures" if path.is_dir() else "path of no file"
            raise UserError(f"{place} is a {what}; name samples, or a folder of them as RUN/Evaluation/samples_...")
        found += here
    return found


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

    def score(self, trunks: Trunks, say: Say, step: Callable[[int], object] = int) -> dict[str, dict[str, Any]]:
        """Per method, as JSON values: ``pictures``, ``samples``, ``mean``, ``spread`` and ``each`` by picture.

        Args:
            trunks, say: as ``figures``.
            step: is told of 1 after the samples of each picture; there are ``len(self)`` such steps.

        Raises:
            UserError: as ``figures``.
        """
        scores = {}
        for method, found in self.methods.items():
            each = {}
            for name, paths in found.items():
                each[name] = figures(self.reals[name], paths, trunks, say)
                step(1)
            scores[method] = summary(each, sum(len(paths) for paths in found.values()))
        return scores

    def __len__(self) -> int:
        return len(self.reals) * len(self.methods)


# ---- figures


def load_trunks(weights: str | None) -> Trunks:
    """The networks of SIFID by figure; none without their weights' file."""
    if weights is None:
        return {}
    from consingan.metrics.inception import load_inception

    return {name: load_inception(weights, channels) for name, channels in SIFID.items()}


def figures(real: Path, samples: Sequence[Path], trunks: Trunks, say: Say) -> Values:
    """Every figure of the samples of a picture; as many samples as have ``TOGETHER`` pixels are in memory at once.

    Args:
        real: the picture's file.
        samples: files; all are compared at the size of the first, and so is the picture.
        trunks: from ``load_trunks``.
        say: is told of what was resized.

    Raises:
        UserError: a file is no picture or too small.
    """
    import torch

    from consingan.metrics.frechet import sifid
    from consingan.metrics.pictures import match
    from consingan.metrics.table import evaluate

    original = unit(real)
    first = unit(samples[0])
    size = (first.shape[2], first.shape[3])
    picture = match(original, size)
    if picture is not original:
        say(f"{real} is {pixels(original)} and resized to {pixels(first)}, the size of its samples.")

    def fitted(path: Path) -> Tensor:
        sample = unit(path)
        if tuple(sample.shape[2:]) != size:
            say(f"{path} is {pixels(sample)} and resized to {pixels(first)}, the size of the first sample.")
        return match(sample, size)

    spread = Spread()
    sums = dict.fromkeys((*PER_SAMPLE, *trunks), 0.0)
    together = max(1, TOGETHER // (size[0] * size[1]))
    for start in range(0, len(samples), together):
        batch = torch.cat([fitted(path) for path in samples[start : start + together]])
        found = evaluate(picture, batch, PER_SAMPLE) | {n: sifid(original, batch, trunk) for n, trunk in trunks.items()}
        for name, value in found.items():
            sums[name] += value * len(batch)
        for sample in batch.split(1):
            spread.add(sample)
    values: Values = {name: sums[name] / len(samples) if name in sums else None for name in MEANING}
    contrast = picture.std().item()
    return values | {"diversity": spread.mean() / contrast if len(samples) > 1 and contrast > 0 else None}


class Spread:
    """The standard deviation per pixel over samples that are seen one at a time.

    B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, sample: Tensor) -> None:
        """See a sample, of the same shape as the others."""
        self._count += 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = sample.clone(), sample.new_zeros(sample.shape)
            return
        shift = sample - self._mean
        self._mean += shift / self._count
        self._squares += shift.mul_(sample - self._mean)

    def mean(self) -> float:
        """The deviation (over the count less one), averaged over all pixels."""
        assert self._squares is not None
        return (self._squares / (self._count - 1)).sqrt().mean().item()


def unit(path: Path) -> Tensor:
    """A picture file as ``[1, 3, H, W]`` in [0, 1]."""
    from consingan.pictures import images

    return ranges.unit(images.load(path, channels=3).pixels)


def pixels(picture: Tensor) -> str:
    """The size in words."""
    return f"{picture.shape[3]}x{picture.shape[2]} px"


def summary(by_picture: Mapping[str, Values], samples: int) -> dict[str, Any]:
    """A method's figures over the pictures, as JSON values: mean, standard deviation, and each."""

    def over(figure: str, value: Callable[[list[float]], float], least: int) -> float | None:
        found = [values[figure] for values in by_picture.values()]
        known = [number for number in found if number is not None]
        return value(known) if len(known) == len(found) >= least else None

    return {
        "pictures": len(by_picture),
        "samples": samples,
        "mean": {figure: over(figure, mean, 1) for figure in MEANING},
        "spread": {figure: over(figure, stdev, 2) for figure in MEANING},
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

    def cell(column: str, figure: str) -> str:
        value, spread = columns[column][figure], spreads.get(column, {}).get(figure)
        if value is None:
            return "-"
        return f"{value:.4f}" + (f" ± {spread:.4f}" if spread is not None else "")

    made = Table("figure", *columns, "meaning")
    for figure, meaning in MEANING.items():
        if any(values[figure] is not None for values in columns.values()):
            made.add_row(figure, *(cell(column, figure) for column in columns), meaning)
    return made
