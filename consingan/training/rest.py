"""Learning from the rest of a picture that has a hole: what is in the hole counts in no loss.

A picture to learn from must be whole, so the hole holds something else before a training begins (``holed``). Even
that is not learned: the critic's scores of the picture count where a patch lies wholly in the rest, and errors where a
pixel does. Of what the generator makes all patches are scored, so that in the hole it makes more of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from consingan.config import Network
from consingan.gan.around import entering
from consingan.gan.critics import patch_side
from consingan.gan.layers import widened
from consingan.grid.noise import Draw
from consingan.tasks.terms import Made, Term
from consingan.training.branch import Branch


@dataclass(frozen=True, eq=False)
class OfTheRest:
    """The rest of a picture enters as it is, and noise in its hole; the rest is to come out as it is.

    Args:
        known: by stage ``[1, 1, h, w]``, 1 where the picture is known and 0 in the hole.
        weight: of the error of the rest.
    """

    known: Sequence[Tensor]
    weight: float
    seeded: ClassVar[bool] = True

    @staticmethod
    def name(stage: int) -> str:
        """That of a stage's mask in a checkpoint."""
        return f"known.{stage}"

    def entering(self, branch: Branch, among: Sequence[Branch], draw: Draw) -> Tensor:
        """The coarsest picture, in the hole mixed with noise in a random share."""
        return entering(branch.reals[0], self.known[0], draw, *draw.at("variation").numbers(1))

    def seen(self, branch: Branch, among: Sequence[Branch], stage: int, draw: Draw) -> Tensor | None:
        """None: the later stages get noise."""
        return None

    def terms(self) -> Sequence[Term]:
        """The error of the rest in what is made of noise."""
        return (Term("rest", self.weight, self._error),)

    def tensors(self) -> dict[str, Tensor]:
        """What is known, by stage."""
        return {self.name(stage): known for stage, known in enumerate(self.known)}

    def _error(self, made: Mapping[str, Made]) -> Tensor:
        (mine,) = made.values()
        known = next(x for x in self.known if x.shape[2:] == mine.real.shape[2:])
        return error(mine.fake, mine.real, known)


def error(made: Tensor, real: Tensor, known: Tensor | None) -> Tensor:
    """Mean squared error of pictures ``[1, C, h, w]`` where they are known; everywhere if None."""
    if known is None:
        return F.mse_loss(widened(made), real)
    return (known * (widened(made) - real)).square().sum() / (known.sum() * real.shape[1])


def counts(known: Tensor, network: Network) -> Tensor:
    """What the critic's scores of a picture count, ``[1, 1, h', w']``, 1 on average: 0 for patches on the hole."""
    whole = -F.max_pool2d(-known, patch_side(network), stride=1)
    return whole / whole.mean().clamp_min(1e-12)
