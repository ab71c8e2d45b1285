"""consingan score: figures of samples."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from consingan.command.common import loading, note
from consingan.command.flags import command, one_sentence, option
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.training.plan import recorded
from consingan.watch.clock import counted
from consingan.watch.report.directions import Direction, of_run, rows


@command(
    "measure how good samples are",
    examples=[("RUN", "a run's newest samples"), ("photo.jpg RUN/Evaluation", "any samples of a picture")],
)
@click.argument("real", metavar="REAL|RUN")
@click.argument("samples", nargs=-1)
@option("Output", "--json", "as_json", is_flag=True, help="print JSON; null means that a figure does not exist")
@option(
    "Figures",
    "--inception_weights",
    "weights",
    metavar="FILE",
    help="weights of Inception v3 as .safetensors, needed for SIFID",
)
def score(real: str, samples: tuple[str, ...], as_json: bool, weights: str | None) -> None:
    """Compare SAMPLES with the REAL picture: consingan score photo.jpg RUN/Evaluation

    A RUN alone stands for its picture and the newest samples in RUN/Evaluation. Of a translation, both directions are
    measured. Of a model of several pictures each sample is held against the one that it is nearest to.

    REAL is one picture; SAMPLES are files, folders or file patterns. All are compared at the size of the first sample.

    Or REAL is a folder of pictures and SAMPLES are folders, one for each method; the result is mean and standard
    deviation over the pictures. The samples of NAME.jpg are a method's files NAME.* and NAME_*.* and all files in its
    folder NAME. If several names match, the longest one counts.
    """
    with one_sentence():
        if not samples:
            run = Run.open(real, "REAL|RUN", needs_model=False)
            loading()
            from consingan.metrics import study

            if found := of_run(run, recorded(run)):
                return score_translation(found, as_json)
            (picture, *others), files = study.of_run(run)
            return score_picture(picture, [str(file) for file in files], as_json, weights, others)
        if not os.path.exists(real):
            raise UserError(f"There is nothing at {real}; name the picture, or a folder of pictures.")
        loading()
        (score_study if os.path.isdir(real) else score_picture)(Path(real), samples, as_json, weights)


def score_translation(found: Sequence[Direction], as_json: bool) -> None:
    """Print the figures of both directions of a translation."""
    from rich.table import Table

    if as_json:
        return show({each.word: {"title": each.title, **each.figures} for each in found})
    table = Table("", *(each.title for each in found), "meaning", box=None)
    for title, cells, meaning in rows(found):
        table.add_row(title, *cells, meaning)
    show(table)


def score_picture(
    real: Path, samples: Sequence[str], as_json: bool, weights: str | None, others: Sequence[Path] = ()
) -> None:
    """Print the figures of one picture's samples, or of those of a model of several."""
    from consingan.metrics import study as scoring

    files = scoring.samples_at(samples)
    values = scoring.figures(real, files, scoring.load_networks(weights), note, others)
    show(values if as_json else scoring.table({counted(len(files), "sample"): values}, {}))


def score_study(real: Path, folders: Sequence[str], as_json: bool, weights: str | None) -> None:
    """Print mean and spread of several methods' figures over many pictures."""
    from consingan.metrics import study as scoring

    study = scoring.Study.find(real, folders, note)
    networks = scoring.load_networks(weights)
    with click.progressbar(length=len(study), label="Scoring", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        scores = study.score(networks, note, bar.update)
    names = {method: f"{method}\n{counted(found['samples'], 'sample')}" for method, found in scores.items()}
    means, spreads = ({names[m]: found[what] for m, found in scores.items()} for what in ("mean", "spread"))
    if not as_json:
        click.echo(f"Mean and standard deviation over {counted(len(study.reals), 'picture')}:")
    show(scores if as_json else scoring.table(means, spreads))


def show(result: Any) -> None:
    """A result on stdout: a table, or JSON."""
    if isinstance(result, dict):
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        from rich.console import Console

        Console().print(result)
