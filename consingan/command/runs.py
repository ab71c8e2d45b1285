"""consingan list: the runs below a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from consingan.command.flags import command, one_sentence
from consingan.errors import UserError, printable
from consingan.storage import runs
from consingan.storage.run import Run


@command("list the runs of a folder", name="list")
@click.argument("folder", default=runs.home)
def listing(folder: str) -> None:
    """List the runs below FOLDER, the newest first: start, state, training time, mode, folder.

    FOLDER is trained_models, or what the environment variable CONSINGAN_OUTDIR names. Where a command wants a RUN,
    the word last stands for the newest one there, the name of a picture for the newest one of that picture, and a
    folder above runs for the newest one in it.
    """
    with one_sentence():
        found = [Run(each) for each in runs.below(Path(folder))]
        if not found:
            raise UserError(f"There are no runs below {folder}; train one, or name the folder that they lie in.")
        for run in found:
            click.echo(printable(line(run)))


def line(run: Run) -> str:
    """A run in a line."""
    from consingan.training.plan import recorded
    from consingan.watch.clock import duration
    from consingan.watch.log import last_time

    mode, other = "unreadable", ""
    with suppress(UserError):
        settings = recorded(run)
        mode = settings.mode
        if (target := settings.translation.target_name) is not None:
            other = f"  with {target}"
    state = "finished" if run.finished.exists() else "training" if run.locked() else "stopped"
    began = "-".join(run.folder.name.split("_")[:3]) + " " + ":".join(run.folder.name.split("_")[3:6])
    return f"{began}  {state:8}  {duration(last_time(run.log)):>12} trained  {mode:13}  {run.folder}{other}"
