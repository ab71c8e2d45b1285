"""Several pictures of a kind that one model learns from: which files they are, and what is refused of them.

Each iteration learns from one of them, which follows from its place in the training and from the weights
(``config.Album.chosen``). Networks, optimisers and the objective's memory are the same for all; pyramid, anchors and
amplitudes are each picture's own (``branch.Branch.further``). torch is imported when there is something to read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan.config import Train
from consingan.errors import UserError, name_of
from consingan.pictures.source import check_no_address, is_input
from consingan.storage.formats import SUFFIXES
from consingan.tasks import TASKS
from consingan.tasks.base import Mixing

if TYPE_CHECKING:
    from consingan.pictures.images import Picture

MOST = 100  # pictures
FURTHEST = 4.0  # times the detail of one picture that another may have
NEARER = 0.75  # share of a recipe's variation: each picture is learned for less time, and noise mixes them as well


def in_folder(folder: str) -> list[str]:
    """The pictures of a folder, by name, those of folders in it left out.

    Raises:
        UserError: it is no folder, or holds fewer than two.
    """
    if not os.path.isdir(folder):
        raise UserError(
            f"--as_one wants a folder of pictures, and {folder} is none; name a folder, or leave the flag out."
        )
    found = sorted(str(each) for each in Path(folder).iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())
    if len(found) < 2:
        some = "one picture" if found else "no picture"
        raise UserError(
            f"{folder} holds {some}, and --as_one needs two or more; name the picture itself, or add others."
        )
    return found


def check_files(picture: str | None, given: Mapping[str, Any]) -> None:
    """Refuse further pictures that are no files, or are there twice; before torch is imported.

    Args:
        picture: the first one's file, if it is one.
        given: settings as the person gave them.
    """
    also = [str(each) for each in given.get("also") or ()]
    files = also if picture is None else [picture, *also]
    if len(files) > MOST:
        raise UserError(f"{len(files)} pictures are given for one model; give at most {MOST}.")
    if also and any(map(is_input, files)):
        raise UserError("Of several pictures none can be read from standard input; name the files.")
    for file in also:
        check_no_address(file)
        if os.path.isdir(file):
            raise UserError(f"{file} is a folder; name its pictures, or give the folder alone with --as_one.")
        if not os.path.exists(file):
            raise UserError(f"There is no picture at {file}; check the spelling of the path (--input_name).")
    for one, other in combinations([file for file in files if os.path.exists(file)], 2):
        if os.path.samefile(one, other):
            raise UserError(f"{other} is given twice; name each picture once, and its share with --weights.")


def implied(given: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that follow from several pictures."""
    return {"variation": round(NEARER * recipe["variation"], 2)} if given.get("also") and "variation" in recipe else {}


def check_settings(settings: Train) -> None:
    """Refuse several pictures where a task or a setting goes with one only, and weights that are not theirs.

    Args:
        settings: the configuration.
    """
    album, mode = settings.album, settings.mode
    shown = ",".join(f"{weight:g}" for weight in album.weights)
    if album.weights and not album.also:
        raise UserError(f"--weights {shown} is for several pictures, and one is given; leave it out, or name others.")
    if album.weights and len(album.weights) != album.pictures:
        has = "1 number" if len(album.weights) == 1 else f"{len(album.weights)} numbers"
        raise UserError(f"--weights {shown} has {has}, and there are {album.pictures} pictures; give one for each.")
    if not album.also:
        return
    if not isinstance(TASKS[mode], Mixing):
        fitting = ", ".join(name for name, task in TASKS.items() if isinstance(task, Mixing))
        raise UserError(
            f"{album.pictures} pictures are given, and --train_mode {mode} learns from one; give one, or choose of "
            f"{fitting}."
        )
    for flag, wanted in unfit(settings).items():
        if wanted:
            raise UserError(f"{flag} goes with one picture only, and {album.pictures} are given; leave it out.")


def unfit(settings: Train) -> dict[str, bool]:
    """What remembers something of one picture, or of its size, by flag; whether it is wanted."""
    network = settings.network
    return {
        "--virtual_batch_norm": network.virtual_batch_norm,
        "--minibatch_discrimination": network.minibatch_discrimination > 0,
        "--history": settings.techniques.history > 0,
        "--graphs on": settings.runtime.graphs == "on",
        "--fine_tune": settings.naive.fine_tune,
    }


def read(first: Picture, settings: Train, given: Mapping[str, Any], background: str | None, most: int) -> list[Picture]:
    """The further pictures of an order.

    Args:
        first: the one that is named first.
        settings: the configuration.
        given: settings as the person gave them, with paths.
        background, most: as for ``images.read``.

    Raises:
        UserError: one cannot be read, is of another kind than the first, or has far more or less detail.
    """
    from consingan.pictures import images

    wanted = given.get("nc_im")
    found = []
    for file in given.get("also") or ():
        picture = images.read(str(file), channels=wanted, background=background, max_pixels=most)
        if picture.known != first.known:
            alike = picture.known.depth == first.known.depth
            todo = (
                "give --nc_im 3 to take all in colour, or --nc_im 1 in grey" if alike else "save both with as many bits"
            )
            raise UserError(f"{file} is {picture.known.words}, and {settings.image} is {first.known.words}; {todo}.")
        found.append(picture)
    check_details([name_of(settings.image), *settings.album.also], [first, *found], settings.pyramid.max_size)
    return found


def check_details(names: Sequence[str], pictures: Sequence[Picture], largest: int) -> None:
    """Refuse pictures of which one has far more pixels than another: none is enlarged beside the others.

    Args:
        names: of the pictures.
        pictures: in the same order.
        largest: px, the longer side that they are shrunk to for the generator.
    """
    sides = [max(picture.pixels.shape[2:]) for picture in pictures]
    detail = [side / min(side, largest) for side in sides]
    least, most = detail.index(min(detail)), detail.index(max(detail))
    smallest, broadest = sides.index(min(sides)), sides.index(max(sides))
    if detail[most] > FURTHEST * detail[least] or sides[broadest] > 2 * FURTHEST * sides[smallest]:
        raise UserError(
            f"{names[broadest]} is {sides[broadest]} px long and {names[smallest]} {sides[smallest]} px, too different "
            f"for one model, whose samples are as sharp as the least of them; shrink the one, or leave the other out."
        )
