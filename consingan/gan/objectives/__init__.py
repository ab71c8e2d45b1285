"""The table of adversarial objectives: one file and one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from consingan.gan.networks import Critic
from consingan.gan.objectives.wgan_gp import WganGp


class Objective(Protocol):
    """What the engine asks of an objective. Terms are named scalars; their sum is the loss."""

    def critic_loss(self, critic: Critic, real: Tensor, fake: Tensor, uniform: Tensor) -> dict[str, Tensor]: ...

    def generator_loss(self, critic: Critic, fake: Tensor) -> dict[str, Tensor]: ...


OBJECTIVES: dict[str, Callable[[float], Objective]] = {"wgan_gp": WganGp}
