"""consingan enlarge: a picture with more pixels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import chosen
from consingan.command.common import chosen_device, loading, shown_by
from consingan.command.flags import check_argument, command, one_sentence, option, typed
from consingan.command.sample import Opened, is_picture, make, opened_run
from consingan.command.verbs import given_options, verb_options
from consingan.errors import UserError
from consingan.pictures.source import NAME, check_no_address, is_input
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import Run
from consingan.storage.runs import home
from consingan.tasks.base import Use
from consingan.watch import displays

if TYPE_CHECKING:
    import torch

OUT = (
    "folder for the pictures, by default trained_models/NAME/enlarged, or RUN/Evaluation; or a picture's name, such as "
    "large.png, for the result alone"
)


OUTDIR = option(
    "Enlarging",
    "--outdir",
    metavar="FOLDER",
    default=home,
    help="with --method singan: folder for the run; a stopped one is gone on with by the same command",
    shown_default="trained_models",
)


@command(
    "enlarge a picture, with detail of its own",
    examples=[
        ("photo.jpg --factor 4", "in seconds"),
        ("photo.jpg --factor 4 --method singan", "by a generator that is trained on it first, in a minute or two"),
        ("small.png --factor 2 --out large.png --truth original.png", "and how far it is from the original"),
    ],
)
@click.argument("source", metavar="PHOTO|RUN")
@verb_options("enlarge", "Enlarging", out=OUT)
@OUTDIR
@click.pass_context
def enlarge(ctx: click.Context, **flags: Any) -> None:
    """Enlarge PHOTO, or the picture of a RUN, with detail of its own patches, or by a generator.

    The result, shrunk again, is PHOTO. PHOTO may be - for standard input.
    """
    with one_sentence():
        given = given_options(ctx, "enlarge", flags)
        source = Path(flags["source"])
        check_no_address(flags["source"])
        trained = given.get("method") == "singan"
        if typed(ctx, "outdir") and not trained:
            raise UserError(f"--outdir {flags['outdir']} is of --method singan; give that too, or leave it out.")
        alone = is_picture(source) or source.suffix.lower() in SUFFIXES
        if alone:
            check_argument(ctx, "source")
        run = None if alone else Run.open(flags["source"], "PHOTO|RUN")
        if run is not None and typed(ctx, "outdir"):
            raise UserError(f"--outdir {flags['outdir']} is for a new run, and {source} is one; leave it out.")
        loading(flags)
        device, notes = chosen_device(ctx, flags)
        if run is None and trained:
            run = trained_on(source, given, flags)
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


def trained_on(file: Path, given: Mapping[str, Any], flags: Mapping[str, Any]) -> Run:
    """A run trained on a picture, or the unfinished one of it trained to its end; ends the process where it is stopped.

    Raises:
        UserError: the picture or the one it should be cannot be used, or the result would be too large.
    """
    from consingan.applications.enlarge import read_truth, size_for
    from consingan.pictures import images
    from consingan.training.job import Job
    from consingan.training.order import Order

    wanted = chosen(APPLICATIONS["enlarge"], given)
    loaded = images.read(file)
    *_, height, width = loaded.pixels.shape
    size = size_for((height, width), wanted.factor)  # refuses
    if wanted.truth is not None:
        read_truth(Path(wanted.truth), loaded.known, size)
    order = Order(
        picture=str(file),
        mode="enlargement",
        settings={"seed": wanted.seed},
        outdir=flags["outdir"],
        resume=None if is_input(file) else "auto",
        **{each: flags[each] for each in ("device", "not_cuda", "deterministic")},
    )
    with closing(displays.display(shown_by(dict(flags)), sys.stderr)) as shown:
        ended = Job(order, loaded if is_input(file) else None).run([shown], signals=True)  # input is read once
    if ended.how == "stopped":
        sys.exit(128 + (ended.signal or 0))
    assert ended.run is not None
    return ended.run
