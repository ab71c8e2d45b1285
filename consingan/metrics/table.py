"""The table of figures: one line each, from which score, reports and comparisons are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from torch import Tensor

from consingan.metrics import sets
from consingan.metrics.figures import Deviation, coherence, completeness, copy_share, swd
from consingan.metrics.frechet import sifid
from consingan.metrics.pictures import prepare

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reference:
    """What samples are compared with.

    Args:
        picture: ``[1, C, H, W]`` in [0, 1], the real picture; figures that need one size bring it to the samples'.
        original: the same at its own size, where ``picture`` was resized already.
        networks: those of SIFID by their number of features, as ``inception.load_inception`` makes them.
        others: the same of further pictures of a kind, at sizes of their own, where samples are of a model of several.
    """

    picture: Tensor
    original: Tensor | None = None
    networks: Mapping[int, Network] = field(default_factory=dict)
    others: Sequence[Tensor] = ()

    @property
    def pictures(self) -> Sequence[Tensor]:
        """All of them."""
        return (self.picture, *self.others)


class Measure(Protocol):
    """A figure that is being taken, so that no more samples than a batch are in memory."""

    def add(self, samples: Tensor) -> None:
        """See samples ``[N, C, H, W]`` in [0, 1], of one size in all batches."""

    def value(self) -> float:
        """The figure of the samples so far."""


class Mean:
    """The mean over the samples of a figure that each of them has by itself.

    Args:
        figure: samples ``[N, C, H, W]`` in [0, 1] -> their mean.
    """

    def __init__(self, figure: Callable[[Tensor], float]):
        self._figure, self._sum, self._count = figure, 0.0, 0

    def add(self, samples: Tensor) -> None:
        self._sum += self._figure(samples) * len(samples)
        self._count += len(samples)

    def value(self) -> float:
        return self._sum / self._count


Begin = Callable[[Reference], Measure]


def each(figure: Callable[[Tensor, Tensor], float], of_set: sets.Figure | None = None) -> Begin:
    """A figure that a sample has by itself, from a function of the real picture and samples, and one of a set.

    Without one of a set it is the mean over the pictures.
    """

    def begin(reference: Reference) -> Measure:
        if reference.others:
            beside = of_set or sets.mean(figure)
            return Mean(lambda samples: beside(reference.pictures, samples))
        return Mean(lambda samples: figure(reference.picture, samples))

    return begin


def of_network(features: int) -> Begin:
    """SIFID by the network of so many features; pictures keep their sizes."""

    def begin(reference: Reference) -> Measure:
        real = reference.picture if reference.original is None else reference.original
        network = reference.networks[features]
        if reference.others:
            return Mean(partial(sets.sifid, [real, *reference.others], network=network))
        return Mean(lambda samples: sifid(real, samples, network))

    return begin


@dataclass(frozen=True)
class Metric:
    """A figure, and what pages and tables say of it.

    Args:
        begin: how it is taken; ``each`` makes this of a function ``(real, samples) -> float``.
        title: its heading.
        meaning: what it measures, a clause.
        better: where better lies: -1 lower, 1 higher, 0 neither.
        samples: the fewest that it exists for.
        contrast: whether the picture must have more than one colour.
        network: features of the network that it needs; 0 for none.
        digits: after the point.
    """

    begin: Begin
    title: str
    meaning: str
    better: int = 0
    samples: int = 1
    contrast: bool = False
    network: int = 0
    digits: int = 4

    def exists(self, reference: Reference, samples: int) -> bool:
        """Whether it can be taken of so many samples."""
        return (
            samples >= self.samples
            and (not self.contrast or bool(reference.picture.std() > 0))
            and (not self.network or self.network in reference.networks)
        )

    def __call__(self, real: Tensor, samples: Tensor) -> float:
        """Its value.

        Args:
            real: ``[1, C, H, W]`` in [0, 1].
            samples: ``[N, C, H', W']`` in [0, 1].
        """
        measure = self.begin(Reference(real))
        measure.add(samples)
        return measure.value()

    def shown(self, value: float) -> str:
        """A value as pages and tables write it."""
        return f"{value:.{self.digits}f}"

    @property
    def note(self) -> str:
        """Its meaning, and where better lies."""
        return self._directed(self.meaning)

    @property
    def heading(self) -> str:
        """Its title, and where better lies."""
        return self._directed(self.title)

    def _directed(self, text: str) -> str:
        return text + ("" if not self.better else f"; {'lower' if self.better < 0 else 'higher'} is better")


METRICS: dict[str, Metric] = {
    "swd": Metric(
        each(swd, sets.swd), "Patch distance", "distance of the samples' patches to the picture's", better=-1
    ),
    "coherence": Metric(
        each(coherence, sets.coherence), "Coherence", "what samples show that the picture does not contain", better=-1
    ),
    "completeness": Metric(
        each(completeness, sets.completeness), "Completeness", "what parts of the picture samples lack", better=-1
    ),
    "copy": Metric(
        each(copy_share, sets.copy_share),
        "Copied in place",
        "share of patches that nearly equal the picture's patch at the same place; 1 is the picture itself",
    ),
    "diversity": Metric(
        lambda reference: Deviation(reference.picture, reference.others),
        "Diversity",
        "how much samples differ, in units of the picture's contrast",
        samples=2,
        contrast=True,
    ),
    "sifid64": Metric(of_network(64), "SIFID, 64", "Frechet distance of 64 features", better=-1, network=64),
    "sifid192": Metric(of_network(192), "SIFID, 192", "Frechet distance of 192 features", better=-1, network=192),
}


def available(reference: Reference, samples: int) -> list[str]:
    """The figures that exist for so many samples."""
    return [name for name, metric in METRICS.items() if metric.exists(reference, samples)]


def measured(reference: Reference, batches: Iterable[Tensor], names: Sequence[str]) -> dict[str, float]:
    """Figures of samples that come in batches ``[N, C, H, W]`` in [0, 1], all of one size."""
    measures = {name: METRICS[name].begin(reference) for name in names}
    for samples in batches:
        for measure in measures.values():
            measure.add(samples)
    return {name: measure.value() for name, measure in measures.items()}


def evaluate(
    real: Tensor,
    samples: Tensor,
    names: Sequence[str] | None = None,
    others: Sequence[Tensor] = (),
) -> dict[str, float]:
    """Figures of samples that are in memory, by name.

    Args:
        real: the training picture ``[1, C, H, W]``, C = 1 or 3, in [0, 1]; resized to the samples' size.
        samples: ``[N, C, H', W']`` in [0, 1].
        names: in METRICS, in the order that is wanted; all that exist without a network if None.
        others: further pictures that the samples may be like, as ``real``: see ``sets``.

    Raises:
        UserError: the samples are smaller than a patch, or hold what is not finite.
        ValueError: a name is unknown, or a shape or a range is another.

    Example:
        >>> evaluate(picture, torch.cat([picture, picture]))
        {'swd': 0.0, 'coherence': 0.0, 'completeness': 0.0, 'copy': 1.0, 'diversity': 0.0}
    """
    real, samples = prepare(real, samples)
    reference = Reference(real, others=others)
    names = available(reference, len(samples)) if names is None else names
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown figures {unknown}; there are {', '.join(METRICS)}")
    return measured(reference, [samples], names)
