"""Wasserstein loss with a gradient penalty.

Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (1704.00028), equation 3, with the penalty taken
per pixel as in single-image GANs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.config import setting
from consingan.gan.objectives import gradients
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.scored import Scored
from consingan.gan.objectives.wgan import Wasserstein

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


@dataclass(frozen=True)
class MixedPenalty:
    """``weight * E[(|grad D(u real + (1 - u) fake)| - 1)^2]``; u is uniform in [0, 1], one for each pair of pictures.

    The gradient is that of the summed scores, its norm that of a pixel.
    """

    weight: float

    def draw(self, draw: Draw, step: int) -> dict[str, Tensor]:
        """The mixing weight ``[1, 1, 1, 1]``."""
        return {"uniform": draw.at("penalty", step).uniform((1, 1, 1, 1))}

    def loss(self, critic: Critic, sight: Sight) -> Tensor:
        """As ``Penalty.loss``."""
        from consingan.gan.layers import widened

        uniform = sight.drawn["uniform"]
        mixed = uniform * sight.real + (1 - uniform) * sight.fake
        gradient = gradients.fastest_input_gradient(critic)(critic, mixed)
        norm = widened(gradient).norm(dim=1)  # [B, h, w], over the channels
        return self.weight * (norm - 1).square().mean()


@dataclass(frozen=True)
class WganGp:
    """``E[D(fake)] - E[D(real)] + weight * E[(|grad D(u real + (1 - u) fake)| - 1)^2]`` for the critic.

    The generator's is ``-E[D(fake)]``.
    """

    lambda_grad: float = setting(0.1, "weight of the gradient penalty", low=0)

    def composed(self) -> Scored:
        return Scored(Wasserstein(), MixedPenalty(self.lambda_grad), advice="raise --lambda_grad")
