"""Every objective on the same pictures, in the same time: figures, a contact sheet, plots, and the tables of a page.

    python benchmarks/objectives.py a.jpg b.jpg c.jpg --json objectives.json --sheet objectives.png --plots FOLDER
    python benchmarks/objectives.py photo.jpg --seconds 10 --only wgan-gp --only "began --began_gamma 0.3"
    python benchmarks/objectives.py --json objectives.json --page docs/objectives.md

The objectives are those of the table, and BEGAN at two more values of its gamma. Each trains the preset's recipe in as
many iterations as take the time that the first one, WGAN-GP, takes with the recipe's own: the seconds of an iteration
are measured at every stage, of both in turn, on one thread, and every stage's iterations are scaled by their ratio.
With --seconds all get so many instead. Each model makes the same samples without the finish, at the size it was trained
at, and with it. A training that does not hold is told with its last words.

With --json every training is written as soon as it is done, with its samples in a folder beside; those that the file
has already, of the same recipe and time, are not done again. --page writes the tables between the marks of a markdown
file. Plots need matplotlib: pip install -e ".[plots]"
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from time import monotonic, process_time
from typing import Any

import click
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from holds import safe

import consingan
from consingan import config
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import OBJECTIVES
from consingan.grid.ranges import unit
from consingan.grid.resize import resize
from consingan.grid.sizes import rescaled
from consingan.metrics.pictures import match
from consingan.metrics.table import METRICS, evaluate
from consingan.pictures import images, sheets
from consingan.training import plan
from consingan.training.state import Training
from consingan.training.watchdog import CollapsedError

FIRST = next(iter(OBJECTIVES))  # whose time all others get, and with whom they are compared
GAMMAS = ("began --began_gamma 0.3", "began --began_gamma 0.7")
FINISHES = ("none", "patches")
TIMED, ROUNDS = 12, 3  # iterations that are timed at a stage, and how often; the fastest counts
FIGURES = ("swd", "coherence", "completeness", "diversity", "copy")
CELL = 150  # px, the longer side of a picture on the sheet
BEGIN, END = (f"<!-- {word} of benchmarks/objectives.py -->" for word in ("begin", "end"))


@dataclass
class Outcome:
    """One objective on one picture.

    Args:
        objective: its name and options.
        picture: its file, as it was given.
        recipe: preset and time.
        niter: iterations by stage.
        per_iteration: CPU seconds, by stage.
        seconds, cpu_seconds: of the training.
        collapsed: whether the watchdog gave it up.
        error: its last words where there is no model.
        messages: what it told of its stages: going back, new starts, standing still.
        samples, figures: by finish the files, and their figures.
        trace: rows of stage, iteration, measure of convergence, patch distance.
    """

    objective: str
    picture: str
    recipe: str
    niter: list[int] = field(default_factory=list)
    per_iteration: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    collapsed: bool = False
    error: str = ""
    messages: list[str] = field(default_factory=list)
    samples: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    trace: list[tuple[int, int, float, float]] = field(default_factory=list)

    @property
    def line(self) -> str:
        """In words."""
        head = f"{self.objective}, {Path(self.picture).name}: "
        if self.error:
            return f"{head}{'collapsed' if self.collapsed else 'failed'}: {self.error}"
        figures = ", ".join(f"{name} {self.figures['none'].get(name, float('nan')):.4f}" for name in FIGURES)
        return f"{head}{sum(self.niter)} iterations in {self.cpu_seconds:.0f} s of CPU time; {figures}"


@dataclass(frozen=True)
class Way:
    """How every training of a run of this benchmark is done.

    Args:
        preset: of the task generation.
        seconds: CPU seconds of each; None for the first objective's.
        samples: of each finish.
        longest: side of finished samples, px.
        kept: folder of the samples.
    """

    preset: str
    seconds: float | None
    samples: int
    longest: int
    kept: Path

    @property
    def recipe(self) -> str:
        """What makes outcomes comparable."""
        return shlex.join([self.preset, "the time of " + FIRST if self.seconds is None else f"{self.seconds:g} s"])


@click.command(help=__doc__)
@click.argument("pictures", nargs=-1, metavar="PICTURE...")
@click.option("--preset", default="fast", show_default=True, help="of the training")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="CPU seconds of every training")
@click.option("--only", multiple=True, metavar="'NAME FLAGS'", help="these objectives, instead of all")
@click.option("--samples", default=5, show_default=True, help="of each finish; diversity needs two")
@click.option("--longest", default=250, show_default=True, help="longer side of finished samples, px")
@click.option("--jobs", default=1, show_default=True, help="trainings at once")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write all outcomes here, and go on from it")
@click.option("--sheet", type=click.Path(path_type=Path), help="a picture: a row is an objective")
@click.option("--plots", type=click.Path(path_type=Path), help="a folder for plots of BEGAN's gamma and measure")
@click.option("--page", type=click.Path(path_type=Path), help="a markdown file whose marked tables are written anew")
def main(
    pictures: Sequence[str],
    preset: str,
    seconds: float | None,
    only: Sequence[str],
    samples: int,
    longest: int,
    jobs: int,
    file: Path | None,
    sheet: Path | None,
    plots: Path | None,
    page: Path | None,
) -> None:
    missing = [picture for picture in pictures if not Path(picture).is_file()]
    if missing:
        raise click.UsageError(f"{', '.join(missing)}: no such file.")
    wanted = list(dict.fromkeys(only or [*OBJECTIVES, *GAMMAS]))
    for objective in wanted:
        options_of(objective)
    known = read(file)
    if not pictures and not known:
        raise click.UsageError("No picture, and no outcomes in --json.")
    with tempfile.TemporaryDirectory() as scratch:
        kept = (file.with_suffix(".samples") if file else Path(scratch)).absolute()
        way = Way(preset, seconds, samples, longest, kept)
        done = all_done(wanted, list(dict.fromkeys(pictures)), way, jobs, known, file) if pictures else known
        if sheet:
            images.save(sheet, contact_sheet(done, min(samples, 2)))
        if plots:
            for name, draw in PLOTS.items():
                draw(done, plots / name)
    for line in tables(done):
        click.echo(line)
    if page:
        drawn = [sheet, *(plots / name for name in PLOTS)] if plots else [sheet]
        page.write_text(filled(page.read_text(), [*tables(done), *pictured(page, drawn)]))


# ---- trainings


def all_done(
    objectives: Sequence[str], pictures: Sequence[str], way: Way, jobs: int, known: Sequence[Outcome], file: Path | None
) -> list[Outcome]:
    """The outcomes of all, of which those that are known are not done again; each is written when it is done."""
    done = {(each.objective, each.picture): each for each in known if each.recipe == way.recipe}
    others = [each for each in known if each.recipe != way.recipe]
    places = [(objective, picture) for picture in pictures for objective in objectives]

    def keep(found: Outcome) -> None:
        done[found.objective, found.picture] = found
        click.echo(found.line)
        if file:
            write([*others, *done.values()], file)

    waiting = [place for place in places if place not in done]
    if jobs <= 1:
        for objective, picture in waiting:
            keep(outcome(objective, picture, way))
    else:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as workers:
            for each in as_completed([workers.submit(outcome, *place, way) for place in waiting]):
                keep(each.result())
    return [done[place] for place in places]


def outcome(objective: str, picture: str, way: Way) -> Outcome:
    """Train, sample and measure; whatever goes wrong is told in the outcome, and the others go on."""
    torch.set_num_threads(1)
    found = Outcome(objective, picture, way.recipe)
    try:
        settings = options_of(objective)
        found.niter, found.per_iteration = iterations(settings, picture, way)
        begin, cpu = monotonic(), process_time()
        model = trained(picture, found, {**settings, "niter": tuple(found.niter)}, way)
        found.seconds, found.cpu_seconds = monotonic() - begin, process_time() - cpu
        for finish in FINISHES:
            made = model.sample(way.samples, finish=finish, longest=way.longest)
            found.samples[finish] = saved(made, way.kept / safe(picture) / objective.replace(" ", "_") / finish)
            real = match(unit(images.load(picture, channels=made.shape[1]).pixels), tuple(made.shape[2:]))
            found.figures[finish] = evaluate(real, unit(made).clamp(0, 1))
    except CollapsedError as error:
        found.collapsed, found.error = True, str(error)
    except Exception as error:
        found.error = str(error) if isinstance(error, UserError) else repr(error)
    return found


def trained(picture: str, found: Outcome, settings: dict[str, Any], way: Way) -> SingleImageModel:
    """The model; what it told on the way goes into the outcome."""

    def hear(record: Mapping[str, Any]) -> None:
        if record["event"] == "figures":
            values = (float(record["convergence"]), float(record["swd"]))
            found.trace.append((record["stage"], record["iteration"], *values))
        elif record["event"] == "message" and str(record["text"]).startswith("Stage "):
            found.messages.append(str(record["text"]))

    return consingan.train(picture, preset=way.preset, device="cpu", observers=[hear], **settings)


def saved(made: torch.Tensor, folder: Path) -> list[str]:
    """Samples ``[N, C, H, W]`` in [-1, 1] as files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}.png" for number in range(len(made))]
    for target, sample in zip(files, made.split(1), strict=True):
        images.save(target, sample)
    return [str(target) for target in files]


