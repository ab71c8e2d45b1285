"""The page: facts and findings into a template. Everything that comes from a file's name or text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan import config
from consingan.storage import results
from consingan.storage.files import write_bytes
from consingan.storage.results import Kept, Role
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.translation import TARGET
from consingan.watch.clock import duration
from consingan.watch.report import directions, reading
from consingan.watch.report.album import beside, near, portraits
from consingan.watch.report.commands import commands
from consingan.watch.report.directions import Direction
from consingan.watch.report.pictures import Embedded, embedded
from consingan.watch.report.plots import plot
from consingan.watch.report.reading import Curve, Facts, Stage
from consingan.watch.report.words import meaning

if TYPE_CHECKING:
    from jinja2 import Environment

    from consingan.metrics.table import Metric

HERO_SIDE, SHOT_SIDE, SMALL_SIDE = 640, 320, 160  # longer sides of embedded pictures, in pixels
HERO_SAMPLES = 4
NEWEST_SHOTS, EARLIER_SHOTS = 9, 4  # samples of the newest stage, of the others
SHOWN = 12  # pictures of what was sampled afterwards
BESIDE = {Role.MASK, Role.VIEW, Role.PASTED}  # what helps to judge a result and is none
WIDE_SIDE = 1400  # of pictures of several pictures
WORDS = {  # of what stands by itself, in the order in which it is shown
    Role.MASKED: "result, changed inside the mask only",
    Role.NAIVE: "changed everywhere, without a mask",
    Role.PASTED: "the naive picture",
    Role.TRANSLATED: "in the manner of the other picture",
    Role.BACK: "the way there and back",
    Role.GRID: "all of a folder",
    Role.SAMPLE: "sample",
    Role.REPEATED: "repeated, to see whether it has a seam",
    Role.ENLARGED: "enlarged",
    Role.PAINTED: "painting, made a photo",
    Role.VIEW: "side by side",
    Role.MASK: "mask",
    Role.NATIVE: "output of the network",
    Role.RECONSTRUCTION: "reconstruction",
    Role.EXAMPLE: "example: input and output",
}
WIDE = 2.4  # width over height from which on a picture gets a row of its own

# Figures that only the log has: full name, what it means, where better lies (-1 lower, 1 higher, 0 neither). Those of
# samples are told of in METRICS.
LOGGED = {
    "reconstruction": ("Reconstruction", "how far the reconstruction is from the picture", -1),
    "balance": ("Balance", "how well the critic distinguishes the picture from one generated from fixed noise", 0),
    "convergence": ("Convergence", "reconstruction plus absolute balance, like the convergence measure of BEGAN", -1),
}
TOGETHER = ({"critic_real", "critic_fake"},)  # terms that are read against each other


@dataclass(frozen=True)
class Shot:
    """A picture on the page, with its caption."""

    picture: Embedded
    caption: str

    @property
    def wide(self) -> bool:
        return self.picture.width > WIDE * self.picture.height


@dataclass(frozen=True)
class Plot:
    """A drawn plot; ``names`` are those of its curves, in the order of their colours."""

    title: str
    meaning: str
    names: Sequence[str]
    svg: str


@dataclass(frozen=True)
class SettingRow:
    """A setting of the run.

    Args:
        value: as the run has it.
        otherwise: the value of its preset; that of the program where there is no preset.
        differs: whether the person set it; in runs that do not tell, whether it has another value than otherwise.
    """

    name: str
    value: str
    otherwise: str
    differs: bool
    help: str


def write(run: Run) -> Path:
    """Write report.html into a run folder, all or nothing.

    Raises:
        UserError: the run has no readable configuration, or the file cannot be written.
    """
    write_bytes(run.report, report_page(run).encode("utf-8", "replace"))
    return run.report


def report_page(run: Run, live: bool = False) -> str:
    """The page of a run as HTML.

    Args:
        run: at any point of its training.
        live: the page asks its server for news.
    """
    from consingan.metrics.table import METRICS
    from consingan.watch.report.judged import find

    facts = reading.read(run)
    found, pair = find(facts), directions.of_previews(run, facts.settings)
    return render(
        "report.html",
        title=f"{facts.name} · {facts.settings.mode}",
        live=live,
        facts=facts,
        state=state(facts),
        hero=[shot for each in pair for shot in directed(each)] or hero(facts),
        pyramids=pyramids(facts),
        pair=pair,
        compared=directions.rows(pair),
        film=film(facts),
        samples=[(stage, stage_shots(facts, stage)) for stage in reversed(facts.stages) if stage.samples],
        evaluation=evaluation(run),
        found=found,
        both=bool(directions.manners(facts.settings)),
        beside=beside(facts, found.near),
        meaning=[*meaning(facts, found.figures), *directions.meaning(pair, facts.finished)],
        figures=[tile(METRICS[name], value) for name, value in found.figures.items()],
        losses=plots(facts.losses, facts.starts, directions.manners(facts.settings)),
        curves=plots(facts.figures, facts.starts, directions.manners(facts.settings)),
        settings=setting_rows(facts),
        commands=commands(run, facts.settings, facts.finished),
        now=datetime.now().strftime("%Y-%m-%d %H:%M"),
    )


def render(template: str, **values: Any) -> str:
    """One of our templates with values."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("consingan.watch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"duration": duration, "figure": figure, "memory": memory, "shown": shown_value}
    return templates


