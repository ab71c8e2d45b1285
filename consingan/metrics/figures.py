"""The figures that need no trained network: each takes the real picture and samples, and gives one number.

All of them take ``real [1, C, H, W]`` and ``samples [N, C, H', W']`` with C = 1 or 3, values in [0, 1], and raise what
``pictures.prepare`` raises; see there for what happens to sizes and channels. Where a sample has a value of its own,
the mean over the samples is returned.

SWD: A. Elnekave, Y. Weiss, "Generating natural images with direct patch distributions matching", ECCV 2022.
Coherence and completeness: D. Simakov, Y. Caspi, E. Shechtman, M. Irani, "Summarizing visual data using
bidirectional similarity", CVPR 2008. Diversity: T. R. Shaham, T. Dekel, T. Michaeli, "SinGAN", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.metrics.features import patches_at, random_directions
from consingan.metrics.pictures import PATCH, prepare, shrink
from consingan.metrics.statistics import chosen_places, nearest_distances, projected_quantiles, quantiles_at

SCALES = (1.0, 0.5, 0.25)
DIRECTIONS = 256
QUANTILES = 2048
MAX_QUERIES = 4096
COPY_DIFFERENCE = 0.03


def mean_of(values: Iterable[float]) -> float:
    """The mean of one or more numbers."""
    numbers = list(values)
    return sum(numbers) / len(numbers)


def swd(real: Tensor, samples: Tensor) -> float:
    """Sliced Wasserstein-1 distance between the patches of a sample and of the real picture, in [0, 1] units.

    Along a direction the distance of two distributions is the mean difference of their quantiles; it is
    averaged over 256 fixed random directions and the scales 1, 1/2, 1/4. Lower is better, 0 for a picture
    with the same patches in any order.
    """
    return distance(*prepare(real, samples))


def distance(real: Tensor, samples: Tensor) -> float:
    """``swd`` of what ``prepare`` has brought to one form; their sizes may differ."""
    directions = random_directions(DIRECTIONS)

    def quantiles(picture: Tensor, scale: float) -> Tensor:
        return projected_quantiles(shrink(picture, scale), directions, QUANTILES)

    def at_scale(scale: float) -> float:
        wanted = quantiles(real, scale)
        return mean_of((quantiles(sample, scale) - wanted).abs().mean().item() for sample in samples.split(1))

    return mean_of(at_scale(scale) for scale in SCALES)


def quick_swd(real: Tensor, sample: Tensor, count: int = 1024) -> float:
    """The distance of ``swd`` for one sample, from few of its places: a few milliseconds.

    The places are a fixed random choice, the same in both pictures, so that a copy has 0 and values of one picture can
    be compared with each other. They lie above those of ``swd``, the more so the more the layout differs, since the
    patches at few places are fewer than the picture's.

    Args:
        real: as for all figures.
        sample: ``[1, C, H', W']`` in [0, 1].
        count: places at each scale.
    """
    real, sample = prepare(real, sample)
    directions = random_directions(DIRECTIONS)

    def at_scale(scale: float) -> float:
        pair = [shrink(picture, scale) for picture in (real, sample)]
        places = chosen_places(pair[0], count)
        wanted, found = (quantiles_at(picture, places, directions, min(QUANTILES, len(places))) for picture in pair)
        return (found - wanted).abs().mean().item()

    return mean_of(at_scale(scale) for scale in SCALES)


def coherence(real: Tensor, samples: Tensor) -> float:
    """Mean squared difference of a sample's patches to the nearest patch of the real picture, at half size.

    High where a sample shows what the picture does not hold. Lower is better, 0 at best.
    """
    real, samples = half_size(real, samples)
    return mean_of(patch_error(sample, real) for sample in samples.split(1))


def completeness(real: Tensor, samples: Tensor) -> float:
    """Mean squared difference of the real picture's patches to the nearest patch of a sample, at half size.

    High where a sample lacks something that the picture holds. Lower is better, 0 at best.
    """
    real, samples = half_size(real, samples)
    return mean_of(patch_error(real, sample) for sample in samples.split(1))


def half_size(real: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Both at half size and around 0: distances stay the same, and small numbers round less."""
    real, samples = prepare(real, samples)
    return shrink(real, 0.5) - 0.5, shrink(samples, 0.5) - 0.5


def patch_error(source: Tensor, *targets: Tensor) -> float:
    """Mean squared difference per number of a picture's patches to their nearest ones in another, or in any of others.

    A large picture is judged by 4096 of its patches, a fixed random choice, against all of the other's.

    Args:
        source, targets: ``[1, 3, H, W]``: whose patches, and where they are looked for.
    """
    queries = patches_at(source, chosen_places(source, MAX_QUERIES))
    nearest = [nearest_distances(queries, target) for target in targets]
    return (torch.stack(nearest).amin(0).mean() / queries.shape[1]).item()


def copy_share(real: Tensor, samples: Tensor) -> float:
    """Share of a sample's patches that are the real patch of the same place, in [0, 1]; 1 = a copy.

    The same means: mean absolute difference below 0.03. A sample that repeats the picture scores best in
    the other figures, so read them beside this one.
    """
    real, samples = prepare(real, samples)

    def share(sample: Tensor) -> float:
        difference = (sample - real).abs().mean(1, keepdim=True)  # [1, 1, H, W]
        return (F.avg_pool2d(difference, PATCH, stride=1) < COPY_DIFFERENCE).double().mean().item()

    return mean_of(share(sample) for sample in samples.split(1))


def diversity(real: Tensor, samples: Tensor) -> float:
    """Standard deviation over the samples, averaged over pixels and channels, over that of the real picture.

    0 is samples that are all the same; higher is more diverse.

    Raises:
        UserError: there is one sample, or a picture without contrast.
    """
    measure = Deviation(real)
    measure.add(samples)
    return measure.value()


class Deviation:
    """``diversity`` of samples that come in batches.

    B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962.

    Args:
        real: ``[1, C, H, W]`` in [0, 1].
        others: further pictures of the kind; the contrast is the mean of all.
    """

    def __init__(self, real: Tensor, others: Sequence[Tensor] = ()) -> None:
        self._real, self._others = real, others
        self._count = 0
        self._mean = self._squares = torch.empty(0)

    def add(self, samples: Tensor) -> None:
        """See samples ``[N, C, H, W]`` in [0, 1], of one size in all batches."""
        self._real, samples = prepare(self._real, samples)
        for sample in samples:
            self._count += 1
            if self._count == 1:
                self._mean, self._squares = sample.clone(), torch.zeros_like(sample)
                continue
            shift = sample - self._mean
            self._mean += shift / self._count
            self._squares += shift.mul_(sample - self._mean)

    def value(self) -> float:
        """The diversity of the samples so far.

        Raises:
            UserError: as ``diversity``.
        """
        if self._count < 2:
            raise UserError(
                f"diversity compares samples with each other, but there is {self._count}: "
                "draw at least two (--num_samples 2)."
            )
        contrast = torch.stack([each.std() for each in (self._real, *self._others)]).mean()
        if contrast == 0:
            raise UserError(
                f"diversity is measured in units of the picture's own contrast, but all its pixels are "
                f"{self._real.flatten()[0]:.3f}: use a picture of more than one colour."
            )
        return ((self._squares / (self._count - 1)).sqrt().mean() / contrast).item()
