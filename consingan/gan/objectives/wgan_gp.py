"""Wasserstein loss with a gradient penalty.

Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (1704.00028), equation 3, with the penalty taken
per pixel as in single-image GANs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from consingan.config import Network, setting
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.scores import balance

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw

InputGradient = Callable[[Any, "Tensor"], "Tensor"]


@dataclass(frozen=True)
class WganGp:
    """``E[D(fake)] - E[D(real)] + weight * E[(|grad D(u real + (1 - u) fake)| - 1)^2]`` for the critic, a patch critic.

    The generator's is ``-E[D(fake)]``. The mixing weight u is uniform in [0, 1], one for each pair of pictures.
    """

    lambda_grad: float = setting(0.1, "weight of the gradient penalty", low=0)

    judged: ClassVar[tuple[str, ...]] = ("reconstruction", "swd")  # the balance wanders, and tells of no end
    advice: ClassVar[str] = "raise --lambda_grad"

    def critic(self, network: Network) -> nn.Module:
        """As ``Objective.critic``."""
        from consingan.gan.critics import patch_critic

        return patch_critic(network)

    def smallest(self, network: Network) -> int:
        """One patch."""
        from consingan.gan.critics import patch_side

        return patch_side(network)

    def begin(self) -> dict[str, Tensor]:
        """Nothing: as ``Objective.begin``."""
        return {}

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """The mixing weight ``[1, 1, 1, 1]`` of a step of the critic."""
        return {} if step is None else {"uniform": draw.at("penalty", step).uniform((1, 1, 1, 1))}

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.critic_loss``."""
        import torch

        from consingan.gan.layers import widened

        real, fake, uniform = sight.real, sight.fake, sight.drawn["uniform"]
        score_real, score_fake = critic(torch.cat([real, fake])).chunk(2)
        mixed = uniform * real + (1 - uniform) * fake
        norm = widened(fastest_input_gradient(critic)(critic, mixed)).norm(dim=1)  # [B, h, w], over the channels
        return {
            "critic_real": -widened(score_real).mean(),
            "critic_fake": widened(score_fake).mean(),
            "penalty": self.lambda_grad * (norm - 1).square().mean(),
        }

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.generator_loss``."""
        from consingan.gan.layers import widened

        return {"adversarial": -widened(critic(sight.fake)).mean()}

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_critic``."""

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_iteration``."""

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """``scores.balance``, and BEGAN's measure for a critic of scores: ``reconstruction + |balance|``."""
        apart = balance(critic, sight.real, sight.fake)
        return apart, reconstruction + abs(apart)

    def work(self, critic_steps: int) -> float:
        """The critic's step takes real and fake, and the penalty's two passes, all of them forward and backward.

        The generator's step takes the fake once more, without the gradient of the critic's weights.
        """
        return 10 * critic_steps + 3


def fastest_input_gradient(critic: Critic) -> InputGradient:
    """The transposed pass where the critic is piecewise linear, double backward elsewhere."""
    from consingan.gan.critics import LocatedCritic, PatchCritic

    if isinstance(critic, PatchCritic | LocatedCritic) and critic.piecewise_linear:
        return type(critic).input_gradient
    return double_backward


def double_backward(critic: Critic, x: Tensor) -> Tensor:
    """Gradient ``[B, C, h, w]`` of the summed scores by the picture, for any activation: the specification."""
    import torch

    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient
