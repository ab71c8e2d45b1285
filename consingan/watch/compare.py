"""Runs side by side on one page: settings with their differences marked, figures, times, samples, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from torch import Tensor

from consingan import config
from consingan.errors import UserError
from consingan.grid.ranges import unit
from consingan.grid.sizes import at_most, size_of
from consingan.metrics.pairs import PAIRS
from consingan.metrics.pictures import PATCH, match
from consingan.metrics.table import METRICS, evaluate
from consingan.pictures import images
from consingan.storage.files import write_bytes
from consingan.storage.run import Run
from consingan.tasks.translation import TARGET
from consingan.watch.clock import duration
from consingan.watch.report import directions, reading
from consingan.watch.report.album import near, portraits
from consingan.watch.report.judged import judged_files, read_samples, reals
from consingan.watch.report.page import (
    SHOT_SIDE,
    Plot,
    Shot,
    described,
    figure,
    memory,
    render,
    shown,
    shown_value,
    state,
    words,
)
from consingan.watch.report.plots import plot
from consingan.watch.report.reading import Curve, Facts

SAMPLES = 6  # shown of each run
SAME_SIDE = 32  # pictures are compared at this size, in pixels
SAME = 0.08  # root mean squared difference in [0, 1] units, above which two pictures are two


@dataclass(frozen=True)
class Column:
    """A run on the page.

    Args:
        letter: its short name there.
        facts: of its folder.
        shots: picture, reconstruction and samples.
        figures: of ``judged`` samples at the common size; empty where there are none.
    """

    letter: str
    facts: Facts
    shots: Sequence[Shot]
    figures: Mapping[str, float]
    judged: int


@dataclass(frozen=True)
class Row:
    """A line of a table with a cell for each run; ``best`` are those to mark as such."""

    name: str
    cells: Sequence[str]
    note: str = ""
    best: Sequence[int] = ()

    @property
    def differs(self) -> bool:
        return len(set(self.cells)) > 1


def write(runs: Sequence[Run], out: Path) -> Path:
    """Write the page that compares runs, all or nothing.

    Raises:
        UserError: fewer than two runs, one that cannot be read, or the file cannot be written.
    """
    write_bytes(out, comparison(runs).encode("utf-8", "replace"))
    return out


def comparison(runs: Sequence[Run]) -> str:
    """The page as HTML."""
    if len(runs) < 2:
        raise UserError(f"compare got {len(runs)} run; give two or more run folders.")
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise UserError("compare got the same run twice; give each run folder once.")
    read = [reading.read(run) for run in runs]
    for facts in read:
        if not facts.stages:
            raise UserError(f"{facts.run.folder} has no pyramid, so there is nothing to compare; give another run.")
    size = common_side(read)
    columns = [column(letter(number), facts, size) for number, facts in enumerate(read)]
    different = different_pictures(read)
    return render(
        "compare.html",
        title=f"{len(runs)} runs compared",
        live=False,
        columns=columns,
        different=different,
        side=size,
        figures=figure_rows(columns, same=not different),
        directions=direction_rows(read, same=not different),
        costs=cost_rows(read),
        settings=setting_rows(read),
        curves=overlaid(columns),
        now=datetime.now().strftime("%Y-%m-%d %H:%M"),
    )


def letter(number: int) -> str:
    """A, B, ... Z, then numbers."""
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def common_side(runs: Sequence[Facts]) -> int:
    """The longer side at which all are judged: that of the smallest newest samples, in pixels."""
    firsts = [judged_files(facts.newest)[:1] for facts in runs if facts.newest]
    return min((max(read_samples([each.path], each.moving).shape[2:]) for (each,) in filter(None, firsts)), default=0)


def column(name: str, facts: Facts, side: int) -> Column:
    """A run with its pictures and figures."""
    stage = facts.newest
    items = portraits(facts)
    if directions.manners(facts.settings):
        items.append((facts.run.picture_of(TARGET), "the other picture"))
    if stage:
        items += [(path, "reconstruction") for path in (stage.reconstruction, *stage.further)]
        items += [(each.path, words(each.path) + near(each)) for each in stage.samples[:SAMPLES]]
    shots = [shot for path, text in items if (shot := shown(path, SHOT_SIDE, text))]
    figures, judged = figures_at(facts, side)
    return Column(name, facts, shots, figures, judged)


def figures_at(facts: Facts, side: int) -> tuple[Mapping[str, float], int]:
    """The figures of a run's newest samples against its own picture, both at most ``side`` px, and of how many."""
    stage = facts.newest
    files = judged_files(stage) if stage else []
    if stage is None or not files:
        return {}, 0
    real, *others = reals([path for _, path in facts.pictures])
    samples = read_samples([each.path for each in files], files[0].moving)
    samples = match(samples, at_most(size_of(samples), side))
    if min(samples.shape[2:]) < PATCH:
        return {}, 0
    return evaluate(real, samples, others=others), len(samples)


