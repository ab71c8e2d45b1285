"""Time against quality: a plot of what benchmarks/holds.py or benchmarks/recipes.py measured.

    python benchmarks/holds.py a.jpg b.jpg --json fast.json --beside "published=FOLDER/{stem}_*.jpg"
    python benchmarks/holds.py a.jpg b.jpg --preset quick --json quick.json
    python benchmarks/frontier.py fast.json quick.json --out frontier.svg

One panel per figure: a point per recipe, the mean over its pictures, at its CPU seconds where they are known; samples
of others, of which no time is known, are lines. Needs matplotlib: pip install -e ".[plots]"
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.metrics.table import METRICS

PANELS = ("swd", "coherence", "diversity", "copy")  # in METRICS


@click.command(help=__doc__)
@click.argument("outcomes", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--out", required=True, type=click.Path(), help="the plot; its extension says the format")
def main(outcomes: tuple[str, ...], out: str) -> None:
    import matplotlib

    matplotlib.use("svg" if out.endswith(".svg") else "agg")
    import matplotlib.pyplot as plt

    rows = by_recipe([row for file in outcomes for row in json.loads(Path(file).read_text())])
    figure, axes = plt.subplots(1, len(PANELS), figsize=(4 * len(PANELS), 3.9), layout="constrained")
    for axis, name in zip(axes, PANELS, strict=True):
        panel(axis, rows, name)
        axis.margins(0.3)
        axis.set(title=METRICS[name].heading, xlabel="CPU seconds", xscale="log", ylim=(0, axis.get_ylim()[1]))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(out)
    click.echo(out)


def by_recipe(outcomes: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The outcomes of each recipe, and of the samples of others beside them, once for each picture."""
    rows: dict[str, list[dict[str, Any]]] = {}
    others: dict[tuple[str, str], dict[str, Any]] = {}
    for row in outcomes:
        rows.setdefault(row["recipe"], []).append(row)
        others |= {(name, row["picture"]): figures for name, figures in row.get("beside", {}).items()}
    for (name, _), figures in others.items():
        rows.setdefault(name, []).append({"seconds": None, "figures": figures})
    return rows


def panel(axis: Any, rows: dict[str, list[dict[str, Any]]], name: str) -> None:
    """Each recipe's mean of a figure over its mean time."""
    for number, (recipe, outcomes) in enumerate(rows.items()):
        colour = f"C{number}"
        value = mean([each["figures"].get(name) for each in outcomes])
        seconds = mean([each.get("cpu_seconds", each["seconds"]) for each in outcomes])
        if value is None:
            continue
        if seconds is None:
            axis.axhline(value, color=colour, linestyle="--", label=recipe)
        else:
            axis.plot([seconds], [value], "o", color=colour, label=recipe)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


if __name__ == "__main__":
    main()
