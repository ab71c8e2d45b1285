"""What is looked at before a training writes anything: the naive picture, and the place for the run."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.config import Train
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures.source import check_no_address, is_address, is_input
from consingan.watch.report.commands import program

if TYPE_CHECKING:
    from consingan.training.state import Training


def check_file_name(word: str) -> None:
    """Refuse a word of a list that names no file.

    Raises:
        UserError: it is the word for standard input, or an address.
    """
    if is_input(word):
        raise UserError("the picture - is standard input, which a list cannot take; name a file.")
    if is_address(word):
        raise UserError(f"{word} is an address, and nothing is fetched from the network; save it and name its file.")


def check_picture(file: str) -> None:
    """Refuse what is no picture's file, before torch is imported.

    Raises:
        UserError: an address, a folder, or nothing at all.
    """
    check_no_address(file)
    if os.path.isdir(file):
        raise UserError(
            f"{file} is a folder; for a run of each of its pictures: {program('batch')} {shlex.quote(file)}, and for "
            f"one model of all of them: {program('train')} {shlex.quote(file)} --as_one"
        )
    if not is_input(file) and not os.path.exists(file):  # false, not an error, for names no system allows
        raise UserError(f"There is no picture at {file}; check the spelling of the path (--input_name).")


def naive_notes(file: str | None, settings: Train) -> tuple[str, ...]:
    """Refuse a naive picture or a mask that could not be used for previews; what to say about them."""
    from consingan.applications import cases

    if file is None:
        return ()
    case = cases.read(Path(file), settings.network.nc_im)
    return tuple(f"{case.file.name}: {note}" for note in case.notes)


def shape_notes(sizes: Sequence[Size], picture: Size, settings: Train) -> tuple[str, ...]:
    """What to say where all stages are alike, as those of a picture that is long and narrow.

    Args:
        sizes: ``(H, W)`` of the stages.
        picture: ``(H, W)`` as it was loaded.
        settings: the configuration.
    """
    least, (height, width) = settings.pyramid.min_size, sizes[-1]
    if len(sizes) == 1 or sizes[0] != sizes[-1] or least < min(sizes[-1]):
        return ()
    longest = ceil(2 * least * max(picture) / min(picture))
    other = f", and --max_size {longest} gives stages of different sizes" if longest <= max(picture) else ""
    return (
        f"All {len(sizes)} stages have {width}x{height} px, because --min_size {least} is not below the shorter side "
        f"of the last one; --train_stages 1 takes about 1/{len(sizes)} of the time{other}.",
    )


def check_size(state: Training) -> None:
    """Refuse a model whose file would be larger than any that is read.

    Raises:
        UserError: names the settings that make it so.
    """
    from consingan.gan.model_file import MOST_BYTES

    for one in state.branches:
        held = 4 * one.model.generator.parameters_with(len(one.reals))
        if held > MOST_BYTES:
            network = one.model.settings.network
            raise UserError(
                f"--nfc {network.nfc} with {len(one.reals)} stages makes a model of {held / 1e6:.0f} MB, above the "
                f"limit of {MOST_BYTES / 1e6:.0f} MB; lower --nfc, --num_layer, --ker_size or --train_stages."
            )


def needed_bytes(state: Training) -> int:
    """The least that a run takes on the disk: a checkpoint that is written beside the two that are kept.

    Each holds the networks, two numbers of Adam for each of theirs, the last good state of both, what is remembered,
    also in that state, and the pyramid.
    """
    numbers = 0
    for one in state.branches:
        critic = sum(p.numel() for p in one.critic.parameters())
        numbers += 6 * (one.model.generator.parameters_with(len(one.reals)) + critic)
        numbers += sum(real.numel() for each in one.pictures for real in each.reals) + 2 * sum(
            held.numel() for held in one.state.values()
        )
    return 3 * 4 * numbers


def check_place(wanted: Path, least: int) -> None:
    """Refuse a folder that cannot be made, or whose disk has less than ``least`` bytes to give; writes nothing."""
    place = below = wanted
    try:
        while not os.path.lexists(place):
            below, place = place, place.parent
        if not place.is_dir():
            raise UserError(f"--outdir {wanted.parent}: a file stands in the way of {below}; choose another folder.")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UserError(f"--outdir {wanted.parent}: {place} may not be written to; choose another folder.")
        free = shutil.disk_usage(place).free
    except (OSError, ValueError) as error:  # ValueError: a NUL character inside the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--outdir {str(wanted.parent)!r}: no folder can be made ({reason}); choose another."
        ) from error
    if free < least:
        raise UserError(
            f"--outdir {wanted.parent} has {free / 1e6:.0f} MB of free space, and this run needs at least "
            f"{least / 1e6:.0f} MB; free some disk space or choose another folder."
        )
