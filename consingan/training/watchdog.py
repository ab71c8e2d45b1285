"""Notice that a training has gone wrong.

Every ``EVERY`` iterations a look is taken at numbers that lie on the device, with one wait for all of them: the loss
terms, everything that learns, and two properties of a made picture: its spread, and how much gradient the tanh that
made it passes. What the trainer does about a trouble is in ``loop.py``: back to the last good state, slower and
with other draws, ``ATTEMPTS`` times; then it begins the stage anew, with fresh networks or those that the stage began
with, ``STARTS`` times in all. Only a state that was looked at and had no trouble is good.

Where the bounds come from: in long normal runs (500-2000 iterations a stage, 25 to 120 px) the worst term seen was a
score of 60, within the first hundred iterations of stage 0; ``LIMIT`` is 160 times that.
A picture whose spread is a hundredth of the original's is of one colour once it is stored with 8 bits. An output is
flat from the start until it has learned something, which is no trouble; so is a picture that is flat itself.

A generator is dead where its tanh passes no gradient: it makes nothing but the ends of the range, and lower rates do
not revive it. In the first 160 to 200 iterations of 138 photos, and samples of photos, at the default rates 5 passed
less than ``DEAD`` at the first look; 2 of these were alive at the next, 3 were not. All others passed at least 0.02. So
such a state is not kept, and has time until the next look. A picture in black and white passes as little, but it is not
flat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from consingan.errors import UserError

EVERY = 50
SLOWER = (0.5, 0.1, 0.1)  # factor on the learning rates, by attempt: a slip needs less than a wrong rate
ATTEMPTS = len(SLOWER)
STARTS = 4  # beginnings of a stage, the first among them
ANEW = 0.5  # factor on the learning rates, by start
LIMIT = 1e4  # of any loss term
FLAT, LIVELY = 0.01, 0.1  # share of the picture's spread: below, of one colour; above, has had some
DEAD = 1e-3  # share of the gradient that tanh would pass at the picture's own values
PASSING = 0.01  # taken for a picture that has less: in black and white, its values are the ends of tanh's range
FLAT_PICTURE = 1e-4  # spread of a picture in [-1, 1] below which it is itself of one colour


class CollapsedError(UserError):
    """A stage went wrong again after every start; the message says where, how and what to change."""


@dataclass(frozen=True)
class Attempt:
    """How often the stage went back since it was begun, the factor on its learning rates, how often it was begun anew.

    Numbers and starts count from 0, and give each attempt other random draws.
    """

    number: int = 0
    rate: float = 1.0
    start: int = 0

    def next(self) -> Attempt | None:
        """What comes after a trouble: the same start, slower; else a new start; else nothing."""
        if self.number < ATTEMPTS:
            return Attempt(self.number + 1, self.rate * SLOWER[self.number], self.start)
        start = self.start + 1
        return Attempt(0, ANEW**start, start) if start < STARTS else None


@dataclass(frozen=True)
class Good:
    """A state to go back to.

    Args:
        iteration: iterations of the stage done in it.
        spread: the largest spread that made pictures have had so far, as a share of the original's; of several
            branches that of the one that has the least.
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
        passing: mean gradient that tanh passes at the made picture's values, as a share of that at the original's.
    """

    terms: Mapping[str, float]
    weights: float
    spread: float
    passing: float


@dataclass(frozen=True)
class Trouble:
    """What is wrong, in words, and what to change about it.

    Args:
        what: as a part of a sentence.
        advice: the same.
        may_pass: whether the state may recover by itself: it is no good one, but has time until the next look.
    """

    what: str
    advice: str
    may_pass: bool = False


def least_spread(looks: Sequence[Look]) -> float:
    """The spread of the branch that has the least; NaN where all pictures are of one colour."""
    return min((look.spread for look in looks if not math.isnan(look.spread)), default=math.nan)


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
    pictures = [largest_spread(fake), largest_spread(real), gradient(fake), gradient(real)]
    numbers = [*terms.values(), norm, *pictures]
    *losses, weights, made, own, passes, passed = torch.stack([n.float() for n in numbers]).tolist()
    spread = made / own if own > FLAT_PICTURE else math.nan
    return Look(dict(zip(terms, losses, strict=True)), weights, spread, passes / max(passed, PASSING))


def largest_spread(picture: Tensor) -> Tensor:
    """Standard deviation over the pixels of ``[1, C, h, w]``, the largest channel's, 0-dim."""
    return picture.float().std(dim=(2, 3), correction=0).amax()


def gradient(picture: Tensor) -> Tensor:
    """Mean gradient of tanh where its values are those of ``[1, C, h, w]`` in [-1, 1]: 0-dim, in [0, 1]."""
    return (1 - picture.float().square()).mean()


def trouble(seen: Look, spread_before: float, advice: str) -> Trouble | None:
    """The judgement of a look.

    Args:
        seen: the look.
        spread_before: the largest spread of earlier looks, see ``Good``.
        advice: the objective's, where a loss runs away.
    """
    for name, value in {**seen.terms, "the norm of the weights": seen.weights}.items():
        if not math.isfinite(value):
            return Trouble(f"{name} is {value}", "lower --lr_g and --lr_d, or give --precision fp32")
    for name, value in seen.terms.items():
        if abs(value) > LIMIT:
            return Trouble(
                f"{name} is {value:.3g}, where a sound run stays below 100",
                f"lower --lr_d and --lr_g, or {advice}",
            )
    if seen.passing < DEAD and seen.spread < LIVELY:
        return Trouble(
            f"the generator is dead (its values lie at the ends of their range, where {seen.passing:.1g} of the "
            "gradient passes)",
            "lower --lr_g and --lr_d or give --batch_norm",
            may_pass=True,
        )
    if seen.spread < FLAT and spread_before > LIVELY:
        return Trouble(
            f"the generator makes one flat colour (its spread is {seen.spread:.1g} of the picture's)",
            "lower --lr_g, raise --alpha or give --batch_norm",
        )
    return None


def worst(looks: Sequence[Look], spread_before: float, advice: str) -> Trouble | None:
    """The trouble of several branches that has the least time; arguments as for ``trouble``."""
    found = [each for each in (trouble(look, spread_before, advice) for look in looks) if each is not None]
    return min(found, key=lambda each: each.may_pass, default=None)


def collapsed(found: Trouble, stage: int, iteration: int) -> CollapsedError:
    """The sentence in which a run ends that could not be rescued; stages are counted from 1 as in the progress."""
    return CollapsedError(
        f"Training does not hold: at stage {stage + 1}, iteration {iteration}, {found.what}, also after "
        f"{STARTS} starts with {ATTEMPTS} attempts each at lower rates; {found.advice}, and start a new run."
    )
