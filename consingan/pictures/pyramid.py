"""The size law and the pyramid of real pictures.

Source: Hinz et al., "Improved Techniques for Training Single-Image GANs" (WACV 2021), section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log
from typing import TYPE_CHECKING

from consingan.config import MOST_STAGES
from consingan.grid.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor

STEP = (25 / 250) ** (1 / 5)  # mean ratio of a stage to the one above, of the published six from 25 to 250 px
SHORTEST = 12  # px, the shorter side of the last stage: a little more than a patch of the published critic

Law = Callable[[int, float], list[float]]  # (stages, ratio of the coarsest to the finest) -> scales, last one 1


def rescaling(stages: int, ratio: float) -> list[float]:
    """ConSinGAN's law: more stages at low resolution than a geometric pyramid has.

    ``scale_i = r ** (((S - 1) / ln S) * ln(S - i) + 1)`` with ``S = stages - 1`` and ``r = ratio ** (1 / S)``.
    With two stages the law's limit is (ratio, 1).
    """
    steps = stages - 1
    if steps <= 1:
        return geometric(stages, ratio)
    r = ratio ** (1 / steps)
    return [r ** ((steps - 1) / log(steps) * log(steps - i) + 1) for i in range(steps)] + [1.0]


def geometric(stages: int, ratio: float) -> list[float]:
    """SinGAN's law: each stage is larger than the one below by the same factor."""
    steps = stages - 1
    return [ratio ** ((steps - i) / steps) for i in range(steps)] + [1.0]


def thirds(stages: int, ratio: float) -> list[float]:
    """Steps of 2^(1/3) down from the picture, as many as there are stages: SinGAN's super-resolution.

    Args:
        stages: their number.
        ratio: of no matter; how small the coarsest is follows from their number.
    """
    return [2 ** (-(stages - 1 - i) / 3) for i in range(stages)]


def repeating(law: Law, times: int) -> Law:
    """A law whose last stages all have the picture's size.

    A stage that comes again learns at the same size what the ones before it left; SinGAN's super-resolution runs the
    finest so (Shaham, Dekel and Michaeli, ICCV 2019, section 5).

    Args:
        law: of the other stages.
        times: how many of the stages have the picture's size, 1 or more; where there are no more stages, all of them.
    """

    def scales(stages: int, ratio: float) -> list[float]:
        again = min(times, stages) - 1
        return law(stages - again, ratio) + [1.0] * again

    return scales


def sizes(picture: Size, stages: int, min_size: int, max_size: int, law: Law = rescaling) -> list[Size]:
    """Sizes of the stages, coarsest first.

    Args:
        picture: ``(H, W)`` of the picture as it was loaded.
        stages: number of stages, 1 or more.
        min_size: shorter side of stage 0 in pixels.
        max_size: longer side of the last stage in pixels, more where the shorter side would be below ``SHORTEST``; a
            smaller picture is not enlarged.
        law: the stages' scales.

    Returns:
        ``(H, W)`` per stage, rounded up; equal ones where the law repeats a stage. A picture smaller than ``min_size``
        keeps its size at each stage.
    """
    shrink = min(1.0, max(max_size / max(picture), SHORTEST / min(picture)))
    full = ceil_size(picture, shrink)
    scales = law(stages, min(1.0, min_size / min(full)))
    return [ceil_size(full, scale) for scale in scales]


def proposed_stages(picture: Size, min_size: int, max_size: int) -> int:
    """A number of stages with which these are, on average, as far apart as the published ones.

    That is 6 for 250 px, as published, 8 for 500, 11 for 2048 and 12 for 4096; 3 from 120 to 250 px, as published for
    harmonization.

    Args:
        picture: ``(H, W)`` of the picture as it was loaded.
        min_size, max_size: as for ``sizes``.
    """
    side = min(max_size, max(picture))
    steps = log(min(1.0, min_size / side)) / log(STEP)
    return min(1 + round(steps), MOST_STAGES)


def ceil_size(size: Size, scale: float) -> Size:
    """Size times scale, rounded up; a whole number that rounding error lifted a hair stays as it is."""
    height, width = (max(1, ceil(round(side * scale, 6))) for side in size)
    return height, width


def build(picture: Tensor, stage_sizes: list[Size]) -> list[Tensor]:
    """The picture at each stage's size.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        stage_sizes: ``(H, W)`` per stage.

    Returns:
        Tensors ``[1, C, H_i, W_i]`` in [-1, 1], clamped after the resize.
    """
    from consingan.grid.resize import resize

    return [resize(picture, size).clamp(-1, 1) for size in stage_sizes]