def state(facts: Facts) -> str:
    """Where the training stands, in words."""
    if facts.finished:
        return "finished"
    stage = facts.current
    if stage is None:
        return "not begun"
    return f"stage {stage.number + 1}/{len(facts.stages)}, iteration {stage.done}/{stage.planned}"


def directed(direction: Direction) -> list[Shot]:
    """A direction in pictures: the source, what was made of it, and what comes back."""
    items = [
        (direction.source, direction.name),
        (direction.made, direction.title),
        (direction.back, f"{direction.name}, there and back, by colours alone"),
    ]
    return [shot for path, text in items if (shot := shown(path, HERO_SIDE, text))]


def pyramids(facts: Facts) -> list[list[Shot]]:
    """The pictures of all stages, of each picture that the run learns from."""
    own = [[(stage.picture, sized(stage, stage.size)) for stage in facts.stages]]
    if directions.manners(facts.settings):
        files = [stage.picture.with_name(f"{TARGET}.{stage.picture.name}") for stage in facts.stages]
        own.append(sizes_of(files, facts))
    for number in range(2, len(facts.pictures) + 1):
        own.append(sizes_of([stage.picture.with_name(f"{number}.{stage.number}.png") for stage in facts.stages], facts))
    return [[shot for file, text in each if (shot := shown(file, SMALL_SIDE, text))] for each in own]


def sizes_of(files: Sequence[Path], facts: Facts) -> list[tuple[Path, str]]:
    """Pictures by stage, each with its size."""
    return [(file, sized(stage, reading.size_of(file))) for file, stage in zip(files, facts.stages, strict=True)]


def sized(stage: Stage, size: tuple[int, int]) -> str:
    """A stage in words, counted from 1 as everywhere that people read."""
    height, width = size
    return f"stage {stage.number + 1} · {width}×{height} px"


def shown(path: Path | None, side: int, caption: str) -> Shot | None:
    """A picture file with a caption, or None where there is none to show."""
    picture = embedded(path, side) if path else None
    return Shot(picture, caption) if picture else None


def hero(facts: Facts) -> list[Shot]:
    """What most people come for: the picture, the newest samples and the reconstruction; or first of all a naive
    picture and what became of it. The first two are shown large."""
    stage = facts.newest
    items = portraits(facts) if facts.stages else []
    if items and directions.manners(facts.settings):
        items.append((facts.run.picture_of(TARGET), "the picture in whose manner it will be, and the other way"))
    if stage and (naive := next((each for each in stage.samples if each.role is Role.PASTED), None)):
        own = sorted((each for each in stage.samples if each.role not in BESIDE), key=place)
        items = [(each.path, caption(each)) for each in (naive, *own[:1])] + items
        items += [(each.path, caption(each)) for each in own[1:HERO_SAMPLES]]
    elif stage:
        made = list(zip(items, (stage.reconstruction, *stage.further), strict=False))
        own = [each for each in stage.samples if each.role not in BESIDE]
        items += [(each.path, caption(each) + near(each)) for each in own[:HERO_SAMPLES]]
        items += [(path, text.replace("the picture", "its") + " reconstruction") for (_, text), path in made]
    else:
        items += [(each.path, "first look, without training") for each in facts.first_look]
    found = [shot for path, text in items if (shot := shown(path, HERO_SIDE, text))]
    return found


def film(facts: Facts) -> list[Shot]:
    """What the training made over time; of two pictures it is a view of both directions."""
    side = WIDE_SIDE if directions.manners(facts.settings) else SHOT_SIDE
    return [
        shot
        for stage in facts.stages
        for moment in stage.moments
        if (shot := shown(moment.picture, side, f"stage {stage.number + 1} · iteration {moment.iteration}"))
    ]


