"""consingan enlarge: a picture with more pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.command.common import chosen_device, loading
from consingan.command.flags import command, one_sentence
from consingan.command.sample import Opened, is_picture, make, opened_run
from consingan.command.verbs import given_options, verb_options
from consingan.pictures.source import NAME, check_no_address, is_input
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import Run
from consingan.storage.runs import home
from consingan.tasks.base import Use

if TYPE_CHECKING:
    import torch

OUT = (
    "folder for the pictures, by default trained_models/NAME/enlarged, or RUN/Evaluation; or a picture's name, such as "
    "large.png, for the result alone"
)


@command(
    "enlarge a picture, with detail of its own patches",
    examples=[
        ("photo.jpg --factor 4", "in seconds"),
        ("small.png --factor 2 --out large.png --truth original.png", "and how far it is from the original"),
    ],
)
@click.argument("source", metavar="PHOTO|RUN")
@verb_options("enlarge", "Enlarging", out=OUT)
@click.pass_context
def enlarge(ctx: click.Context, **flags: Any) -> None:
    """Enlarge PHOTO, or the picture of a RUN, with detail of its own patches across scales.

    The result, shrunk again, is PHOTO. PHOTO may be - for standard input.
    """
    with one_sentence():
        given = given_options(ctx, "enlarge", flags)
        source = Path(flags["source"])
        check_no_address(flags["source"])
        alone = is_picture(source) or source.suffix.lower() in SUFFIXES
        run = None if alone else Run.open(flags["source"], "enlarge")
        loading(flags)
        device, notes = chosen_device(ctx, flags)
        opened = opened_run(run, device) if run else opened_photo(source, device)
        make(opened, notes, given, {**flags, "application": "enlarge"})


def opened_photo(file: Path, device: torch.device) -> Opened:
    """A picture at its own size."""
    from consingan.applications.base import Material
    from consingan.devices import describe
    from consingan.pictures import images

    loaded = images.read(file)
    file = Path(NAME) if is_input(file) else file
    note = f"Enlarging {file} on {describe(device)}."
    material = Material.of_picture(loaded, device, whole=True)
    return Opened(
        material,
        Use("enlarge"),
        Path(home()) / file.stem / "enlarged",
        {"picture": file.name},
        (*loaded.notes, note),
        loaded.lost,
    )
