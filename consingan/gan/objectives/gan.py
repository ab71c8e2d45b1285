"""The first game, of a critic that tells the probability that a patch is the picture's.

Source: Goodfellow et al., "Generative Adversarial Nets" (1406.2661). The critic's score D is the logit: the probability
is ``s(D) = 1 / (1 + exp(-D))``. ``log s(D) = -softplus(-D)`` and ``log(1 - s(D)) = -softplus(D)`` overflow nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.gan.objectives.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Minimax:
    """``min_G max_D E[log s(D(real))] + E[log(1 - s(D(fake)))]``: equation 1.

    Args:
        label: the probability that the critic is to tell of the picture.
    """

    label: float = 1.0

    def real(self, scores: Tensor) -> Tensor:
        return cross_entropy(scores, self.label)

    def fake(self, scores: Tensor) -> Tensor:
        return cross_entropy(scores, 0.0)

    def generator(self, scores: Tensor) -> Tensor:
        return -cross_entropy(scores, 0.0)


@dataclass(frozen=True)
class NonSaturating:
    """The critic's as ``Minimax``; the generator's is ``-E[log s(D(fake))]``: section 3, after equation 1."""

    label: float = 1.0

    def real(self, scores: Tensor) -> Tensor:
        return cross_entropy(scores, self.label)

    def fake(self, scores: Tensor) -> Tensor:
        return cross_entropy(scores, 0.0)

    def generator(self, scores: Tensor) -> Tensor:
        return cross_entropy(scores, 1.0)


@dataclass(frozen=True)
class Gan:
    """``Minimax``: the generator learns little from patches that the critic is sure of."""

    def composed(self) -> Scored:
        return Scored(Minimax(), advice="choose --objective gan-zerogp")


@dataclass(frozen=True)
class GanNs:
    """``NonSaturating``."""

    def composed(self) -> Scored:
        return Scored(NonSaturating(), advice="choose --objective gan-zerogp")


def cross_entropy(scores: Tensor, label: float) -> Tensor:
    """``-label log s(D) - (1 - label) log(1 - s(D))`` for each score."""
    from torch.nn.functional import softplus

    return label * softplus(-scores) + (1 - label) * softplus(scores)
