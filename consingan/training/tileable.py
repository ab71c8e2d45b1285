"""Trainings whose pictures are to repeat without a seam: what that implies, and what it does not go with. No torch.

Only the generator wraps. The photo does not repeat, so the critic looks at it as it is, and at a fake rolled by half:
what it sees across the fake's seam has to look like the middle of the photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consingan.config import Train
from consingan.errors import UserError
from consingan.grid.sizes import NOWHERE, WRAPS
from consingan.tasks import TASKS


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that follow from the flags: a picture that may be rolled has no places for the critic to know."""
    return {"positions": 0.0} if given.get("tileable", "off") in ("x", "y", "xy") else {}


def check_tileable(settings: Train) -> None:
    """Refuse what contradicts pictures that repeat.

    Raises:
        UserError: the task makes no new stills, or the critic is to know places.
    """
    word = settings.network.tileable
    if WRAPS[word] == NOWHERE:
        return
    if TASKS[settings.mode].sampling.application != "samples":
        fitting = ", ".join(task.name for task in TASKS.values() if task.sampling.application == "samples")
        raise UserError(f"--tileable {word} does not go with --train_mode {settings.mode}; it is for {fitting}.")
    if settings.network.positions:
        raise UserError(
            f"--positions {settings.network.positions:g} does not go with --tileable {word}, where no place differs "
            "from another; leave it out."
        )
