"""consingan fill and consingan uncrop: what is missing in a picture, made of the rest of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, declared
from consingan.command.common import DEVICE, TALK, chosen_device, loading, shown_by
from consingan.command.flags import check_argument, command, declared_option, one_sentence, option, options, typed
from consingan.command.outputs import one_file
from consingan.command.sample import Opened, make
from consingan.errors import UserError
from consingan.pictures.source import NAME, is_input
from consingan.storage.runs import home
from consingan.tasks.base import Use
from consingan.watch import displays

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel
    from consingan.pictures.images import Picture
    from consingan.storage.run import Run

OUT = option(
    "Task",
    "--out",
    metavar="FOLDER|FILE",
    help="folder for the proposals; by default in trained_models/NAME. With a file's name, such as new.png: one "
    "proposal, to this file",
)


LAYOUT = options(
    [
        option(
            "Layout",
            "--layout",
            type=click.Choice(["patches", "trained"]),
            default="patches",
            help="what says where things go in the part that is made; patches: those around it, in seconds; trained: a "
            "generator that is trained on the rest of the picture first, in a minute or two",
            shown_default="patches",
        ),
        option(
            "Layout",
            "--outdir",
            metavar="FOLDER",
            default=home,
            help="with --layout trained: folder for the run",
            shown_default="trained_models",
        ),
    ]
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
        ("photo.jpg --mask mask.png --layout trained", "laid out by a generator, in a minute or two"),
    ],
)
@click.argument("picture", metavar="PHOTO")
@OUT
@own_options("fill")
@LAYOUT
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
@LAYOUT
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
    options = chosen(application, given)  # refuses before torch is imported
    if flags["layout"] == "patches":
        for flag in (flag for flag in ("variation", "outdir") if typed(ctx, flag)):
            raise UserError(f"--{flag} {flags[flag]} is of --layout trained; give that too, or leave it out.")
    check_argument(ctx, "picture")
    one_file(flags["out"], given)
    loading(dict(flags))
    device, notes = chosen_device(ctx, dict(flags))
    from consingan.devices import describe
    from consingan.pictures import images

    loaded = images.read(flags["picture"])
    file = Path(NAME) if is_input(flags["picture"]) else Path(flags["picture"])
    material = Material.of_picture(loaded, device, whole=True)
    application.announce(material, options)  # refuses
    if flags["layout"] == "trained":
        pixels, hole = options.holed(material.photo, None)
        run, model = trained(replace(loaded, pixels=pixels, hole=hole), file.name, flags, options.seed)
        material, out = replace(material, model=model, run=run), run.evaluation
    else:
        out = Path(home()) / file.stem / name
    how = "laid out by the model and made" if flags["layout"] == "trained" else "made"
    note = f"What is missing in {file} is {how} of its other patches on {describe(device)}."
    opened = Opened(material, Use(name), out, {"picture": file.name}, (*loaded.notes, note), loaded.lost)
    make(opened, notes, given, {**flags, "application": name})


def trained(picture: Picture, name: str, flags: Mapping[str, Any], seed: int) -> tuple[Run, SingleImageModel]:
    """A run, and its model, trained on what is known of a picture; ends the process where it is stopped."""
    from consingan.training.filling import train

    device = {each: flags[each] for each in ("device", "not_cuda", "deterministic")}
    with closing(displays.display(shown_by(dict(flags)), sys.stderr)) as shown:
        ended = train(picture, name, [shown], True, outdir=flags["outdir"], settings={"seed": seed}, **device)
    if ended.how == "stopped":
        sys.exit(128 + (ended.signal or 0))
    assert ended.run is not None
    assert ended.model is not None
    return ended.run, ended.model
