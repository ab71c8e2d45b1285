"""Wasserstein loss with clipped weights.

Source: Arjovsky et al., "Wasserstein GAN" (1701.07875), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from consingan.config import setting
from consingan.gan.objectives.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Wasserstein:
    """``max_D E[D(real)] - E[D(fake)]``, ``min_G -E[D(fake)]``: 1701.07875, equations 2 and 3."""

    label: ClassVar[float | None] = None

    def real(self, scores: Tensor) -> Tensor:
        return -scores

    def fake(self, scores: Tensor) -> Tensor:
        return scores

    def generator(self, scores: Tensor) -> Tensor:
        return -scores


@dataclass(frozen=True)
class Wgan:
    """``Wasserstein``, each weight of the critic clipped to [-clip, clip] after each of its steps, with RMSprop.

    The rates are what ``--lr_g`` and ``--lr_d`` say. The published 5e-5 for both has hardly begun to learn after the
    few thousand iterations of the presets; their rates, made for Adam, train it.

    What the critic's loss estimates, ``wasserstein`` in the log, is the distance times a constant that the clipping
    sets.
    """

    clip: float = setting(0.01, "bound of the critic's weights; published: 0.01", above=0)

    def composed(self) -> Scored:
        return Scored(Wasserstein(), clip=self.clip, estimate="wasserstein", optimiser="rmsprop", advice="lower --clip")
