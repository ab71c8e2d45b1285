"""Losses of a task's own, and tasks that train on more than one picture.

A training is one or more branches, each a generator with its critic and its picture, and the terms between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from consingan.config import Train
    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.grid.windows import Window


class Coder(Protocol):
    """A generator in two halves, of which the code between is another's as well; pictures as in ``Made``."""

    def mean(self, picture: Tensor) -> Tensor:
        """The mean of a picture's code, ``[1, N, h', w']``, from a distribution with variances of 1."""

    def code(self, picture: Tensor) -> Tensor:
        """A code of a picture, with noise."""

    def decoded(self, code: Tensor, picture: Tensor) -> Tensor:
        """The picture of a code, which any of the coders made of ``picture``."""


@dataclass(frozen=True, eq=False)
class Made:
    """What a branch made in an iteration; pictures are ``[1, C, h, w]`` in [-1, 1], of the part that it looks at.

    Args:
        real: its picture.
        fake, reconstruction: of what was drawn for this iteration, and of the anchors; both pass gradients on.
        window: the part of the picture; all of it if None.
        model: who made them.
        seen: the picture that its generator saw, where its task is ``Guided``; None elsewhere.
        passed: what its generator makes of another picture that it sees, with gradients, where its task is ``Guided``.
        given: numbers of the iteration by name (``training.given``).
        coder: its generator in two halves, where branches share a latent.
    """

    real: Tensor
    fake: Tensor
    reconstruction: Tensor
    window: Window | None
    model: SingleImageModel
    seen: Tensor | None = None
    passed: Callable[[Tensor], Tensor] = lambda picture: picture
    given: Mapping[str, Tensor] = field(default_factory=dict)
    coder: Coder | None = None


@dataclass(frozen=True, eq=False)
class Term:
    """A loss that is added to those of the generators.

    Args:
        name: in the log.
        weight: times what ``loss`` gives.
        loss: what the branches made, by branch -> a 0-dim tensor. It runs inside of recordings: no look at values, and
            no random numbers.
    """

    name: str
    weight: float
    loss: Callable[[Mapping[str, Made]], Tensor]


@runtime_checkable
class Joined(Protocol):
    """What a task says beside ``Task`` where it trains on further pictures, or has losses of its own.

    The branch of the picture that the person names is called ``""``, that of a further one as ``further`` says. The
    further ones have the same settings, and a pyramid of as many stages, with sizes of their own.
    """

    def further(self, settings: Train) -> Mapping[str, str | Path]:
        """The files of further pictures by the names of their branches, words of letters and digits."""

    def entering(self, branch: str, coarsest: Mapping[str, Tensor], draw: Draw) -> Tensor:
        """Stage 0's input of one iteration of a branch, in place of ``Task.first_input``.

        Args:
            branch: its name.
            coarsest: by branch its picture at stage 0's size, ``[1, C, h, w]`` in [-1, 1]; of a ``Guided`` task at that
                of the newest stage.
            draw: the place of its random numbers.

        Returns:
            ``[1, C, h, w]``, of the size of the branch's own picture.
        """

    def terms(self, settings: Train) -> Sequence[Term]:
        """The losses between what the branches make."""


@runtime_checkable
class Guided(Protocol):
    """What a ``Joined`` task has where generators see a picture at every stage, and no noise in its place.

    What ``entering`` gives is then what a generator sees in an iteration: stage 0 gets it at its size, and every later
    stage at its own. The anchors are the branch's own picture at every stage.
    """

    @property
    def sees(self) -> str:
        """What they see, in a few words."""
