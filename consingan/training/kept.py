"""The copy of its picture that a run keeps: written when it begins, read when it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from consingan.errors import UserError
from consingan.finish.photo import Photo, stored
from consingan.gan.album import pages_of
from consingan.gan.model import SingleImageModel
from consingan.grid.kinds import Kind
from consingan.pictures import images
from consingan.storage.formats import for_kind
from consingan.storage.run import Run
from consingan.training.branch import Branch


def file_of(file: Path, kind: Kind) -> Path:
    """Where a picture is kept that is called ``NAME.png``: there, or beside it where PNG does not hold its kind."""
    return file.with_suffix(f".{for_kind('png', kind)}")


def keep(file: Path, photo: Photo) -> None:
    """Write a picture into a run: all of it, and where that is no PNG file also one to be looked at.

    Args:
        file: ``NAME.png``.
        photo: the picture.

    Raises:
        UserError: a file cannot be written.
    """
    images.save(file_of(file, photo.kind), photo.picture, kind=photo.kind)
    if file_of(file, photo.kind) != file:
        images.save(file, photo.kind.seen(photo.picture))


def picture(run: Run, branch: Branch, warn: Callable[[str], None]) -> Tensor | None:
    """The picture of a branch as its run keeps it, see ``photo.stored``; None in runs of the first version.

    Where the file is broken, it is made again: of the model's, or of the pyramid's finest.
    """
    called, kind = run.picture_of(branch.file), branch.model.kind
    file = file_of(called, kind)
    if not os.path.lexists(file):
        return None
    try:
        return stored(images.of_kind(file, kind), kind)
    except UserError as error:
        with suppress(UserError):
            if (photo := pages_of(SingleImageModel.load(run.model_of(branch.name)))[branch.number].photo) is not None:
                warn(f"{error}; the model's own copy replaces it.")
                keep(called, photo)
                return photo.pixels
        finest = branch.reals[-1]
        warn(f"{error}; the picture of the finest stage, {finest.shape[3]}x{finest.shape[2]} px, replaces it.")
        pixels = stored(finest, kind)
        keep(called, Photo(pixels, kind=kind))
        return pixels
