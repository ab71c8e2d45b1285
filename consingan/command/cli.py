"""The command line: one file a command. Nothing here imports torch before a command has work."""

from __future__ import annotations

import click

from consingan import __version__
from consingan.command.batch import batch
from consingan.command.enlarge import enlarge
from consingan.command.export import export
from consingan.command.fill import fill, uncrop
from consingan.command.flags import CONTEXT, OrderedGroup
from consingan.command.help import help_
from consingan.command.pages import compare, report, show
from consingan.command.paste import paste
from consingan.command.presets import presets
from consingan.command.runs import listing
from consingan.command.sample import sample
from consingan.command.score import score
from consingan.command.style import style
from consingan.command.train import train
from consingan.command.verbs import edit, harmonize, paint


@click.group(cls=OrderedGroup, context_settings=CONTEXT)
@click.version_option(__version__, message="consingan %(version)s")
def main() -> None:
    """Learn a generative model from one picture.

    Begin with: consingan train photo.jpg
    """


for command in (
    *(train, batch, sample, style),
    *(enlarge, fill, uncrop, paint, edit, harmonize, paste),
    *(show, listing, score, compare, report, export, presets, help_),
):
    main.add_command(command)
