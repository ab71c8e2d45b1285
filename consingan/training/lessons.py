"""What is learned in an iteration beside the picture itself: what enters the coarsest stage, and further losses.

Most trainings learn what their task says. One that begins with a trained run learns what becomes of one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from consingan.config import Train
from consingan.gan import codes
from consingan.gan.layers import widened
from consingan.gan.model import SingleImageModel, channels_last
from consingan.grid.noise import Draw, mixed
from consingan.grid.torus import joined
from consingan.pictures import structure
from consingan.tasks import TASKS
from consingan.tasks.terms import Guided, Joined, Made, Term
from consingan.training.branch import Branch
from consingan.training.rest import OfTheRest


class Lesson(Protocol):
    """What a training asks beside its branches."""

    @property
    def seeded(self) -> bool:
        """Whether the networks of the first stage come from the seed."""

    def entering(self, branch: Branch, among: Sequence[Branch], draw: Draw) -> Tensor:
        """Stage 0's input of one iteration of a branch, one of those that are trained: ``[1, C + K, h, w]``."""

    def seen(self, branch: Branch, among: Sequence[Branch], stage: int, draw: Draw) -> Tensor | None:
        """The picture that the generator sees in an iteration of a stage, in place of ``entering`` and of noise.

        ``[1, C, h, w]`` at the stage's size; None where it sees none.
        """

    def terms(self) -> Sequence[Term]:
        """Losses that are added to the generators' own."""

    def tensors(self) -> dict[str, Tensor]:
        """What of it a checkpoint has to keep, by name."""


@dataclass(frozen=True)
class OfTask:
    """What the task of a configuration says."""

    settings: Train
    seeded: ClassVar[bool] = True

    def further(self) -> Mapping[str, str | Path]:
        """The files of further pictures by the names of their branches."""
        task = TASKS[self.settings.mode]
        return task.further(self.settings) if isinstance(task, Joined) else {}

    def entering(self, branch: Branch, among: Sequence[Branch], draw: Draw) -> Tensor:
        """What the task gives to stage 0, mixed with its anchor in a random share where the settings say so; codes."""
        task = TASKS[self.settings.mode]
        if isinstance(task, Joined):
            drawn = task.entering(branch.name, {each.name: each.reals[0] for each in among}, draw)
        else:
            drawn = task.first_input(branch.reals[0], draw)
        if self.settings.objective.noise != "pure":
            anchor = joined(branch.model.fixed[0], branch.model.wraps)
            drawn = mixed(anchor, drawn, *draw.at("variation").numbers(1))
        return codes.joined(drawn, codes.drawn(self.settings.codes, draw))

    def seen(self, branch: Branch, among: Sequence[Branch], stage: int, draw: Draw) -> Tensor | None:
        """What the task says, of one that is guided."""
        task = TASKS[self.settings.mode]
        if not (isinstance(task, Joined) and isinstance(task, Guided)):
            return None
        pictures = {each.name: each.reals[stage] for each in among}
        return channels_last(task.entering(branch.name, pictures, draw.at("seen")))

    def terms(self) -> Sequence[Term]:
        """The task's."""
        task = TASKS[self.settings.mode]
        return task.terms(self.settings) if isinstance(task, Joined) else ()

    def tensors(self) -> dict[str, Tensor]:
        """None: all of it follows from the settings."""
        return {}


@dataclass(frozen=True, eq=False)
class OfOnePicture:
    """One picture enters in every iteration, and the structure of another is kept; pictures in [-1, 1].

    Args:
        picture: ``[1, C, h, w]``, at stage 0's size.
        kept: ``[1, C, H, W]``, at the last stage's size.
        weight: of the loss that keeps its structure (``structure.difference``); 0 is without.
    """

    picture: Tensor
    kept: Tensor
    weight: float
    seeded: ClassVar[bool] = False

    def entering(self, branch: Branch, among: Sequence[Branch], draw: Draw) -> Tensor:
        """Always the same."""
        return self.picture

    def seen(self, branch: Branch, among: Sequence[Branch], stage: int, draw: Draw) -> Tensor | None:
        """None: the later stages get noise."""
        return None

    def terms(self) -> Sequence[Term]:
        """That of the structure, where it has a weight."""
        return (Term("structure", self.weight, self._difference),) if self.weight else ()

    def tensors(self) -> dict[str, Tensor]:
        """Both pictures."""
        return {"entering": self.picture, "result": self.kept}

    def _difference(self, made: Mapping[str, Made]) -> Tensor:
        (mine,) = made.values()
        return structure.difference(widened(mine.fake), mine.window.cut(self.kept) if mine.window else self.kept)


def known_of(lesson: Lesson, stage: int) -> Tensor | None:
    """What of the picture a lesson is of at a stage, ``[1, 1, h, w]``; None for all of it."""
    return lesson.known[stage] if isinstance(lesson, OfTheRest) else None


def shapes(model: SingleImageModel, found: Mapping[str, Tensor]) -> dict[str, Sequence[int]]:
    """What a checkpoint of a model has to hold of its lesson, of which it has ``found``: shapes by name."""
    if OfTheRest.name(0) in found:
        return {OfTheRest.name(stage): (1, 1, *size) for stage, size in enumerate(model.sizes)}
    if model.settings.naive.model_dir is None:
        return {}
    channels = model.settings.network.nc_im
    return {"entering": (1, channels, *model.sizes[0]), "result": (1, channels, *model.sizes[-1])}


def restored(model: SingleImageModel, tensors: Mapping[str, Tensor]) -> Lesson:
    """The lesson of a model's configuration, with what a checkpoint kept of it."""
    if OfTheRest.name(0) in tensors:
        known = tuple(tensors[OfTheRest.name(stage)].to(model.device) for stage in range(len(model.sizes)))
        return OfTheRest(known, model.settings.objective.alpha)
    if model.settings.naive.model_dir is None:
        return OfTask(model.settings)
    entering, result = (channels_last(tensors[name].to(model.device)) for name in ("entering", "result"))
    return OfOnePicture(entering, result, model.settings.naive.keep_structure)
