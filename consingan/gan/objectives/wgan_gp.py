"""Wasserstein loss with a gradient penalty.

Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (1704.00028), equation 3, with the penalty taken
per pixel as in single-image GANs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.gan.networks import Critic, widened

InputGradient = Callable[[Critic, Tensor], Tensor]


@dataclass(frozen=True)
class WganGp:
    """``E[D(fake)] - E[D(real)] + weight * E[(|grad D(u real + (1 - u) fake)| - 1)^2]`` for the critic.

    Args:
        weight: of the penalty.
        input_gradient: how the critic's gradient by its input is found.
    """

    weight: float = 0.1
    input_gradient: InputGradient | None = None

    def critic_loss(self, critic: Critic, real: Tensor, fake: Tensor, uniform: Tensor) -> dict[str, Tensor]:
        """The critic's terms; their sum is its loss.

        Args:
            critic: scores pictures.
            real, fake: ``[B, C, h, w]`` in [-1, 1].
            uniform: ``[B, 1, 1, 1]`` in [0, 1], the mixing weight of each pair.
        """
        score_real, score_fake = critic(torch.cat([real, fake])).chunk(2)
        mixed = uniform * real + (1 - uniform) * fake
        gradient_of = self.input_gradient or fastest_input_gradient(critic)
        norm = widened(gradient_of(critic, mixed)).norm(dim=1)  # [B, h, w], over the channels
        return {
            "critic_real": -widened(score_real).mean(),
            "critic_fake": widened(score_fake).mean(),
            "penalty": self.weight * (norm - 1).square().mean(),
        }

    def generator_loss(self, critic: Critic, fake: Tensor) -> dict[str, Tensor]:
        """``-E[D(fake)]``; fake is ``[B, C, h, w]``."""
        return {"adversarial": -widened(critic(fake)).mean()}


def fastest_input_gradient(critic: Critic) -> InputGradient:
    """The transposed pass where the critic is piecewise linear, double backward elsewhere."""
    return type(critic).input_gradient if critic.piecewise_linear else double_backward


def double_backward(critic: Critic, x: Tensor) -> Tensor:
    """Gradient ``[B, C, h, w]`` of the summed scores by the picture, for any activation: the specification."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient
