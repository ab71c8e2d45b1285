"""An application by its name: as a task asks for it, before training, or as a person does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, Result, chosen, quiet
from consingan.tasks import TASKS
from consingan.tasks.base import Use

if TYPE_CHECKING:
    from consingan.finish.photo import Photo
    from consingan.gan.model import SingleImageModel
    from consingan.storage.run import Run

ALONE = "instant"  # what is made of a picture without a model
FIRST_LOOK = Use(ALONE, {"num_samples": 3, "longest": 250})  # of a run, before it has trained anything


def used(use: Use, material: Material) -> Iterator[Result]:
    """The results of an application with the options that the use names.

    Raises:
        UserError: the options do not fit the material.
    """
    application = APPLICATIONS[use.application]
    return application.apply(material, chosen(application, use.options), quiet)


def previews(model: SingleImageModel, run: Run | None = None) -> Iterator[Result]:
    """What is drawn of a model while it trains, as its task says."""
    return used(TASKS[model.settings.mode].preview, Material.of(model, run))


def glimpses(model: SingleImageModel, run: Run | None = None) -> Iterator[Result]:
    """The same on the way through a stage: of a model that sees pictures its colours alone, which take no seconds."""
    use = TASKS[model.settings.mode].preview
    options = {**use.options, "finish": "none"} if model.guided else use.options
    return used(Use(use.application, options), Material.of(model, run))


def first_look(photo: Photo) -> Iterator[Result]:
    """New pictures of a picture that nothing has been trained on."""
    return used(FIRST_LOOK, Material(photo=photo))
