"""An objective whose samples tell their codes: mutual information between codes and samples is raised.

Source: Chen et al., "InfoGAN" (1606.03657), equations 5 and 6: ``I(c; G(z, c)) >= E[log Q(c | G(z, c))] + H(c)``, which
generator and Q raise together. Q is a head on the critic (``critics.ReadingCritic``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import e, log, pi
from typing import TYPE_CHECKING

from consingan.config import Codes, Network
from consingan.errors import UserError
from consingan.gan.objectives.base import Estimating, Objective, Sight

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw

MEMORY = 0.99  # of the running means: about a hundred iterations
LOSS, CRITIC_LOSS = "code_{}", "critic_code_{}"
CATEGORY = "category"


def informed(objective: Objective, codes: Codes, name: str) -> Objective:
    """An objective by its name behind --objective; where there are codes, with their information."""
    return Informed(objective, codes, name) if codes.channels else objective


@dataclass(frozen=True)
class Informed:
    """Another objective, and ``weight * -E[log Q(c | made)]`` for critic and generator, up to a constant.

    For a continuous code Q is a Gaussian around what the head reads, of a fixed width, so that the loss is half the
    squared error: 0 where the code is read exactly. For the category it is the cross entropy. How much Q knows is
    estimated with the width that fits best, the root of the running mean of squared errors (``estimates``).

    Args:
        objective: the other one.
        codes: which, and the weight.
        name: the word behind --objective.
    """

    objective: Objective
    codes: Codes
    name: str

    @property
    def judged(self) -> tuple[str, ...]:
        """The other's."""
        return self.objective.judged

    @property
    def optimiser(self) -> str:
        """The other's."""
        return self.objective.optimiser

    @property
    def advice(self) -> str:
        """The other's, or a lower weight."""
        return f"lower --code_weight, or {self.objective.advice}"

    def critic(self, network: Network) -> nn.Module:
        """The other's, with a head that reads codes.

        Raises:
            UserError: it has no features of patches to read them off.
        """
        from consingan.gan.critics import PatchCritic, ReadingCritic

        body = self.objective.critic(network)
        if not isinstance(body, PatchCritic):
            raise UserError(
                f"{self.codes.flag} needs a critic that scores patches, which that of --objective {self.name} does "
                "not; choose another objective or leave the codes out."
            )
        return ReadingCritic(body, network.nfc, self.codes.channels)

    def smallest(self, network: Network) -> int:
        """The other's."""
        return self.objective.smallest(network)

    def begin(self) -> dict[str, Tensor]:
        """Of every code the mean error of a head that knows nothing; and what the other remembers."""
        import torch

        found = {LOSS.format(index): torch.full((1,), 1 / 3) for index in range(self.codes.codes)}
        if self.codes.code_categories:
            found[LOSS.format(CATEGORY)] = torch.full((1,), log(self.codes.code_categories))
        return self.objective.begin() | found

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """The codes that stage 0's input was made with, ``[1, K]``; and the other's."""
        from consingan.gan.codes import drawn

        return self.objective.draw(draw, step, shape) | {"codes": drawn(self.codes, draw.at(0))}

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """The other's, and what the head misses."""
        from consingan.gan.critics import within

        own = self.objective.critic_loss(within(critic, lambda whole: whole.body), sight)
        return own | self.missed(critic, sight, CRITIC_LOSS)

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """The other's, and what the head misses."""
        from consingan.gan.critics import within

        own = self.objective.generator_loss(within(critic, lambda whole: whole.body), sight)
        return own | self.missed(critic, sight, LOSS)

    def missed(self, critic: Critic, sight: Sight, name: str) -> dict[str, Tensor]:
        """By code, ``-log Q`` of the made picture's codes up to a constant, times the weight."""
        import torch.nn.functional as F

        from consingan.gan.critics import within
        from consingan.gan.layers import widened

        read = widened(within(critic, lambda whole: whole.read)(sight.fake))
        wanted, count, weight = sight.drawn["codes"], self.codes.codes, self.codes.code_weight
        halves = (read - wanted)[:, :count].square().mean(dim=0) / 2
        found = {name.format(index): weight * half for index, half in enumerate(halves.unbind())}
        if self.codes.code_categories:
            found[name.format(CATEGORY)] = weight * F.cross_entropy(read[:, count:], wanted[:, count:])
        return found

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """The other's, of its own part of the critic."""
        self.objective.after_critic(critic.get_submodule("body"), state)

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """The running means go on: of the squared errors, and of the category's cross entropy."""
        self.objective.after_iteration(state, losses)
        for index in [*range(self.codes.codes), *([CATEGORY] if self.codes.code_categories else [])]:
            missed = losses[CRITIC_LOSS.format(index)] / self.codes.code_weight
            state[LOSS.format(index)].lerp_(missed if index == CATEGORY else 2 * missed, 1 - MEMORY)

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The other's."""
        return self.objective.figures(losses)

    def estimates(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``information``: nats that samples are known to hold of their codes at least; and what the other estimates.

        Equation 5, with H(c) = log 2 for a code that is uniform in [-1, 1] and log K for one of K categories; summed
        over the codes, which are drawn independently, where it is above 0.
        """
        import torch

        known = [gaussian_bound(state[LOSS.format(index)]) for index in range(self.codes.codes)]
        if self.codes.code_categories:
            known.append(log(self.codes.code_categories) - state[LOSS.format(CATEGORY)])
        others = self.objective.estimates(state) if isinstance(self.objective, Estimating) else {}
        return others | {"information": torch.cat(known).clamp_min(0).sum()}

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """The other's."""
        from consingan.gan.critics import within

        return self.objective.measure(within(critic, lambda whole: whole.body), sight, reconstruction)

    def work(self, critic_steps: int) -> float:
        """The other's, and the made picture's pass to the head, forward and backward, in each step of both."""
        return self.objective.work(critic_steps) + 3 * critic_steps + 2


def gaussian_bound(squared: Tensor) -> Tensor:
    """``H(c) + E[log Q]`` in nats of a code uniform in [-1, 1] by the mean squared error of what is read.

    Q is the Gaussian of that variance, for which the bound is highest: ``log 2 - log(2 pi e squared) / 2``.
    """
    return log(2) - (2 * pi * e * squared).log() / 2
