"""consingan report, consingan compare: pages of runs."""

from __future__ import annotations

from pathlib import Path

import click

from consingan.command.flags import (
    CONTEXT,
    GroupedCommand,
    one_sentence,
    option,
)
from consingan.errors import UserError
from consingan.storage.run import Run


@click.command(cls=GroupedCommand, context_settings=CONTEXT, short_help="rebuild the report of a run")
@click.argument("run")
def report(run: str) -> None:
    """Rebuild report.html in a RUN folder and print its path."""
    with one_sentence():
        opened = Run.open(run, "report", needs_model=False)

        from consingan.watch import report

        click.echo(report.write(opened))


@click.command(cls=GroupedCommand, context_settings=CONTEXT, short_help="compare runs on one page")
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@option("Task", "--out", default="compare.html", metavar="FILE", help="the page", shown_default="compare.html")
def compare(runs: tuple[str, ...], out: str) -> None:
    """Write one page that compares runs: settings, figures, times, samples."""
    with one_sentence():
        if len(runs) < 2:
            raise UserError(f"compare got {len(runs)} run folders; give two or more.")
        opened = [Run.open(run, "compare", needs_model=False) for run in runs]
        if Path(out).is_dir():
            raise UserError(f"--out {out} is a folder; give the name of the page, such as compare.html.")

        from consingan.watch import compare

        click.echo(compare.write(opened, Path(out)))
