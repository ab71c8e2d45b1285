"""consingan fill and consingan uncrop: what is missing in a picture, made of the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, declared
from consingan.command.common import DEVICE, TALK, chosen_device, loading
from consingan.command.flags import command, declared_option, one_sentence, option, options, typed
from consingan.command.sample import Opened, check_single, is_file_name, make
from consingan.errors import UserError
from consingan.pictures.source import NAME, check_no_address, is_input
from consingan.storage.runs import home
from consingan.tasks.base import Use

OUT = option(
    "Task",
    "--out",
    metavar="FOLDER|FILE",
    help="folder for the proposals; by default in trained_models/NAME. With a file's name, such as new.png: one "
    "proposal, to this file",
)


def own_options(name: str) -> Callable:
    """The flags of an application's options; their defaults are left to the application."""
    return options(
        [
            declared_option("Proposals", setting, **({} if setting.kind is bool else {"default": None}))
            for setting in declared(APPLICATIONS[name])
        ]
    )


@command(
    "make anew what is under a mask",
    examples=[
        ("photo.jpg --mask mask.png", "three proposals, in seconds"),
        ("photo.jpg --mask mask.png --out new.png --seed 3", "one, to one file"),
    ],
)
@click.argument("picture", metavar="PHOTO")
@OUT
@own_options("fill")
@DEVICE
@TALK
@click.pass_context
def fill(ctx: click.Context, **flags: Any) -> None:
    """Make anew what is white in the mask of a PHOTO, of nothing but the rest of it. The rest stays, to the bit."""
    with one_sentence():
        if flags["mask"] is None:
            raise UserError("--mask is missing: give a picture of the photo's size, white where it is to be made anew.")
        made_of(ctx, "fill", flags)


@command(
    "let a picture go on beyond its edges",
    examples=[("photo.jpg --left 200 --right 200", "200 px more on either side")],
)
@click.argument("picture", metavar="PHOTO")
@OUT
@own_options("uncrop")
@DEVICE
@TALK
@click.pass_context
def uncrop(ctx: click.Context, **flags: Any) -> None:
    """Let a PHOTO go on beyond its edges. What was there stays, to the bit."""
    with one_sentence():
        made_of(ctx, "uncrop", flags)


def made_of(ctx: click.Context, name: str, flags: Mapping[str, Any]) -> None:
    """Make and write the proposals of an application for the picture that the flags name."""
    application = APPLICATIONS[name]
    given = {s.name: flags[s.name] for s in declared(application) if typed(ctx, s.name)}
    chosen(application, given)  # refuses before torch is imported
    check_no_address(flags["picture"])
    if flags["out"] is not None and is_file_name(flags["out"]):
        check_single(Path(flags["out"]), given)
    loading(dict(flags))
    device, notes = chosen_device(ctx, dict(flags))
    from consingan.devices import describe
    from consingan.finish.photo import Photo, whole
    from consingan.pictures import images

    loaded = images.load(flags["picture"])
    file = Path(NAME) if is_input(flags["picture"]) else Path(flags["picture"])
    note = f"What is missing in {file} is made of its other patches on {describe(device)}."
    material = Material(photo=Photo(whole(loaded.pixels), device))
    out = Path(home()) / file.stem / name
    opened = Opened(material, Use(name), out, {"picture": file.name}, (*loaded.notes, note), loaded.lost)
    make(opened, notes, given, {**flags, "application": name})
