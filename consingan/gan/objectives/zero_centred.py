"""The first game with a penalty on the critic's gradient at the picture.

Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?" (1801.04406), equation 9 (R1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.config import setting
from consingan.gan.objectives import gradients
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.gan import NonSaturating
from consingan.gan.objectives.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


@dataclass(frozen=True)
class RealPenalty:
    """``gamma / 2 * E[|grad D(real)|^2]``; the gradient is that of the summed scores, its norm that of a pixel."""

    gamma: float

    def draw(self, draw: Draw, step: int) -> dict[str, Tensor]:
        """Nothing: as ``Penalty.draw``."""
        return {}

    def loss(self, critic: Critic, sight: Sight) -> Tensor:
        """As ``Penalty.loss``."""
        from consingan.gan.layers import widened

        gradient = gradients.fastest_input_gradient(critic)(critic, sight.real)
        return self.gamma / 2 * widened(gradient).square().sum(dim=1).mean()


@dataclass(frozen=True)
class GanZeroGp:
    """``gan.NonSaturating`` with ``RealPenalty``.

    The published gamma of 10 is for one score of a whole picture; here a pixel is in many patches, whose scores are
    summed.
    """

    r1_gamma: float = setting(0.1, "weight of the gradient penalty at the picture, twice", low=0)

    def composed(self) -> Scored:
        return Scored(NonSaturating(), RealPenalty(self.r1_gamma), advice="raise --r1_gamma")
