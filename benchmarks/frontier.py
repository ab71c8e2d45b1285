"""Time against quality: a plot of what benchmarks/recipes.py measured.

    python benchmarks/recipes.py a.jpg b.jpg --recipe "fast --work 3" --recipe fast \\
        --beside "published=FOLDER/{stem}_*.jpg" --json out.json
    python benchmarks/frontier.py out.json --out frontier.svg

One panel per figure: a point per recipe, the mean over its pictures; samples of others, of which no time is known, are
lines. Needs matplotlib: pip install -e ".[plots]"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from consingan.metrics.table import METRICS

PANELS = ("swd", "coherence", "diversity")  # in METRICS


@click.command(help=__doc__)
@click.argument("outcomes", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--out", required=True, type=click.Path(), help="the plot; its extension says the format")
def main(outcomes: tuple[str, ...], out: str) -> None:
    import matplotlib

    matplotlib.use("svg" if out.endswith(".svg") else "agg")
    import matplotlib.pyplot as plt

    rows: dict[str, list[dict[str, Any]]] = {}
    for file in outcomes:
        for row in json.loads(Path(file).read_text()):
            rows.setdefault(row["recipe"], []).append(row)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(4 * len(PANELS), 3.4), layout="constrained")
    for axis, name in zip(axes, PANELS, strict=True):
        panel(axis, rows, name)
        axis.margins(0.3)
        axis.set(title=f"{METRICS[name].title}: {METRICS[name].note}", xlabel="training, minutes")
        axis.set(xlim=(0, axis.get_xlim()[1]), ylim=(0, axis.get_ylim()[1]))
    figure.savefig(out)
    click.echo(out)


def panel(axis: Any, rows: dict[str, list[dict[str, Any]]], name: str) -> None:
    """Each recipe's mean of a figure over its mean time."""
    for number, (recipe, outcomes) in enumerate(rows.items()):
        colour = f"C{number}"
        value = mean([each["figures"].get(name) for each in outcomes])
        seconds = mean([each["seconds"] for each in outcomes])
        if value is None:
            continue
        if seconds is None:
            axis.axhline(value, color=colour, linestyle="--")
            axis.annotate(recipe, (0, value), (3, 3), textcoords="offset points", color=colour)
        else:
            axis.plot([seconds / 60], [value], "o", color=colour)
            axis.annotate(recipe, (seconds / 60, value), (5, 5), textcoords="offset points", color=colour)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


if __name__ == "__main__":
    main()
