"""The figures of a translation: a picture that was put into the manner of another, beside the two.

All take pictures ``[1, C, H, W]`` with C = 1 or 3, values in [0, 1], and raise what ``pictures.prepare`` raises.
Distance to the target, before and after, is ``figures.swd``; what the target does not hold is ``figures.coherence``.
"""

from __future__ import annotations

from torch import Tensor

from consingan.grid.ranges import signed
from consingan.metrics.figures import SCALES, mean_of, swd
from consingan.metrics.pictures import prepare, shrink
from consingan.pictures.structure import difference


def structure_kept(source: Tensor, made: Tensor) -> float:
    """How much of the source's structure a picture still has: 1 all of it, 0 none, -1 light and dark exchanged.

    The correlation of the two pictures' brightness within a window of 7 px around each pixel (``pictures.structure``),
    averaged over the pixels and the scales 1, 1/2, 1/4: strokes change the finest, and must not change the coarsest.
    Where both are flat, all is kept.

    Args:
        source: the picture whose content is to be kept.
        made: what was made of it; the source is brought to its size.
    """
    source, made = prepare(source, made)
    pairs = ((shrink(source, scale), shrink(made, scale)) for scale in SCALES)
    return mean_of(1 - difference(signed(a), signed(b)).item() for a, b in pairs)


def cycle_error(source: Tensor, back: Tensor) -> float:
    """Mean absolute difference of the source to what came of it there and back again, in [0, 1].

    Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017, eq. 2.

    Args:
        source: the picture.
        back: translated to the other manner and back; it is brought to the source's size.
    """
    back, source = prepare(back, source)
    return (back - source).abs().mean().item()


# By name the title of a figure, what it means, and where better lies (-1 lower, 1 higher, 0 neither).
PAIRS = {
    "before": (
        "Distance before",
        "distance of the source's patches to those of the picture whose manner is wanted",
        0,
    ),
    "after": ("Distance after", "the same distance of the result; half of the one before or less is a new manner", -1),
    "structure": (
        "Structure kept",
        "likeness of light and dark, place by place, with the source: 1 all of it, 0 none",
        1,
    ),
    "cycle": ("Cycle error", "mean difference of the source to what comes of going there and back, in [0, 1]", -1),
}


def of_pair(source: Tensor, made: Tensor, target: Tensor, back: Tensor | None = None) -> dict[str, float]:
    """All figures of one direction by their names in ``PAIRS``.

    Args:
        source: the picture whose content is to be kept.
        made: what was made of it.
        target: the picture whose manner is wanted.
        back: what the way back makes of it; without it there is no cycle error.
    """
    found = {"before": swd(target, source), "after": swd(target, made), "structure": structure_kept(source, made)}
    return found | ({} if back is None else {"cycle": cycle_error(source, back)})