def iterations(settings: dict[str, Any], picture: str, way: Way) -> tuple[list[int], list[float]]:
    """An objective's iterations by stage that take the time wanted, and the CPU seconds of one, by stage."""
    mine, first = begun(settings, picture, way), begun({"objective": FIRST}, picture, way)
    times = [[seconds_by_stage(state()) for state in (mine, first)] for _ in range(ROUNDS)]
    own, others = ([min(stage) for stage in zip(*rounds, strict=True)] for rounds in zip(*times, strict=True))
    niter = first().model.settings.optimisation.niter
    spent = [config.iterations(niter, stage) * each for stage, each in enumerate(others)]
    share = 1.0 if way.seconds is None else way.seconds / sum(spent)
    return [max(1, round(share * each / seconds)) for each, seconds in zip(spent, own, strict=True)], own


def begun(settings: dict[str, Any], picture: str, way: Way) -> Any:
    """A function that gives a training at its beginning."""
    loaded = images.load(picture).pixels
    size = (loaded.shape[2], loaded.shape[3])
    resolved, _ = plan.resolve("generation", way.preset, picture, loaded.shape[1], settings, size)
    return lambda: Training.start(resolved, loaded)


def seconds_by_stage(state: Training) -> list[float]:
    """CPU seconds of an iteration of each stage, of this process alone, whatever else the machine does."""
    times = []
    for _ in state.reals:
        state.enter_stage()
        for warming in (True, False):
            begin = process_time()
            for _ in range(2 if warming else TIMED):
                state.iterate()
                state.iteration += 1
        times.append((process_time() - begin) / TIMED)
        state.leave_stage()
    return times


