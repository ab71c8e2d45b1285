"""How a training begins: with networks from the seed, or with those of a trained run. No torch before it has work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from consingan.config import Train
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.storage.run import Run
from consingan.training import plan
from consingan.training.order import Order

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from consingan.training.state import Training

Resolved = tuple[Train, dict[str, str]]


class Beginning(Protocol):
    """What a new training takes its settings and its networks from."""

    @property
    def picture(self) -> str:
        """The picture's file, or its name where it is none.

        Raises:
            UserError: there is none.
        """

    @property
    def channels(self) -> int | None:
        """What the picture is read with, 1 or 3; None for its own."""

    def resolve(self, channels: int, size: Size) -> Resolved:
        """The configuration for a picture of ``(H, W)``, and the origin of each value.

        Raises:
            UserError: settings contradict each other, or what the training begins from.
        """

    def state(self, settings: Train, picture: Tensor, device: torch.device) -> Training:
        """The training at its beginning.

        Args:
            settings: from ``resolve``.
            picture: ``[1, C, H, W]`` in [-1, 1], at the size it was loaded.
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
    def channels(self) -> int | None:
        return self.order.settings.get("nc_im")

    def resolve(self, channels: int, size: Size) -> Resolved:
        return plan.resolve(*self.order.wanted, str(self.order.picture), channels, self.order.settings, size)

    def state(self, settings: Train, picture: Tensor, device: torch.device) -> Training:
        from consingan.training.state import Training

        return Training.start(settings, picture, device)


@dataclass(frozen=True)
class FromRun:
    """The last stage of a trained run learns on from there, on a naive picture."""

    order: Order
    run: Run
    base: Train

    @property
    def picture(self) -> str:
        """The run's own copy where none is named."""
        if self.order.picture is None and not self.run.picture.is_file():
            raise UserError(f"--model_dir {self.run.folder} keeps no picture; name it, as in: --input_name photo.jpg")
        return str(self.run.picture if self.order.picture is None else self.order.picture)

    @property
    def channels(self) -> int | None:
        return self.base.network.nc_im

    def resolve(self, channels: int, size: Size) -> Resolved:
        from consingan.training import finetune

        image = self.base.image if self.order.picture is None else self.order.picture
        return finetune.resolve(self.base, self.order.wanted[0], image, self.order.settings)

    def state(self, settings: Train, picture: Tensor, device: torch.device) -> Training:
        from consingan.pictures import images
        from consingan.training import finetune

        naive = images.load(str(self.order.settings["naive_img"]), channels=settings.network.nc_im).pixels
        return finetune.start(settings, picture, naive, finetune.Base.open(self.run, device), device)


def beginning(order: Order) -> Beginning:
    """How the ordered training begins; refuses settings before torch is imported.

    Raises:
        UserError: settings are out of range or contradict each other, or there is no such run to begin from.
    """
    given: dict[str, Any] = dict(order.settings)
    settings, _ = plan.resolve(*order.wanted, str(order.picture), 3, given)
    if not settings.naive.fine_tune:
        return FromSeed(order)
    run = Run.open(str(given["model_dir"]))
    return FromRun(order, run, plan.recorded(run))
