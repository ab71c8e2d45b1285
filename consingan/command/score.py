"""consingan score: figures of samples."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.command.common import note
from consingan.command.flags import (
    CONTEXT,
    GroupedCommand,
    one_sentence,
    option,
)
from consingan.errors import UserError

if TYPE_CHECKING:
    pass


@click.command(cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("real")
@click.argument("samples", nargs=-1, required=True)
@option("Output", "--json", "as_json", is_flag=True, help="as JSON; null where a figure does not exist")
@option("Figures", "--inception-weights", "weights", metavar="FILE", help="Inception v3 as .safetensors, for SIFID")
def score(real: str, samples: tuple[str, ...], as_json: bool, weights: str | None) -> None:
    """Figures of SAMPLES beside the REAL picture: consingan score photo.jpg RUN/Evaluation/samples_...

    REAL is a picture, SAMPLES are files, folders or patterns of its samples. All are compared at the size of the first
    sample.

    Or REAL is a folder of pictures, SAMPLES are folders, one for each method: mean and spread over the pictures. To
    NAME.jpg belong a method's NAME.* and NAME_*.* and what lies in its folder NAME; of several names that fit the
    longest counts.
    """
    with one_sentence():
        if not os.path.exists(real):
            raise UserError(f"There is nothing at {real}; name the picture, or a folder of pictures.")
        (score_study if os.path.isdir(real) else score_picture)(Path(real), samples, as_json, weights)


def score_picture(real: Path, samples: Sequence[str], as_json: bool, weights: str | None) -> None:
    """Print the figures of one picture's samples."""
    from consingan.metrics import study as scoring

    files = scoring.samples_at(samples)
    values = scoring.figures(real, files, scoring.load_networks(weights), note)
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


def counted(count: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def show(result: Any) -> None:
    """A result on stdout: a table, or JSON."""
    if isinstance(result, dict):
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        from rich.console import Console

        Console().print(result)