def stage_shots(facts: Facts, stage: Stage) -> list[Shot]:
    """Reconstruction and samples of a stage."""
    count = NEWEST_SHOTS if stage is facts.newest else EARLIER_SHOTS
    items = [
        *((path, "reconstruction") for path in (stage.reconstruction, *stage.further)),
        *((each.path, named(each) + near(each)) for each in stage.samples[:count]),
    ]
    return [shot for path, text in items if (shot := shown(path, SHOT_SIDE, text))]


def evaluation(run: Run) -> list[Shot]:
    """What sampling has written, by role: the grids, and what is in none."""
    found = sorted(results.overview(results.kept(run.evaluation)), key=place)[:SHOWN]
    items = []
    for each in found:
        name = each.path.parent.name if each.role is Role.GRID else words(each.path)
        side = WIDE_SIDE if each.role in (Role.VIEW, Role.GRID, Role.REPEATED) else HERO_SIDE
        items.append((each.path, (name if each.role is Role.SAMPLE else f"{caption(each)}: {name}") + near(each), side))
    return [shot for path, text, side in items if (shot := shown(path, side, text))]


def caption(result: Kept) -> str:
    """A result in words, by its role; an animation has a name of its own."""
    return words(result.path) if result.moving else WORDS.get(result.role, words(result.path))


def named(result: Kept) -> str:
    """The same, but samples are told apart."""
    return words(result.path) if result.role is Role.SAMPLE else caption(result)


def place(result: Kept) -> int:
    """Where a result stands among others."""
    return list(WORDS).index(result.role) if result.role in WORDS else len(WORDS)


def words(path: Path) -> str:
    """A file's name as words."""
    return path.stem.replace("_", " ")


def plots(curves: Iterable[Curve], starts: Sequence[int], branches: Mapping[str, str] | None = None) -> list[Plot]:
    """A plot for each term, one for those that are read against each other, and for the branches of a training.

    Args:
        curves: of the log.
        starts: see ``plot``.
        branches: by name, what each is called.
    """
    groups: list[list[Curve]] = []
    for curve in curves:
        kin = next((names for names in TOGETHER if term(curve) in names), {term(curve)})
        group = next((group for group in groups if term(group[0]) in kin), None)
        if group is None:
            groups.append([curve])
        else:
            group.append(curve)
    return [drawn(group, starts, branches or {}) for group in groups]


def term(curve: Curve) -> str:
    """A curve's name without that of its branch."""
    return curve.name.rpartition(".")[2]


def drawn(group: Sequence[Curve], starts: Sequence[int], branches: Mapping[str, str]) -> Plot:
    """Curves in one plot."""
    terms = list(dict.fromkeys(term(curve).replace("_", " ") for curve in group))
    title, meaning, _ = described(term(group[0]), " and ".join(terms).capitalize())
    names = []
    for curve in group:
        branch = branches.get(curve.name.rpartition(".")[0], "") if len(group) > len(terms) else ""
        parts = [branch, term(curve).replace("_", " ") if len(terms) > 1 or not branch else ""]
        names.append(" ".join(filter(None, parts)))
    return Plot(title, meaning, names, plot(title, group, starts))


def tile(metric: Metric, value: float) -> tuple[str, str, str]:
    """A figure on the page: its name, its value, what it means."""
    return metric.title, metric.shown(value), metric.note


def described(name: str, otherwise: str | None = None) -> tuple[str, str, int]:
    """A figure's or a curve's full name, what it means, and where better lies.

    Args:
        name: in METRICS or LOGGED, or any other.
        otherwise: the full name of another; its own if None.
    """
    from consingan.metrics.table import METRICS

    if name in METRICS:
        return METRICS[name].title, METRICS[name].meaning, METRICS[name].better
    return LOGGED.get(name, (otherwise or name, "", 0))


def setting_rows(facts: Facts) -> list[SettingRow]:
    """Every setting with its value, and what it would be if nobody had set it."""
    values, chosen = config.flat(facts.settings), facts.chosen
    task = TASKS.get(facts.settings.mode)
    recipe = task.recipes.get(chosen.preset, {}) if task and chosen.preset else {}
    rows = []
    for s in config.settings():
        if s.name in values:  # options of an objective that was not chosen are not
            value, otherwise = shown_value(values[s.name]), shown_value(recipe.get(s.name, s.default))
            differs = value != otherwise if chosen.given is None else s.name in chosen.given
            rows.append(SettingRow(s.name, value, otherwise, differs, s.setting.help))
    return rows


def shown_value(value: Any) -> str:
    """A setting's value as one types it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def figure(value: float | None) -> str:
    """A measured number with three digits that count."""
    return "–" if value is None else f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def memory(value: float | None) -> str:
    """Megabytes in words."""
    if value is None:
        return "–"
    return f"{value:.0f} MB" if value < 10000 else f"{value / 1024:.1f} GB"
