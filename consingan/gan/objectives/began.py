"""Two reconstruction errors in balance: the critic is an autoencoder whose errors keep a ratio.

Source: Berthelot et al., "BEGAN: Boundary Equilibrium Generative Adversarial Networks" (1703.10717), sections 3.3, 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from consingan.config import Network, setting
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.errors import differences

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


@dataclass(frozen=True)
class Began:
    """``L(real) - k L(fake)`` for the critic, ``L(fake)`` for the generator, with ``L(v) = mean |v - D(v)|``.

    After each iteration ``k = clip(k + lambda_k (gamma L(real) - L(fake)), 0, 1)``, from 0 on (the equations of section
    3.4), so that in the end L(fake) is gamma times L(real): where gamma is low, the made pictures are those that the
    autoencoder makes of itself best, sharp and alike. How far a training has come is
    ``M = L(real) + |gamma L(real) - L(fake)|`` (section 3.4.1). The rates fall where M stands still.
    """

    began_gamma: float = setting(
        0.5, "errors of made pictures over those of the picture; low: sharp, high: diverse", above=0, high=1
    )
    lambda_k: float = setting(0.001, "how fast the balance of both errors is set", low=0, high=1)
    slower: float = setting(0.5, "factor for both learning rates wherever M stands still", above=0, high=1)

    judged: ClassVar[tuple[str, ...]] = ("convergence",)
    optimiser: ClassVar[str] = "adam"
    advice: ClassVar[str] = "lower --lambda_k"

    def critic(self, network: Network) -> nn.Module:
        """As ``Objective.critic``."""
        from consingan.gan.autoencoder import autoencoder

        return autoencoder(network)

    def smallest(self, network: Network) -> int:
        """The patch that a code is made of."""
        from consingan.gan.autoencoder import code_side

        return code_side(network)

    def begin(self) -> dict[str, Tensor]:
        """The weight k of the made picture's error, in [0, 1]: ``[1]``."""
        import torch

        return {"k": torch.zeros(1)}

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """Nothing: as ``Objective.draw``."""
        return {}

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.critic_loss``."""
        import torch

        real, fake = differences(critic, torch.cat([sight.real, sight.fake])).abs().chunk(2)
        return {"critic_real": real.mean(), "critic_fake": -(sight.state["k"] * fake.mean()).sum()}

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.generator_loss``."""
        return {"adversarial": differences(critic, sight.fake).abs().mean()}

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """M of an iteration, by its last losses."""
        real = losses["critic_real"]
        return {"m_global": real + (self.began_gamma * real - losses["adversarial"]).abs()}

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_critic``."""

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """A step of k."""
        step = self.lambda_k * (self.began_gamma * losses["critic_real"] - losses["adversarial"])
        state["k"].add_(step).clamp_(0, 1)

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """``gamma L(real) - L(fake)``, and M."""
        import torch

        both = differences(critic, torch.cat([sight.real, sight.fake])).abs()
        real, fake = both.mean(dim=(1, 2, 3)).tolist()
        apart = self.began_gamma * real - fake
        return apart, real + abs(apart)

    def work(self, critic_steps: int) -> float:
        """The critic's step takes real and fake, forward and backward; the generator's the fake once more."""
        return 6 * critic_steps + 3
