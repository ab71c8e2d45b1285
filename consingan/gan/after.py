"""What comes after the generator: a chain of steps between what it makes and a result. The finish is one of them.

A step of stills says how large its input has to be and makes its output of it, so that a chain is walked twice: the
sizes backwards, the pictures forwards. A step of frames takes them as they come. Steps hold what they need (the photo,
a seed); the generator knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from consingan.finish import motion, patches
from consingan.finish.atlas import Atlas
from consingan.finish.patches import Told
from consingan.finish.photo import Photo
from consingan.finish.scales import Plan, check_size
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed
from consingan.grid.sizes import NOWHERE, Size, Wraps, rescaled


class StillStep(Protocol):
    """A step of stills; add one by a frozen dataclass with these two methods."""

    def size_before(self, size: Size) -> Size:
        """``(H, W)`` of the input that an output of ``(H, W)`` is made of.

        Raises:
            UserError: it makes no pictures of that size.
        """

    def apply(self, pictures: Tensor, size: Size, draws: Sequence[Draw]) -> Tensor:
        """Pictures made of others.

        Args:
            pictures: ``[B, C, h, w]`` in [-1, 1], of the size that ``size_before`` names.
            size: ``(H, W)`` of the result.
            draws: by picture, the place of its random numbers.

        Returns:
            ``[B, C, H, W]`` in [-1, 1].
        """


class FrameStep(Protocol):
    """A step of an animation."""

    def frames(self, frames: Iterator[Tensor], draw: Draw) -> Iterator[Tensor]:
        """Frames ``[1, C, H, W]`` in [-1, 1] made of others, one at a time; ``draw`` is that of all of them."""


@dataclass(frozen=True)
class Chain:
    """Steps of stills, the first next to the generator.

    Args:
        steps: none of them: the pictures are as the generator made them.
    """

    steps: Sequence[StillStep] = ()

    def sizes(self, size: Size) -> list[Size]:
        """``(H, W)`` of what the generator makes for a result of ``size``, and of what each step makes."""
        found = [size]
        for step in reversed(self.steps):
            found.insert(0, step.size_before(found[0]))
        return found

    def apply(self, pictures: Tensor, size: Size, draws: Sequence[Draw]) -> Tensor:
        """The generator's pictures ``[B, C, h, w]`` through all steps: ``[B, C, *size]``."""
        for step, wanted in zip(self.steps, self.sizes(size)[1:], strict=True):
            pictures = step.apply(pictures, wanted, draws)
        return pictures


@dataclass(frozen=True, eq=False)
class Patches:
    """The finish of stills: a layout is made anew of the photo's patches.

    Args:
        photo: whose patches; one, or several photos.
        trained: ``(H, W)`` of the layout that shows as much as the photo does.
        seed: of the finish alone; that of the layout if None.
        told: hears how far each batch has come, from 0 to 1.
        wraps: along which axes layouts and pictures go on at their other side.
        tally: hears, by picture of a batch, the shares of its patches that come from each of several photos.
    """

    photo: Photo | Atlas
    trained: Size
    seed: int | None = None
    told: Told = lambda share: None
    wraps: Wraps = NOWHERE
    tally: Callable[[list[tuple[float, ...]]], None] | None = None

    def size_before(self, size: Size) -> Size:
        """As many trained pictures high and wide as the result shows of the photo."""
        check_size(size)
        return rescaled(self.trained, *Plan.of(size, self.photo.size).canvas)

    def apply(self, pictures: Tensor, size: Size, draws: Sequence[Draw]) -> Tensor:
        if self.seed is not None:
            draws = [replace(draw, seed=self.seed) for draw in draws]
        made = patches.finish(self.photo, pictures, size, draws, told=self.told, wraps=self.wraps)
        if self.tally is not None and isinstance(self.photo, Atlas):
            self.tally(self.photo.shares(made.fields[-1]))
        return made.picture


@dataclass(frozen=True, eq=False)
class Steadied:
    """The finish of frames by patches: each is made anew, and keeps the patches of the one before where it can.

    Args:
        photo: whose patches.
        size: ``(H, W)`` of the frames.
    """

    photo: Photo
    size: Size

    def frames(self, frames: Iterator[Tensor], draw: Draw) -> Iterator[Tensor]:
        return patches.steady(self.photo, frames, self.size, draw)


@dataclass(frozen=True, eq=False)
class Moved:
    """The finish of frames by motion: the photo moves as they do.

    Args:
        photo: what moves.
        size: ``(H, W)`` of the frames.
        rest: ``[1, C, h, w]`` in [-1, 1], the frame that stands for the photo as it is.
    """

    photo: Photo
    size: Size
    rest: Tensor

    def frames(self, frames: Iterator[Tensor], draw: Draw) -> Iterator[Tensor]:
        return motion.moving(signed(self.photo.at(self.size)), self.rest, frames)
