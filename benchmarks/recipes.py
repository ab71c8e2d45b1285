"""Recipes side by side: seconds, memory and quality of whole trainings on given pictures, in one run.

    python benchmarks/recipes.py photo.jpg --recipe fast --recipe "fast --work 5"
    python benchmarks/recipes.py a.jpg b.jpg --recipe fast --against paper --iterations 5
    python benchmarks/recipes.py a.jpg b.jpg --recipe fast --beside "published=FOLDER/{stem}_*.jpg" --json out.json

A recipe is a preset and further training flags. Each is trained in a process of its own, so that peak memory is its
own; times and memory are those of its log. Quality is measured at the size of the picture as it is trained on, from
--samples samples, and printed as the mean over the pictures. With --iterations only so many iterations of each stage
are run: times are then projected to the recipe's own numbers of iterations, and there is no quality.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import torch
from quality import files, unit

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan import config
from consingan.metrics.pictures import match
from consingan.metrics.table import evaluate
from consingan.watch.clock import duration
from consingan.watch.log import read_log

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Outcome:
    """What one recipe did on one picture: seconds per iteration and of the whole, MB at the peak, figures."""

    recipe: str
    picture: str
    per_iteration: list[float] = field(default_factory=list)
    seconds: float | None = None
    peak_mb: float | None = None
    figures: dict[str, float] = field(default_factory=dict)


@click.command(help=__doc__)
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--recipe", "recipes", multiple=True, default=["fast"], help='a preset and flags, as "fast --work 5"')
@click.option("--against", help="a recipe whose time the others' are given as ratios to, as paper")
@click.option("--mode", default="generation", show_default=True, help="--train_mode of all")
@click.option("--iterations", type=int, help="run only so many iterations per stage, for times alone")
@click.option("--samples", default=5, show_default=True, help="samples to measure the quality of")
@click.option("--beside", multiple=True, metavar="NAME=PATTERN", help="samples of others; {stem} is the picture's name")
@click.option("--outdir", type=click.Path(), help="keep the runs here")
@click.option("--json", "json_file", type=click.Path(), help="write all outcomes to this file")
def main(
    pictures: Sequence[str],
    recipes: Sequence[str],
    against: str | None,
    mode: str,
    iterations: int | None,
    samples: int,
    beside: Sequence[str],
    outdir: str | None,
    json_file: str | None,
) -> None:
    wanted = list(dict.fromkeys([*recipes, *([against] if against else [])]))
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = []
        for picture in pictures:
            for recipe in wanted:
                click.echo(f"{Path(picture).name}: {recipe}", err=True)
                outcomes.append(outcome(picture, recipe, mode, iterations, samples, Path(outdir or scratch)))
            outcomes += [published(picture, named, outcomes[-1], samples) for named in beside]
    if json_file:
        Path(json_file).write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    for line in table(outcomes, against):
        click.echo(line)


def outcome(picture: str, recipe: str, mode: str, iterations: int | None, samples: int, outdir: Path) -> Outcome:
    """Train once and measure."""
    preset, *flags = shlex.split(recipe)
    shorter = ["--niter", str(iterations)] if iterations else []
    common = ["train", "--train_mode", mode, "--preset", preset, "--input_name", picture, *flags]
    run = Path(consingan(*common, *shorter, "--outdir", str(outdir), "--quiet"))
    stages = [line for line in read_log(run / "log.jsonl") if line["event"] == "stage"]
    each = [float(stage["seconds_per_iteration"]) for stage in stages]
    niter = planned(common)
    numbers = [config.iterations(niter, stage) for stage in range(len(stages))]
    seconds = sum(number * seconds for number, seconds in zip(numbers, each, strict=True))
    peak = max(float(stage["peak_memory_mb"]) for stage in stages)
    if iterations:
        return Outcome(recipe, picture, each, seconds, peak)
    folder = consingan("sample", "--model_dir", str(run), "--num_samples", str(samples), "--scale_h", "1", "--quiet")
    return Outcome(recipe, picture, each, seconds, peak, figures_of(picture, run, next(Path(folder).glob("samples_*"))))


def planned(words: Sequence[str]) -> config.Iterations:
    """The recipe's own iterations by stage, from the words of a training."""
    return tuple(int(number) for number in re.findall(r", (\d+) iterations of", consingan(*words, "--dry_run")))


def published(picture: str, named: str, beside: Outcome, samples: int) -> Outcome:
    """Figures of samples that somebody else made."""
    name, _, pattern = named.partition("=")
    return Outcome(name, picture, figures=figures_of(picture, None, pattern.format(stem=Path(picture).stem), samples))


def figures_of(
    picture: str, run: Path | None, where: str | Path, most: int | None = None, side: int = 8192
) -> dict[str, float]:
    """The samples' figures, at the size that the run was trained at, or the samples' own up to ``side`` px."""
    found = files(str(where))[:most]
    pictures = [unit(file, side) for file in found]
    real = match(unit(picture, 8192), tuple(pictures[0].shape[2:]))
    return evaluate(real, torch.cat([match(x, tuple(real.shape[2:])) for x in pictures]))


def consingan(*words: str) -> str:
    """Run the command; what it printed."""
    done = subprocess.run([sys.executable, "-m", "consingan", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"consingan {shlex.join(words)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def table(outcomes: Sequence[Outcome], against: str | None) -> Iterator[str]:
    """Markdown: a line per recipe, means over the pictures."""
    by_recipe: dict[str, list[Outcome]] = {}
    for each in outcomes:
        by_recipe.setdefault(each.recipe, []).append(each)
    names = list(dict.fromkeys(name for each in outcomes for name in each.figures))
    heads = ["recipe", "s per iteration by stage", "training", "peak MB", *names]
    yield "| " + " | ".join(heads + ([f"time / {against}"] if against else [])) + " |"
    yield "|" + "---|" * (len(heads) + bool(against))
    for rows in by_recipe.values():
        yield "| " + " | ".join(cells(rows, names) + ratio(rows, by_recipe, against)) + " |"


def cells(rows: Sequence[Outcome], names: Sequence[str]) -> list[str]:
    """One recipe's line."""
    stages = " ".join(f"{fmean(column):.3f}" for column in zip(*(row.per_iteration for row in rows), strict=False))
    seconds = [row.seconds for row in rows if row.seconds is not None]
    peaks = [row.peak_mb for row in rows if row.peak_mb is not None]
    values = [[row.figures[name] for row in rows if name in row.figures] for name in names]
    return [
        f"{rows[0].recipe} ({len(rows)})",
        stages,
        duration(fmean(seconds)) if seconds else "",
        f"{max(peaks):.0f}" if peaks else "",
        *(f"{fmean(column):.4f}" if column else "" for column in values),
    ]


def ratio(rows: Sequence[Outcome], all_rows: dict[str, list[Outcome]], against: str | None) -> list[str]:
    """How much of the other recipe's time this one takes, the median over pictures being their mean here."""
    if against is None:
        return []
    other: Any = {row.picture: row.seconds for row in all_rows[against]}
    return [f"{fmean(row.seconds / other[row.picture] for row in rows):.3f}" if rows[0].seconds else ""]


if __name__ == "__main__":
    main()
