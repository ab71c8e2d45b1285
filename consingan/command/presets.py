"""consingan presets: what each preset sets."""

from __future__ import annotations

import click

from consingan import config
from consingan.command.flags import command
from consingan.tasks import TASKS
from consingan.training.order import FIRST_MODE
from consingan.training.plan import shown


@command("show what each preset sets")
@click.argument("mode", type=click.Choice(list(TASKS)), default=FIRST_MODE, metavar="[MODE]")
def presets(mode: str) -> None:
    """Show the settings of each preset of a MODE (generation), as flags of train.

    All other settings are the same in every preset; consingan train --help_all shows them.
    """
    recipes = TASKS[mode].recipes
    rows = [["", *recipes]]
    for s in config.settings():
        if any(s.name in recipe for recipe in recipes.values()):
            rows.append([f"--{s.name}", *(shown(recipe.get(s.name, s.default)) for recipe in recipes.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
