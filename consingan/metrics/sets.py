"""The figures of samples beside a set of pictures of a kind, for models that have learned from several.

A sample shows one of them, or a mixture: distance and completeness are those beside the picture where they are least,
copying that of the picture that is copied most. Coherence takes each patch's nearest in any of them: what none of the
pictures holds. Pictures of other proportions than the sample keep them, with as many pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from consingan.grid.sizes import Size, of_as_many_pixels, size_of
from consingan.metrics import figures, frechet
from consingan.metrics.pictures import as_rgb, match, prepare, shrink

STRETCHED = 1.05  # ratio of two proportions up to which a picture is brought to a sample's size

Figure = Callable[[Sequence[Tensor], Tensor], float]


def beside(reals: Sequence[Tensor], samples: Tensor) -> tuple[list[Tensor], Tensor]:
    """Pictures and samples in one form: see ``pictures.prepare``.

    Args:
        reals: ``[1, C, H, W]`` each, in [0, 1].
        samples: ``[N, C, H', W']`` in [0, 1].

    Raises:
        UserError, ValueError: as ``prepare``.
    """
    _, samples = prepare(reals[0], samples)
    size = size_of(samples)
    return [match(as_rgb(real, "a real picture"), fitting(size_of(real), size)) for real in reals], samples


def fitting(own: Size, size: Size) -> Size:
    """The size at which a picture of ``own`` is compared with samples of a size."""
    ratio = own[0] * size[1] / (own[1] * size[0])
    return size if 1 / STRETCHED <= ratio <= STRETCHED else of_as_many_pixels(own, size)


def least(figure: Callable[[Tensor, Tensor], float]) -> Figure:
    """The mean over the samples of a figure beside the picture where it is least."""

    def of_set(reals: Sequence[Tensor], samples: Tensor) -> float:
        reals, samples = beside(reals, samples)
        return figures.mean_of(min(figure(real, sample) for real in reals) for sample in samples.split(1))

    return of_set


def mean(figure: Callable[[Tensor, Tensor], float]) -> Figure:
    """The mean of a figure over the pictures."""

    def of_set(reals: Sequence[Tensor], samples: Tensor) -> float:
        reals, samples = beside(reals, samples)
        return figures.mean_of(figure(real, samples) for real in reals)

    return of_set


swd = least(figures.distance)
completeness = least(lambda real, sample: figures.patch_error(halved(real), halved(sample)))


def coherence(reals: Sequence[Tensor], samples: Tensor) -> float:
    """As ``figures.coherence``, each patch beside the nearest of any picture."""
    reals, samples = beside(reals, samples)
    halves = [halved(real) for real in reals]
    return figures.mean_of(figures.patch_error(halved(sample), *halves) for sample in samples.split(1))


def copy_share(reals: Sequence[Tensor], samples: Tensor) -> float:
    """As ``figures.copy_share``, of the picture that is copied most; all are brought to the samples' size."""
    return figures.mean_of(max(figures.copy_share(real, sample) for real in reals) for sample in samples.split(1))


def sifid(reals: Sequence[Tensor], samples: Tensor, network: Callable[[Tensor], Tensor]) -> float:
    """As ``frechet.sifid``, beside the picture where it is least; pictures keep their sizes."""
    return figures.mean_of(min(frechet.sifid(real, sample, network) for real in reals) for sample in samples.split(1))


def nearest(reals: Sequence[Tensor], sample: Tensor) -> int:
    """The number of the picture whose patches are nearest to a sample's, from 0."""
    reals, sample = beside(reals, sample)
    found = [figures.distance(real, sample) for real in reals]
    return found.index(min(found))


def halved(picture: Tensor) -> Tensor:
    """At half size and around 0, see ``figures.half_size``."""
    return shrink(picture, 0.5) - 0.5
