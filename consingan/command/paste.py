"""consingan paste: an object into a picture, with its mask."""

from __future__ import annotations

import re
from typing import Any

import click

from consingan.command.common import loading, note
from consingan.command.flags import command, one_sentence, option
from consingan.errors import UserError
from consingan.pictures.source import check_file


@command(
    "paste an object into a picture, with its mask",
    examples=[("--object bird.png --onto art.png --at center --out naive.png", "writes its mask too")],
)
@option("Object", "--object", "object_file", required=True, metavar="FILE", help="picture of the object")
@option("Object", "--key_color", metavar="COLOUR", help="colour around the object, if its picture has no transparency")
@option("Object", "--rectangle", metavar="X,Y,W,H", help="part of the object's picture to use")
@option("Place", "--onto", required=True, metavar="FILE", help="the picture to paste it into")
@option(
    "Place",
    "--at",
    required=True,
    metavar="X,Y|PLACE",
    help="position of the object's upper left corner in that picture, in pixels; or center, left, right, top or bottom",
)
@option("Place", "--scale", type=float, default=1.0, help="factor for the object's size", shown_default="1")
@option(
    "Place",
    "--rotate",
    type=float,
    default=0.0,
    help="rotation of the object in degrees, counter-clockwise",
    shown_default="0",
)
@option(
    "Place",
    "--feather",
    type=float,
    default=0.0,
    help="width in pixels over which the object's edge fades",
    shown_default="0",
)
@option(
    "Task",
    "--out",
    required=True,
    metavar="FILE",
    help="the resulting naive picture; its mask is written to NAME_mask.png",
)
def paste(**flags: Any) -> None:
    """Paste an object into a picture and write its mask, for harmonization."""
    with one_sentence():
        rectangle = whole_numbers(flags["rectangle"], "rectangle", 4)
        by_name = re.fullmatch("[a-z]+", flags["at"])
        at = None if by_name else whole_numbers(flags["at"], "at", 2)
        for flag, name in (("object_file", "object"), ("onto", "onto")):
            check_file(flags[flag], f"--{name}")
        loading()
        from consingan.pictures.paste import PLACES, paste_files

        if by_name and flags["at"] not in PLACES:
            raise UserError(f"--at is {flags['at']!r}; give X,Y in pixels, or one of {', '.join(PLACES)}.")
        for written in paste_files(**(flags | {"at": at or flags["at"], "rectangle": rectangle}), say=note):
            click.echo(written)


def whole_numbers(text: str | None, flag: str, count: int) -> tuple[int, ...] | None:
    """``"3,-4"`` -> ``(3, -4)``; None where the flag is not given."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(re.fullmatch(r"-?\d{1,6}", part, re.ASCII) for part in parts):
        raise UserError(f"--{flag} is {text!r}; give {count} whole numbers with commas between them.")
    return tuple(int(part) for part in parts)
