"""The table of figures."""

from collections.abc import Callable, Sequence

from torch import Tensor

from consingan.metrics.figures import coherence, completeness, copy_share, diversity, quick_swd, swd
from consingan.metrics.frechet import frechet_distance, sifid
from consingan.metrics.inception import InceptionTrunk, load_inception
from consingan.metrics.pictures import match, prepare

Metric = Callable[[Tensor, Tensor], float]

METRICS: dict[str, Metric] = {
    "swd": swd,
    "coherence": coherence,
    "completeness": completeness,
    "copy": copy_share,
    "diversity": diversity,
}

DEFAULT = tuple(METRICS)


def evaluate(real: Tensor, samples: Tensor, names: Sequence[str] | None = None) -> dict[str, float]:
    """The figures `names` of the samples, in that order.

    Without names: all of METRICS, but diversity only where it exists, for two samples or more of a picture
    with any contrast. SIFID needs a network and is called by itself.

    Args:
        real: the training picture [1, C, H, W], C = 1 or 3, values in [0, 1]; resized to the samples' size.
        samples: [N, C, H', W'], values in [0, 1].

    Example:
        >>> evaluate(picture, torch.cat([picture, picture]))
        {'swd': 0.0, 'coherence': 0.0, 'completeness': 0.0, 'copy': 1.0, 'diversity': 0.0}
    """
    real, samples = prepare(real, samples)
    if names is None:
        has_diversity = len(samples) > 1 and real.std() > 0
        names = [name for name in DEFAULT if name != "diversity" or has_diversity]
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown figures {unknown}; there are {', '.join(METRICS)}")
    return {name: METRICS[name](real, samples) for name in names}


__all__ = [
    "DEFAULT",
    "METRICS",
    "InceptionTrunk",
    "Metric",
    "coherence",
    "completeness",
    "copy_share",
    "diversity",
    "evaluate",
    "frechet_distance",
    "load_inception",
    "match",
    "prepare",
    "quick_swd",
    "sifid",
    "swd",
]
