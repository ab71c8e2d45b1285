"""What a task is, and what the noise-driven tasks share.

A task says what enters stage 0 in training, what the anchor is, how borders and sizes are handled, its recipes
(settings that differ from the defaults, by preset) and how a trained model is sampled. Task modules import torch
only for types, so that the command line can read their recipes and options without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.pictures.pyramid import Law
    from consingan.storage.run import Run

Recipes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Result:
    """One thing that sampling makes.

    Args:
        name: path below the output folder, without extension.
        frames: pictures ``[1, C, H, W]`` in [-1, 1]; one for a still, several for an animation.
        facts: what the person needs to make it again; written into the file.
        notes: whole sentences that the person should read.
        format: extension of the file, without the dot.
        fps: frames per second of an animation, 0 for a still.
    """

    name: str
    frames: list[Tensor]
    facts: Mapping[str, str]
    format: str = "png"
    fps: float = 0.0
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """The contract; see CONTRIBUTING.md for how to add one."""

    @property
    def name(self) -> str:
        """The word behind --train_mode."""

    @property
    def summary(self) -> str:
        """What it is for, in a few words."""

    @property
    def border(self) -> str:
        """What lies past the picture, a name in ``gan.borders.BORDERS``."""

    @property
    def options(self) -> type:
        """The dataclass of its sampling options; the command line makes flags from it."""

    @property
    def preview(self) -> Any:
        """The options of the previews that are drawn after each stage."""

    @property
    def recipes(self) -> Recipes:
        """Settings that differ from the defaults, by preset."""

    @property
    def takes_naive(self) -> bool:
        """Whether its models are applied to a picture with a pasted object, --naive_img."""

    @property
    def law(self) -> Law:
        """The size law of its pyramid."""

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        """Stage 0's input whose output must be the picture.

        Args:
            coarsest: ``[1, C, h, w]`` in [-1, 1], the picture at stage 0's size.
            draw: the place of the anchor's random numbers.

        Returns:
            ``[1, C, h, w]``.
        """

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        """Stage 0's input of one iteration, ``[1, C, h, w]``; arguments as ``anchor``."""

    def sample(self, model: SingleImageModel, options: Any, run: Run | None = None) -> Iterator[Result]:
        """What the trained model makes.

        Args:
            model: trained in this task.
            options: an instance of ``self.options``.
            run: where it was trained, for tasks that look at the picture it was trained on.

        Raises:
            UserError: the options do not fit; before anything is yielded.
        """
