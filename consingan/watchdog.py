"""Notice that a training has gone wrong.

Every ``EVERY`` iterations a look is taken at numbers that lie on the device, with one wait for all of them: the loss
terms, everything that learns, and the spread of a made picture. What the trainer does about a trouble is in
``training.py``: back to the last good state, slower and with other draws, ``ATTEMPTS`` times per stage.

Where the bounds come from: in long normal runs (500-2000 iterations a stage, 25 to 120 px) the worst term seen was a
score of 60, the worst penalty 10, both within the first hundred iterations of stage 0; ``LIMIT`` is 160 times that.
A picture whose spread is a hundredth of the original's is of one colour once it is stored with 8 bits. An output is
flat from the start until it has learned something, which is no trouble; so is a picture that is flat itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from consingan.errors import UserError

EVERY = 50
SLOWER = (0.5, 0.1, 0.1)  # factor on the learning rates, by attempt: a slip needs less than a wrong rate
ATTEMPTS = len(SLOWER)
LIMIT = 1e4  # of any loss term
FLAT, LIVELY = 0.01, 0.1  # share of the picture's spread: below, of one colour; above, has had some
SATURATED = 0.9999  # |value| from which tanh passes no gradient
FLAT_PICTURE = 1e-4  # spread of a picture in [-1, 1] below which it is itself of one colour


class CollapsedError(UserError):
    """A stage went wrong again after every attempt; the message says where, how and what to change."""


@dataclass(frozen=True)
class Attempt:
    """How often the stage went back, and the factor on its learning rates since."""

    number: int = 0
    rate: float = 1.0

    def next(self) -> Attempt:
        """The one after this: slower, and by its number with other random draws."""
        return Attempt(self.number + 1, self.rate * SLOWER[self.number])


@dataclass(frozen=True)
class Good:
    """A state to go back to.

    Args:
        iteration: iterations of the stage done in it.
        spread: the largest spread that made pictures have had so far, as a share of the original's.
        tensors: copies of everything that learns, by name.
    """

    iteration: int = 0
    spread: float = 0.0
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What was seen.

    Args:
        terms: loss terms by name.
        weights: norm of everything that learns.
        spread: standard deviation of the made picture over its pixels, the largest channel's, as a share of the
            original's; NaN where the original is of one colour.
        saturated: whether every value of the made picture is at the end of its range.
    """

    terms: Mapping[str, float]
    weights: float
    spread: float
    saturated: bool


@dataclass(frozen=True)
class Trouble:
    """What is wrong, in words, and what to change about it."""

    what: str
    advice: str


def due(iteration: int, iterations: int) -> bool:
    """Whether to look after so many iterations of a stage: every ``EVERY``, and at its end."""
    return iteration % EVERY == 0 or iteration == iterations


@torch.no_grad()
def look(terms: Mapping[str, Tensor], learned: Mapping[str, Tensor], fake: Tensor, real: Tensor) -> Look:
    """Read what a judgement needs, waiting for the device once.

    Args:
        terms: 0-dim, by name.
        learned: everything that learns, by name; any shapes.
        fake, real: ``[1, C, h, w]`` in [-1, 1].
    """
    on_device = [value for value in learned.values() if value.device == fake.device and value.dim() > 0]
    norm = torch.nn.utils.get_total_norm(on_device)
    numbers = [*terms.values(), norm, largest_spread(fake), largest_spread(real), fake.abs().amin()]
    *losses, weights, spread, original, least = torch.stack([n.float() for n in numbers]).tolist()
    share = spread / original if original > FLAT_PICTURE else math.nan
    return Look(dict(zip(terms, losses, strict=True)), weights, share, least > SATURATED)


def largest_spread(picture: Tensor) -> Tensor:
    """Standard deviation over the pixels of ``[1, C, h, w]``, the largest channel's, 0-dim."""
    return picture.float().std(dim=(2, 3), correction=0).amax()


def trouble(seen: Look, spread_before: float) -> Trouble | None:
    """The judgement of a look.

    Args:
        seen: the look.
        spread_before: the largest spread of earlier looks, see ``Good``.
    """
    for name, value in {**seen.terms, "the norm of the weights": seen.weights}.items():
        if not math.isfinite(value):
            return Trouble(f"{name} is {value}", "lower --lr_g and --lr_d, or give --precision fp32")
    for name, value in seen.terms.items():
        if abs(value) > LIMIT:
            return Trouble(
                f"{name} is {value:.3g}, where a sound run stays below 100",
                "lower --lr_d and --lr_g, or raise --lambda_grad",
            )
    if seen.spread < FLAT and (seen.saturated or spread_before > LIVELY):
        return Trouble(
            f"the generator makes one flat colour (its spread is {seen.spread:.1g} of the picture's)",
            "lower --lr_g, raise --alpha or give --batch_norm",
        )
    return None


def collapsed(found: Trouble, stage: int, iteration: int) -> CollapsedError:
    """The sentence in which a run ends that could not be rescued; stages are counted from 1 as in the progress."""
    return CollapsedError(
        f"Training does not hold: at stage {stage + 1}, iteration {iteration}, {found.what}, also after "
        f"{ATTEMPTS} attempts at lower rates; {found.advice}, and start a new run."
    )
