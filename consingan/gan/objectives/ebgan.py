"""Energies with a margin: the critic is an autoencoder that knows the picture's patches and no others.

Source: Zhao et al., "Energy-based Generative Adversarial Network" (1609.03126), equations 1 to 4, with the energy taken
per pixel as everything in single-image GANs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from consingan.config import Network, setting
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.errors import differences
from consingan.gan.objectives.scores import balance

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


@dataclass(frozen=True)
class Ebgan:
    """``E[e(real)] + E[max(0, margin - e(fake))]`` for the critic, ``E[e(fake)]`` for the generator.

    The energy e of a pixel is the distance of its colour from the one that the autoencoder makes of it, as a root mean
    square over the channels (equation 3). E is the mean over the pixels: each has a margin of its own (equation 1).

    With a weight the generator's pulling-away term is added (equation 4), the mean squared cosine of pairs. The paper's
    pairs are of the codes of a batch; here is one picture, and they are of the codes of its patches, so that these do
    not become one and the same patch.
    """

    margin: float = setting(0.2, "energy, in units of [-1, 1], above which the critic lets made pixels be", above=0)
    pulling_away: float = setting(
        0.0, "weight of the term that keeps the patches of a made picture apart; the paper's is 0.1", low=0
    )

    judged: ClassVar[tuple[str, ...]] = ("reconstruction", "swd")  # the balance wanders, and tells of no end
    optimiser: ClassVar[str] = "adam"
    advice: ClassVar[str] = "lower --margin"

    def critic(self, network: Network) -> nn.Module:
        """As ``Objective.critic``."""
        from consingan.gan.autoencoder import autoencoder

        return autoencoder(network)

    def smallest(self, network: Network) -> int:
        """The patch that a code is made of."""
        from consingan.gan.autoencoder import code_side

        return code_side(network)

    def begin(self) -> dict[str, Tensor]:
        """Nothing: as ``Objective.begin``."""
        return {}

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """Nothing: as ``Objective.draw``."""
        return {}

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.critic_loss``."""
        import torch

        real, fake = energies(critic, torch.cat([sight.real, sight.fake])).chunk(2)
        return {"critic_real": real.mean(), "critic_fake": (self.margin - fake).clamp_min(0).mean()}

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.generator_loss``."""
        losses = {"adversarial": energies(critic, sight.fake).mean()}
        if self.pulling_away:
            codes = critic.features(sight.fake)[-1]  # type: ignore[attr-defined]
            losses["pulling_away"] = self.pulling_away * alike(codes)
        return losses

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nothing: as ``Objective.figures``."""
        return {}

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_critic``."""

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """Nothing: as ``Objective.after_iteration``."""

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """``scores.balance`` of the energies, low ones being good, and ``reconstruction + |balance|``."""
        apart = balance(lambda x: -energies(critic, x), sight.real, sight.fake)
        return apart, reconstruction + abs(apart)

    def work(self, critic_steps: int) -> float:
        """The critic's step takes real and fake, forward and backward; the generator's the fake once more."""
        return 6 * critic_steps + 3


def energies(critic: Critic, x: Tensor) -> Tensor:
    """``[B, 1, h, w]`` of pictures ``[B, C, h, w]``: the root mean square over the channels of what differs."""
    return differences(critic, x).norm(dim=1, keepdim=True) / x.shape[1] ** 0.5


def alike(codes: Tensor) -> Tensor:
    """The mean squared cosine of two codes, of all pairs of different places: 0 at right angles, 1 along one line.

    The squares of all products of n codes sum up to those of their matrix of second moments, ``[K, K]``, so that no
    matrix of pairs is needed.

    Args:
        codes: ``[1, K, h, w]`` of two places or more.
    """
    import torch.nn.functional as F

    from consingan.gan.layers import widened

    along = F.normalize(widened(codes[0]).flatten(1), dim=0)  # [K, n]
    count = along.shape[1]
    with_itself = along.square().sum(0).square().sum()
    return ((along @ along.T).square().sum() - with_itself) / (count * (count - 1))
