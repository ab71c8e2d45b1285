"""The command line: one file a command. Nothing here imports torch before a command has work."""

from __future__ import annotations

import click

from consingan import __version__
from consingan.command.flags import CONTEXT, OrderedGroup
from consingan.command.pages import compare, report
from consingan.command.paste import paste
from consingan.command.runs import listing
from consingan.command.sample import sample
from consingan.command.score import score
from consingan.command.train import train


@click.group(cls=OrderedGroup, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="consingan")
def main() -> None:
    """Learn a generative model from one picture."""


for command in (train, sample, paste, listing, score, report, compare):
    main.add_command(command)
