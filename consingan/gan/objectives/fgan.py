"""The f-GAN family: the critic bounds a divergence of the picture's patches P from those that are made, Q, from below.

``D_f(P || Q) = E_Q[f(p / q)] >= E_P[T] - E_Q[f*(T)]``, where ``T = g_f(V)`` and V is the critic's score.

Source: Nowozin et al., "f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization"
(1606.00709), equations 4 to 7, tables 2 and 6. The activations increase with the score here for every divergence, so
that a higher score is the picture's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, ClassVar

from consingan.config import setting
from consingan.gan.objectives.scored import Composition, Scored

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2.0  # exponent up to which an exponential is one; beyond it goes on as its tangent


@dataclass(frozen=True)
class Divergence:
    """A row of the paper's tables.

    Args:
        formulas: f, g_f and f*, in words.
        figure: the estimate's name in the log.
        output: ``g_f(V)``.
        conjugate: ``f*(g_f(V))``, simplified, so that no logarithm is taken of what was rounded to 0.
    """

    formulas: str
    figure: str
    output: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Bound:
    """``max_D E_P[T] - E_Q[f*(T)]``; the generator's is ``-E_Q[f*(T)]`` (minimax) or ``-E_Q[T]`` (section 3.2)."""

    divergence: Divergence
    minimax: bool
    label: ClassVar[float | None] = None

    def real(self, scores: Tensor) -> Tensor:
        return -self.divergence.output(scores)

    def fake(self, scores: Tensor) -> Tensor:
        return self.divergence.conjugate(scores)

    def generator(self, scores: Tensor) -> Tensor:
        return -(self.divergence.conjugate if self.minimax else self.divergence.output)(scores)


def fgan(divergence: Divergence) -> type[Composition]:
    """The entry of a divergence in the table of objectives."""

    @dataclass(frozen=True)
    class FGan:
        fgan_generator: str = setting(
            "direct",
            "what the generator raises: direct: the critic's output, as the paper advises; minimax: what the critic "
            "lowers, equation 6",
            choices=("direct", "minimax"),
        )

        def composed(self) -> Scored:
            return Scored(Bound(divergence, self.fgan_generator == "minimax"), estimate=divergence.figure)

    FGan.__doc__ = f"``Bound`` of {divergence.formulas} (1606.00709, tables 2 and 6)."
    return FGan


def exponential(x: Tensor) -> Tensor:
    """``exp(x)``, and its tangent at ``LARGEST`` beyond: a single patch is not to outweigh all others.

    With ``LARGEST`` 5 generators died of steep patches at the default rates, with 2 they did not. The estimate is no
    bound where the tangent is met: where the critic finds one of P and Q several times as likely as the other.
    """
    return x.clamp(max=LARGEST).exp() * (1 + (x - LARGEST).relu())


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``."""
    from torch.nn.functional import softplus

    return softplus(x)


def same(x: Tensor) -> Tensor:
    """x."""
    return x


KL = Divergence("f = u log u, g = V, f* = exp(t - 1)", "kl_divergence", same, lambda v: exponential(v - 1))
REVERSE_KL = Divergence(
    "f = -log u, g = -exp(-V), f* = -1 - log(-t)",
    "reverse_kl_divergence",
    lambda v: -exponential(-v),
    lambda v: v - 1,
)
PEARSON = Divergence("f = (u - 1)^2, g = V, f* = t^2 / 4 + t", "pearson_divergence", same, lambda v: v.square() / 4 + v)
NEYMAN = Divergence(
    "f = (1 - u)^2 / u, g = 1 - exp(-V), f* = 2 - 2 sqrt(1 - t)",
    "neyman_divergence",
    lambda v: 1 - exponential(-v),
    lambda v: 2 - 2 * exponential(-v / 2),
)
HELLINGER = Divergence(
    "f = (sqrt(u) - 1)^2, g = 1 - exp(-V), f* = t / (1 - t)",
    "hellinger_divergence",
    lambda v: 1 - exponential(-v),
    lambda v: exponential(v) - 1,
)
JS = Divergence(
    "f = u log u - (u + 1) log((u + 1) / 2), g = log 2 - log(1 + exp(-V)), f* = -log(2 - exp t), twice the usual "
    "Jensen-Shannon divergence",
    "js_divergence",
    lambda v: log(2) - softplus(-v),
    lambda v: softplus(v) - log(2),
)
GAN = Divergence(
    "f = u log u - (u + 1) log(u + 1), g = -log(1 + exp(-V)), f* = -log(1 - exp t), JS less log 4",
    "gan_divergence",
    lambda v: -softplus(-v),
    softplus,
)
TV = Divergence(
    "f = |u - 1| / 2, g = tanh(V) / 2, f* = t", "tv_divergence", lambda v: v.tanh() / 2, lambda v: v.tanh() / 2
)
