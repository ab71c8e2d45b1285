"""How a training begins: with networks from the seed, or with those of a trained run. No torch before it has work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from consingan.config import Train
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.terms import Guided
from consingan.training import album, pairs, plan
from consingan.training.order import MOST_PIXELS, Order

if TYPE_CHECKING:
    import torch

    from consingan.pictures.images import Picture
    from consingan.training.state import Training

Resolved = tuple[Train, dict[str, str]]


class Beginning(Protocol):
    """What a new training takes its settings and its networks from."""

    @property
    def picture(self) -> str:
        """The file of the training picture.

        Raises:
            UserError: there is none.
        """

    @property
    def preset(self) -> str | None:
        """The preset that settings come from; None where they come from elsewhere."""

    @property
    def channels(self) -> int | None:
        """What the picture is read with, 1 to 8; None for its own."""

    @property
    def looked_at(self) -> bool:
        """Whether the picture is taken as it is looked at, in grey or colour, and not with its alpha."""

    def resolve(self, channels: int, size: Size) -> Resolved:
        """The configuration for a picture of ``(H, W)``, and the origin of each value.

        Raises:
            UserError: settings contradict each other, or what the training begins from.
        """

    def state(self, settings: Train, picture: Picture, device: torch.device) -> Training:
        """The training at its beginning.

        Args:
            settings: from ``resolve``.
            picture: at the size it was loaded.
            device: where to train.

        Raises:
            UserError: the picture does not fit, or a file cannot be read.
        """


@dataclass(frozen=True)
class FromSeed:
    """New networks, all stages."""

    order: Order

    @property
    def picture(self) -> str:
        return str(self.order.picture)

    @property
    def preset(self) -> str | None:
        return self.order.wanted[1]

    @property
    def channels(self) -> int | None:
        return self.order.settings.get("nc_im")

    @property
    def looked_at(self) -> bool:
        task = TASKS[self.order.wanted[0]]
        return task.takes_naive or isinstance(task, Guided)

    def resolve(self, channels: int, size: Size) -> Resolved:
        return plan.resolve(*self.order.wanted, self.order.image, channels, self.order.settings, size)

    def state(self, settings: Train, picture: Picture, device: torch.device) -> Training:
        from consingan.training.state import Training

        pairs.check_channels(self.order.image, picture.pixels.shape[1], self.order.settings)
        order, further = self.order, plan.files_of(self.order.settings)
        most = order.max_pixels or MOST_PIXELS
        others = album.read(picture, settings, order.settings, order.background, most)
        also = [each.pixels for each in others]
        return Training.start(settings, picture.pixels, device, picture.known, further, also)


@dataclass(frozen=True)
class FromRun:
    """The last stage of a trained run learns on from there, on a naive picture."""

    order: Order
    run: Run
    base: Train

    @property
    def picture(self) -> str:
        return str(self.run.picture if self.order.picture is None else self.order.picture)

    @property
    def preset(self) -> str | None:
        return None

    @property
    def channels(self) -> int | None:
        return self.base.network.nc_im

    @property
    def looked_at(self) -> bool:
        return True

    def resolve(self, channels: int, size: Size) -> Resolved:
        from consingan.training import finetune

        mode = self.order.mode or self.base.mode
        return finetune.resolve(self.base, mode, self.order.image or self.base.image, self.order.settings)

    def state(self, settings: Train, picture: Picture, device: torch.device) -> Training:
        from consingan.pictures import images
        from consingan.training import finetune

        naive = images.load(str(self.order.settings["naive_img"]), channels=settings.network.nc_im).pixels
        return finetune.start(settings, picture.pixels, naive, finetune.Base.open(self.run, device), device)


def beginning(order: Order) -> Beginning:
    """How the ordered training begins; refuses settings before torch is imported.

    Raises:
        UserError: settings are out of range or contradict each other, or there is no such run to begin from.
    """
    given: dict[str, Any] = dict(order.settings)
    if not order.base:
        plan.resolve(*order.wanted, order.image, 3, given)
        pairs.check_files(order.wanted[0], order.picture, given)
        album.check_files(order.picture, given)
        return FromSeed(order)
    run = Run.open(order.base)
    base = plan.recorded(run)
    plan.resolve(order.mode or base.mode, order.wanted[1], order.image, 3, given)
    if order.picture is None and not run.picture.is_file():
        raise UserError(f"{run.folder} is of an earlier version and holds no picture; give it with --input_name.")
    return FromRun(order, run, base)
