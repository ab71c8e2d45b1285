"""A translation, read: of each direction its pictures, its figures, and what they mean in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from consingan.config import Train
from consingan.errors import UserError
from consingan.storage import results
from consingan.storage.results import Kept, Role
from consingan.storage.run import Run
from consingan.tasks.translation import TARGET

FELL = 0.5  # share of the distance before, above which a picture has hardly taken the manner
KEPT = 0.7  # structure, below which its content is hard to see
LOST = 0.1  # cycle error, above which the way back does not find the picture again
MOST_PIXELS = 50_000_000


@dataclass(frozen=True)
class Direction:
    """One picture in the manner of the other.

    Args:
        word: forward or back.
        name, manner: the picture's and the other's, without ending.
        source, target: their files.
        made, back: the result's file, and that of what the way back makes of it.
        figures: by their names in ``metrics.pairs.PAIRS``; empty where there is nothing that can be measured.
    """

    word: str
    name: str
    manner: str
    source: Path
    target: Path
    made: Path
    back: Path | None
    figures: Mapping[str, float]

    @property
    def title(self) -> str:
        """It in words."""
        return f"{self.name} in the manner of {self.manner}"

    @property
    def fell(self) -> float:
        """The distance after, as a share of that before."""
        return self.figures["after"] / self.figures["before"] if self.figures.get("before") else 1.0

    @property
    def said(self) -> str:
        """Its figures in a sentence; nothing where there are none."""
        if not self.figures:
            return ""
        cycle = f", cycle error {self.figures['cycle']:.3f}" if "cycle" in self.figures else ""
        return (
            f"{self.title}: patch distance {self.fell:.0%} of what it was, structure kept "
            f"{self.figures['structure']:.2f}{cycle}."
        )


def of_run(run: Run, settings: Train) -> list[Direction]:
    """The directions of a translation by what was sampled from it, or else by its newest previews; none of others."""
    return directions(run, settings, results.kept(run.evaluation)) or of_previews(run, settings)


def of_previews(run: Run, settings: Train) -> list[Direction]:
    """The directions by the newest previews of the training."""
    stages = sorted(run.samples.glob("stage_*"), key=lambda folder: (len(folder.name), folder.name), reverse=True)
    return next((found for folder in stages if (found := directions(run, settings, results.kept(folder)))), [])


def directions(run: Run, settings: Train, made: Iterable[Kept]) -> list[Direction]:
    """Those that results show of the run's own pictures, the first result of each."""
    target = settings.translation.target_name
    if not target:
        return []
    files = {"forward": (run.picture, run.picture_of(TARGET)), "back": (run.picture_of(TARGET), run.picture)}
    names = {"forward": (Path(settings.image).stem, Path(target).stem)}
    names["back"] = names["forward"][::-1]
    made = [each for each in made if "own" not in each.facts]
    found = []
    for word, (source, wanted) in files.items():
        own = [each for each in made if each.facts.get("direction") == word]
        result, back = (
            next((each for each in own if each.role is role), None) for role in (Role.TRANSLATED, Role.BACK)
        )
        if result is None or not (source.is_file() and wanted.is_file()):
            continue
        returned = back.path if back is not None else None
        figures = measured(source, result.path, wanted, returned)
        found.append(Direction(word, *names[word], source, wanted, result.path, returned, figures))
    return found


def summary(run: Run, settings: Train) -> list[str]:
    """A sentence for each direction of a finished translation, by its newest previews; none for other trainings."""
    return [each.said for each in of_previews(run, settings) if each.said]


def measured(source: Path, made: Path, target: Path, back: Path | None) -> Mapping[str, float]:
    """The figures of files, computed once while they stay as they are; none of one that cannot be read."""
    files = [source, made, target, *([] if back is None else [back])]
    with suppress(UserError, OSError):
        return _measured(tuple((file, file.stat().st_mtime_ns) for file in files))
    return {}


@lru_cache(maxsize=64)
def _measured(stamps: Sequence[tuple[Path, int]]) -> Mapping[str, float]:
    from consingan.grid.ranges import unit
    from consingan.metrics.pairs import of_pair
    from consingan.pictures import images

    pictures = [unit(images.load(file, max_pixels=MOST_PIXELS).pixels) for file, _ in stamps]
    channels = max(picture.shape[1] for picture in pictures)
    return of_pair(*(picture.expand(-1, channels, -1, -1) for picture in pictures))


def manners(settings: Train) -> dict[str, str]:
    """The branches of a translation by what they make, by name; empty for other trainings."""
    target = settings.translation.target_name
    return {"": f"as {Path(settings.image).stem}", TARGET: f"as {Path(target).stem}"} if target else {}


def rows(found: Sequence[Direction]) -> list[tuple[str, list[str], str]]:
    """A table: of each figure its title, its value in each direction, and what it means; empty without figures."""
    from consingan.metrics.pairs import PAIRS

    table = []
    for name, (title, note, better) in PAIRS.items():
        values = [each.figures.get(name) for each in found]
        if any(value is not None for value in values):
            cells = ["–" if value is None else f"{value:.3g}" for value in values]
            better_is = {-1: "; lower is better", 0: "", 1: "; higher is better"}[better]
            table.append((title, cells, note + better_is))
    return table


def meaning(found: Sequence[Direction], finished: bool) -> Iterator[str]:
    """Sentences on what the figures mean and what to turn, the most urgent first.

    Args:
        found: the directions.
        finished: whether the run is.
    """
    measurable = [each for each in found if each.figures]
    if not measurable:
        return
    for each in measurable:
        yield each.said[0].upper() + each.said[1:]
    said = [
        _named(
            [each for each in measurable if each.figures["structure"] < KEPT],
            "{} keeps little of its content: sample with --start_stage 1, --strength 0.6 or --finish none, or train "
            "with a larger --structure.",
        ),
        _named(
            [each for each in measurable if each.fell > FELL],
            "{} is still far from the manner: train with a smaller --identity, such as 0, or with --preset best.",
        ),
        _named(
            [each for each in measurable if each.figures.get("cycle", 0) > LOST],
            "{} is not found again on the way back: train with a larger --cycle, such as 20.",
        ),
    ]
    yield from filter(None, said)
    if not any(said) and finished:
        yield "Both distances fell by half or more and the content is kept: nothing has to be turned."


def _named(wanting: Sequence[Direction], sentence: str) -> str:
    """A sentence that names directions; nothing where there are none."""
    return sentence.format(" and ".join(each.title for each in wanting)) if wanting else ""
