"""What a task is.

A task says what enters stage 0 in training, what the anchor is, how borders and sizes are handled, its recipes
(settings that differ from the defaults, by preset), and by name which application its models are made for. What a
model can do is no matter of its task: see ``consingan.applications``. Task modules import torch only for types, so that
the command line can read their recipes without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw
    from consingan.pictures.pyramid import Law

Recipes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Use:
    """An application by its name in ``consingan.applications.APPLICATIONS``, and how it is used.

    Args:
        application: its name.
        options: by name those that differ from its defaults.
    """

    application: str
    options: Mapping[str, Any] = field(default_factory=dict)


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
    def sampling(self) -> Use:
        """What its models are used for where nothing else is said."""

    @property
    def preview(self) -> Use:
        """What is drawn after each stage, and on the way through it."""

    @property
    def first_noise(self) -> int:
        """The first stage whose input may be noise: 0, or 1 where stage 0 learns to take pictures."""

    @property
    def recipes(self) -> Recipes:
        """Settings that differ from the defaults, by preset."""

    @property
    def takes_naive(self) -> bool:
        """Whether its training takes a picture with a pasted object, --naive_img, for previews and to learn on."""

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


@runtime_checkable
class Mixing(Protocol):
    """What a task has beside ``Task`` whose models can learn from several pictures of a kind."""

    @property
    def mixes(self) -> str:
        """What their samples mix, in a few words."""