def different_pictures(runs: Sequence[Facts]) -> bool:
    """Whether the runs are not all of the same pictures: by what they show, whatever their files are called.

    The order of several does not count.
    """
    first, *others = ([look(path) for _, path in facts.pictures] for facts in runs)
    return any(
        len(first) != len(other) or not all(any(alike(one, each) for each in other) for one in first)
        for other in others
    )


def alike(one: tuple[Tensor, float], other: tuple[Tensor, float]) -> bool:
    """Whether two looks are of one picture."""
    return abs(one[1] - other[1]) <= 0.05 * one[1] and bool((one[0] - other[0]).square().mean().sqrt() <= SAME)


def look(file: Path) -> tuple[Tensor, float]:
    """A picture at a common size, and its width over its height."""
    picture = unit(images.load(file).pixels).expand(-1, 3, -1, -1)
    return match(picture, (SAME_SIDE, SAME_SIDE)), picture.shape[3] / picture.shape[2]


def figure_rows(columns: Sequence[Column], same: bool) -> list[Row]:
    """A row for each figure that any run has; the best are marked where better has a meaning.

    Args:
        columns: the runs.
        same: whether they are of the same picture.
    """
    rows = []
    for name in dict.fromkeys(name for each in columns for name in each.figures):
        metric = METRICS[name]
        values = [each.figures.get(name) for each in columns]
        cells = ["–" if value is None else metric.shown(value) for value in values]
        rows.append(Row(metric.title, cells, metric.note, best_of(values, metric.better if same else 0)))
    return rows


def best_of(values: Sequence[float | None], better: int) -> list[int]:
    """The numbers of the best values; none where better has no meaning, or there is one value alone."""
    known = [value for value in values if value is not None]
    if not better or len(known) < 2:
        return []
    best = min(known) if better < 0 else max(known)
    return [number for number, value in enumerate(values) if value == best]


def direction_rows(runs: Sequence[Facts], same: bool) -> list[Row]:
    """A row for each figure of each direction of translations; none where no run is one. ``same`` as above."""
    found = [{each.word: each for each in directions.of_previews(facts.run, facts.settings)} for facts in runs]
    rows = []
    for word, words_of_it in (("forward", "to the target's manner"), ("back", "the target, to the picture's manner")):
        for name, (title, note, better) in PAIRS.items():
            values = [each[word].figures.get(name) if word in each else None for each in found]
            if any(value is not None for value in values):
                cells = [figure(value) for value in values]
                rows.append(
                    Row(f"{title}, {word}", cells, f"{words_of_it}: {note}", best_of(values, better if same else 0))
                )
    return rows


def cost_rows(runs: Sequence[Facts]) -> list[Row]:
    """State, sizes, iterations, times and memory."""
    rows = [
        Row("state", [state(facts) for facts in runs]),
        Row("size", ["{1}×{0} px".format(*facts.stages[-1].size) for facts in runs]),
        Row("iterations", [f"{sum(stage.done for stage in facts.stages):,}" for facts in runs]),
        Row("training time", [duration(facts.seconds) for facts in runs]),
        Row("peak memory", [memory(facts.memory_mb) for facts in runs]),
        Row("device", [str(facts.environment.get("device", "–")) for facts in runs]),
    ]
    for number in range(max(len(facts.stages) for facts in runs)):
        cells = []
        for facts in runs:
            stage = facts.stages[number] if number < len(facts.stages) else None
            known = stage is not None and stage.done > 0
            cells.append(f"{duration(stage.seconds)} for {stage.done:,}" if known and stage else "–")
        rows.append(Row(f"stage {number}", cells))
    return rows


def setting_rows(runs: Sequence[Facts]) -> list[Row]:
    """Mode, preset, picture and every setting."""
    values = [
        {"mode": r.settings.mode, "preset": r.chosen.preset, "image": r.settings.image, **config.flat(r.settings)}
        for r in runs
    ]
    notes = {s.name: s.setting.help for s in config.settings()}
    names = dict.fromkeys(name for each in values for name in each)  # each objective has options of its own
    return [Row(name, [shown_value(each.get(name)) for each in values], notes.get(name, "")) for name in names]


def overlaid(columns: Sequence[Column]) -> list[Plot]:
    """The error of the reconstruction and every figure of the log, a curve for each run that has it."""
    plots = []
    wanted = [
        ("reconstruction", lambda facts: facts.losses),
        *((name, lambda facts: facts.figures) for name in figure_names(columns)),
    ]
    for name, kind in wanted:
        found = [
            Curve(each.letter, curve.pieces) for each in columns for curve in kind(each.facts) if curve.name == name
        ]
        if found:
            branch, _, bare = name.rpartition(".")
            title, meaning, _ = described(bare)
            title += f", {branch}" if branch else ""
            plots.append(Plot(title, meaning, [curve.name for curve in found], plot(title, found)))
    return plots


def figure_names(columns: Sequence[Column]) -> list[str]:
    """Figures of the logs that are not losses as well."""
    names = dict.fromkeys(curve.name for each in columns for curve in each.facts.figures)
    return [name for name in names if name.rpartition(".")[2] != "reconstruction"]
