"""Commands that are an application each: its options as flags, and what is shared with sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import chosen, declared
from consingan.command.common import DEVICE, TALK, chosen_device, loading
from consingan.command.flags import check_argument, command, declared_option, one_sentence, option, options, typed
from consingan.command.outputs import one_file
from consingan.command.sample import make, opened_run
from consingan.storage.run import Run

OUT = "folder for the pictures, by default RUN/Evaluation; or a picture's name, such as new.png, for the result alone"


def verb_options(application: str, heading: str, given: Collection[str] = (), out: str = OUT) -> Callable:
    """The flags of a command that is an application.

    Args:
        application: its name.
        heading: of its own flags.
        given: options that the command's arguments give.
        out: help of --out.
    """
    own = [s for s in declared(APPLICATIONS[application]) if s.name not in given]
    flags = [declared_option(heading, s) for s in own]
    return options([*flags, option("Task", "--out", metavar="FOLDER|FILE", help=out), DEVICE, TALK])


def given_options(ctx: click.Context, application: str, flags: Mapping[str, Any], **further: Any) -> dict[str, Any]:
    """The options that a person gave, by flags or as arguments, once all of them can be used.

    Raises:
        UserError: one is out of range, or does not go with --out.
    """
    names = {s.name for s in declared(APPLICATIONS[application])}
    found = {name: value for name, value in flags.items() if name in names and typed(ctx, name)} | further
    chosen(APPLICATIONS[application], found)
    one_file(flags["out"], found)
    return found


def with_run(ctx: click.Context, application: str, flags: Mapping[str, Any], **further: Any) -> None:
    """Apply a run's model and write the results, as sample does."""
    with one_sentence():
        check_argument(ctx, "picture")
        given = given_options(ctx, application, flags, **further)
        run = Run.open(flags["run"], "RUN")
        loading(dict(flags))
        device, notes = chosen_device(ctx, dict(flags))
        make(opened_run(run, device), notes, given, {**flags, "application": application})


@command(
    "make a photo of a rough painting",
    examples=[
        ("RUN painting.png", "and a strip of all stages, to choose one by"),
        ("RUN painting.png --start_stage 2 --quantise 8", "in eight colours of the picture"),
    ],
)
@click.argument("run", metavar="RUN")
@click.argument("picture", metavar="CLIPART")
@verb_options("paint", "Painting", ("clipart",))
@click.pass_context
def paint(ctx: click.Context, **flags: Any) -> None:
    """Make a photo of the rough painting CLIPART, with what the model of a RUN knows of its picture.

    CLIPART, of any size and shape, enters the model at a stage; a higher one keeps more of it.
    """
    with_run(ctx, "paint", flags, clipart=flags["picture"])


@command(
    "blend parts that you moved in a picture",
    examples=[("RUN moved.png --injection_stage 1", "with moved_mask.png beside it, or a mask found by itself")],
)
@click.argument("run", metavar="RUN")
@click.argument("picture", metavar="PHOTO")
@verb_options("edit", "Editing", ("naive_img", "num_samples"))
@click.pass_context
def edit(ctx: click.Context, **flags: Any) -> None:
    """Blend what you moved or copied in PHOTO into the picture, with the model of a RUN of any task.

    PHOTO enters the model at a stage; the last one keeps most of it. With a model of generation the seams are made anew
    of the picture's patches, and what was moved stays sharp. Outside the mask and the strip around it PHOTO stays as it
    is, at its own size.
    """
    with_run(ctx, "edit", flags, naive_img=flags["picture"])


@command(
    "repaint a pasted object in a picture's style",
    examples=[("RUN naive.png --injection_stage 1", "with naive_mask.png beside it, as consingan paste writes it")],
)
@click.argument("run", metavar="RUN")
@click.argument("picture", metavar="NAIVE")
@verb_options("harmonize", "Harmonizing", ("naive_img", "num_samples", "finish"))
@click.pass_context
def harmonize(ctx: click.Context, **flags: Any) -> None:
    """Repaint the object that was pasted into NAIVE in the style of the picture, with the model of a RUN of any task.

    NAIVE enters the model at a stage; with a model of harmonization a higher one keeps more of it. Outside the mask
    NAIVE stays as it is, at its own size.
    """
    with_run(ctx, "harmonize", flags, naive_img=flags["picture"])
