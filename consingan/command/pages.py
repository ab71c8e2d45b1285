"""consingan report, consingan compare: pages of runs."""

from __future__ import annotations

from pathlib import Path

import click

from consingan.command.common import loading, note
from consingan.command.flags import command, one_sentence, option
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.watch.browser import in_browser


@command("rebuild the report of a run")
@click.argument("run")
def report(run: str) -> None:
    """Rebuild report.html in a RUN folder and print its path."""
    with one_sentence():
        opened = Run.open(run, "RUN", needs_model=False)
        loading()

        from consingan.watch import report

        click.echo(report.write(opened))


@command("show the report of a run in a browser", name="open")
@click.argument("run")
def show(run: str) -> None:
    """Show the report of a RUN in a browser, and print its path.

    RUN is a run folder, a folder above runs, the word last, or the name of a picture.
    """
    with one_sentence():
        opened = Run.open(run, "RUN", needs_model=False)
        if not opened.report.is_file():
            loading()
            from consingan.watch import report

            report.write(opened)
        if not in_browser(opened.report.resolve().as_uri()):
            note("There is no browser with a screen here; open this file on a machine that has one:")
        click.echo(opened.report)


@command("compare runs on one page")
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@option("Task", "--out", default="compare.html", metavar="FILE", help="the page", shown_default="compare.html")
def compare(runs: tuple[str, ...], out: str) -> None:
    """Write one page that compares runs: settings, figures, times, samples."""
    with one_sentence():
        if len(runs) < 2:
            raise UserError(f"compare got {len(runs)} run folders; give two or more.")
        opened = [Run.open(run, "RUN", needs_model=False) for run in runs]
        if Path(out).is_dir():
            raise UserError(f"--out {out} is a folder; give the name of the page, such as compare.html.")
        loading()

        from consingan.watch import compare

        click.echo(compare.write(opened, Path(out)))
