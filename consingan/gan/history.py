"""The history of fakes that a critic is shown.

Source: Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training" (1612.07828),
section 2.3, with the rule of Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks" (1703.10593), section 4: while the history is filling, the critic is shown the new fake, which is kept; later,
with one chance in two, one that is kept, whose place the new one takes.

All of it is arithmetic on the device, so that iterations can be recorded. In shape comments: K fakes are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.grid.noise import Draw

FAKES, COUNT, SHOWN = "fakes", "fakes_count", "fakes_shown"  # names of what is remembered
NUMBERS = "history"  # the name of the rule's random numbers


@dataclass(frozen=True)
class History:
    """Fakes of earlier iterations of a stage.

    Args:
        length: how many are kept, 1 or more.
    """

    length: int

    def begin(self, shape: tuple[int, ...], device: torch.device | str) -> dict[str, Tensor]:
        """What is remembered of fakes ``[1, C, h, w]`` at the beginning of a stage: none."""
        return {
            FAKES: torch.zeros(self.length, *shape[1:], device=device),
            COUNT: torch.zeros(1, device=device),
            SHOWN: torch.zeros(shape, device=device),
        }

    def draw(self, draw: Draw, step: int | None) -> dict[str, Tensor]:
        """The rule's two numbers, in [0, 1), once in an iteration: whether a kept one is shown, and which."""
        return {NUMBERS: draw.at("history").uniform((2,))} if step == 0 else {}

    @torch.no_grad()
    def shown(self, fake: Tensor, drawn: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        """The fake that the critic is shown, ``[1, C, h, w]``; in later steps of an iteration the same.

        Args:
            fake: the new one.
            drawn: from ``draw``.
            state: is changed in place.
        """
        if NUMBERS not in drawn:
            return state[SHOWN]
        swapped, which = drawn[NUMBERS]
        filling = state[COUNT] < self.length
        place = torch.where(filling, state[COUNT], (which * self.length).floor()).clamp(max=self.length - 1).long()
        kept, new = state[FAKES].index_select(0, place), fake.float()
        old = ~filling & (swapped < 0.5)
        state[SHOWN].copy_(torch.where(old, kept, new))
        state[FAKES].index_copy_(0, place, torch.where(filling | old, new, kept))
        state[COUNT].add_(filling.float())
        return state[SHOWN]
