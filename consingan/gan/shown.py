"""A model as notebooks show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consingan.gan.stills import Stills
from consingan.pictures import shown
from consingan.tasks import TASKS

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

SAMPLES = 5


def as_png(model: SingleImageModel) -> bytes | None:
    """The training picture, or its reconstruction, and samples on one sheet; None before there is a stage."""
    if not model.stages:
        return None
    pictures = [model.photo.picture if model.photo else model.reconstruct()]
    task = TASKS.get(model.settings.mode)
    if task is not None and task.first_noise < model.stages:
        finish = None if model.photo else "none"
        options = Stills(SAMPLES, gen_start_scale=task.first_noise, finish=finish, longest=shown.SIDE)
        pictures += model.samples(options)
    return shown.as_png(pictures, model.kind)
