"""How a training on the rest of a picture begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from consingan.config import Train

if TYPE_CHECKING:
    import torch

    from consingan.pictures.images import Picture
    from consingan.training.state import Training


def start(settings: Train, picture: Picture, device: torch.device) -> Training:
    """The beginning of a training on what is known of a picture.

    What the hole held is replaced by patches of the rest first, so that it cannot reach anything that is made of the
    picture: the pyramid, the model's photo, the run's files.

    Args:
        settings: the configuration.
        picture: with a hole.
        device: where to train.

    Raises:
        UserError: the rest has no whole patch.
    """
    import torch

    from consingan.finish.completion import completed
    from consingan.finish.hole import opened
    from consingan.grid.noise import Draw
    from consingan.grid.ranges import signed, unit
    from consingan.training.rest import OfTheRest
    from consingan.training.state import Training

    assert picture.hole is not None
    hole = picture.hole.to(device)
    draw = Draw(settings.runtime.seed, ("fill", "ground"), device)
    filled = signed(completed(unit(picture.pixels.to(device)), hole, draw)).cpu()
    state = Training.start(settings, torch.where(picture.hole > 0, filled, picture.pixels), device)
    known = tuple((~opened(hole > 0, size)).float()[None, None] for size in state.model.sizes)
    return replace(state, lesson=OfTheRest(known, settings.objective.alpha))
