"""What an objective is.

An objective is a frozen dataclass. Its fields, declared with ``config.setting``, are its options: their flags, their
checks and their place in config.json are made from them. What it remembers from one iteration to the next is no field
but named tensors, which lie on the device, are saved with a checkpoint, and are taken back when a training goes back.

Modules of objectives import torch only for types, or inside functions: the command line reads their options without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from consingan.config import Network
    from consingan.gan.critics import Critic
    from consingan.grid.noise import Draw


@dataclass(frozen=True, eq=False)
class Sight:
    """What an objective is shown; pictures are ``[1, C, h, w]`` in [-1, 1], of the part that an iteration looks at.

    Args:
        real: the picture.
        fake: the made one; in a critic's step it passes no gradient on.
        drawn: the step's random numbers, from ``Objective.draw``.
        state: what it remembers, from ``Objective.begin``.
        counts: ``[1, 1, h', w']``, what the scores of the real picture's patches count, with a mean of 1; 1 if None.
    """

    real: Tensor
    fake: Tensor
    drawn: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    counts: Tensor | None = None


class Objective(Protocol):
    """The contract; see CONTRIBUTING.md for how to add one. Losses are named scalars, whose sum is the loss."""

    @property
    def judged(self) -> tuple[str, ...]:
        """The figures of a stage, fields of ``convergence.Figures``, that tell whether it stands still."""

    @property
    def optimiser(self) -> str:
        """What critic and generator learn by: a name in ``training.optimisers.OPTIMISERS``."""

    @property
    def advice(self) -> str:
        """What else to change than the rates where a loss runs away: a flag, as the end of "lower them, or ..."."""

    def critic(self, network: Network) -> nn.Module:
        """A fresh critic, drawn from torch's generator: pictures of ``critics.channels_seen`` channels go in."""

    def smallest(self, network: Network) -> int:
        """The side of the smallest picture that such a critic can look at, in pixels."""

    def begin(self) -> dict[str, Tensor]:
        """What it remembers at the beginning, by name: float32 tensors of fixed shapes on the CPU."""

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """The random numbers of a step, by name; they are drawn before the iteration, outside of a recording.

        Args:
            draw: the place of the iteration.
            step: of the critic, from 0; None for the generator's.
            shape: of the picture that it will see, ``(1, C, h, w)``.
        """

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """The critic's losses."""

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """The generator's; the critic passes gradients on, but does not learn from them."""

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What else an iteration tells, by name, of its last losses: logged beside them, and no part of their sum."""

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """After each step of the critic: may change its weights and the state in place, without a look at values."""

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """After an iteration, of whose losses these are the last ones: may change the state in place, as above."""

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """How far a training has come, by a fake that is made of the same noise every time.

        Args:
            critic, sight: as above; ``drawn`` is empty.
            reconstruction: root mean squared error of the reconstructed picture, in units of [-1, 1].

        Returns:
            The balance of critic and generator, 0 where neither is ahead, and a measure of convergence, which falls.
        """

    def work(self, critic_steps: int) -> float:
        """Work of an iteration, in pictures that pass the critic once; a backward pass costs two forward ones."""


@runtime_checkable
class Slowing(Protocol):
    """What an objective says beside ``Objective`` where the rates fall whenever its judged figures stand still."""

    @property
    def slower(self) -> float:
        """The factor on the learning rates each time, in (0, 1]."""


@runtime_checkable
class Labelled(Protocol):
    """What an objective has beside ``Objective`` where its critic holds scores against labels."""

    def smoothed(self, share: float) -> Objective | None:
        """The same with a label of the real picture that is lower by ``share``, in the critic's loss alone.

        None where the options chosen leave it without labels.
        """


@runtime_checkable
class Estimating(Protocol):
    """What an objective has beside ``Objective`` where it estimates something."""

    def estimates(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named scalars of what it remembers after an iteration: logged beside the losses, and no part of them."""
