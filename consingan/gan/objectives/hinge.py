"""A margin: scores beyond it teach the critic nothing.

Source: Lim and Ye, "Geometric GAN" (1705.02894), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from consingan.gan.objectives.scored import Scored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Margin:
    """``min_D E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))]``, ``min_G -E[D(fake)]``."""

    label: ClassVar[float | None] = None

    def real(self, scores: Tensor) -> Tensor:
        return (1 - scores).relu()

    def fake(self, scores: Tensor) -> Tensor:
        return (1 + scores).relu()

    def generator(self, scores: Tensor) -> Tensor:
        return -scores


@dataclass(frozen=True)
class Hinge:
    """``Margin``."""

    def composed(self) -> Scored:
        return Scored(Margin())
