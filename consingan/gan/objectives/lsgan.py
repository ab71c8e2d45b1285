"""Least squares.

Source: Mao et al., "Least Squares Generative Adversarial Networks" (1611.04076), equation 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.config import setting
from consingan.gan.objectives.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LeastSquares:
    """``min_D E[(D(real) - b)^2] / 2 + E[(D(fake) - a)^2] / 2``, ``min_G E[(D(fake) - c)^2] / 2``.

    Args:
        a, b, c: as above.
        label: how much of the way from a to b the critic's score of the picture is to go.
    """

    a: float
    b: float
    c: float
    label: float = 1.0

    def real(self, scores: Tensor) -> Tensor:
        return (scores - (self.a + self.label * (self.b - self.a))).square() / 2

    def fake(self, scores: Tensor) -> Tensor:
        return (scores - self.a).square() / 2

    def generator(self, scores: Tensor) -> Tensor:
        return (scores - self.c).square() / 2


@dataclass(frozen=True)
class Lsgan:
    """``LeastSquares``, by default with 0, 1, 1 (equation 9); -1, 1, 0 is Pearson's divergence (equation 8)."""

    lsgan_a: float = setting(0.0, "score that the critic is to give what is made", names=("a",))
    lsgan_b: float = setting(1.0, "score that the critic is to give the picture", names=("b",))
    lsgan_c: float = setting(1.0, "score that the generator wants for what it makes", names=("c",))

    def composed(self) -> Scored:
        return Scored(LeastSquares(self.lsgan_a, self.lsgan_b, self.lsgan_c))
