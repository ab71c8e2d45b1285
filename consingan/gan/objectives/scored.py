"""Objectives whose critic scores patches: put together of a game, and of what holds the critic back.

The critic's loss is ``E[real(D(picture))] + E[fake(D(made))]``, plus a penalty where there is one; the generator's is
``E[generator(D(made))]``. The means are over patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from consingan.config import Network
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.scores import balance

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


class Game(Protocol):
    """What critic and generator play for: a loss for each score, to be lowered.

    Scores are at least float32 and of any shape, as are the losses.
    """

    @property
    def label(self) -> float | None:
        """What the critic is to say of the picture, from 0 to 1; None where scores are held against no labels.

        A game with labels is a frozen dataclass with this field, 1 by default: one-sided smoothing replaces it.
        """

    def real(self, scores: Tensor) -> Tensor:
        """The critic's, of the picture."""

    def fake(self, scores: Tensor) -> Tensor:
        """The critic's, of the made picture."""

    def generator(self, scores: Tensor) -> Tensor:
        """The generator's, of the made picture."""


class Penalty(Protocol):
    """What a critic pays for."""

    def draw(self, draw: Draw, step: int) -> dict[str, Tensor]:
        """As ``Objective.draw``, for a step of the critic."""

    def loss(self, critic: Critic, sight: Sight) -> Tensor:
        """A scalar, with its weight."""


@dataclass(frozen=True)
class Scored:
    """An ``Objective`` with a patch critic.

    Args:
        game: what is played.
        penalty: what the critic pays for; None for nothing.
        clip: bound of the critic's weights after each of its steps; None for none.
        estimate: the name of the figure that the critic's game estimates, minus its loss; empty for none.
        optimiser, advice, judged: as in ``Objective``.
    """

    game: Game
    penalty: Penalty | None = None
    clip: float | None = None
    estimate: str = ""
    optimiser: str = "adam"
    advice: str = "choose --objective wgan-gp"
    judged: tuple[str, ...] = ("reconstruction", "swd")  # the balance wanders, and tells of no end

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
        """The penalty's numbers."""
        return {} if step is None or self.penalty is None else self.penalty.draw(draw, step)

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.critic_loss``."""
        import torch

        from consingan.gan.layers import widened

        real, fake = critic(torch.cat([sight.real, sight.fake])).chunk(2)
        of_real = self.game.real(widened(real))
        losses = {
            "critic_real": (of_real if sight.counts is None else sight.counts * of_real).mean(),
            "critic_fake": self.game.fake(widened(fake)).mean(),
        }
        return losses if self.penalty is None else {**losses, "penalty": self.penalty.loss(critic, sight)}

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.generator_loss``."""
        from consingan.gan.layers import widened

        return {"adversarial": self.game.generator(widened(critic(sight.fake))).mean()}

    def smoothed(self, share: float) -> Scored | None:
        """As ``Labelled.smoothed``."""
        label = self.game.label
        return None if label is None else replace(self, game=replace(self.game, label=label - share))  # type: ignore[type-var]

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The estimate, where there is one."""
        return {self.estimate: -(losses["critic_real"] + losses["critic_fake"])} if self.estimate else {}

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Clips the weights, where they are bound."""
        if self.clip is not None:
            import torch

            with torch.no_grad():
                for weights in critic.parameters():
                    weights.clamp_(-self.clip, self.clip)

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_iteration``."""

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """``scores.balance``, and BEGAN's measure for a critic of scores: ``reconstruction + |balance|``."""
        apart = balance(critic, sight.real, sight.fake)
        return apart, reconstruction + abs(apart)

    def work(self, critic_steps: int) -> float:
        """The critic's step takes real and fake, and a penalty's two passes, all of them forward and backward.

        The generator's step takes the fake once more, without the gradient of the critic's weights.
        """
        return (6 if self.penalty is None else 10) * critic_steps + 3


@runtime_checkable
class Composition(Protocol):
    """The options of an objective that is put together of parts, as an entry of the table: a frozen dataclass."""

    def composed(self) -> Scored:
        """The objective with these options."""
