"""Training on the rest of a picture, for what is to be made in its hole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan.config import Network
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures import pyramid
from consingan.storage.run import Run
from consingan.training.order import Order

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.pictures.images import Picture
    from consingan.training.job import Ended
    from consingan.watch.log import Observer

# The critic is not told where it looks: there it would learn that anything goes in the hole.
RECIPE: Mapping[str, Any] = {"positions": 0.0, "train_stages": 3, "niter": (1200, 900, 600)}
SIDES = ((18, 44), (24, 48), (30, 56), (38, 64))  # px of the coarsest stage's shorter side, of the last one's longer
SMALLEST_SHARE = 0.05  # of the critic's patches that must lie in the rest


def sides(hole: Tensor) -> dict[str, int]:
    """Settings of the pyramid at whose stages the rest of a picture has whole patches for the critic.

    Args:
        hole: ``[1, 1, H, W]``.

    Raises:
        UserError: there are none.
    """
    from consingan.finish.hole import opened
    from consingan.training.rest import counts

    own: Size = (hole.shape[2], hole.shape[3])
    for smallest, largest in SIDES:
        sizes = pyramid.sizes(own, RECIPE["train_stages"], smallest, largest)
        known = ((~opened(hole > 0, size)).float()[None, None] for size in sizes)
        if all(float((counts(each, Network()) > 0).float().mean()) >= SMALLEST_SHARE for each in known):
            return {"min_size": smallest, "max_size": largest}
    raise UserError(
        "The mask leaves too little of the picture in one piece to train on; give --layout patches, or a smaller one."
    )


def train(
    picture: Picture,
    name: str,
    observers: Sequence[Observer] = (),
    signals: bool = False,
    stop: Callable[[], bool] = lambda: False,
    **order: Any,
) -> Ended:
    """Train a model on what is known of a picture.

    Args:
        picture: with a hole.
        name: of the picture, for the run folder.
        observers, signals, stop: as for ``Job.run``.
        order: further fields of an ``Order``; settings go before the recipe's.

    Raises:
        UserError: as ``Job.run``; or the rest has no whole patch.
    """
    from consingan.pictures import images
    from consingan.training.job import Job

    assert picture.hole is not None
    hole = picture.hole

    def keep(record: Mapping[str, Any]) -> None:
        if record["event"] == "started" and record.get("run"):
            images.save(Run(Path(record["run"])).hole, 2 * hole - 1)

    settings = {**RECIPE, **sides(hole), **order.pop("settings", {})}
    job = Job(Order(picture=name, mode="generation", settings=settings, **order), picture)
    return job.run([keep, *observers], stop, signals)