def options_of(objective: str) -> dict[str, Any]:
    """``"began --began_gamma 0.3"`` -> the settings that it names.

    Raises:
        click.UsageError: there is no such objective, or no such option of it.
    """
    name, *words = shlex.split(objective)
    known = {s.name: s.plain_kind for s in config.settings()}
    flags = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    if name not in OBJECTIVES or len(words) % 2 or not set(flags) <= known.keys():
        raise click.UsageError(f"{objective!r}: no objective with such options; there are {', '.join(OBJECTIVES)}.")
    try:
        given = {flag: known[flag](value) for flag, value in zip(flags, words[1::2], strict=True)}
        config.resolve("generation", "picture", ("flag", {"objective": name, **given}))
    except (UserError, ValueError) as error:
        raise click.UsageError(f"{objective!r}: {error}") from None
    return {"objective": name, **given}


def read(file: Path | None) -> list[Outcome]:
    """What ``write`` wrote; nothing where there is no file."""
    return [Outcome(**each) for each in json.loads(file.read_text())] if file and file.is_file() else []


def write(outcomes: Iterable[Outcome], file: Path) -> None:
    """All of it, in one step."""
    aside = file.with_name(file.name + ".new")
    aside.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    aside.replace(file)


# ---- what is shown of them


def by_objective(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Those of each objective, a picture each."""
    rows: dict[str, list[Outcome]] = {}
    for each in outcomes:
        rows.setdefault(each.objective, []).append(each)
    return rows


def tables(outcomes: Sequence[Outcome]) -> list[str]:
    """Markdown: a table of each finish, means over the pictures that held, and what did not hold."""
    rows = by_objective(outcomes)
    lines: list[str] = []
    for finish, words in zip(FINISHES, ("Without the finish", "With the finish"), strict=True):
        heads = [METRICS[name].title.lower() for name in FIGURES]
        lines += ["", f"{words}:", "", f"| objective | held | iterations | {' | '.join(heads)} | beside {FIRST} |"]
        lines += ["|---|---|---|" + "---|" * (len(FIGURES) + 1)]
        lines += [table_row(name, found, rows.get(FIRST, []), finish) for name, found in rows.items()]
    troubled = [each for each in outcomes if each.error or each.messages]
    lines += ["", *(f"- {each.line if each.error else told(each)}" for each in troubled)]
    return lines


def table_row(name: str, found: Sequence[Outcome], first: Sequence[Outcome], finish: str) -> str:
    """One objective's line; the last cell is the mean of distance and coherence as shares of the first objective's."""
    held = [each for each in found if each.figures]
    cells = [f"{len(held)} of {len(found)}", f"{fmean(sum(each.niter) for each in held):.0f}" if held else ""]
    for figure in FIGURES:
        values = [each.figures[finish][figure] for each in held if figure in each.figures[finish]]
        cells.append(METRICS[figure].shown(fmean(values)) if values else "")
    beside = {each.picture: each.figures[finish] for each in first if each.figures}
    shares = [
        each.figures[finish][figure] / beside[each.picture][figure]
        for each in held
        if each.picture in beside
        for figure in ("swd", "coherence")
        if beside[each.picture][figure]
    ]
    cells.append(f"{fmean(shares):.2f}" if shares else "")
    return f"| `{name}` | {' | '.join(cells)} |"


def told(each: Outcome) -> str:
    """How often a training that held went back, began anew or stood still."""
    counts = {
        "times back": sum("Going back" in text for text in each.messages),
        "new starts": sum("Beginning stage" in text for text in each.messages),
        "times still": sum("stands still" in text for text in each.messages),
    }
    words = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{each.objective}, {Path(each.picture).name}: {words}"


def pictured(page: Path, files: Iterable[Path | None]) -> list[str]:
    """Markdown of the pictures that were made, by their places beside the page."""
    made = [os.path.relpath(file, page.parent) for file in files if file]
    return [line for file in made for line in ("", f"![{Path(file).stem}]({Path(file).as_posix()})")]


def filled(text: str, lines: Sequence[str]) -> str:
    """A page with what stands between its marks written anew.

    Raises:
        click.UsageError: it lacks them.
    """
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise click.UsageError(f"The page lacks the lines {BEGIN} and {END}.")
    return "\n".join([before + BEGIN, *lines, "", END]) + after


def contact_sheet(outcomes: Sequence[Outcome], samples: int) -> torch.Tensor:
    """A row an objective: of each picture photo, samples without and with the finish; ``[1, 3, H, W]`` in [-1, 1]."""
    rows = []
    for name, found in by_objective(outcomes).items():
        shown = [(name, torch.ones(1, 3, 8, 150))]
        for each in found:
            shown.append((Path(each.picture).stem, cell(each.picture)))
            word = "collapsed" if each.collapsed else "failed"
            for finish in FINISHES:
                files = each.samples.get(finish, [""] * samples)[:samples]
                shown += [(word if each.error else f"finish {finish}", cell(file)) for file in files]
        rows.append(sheets.labelled_row(shown).expand(-1, 3, -1, -1))
    width = max(row.shape[3] for row in rows)
    return torch.cat([F.pad(row, (0, width - row.shape[3], 0, 4), value=1.0) for row in rows], 2)


def cell(file: str) -> torch.Tensor:
    """A file's picture for the sheet, enlarged where it is small: ``[1, 3, h, w]`` in [-1, 1]; grey if it is gone."""
    try:
        x = images.load(file, channels=3).pixels
    except UserError:
        return torch.zeros(1, 3, CELL // 2, CELL)
    share = CELL / max(x.shape[2:])
    return resize(x, rescaled((x.shape[2], x.shape[3]), share, share)).clamp(-1, 1)


def gamma_plot(outcomes: Sequence[Outcome], target: Path) -> None:
    """Diversity over BEGAN's gamma: a line a picture, without and with the finish."""
    held = [each for each in outcomes if each.figures and options_of(each.objective)["objective"] == "began"]
    figure, axes = panels(len(FINISHES))
    for axis, finish in zip(axes, FINISHES, strict=True):
        for picture in dict.fromkeys(each.picture for each in held):
            points = sorted(
                (options_of(each.objective).get("began_gamma", 0.5), each.figures[finish].get("diversity"))
                for each in held
                if each.picture == picture
            )
            axis.plot(*zip(*points, strict=True), "o-", label=Path(picture).name)
        axis.set(title=f"finish {finish}", xlabel="gamma", ylabel="diversity")
    finished(figure, axes, target)


def measure_plot(outcomes: Sequence[Outcome], target: Path) -> None:
    """BEGAN's measure M beside the patch distance over its iterations, a panel a picture."""
    held = [each for each in outcomes if each.objective == "began" and each.trace]
    figure, axes = panels(max(1, len(held)))
    for axis, each in zip(axes, held, strict=False):
        before = [sum(each.niter[:stage]) for stage, *_ in each.trace]
        along = [start + iteration for start, (_, iteration, *_) in zip(before, each.trace, strict=True)]
        axis.plot(along, [measure for *_, measure, _ in each.trace], label="M")
        axis.plot(along, [distance for *_, distance in each.trace], label="patch distance")
        axis.set(
            title=f"{Path(each.picture).name}, correlation {correlation(each):.2f}", xlabel="iteration", yscale="log"
        )
    finished(figure, axes, target)


def correlation(each: Outcome) -> float:
    """Of M and the patch distance within the stages, whose levels differ: the mean over the stages."""
    stages: dict[int, list[tuple[float, float]]] = {}
    for stage, _, measure, distance in each.trace:
        stages.setdefault(stage, []).append((measure, distance))
    rows = [torch.tensor(values).T for values in stages.values() if len(values) > 2]
    return fmean(torch.corrcoef(row)[0, 1].item() for row in rows) if rows else float("nan")


def panels(count: int) -> tuple[Any, Sequence[Any]]:
    """A figure of panels side by side."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, count, figsize=(4.2 * count, 3.6), layout="constrained", squeeze=False)
    return figure, axes[0]


def finished(figure: Any, axes: Sequence[Any], target: Path) -> None:
    """The plot as a file, with a legend in its first panel where there is something to name."""
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target)


PLOTS = {"began_gamma.svg": gamma_plot, "began_measure.svg": measure_plot}


if __name__ == "__main__":
    main()
