"""The gradient of a critic's summed scores by the picture, that a penalty is taken on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.critics import Critic

InputGradient = Callable[[Any, "Tensor"], "Tensor"]


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
