"""What enters the generators in an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from consingan.gan import guides
from consingan.gan.model import channels_last
from consingan.grid.noise import Draw
from consingan.grid.windows import Window
from consingan.training.branch import Branch
from consingan.training.lessons import Lesson


@dataclass(frozen=True, eq=False)
class Entered:
    """What enters the generator of a branch.

    Args:
        inputs: by stage (see ``GrowingGenerator.forward``), of the parts that the window depends on.
        window: of the newest stage; all of it if None.
        seen: ``[1, C, h, w]``, the picture that a guided one sees; whole.
    """

    inputs: list[Tensor]
    window: Window | None
    seen: Tensor | None = None


def entered(
    lesson: Lesson, branch: Branch, among: Sequence[Branch], stage: int, window: Window | None, draw: Draw
) -> Entered:
    """What a lesson gives to a branch, one of those that are trained, at a place of random numbers.

    Args:
        lesson, branch, among, draw: as for ``Lesson.entering``.
        stage: the newest.
        window: of it.
    """
    generator, sizes = branch.model.generator, branch.model.sizes[: stage + 1]
    parts = generator.parts(sizes, window)
    seen = lesson.seen(branch, among, stage, draw)
    if seen is not None:
        whole = guides.inputs(branch.model, seen, sizes, draw=draw)
        return Entered([part.noise.cut(x) for part, x in zip(parts, whole, strict=True)], window, seen)
    inputs = [channels_last(lesson.entering(branch, among, draw.at(0)))]
    for later, part in enumerate(parts[1:], 1):
        inputs.append(channels_last(draw.at(later).normal((1, generator.width, *part.noise.size))))
    return Entered(inputs, window)
