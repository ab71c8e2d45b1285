"""Pictures in tiles that become smaller where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from consingan import devices
from consingan.errors import out_of_memory

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

SMALLEST_TILE = 64**2  # pixels

Made = TypeVar("Made")


def patiently(model: SingleImageModel, make: Callable[[], Made]) -> Made:
    """What is made in tiles of ``model.tile`` pixels; where memory runs out, in smaller ones.

    Args:
        model: whose tile becomes smaller.
        make: looks at it.

    Raises:
        RuntimeError, MemoryError: even the smallest tiles need more memory than there is.
    """
    while True:
        try:
            return make()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or model.tile // 4 < SMALLEST_TILE or model.settings.network.whole:
                raise
        devices.release(model.device)  # here, where the failed attempt's tensors are gone
        model.tile //= 4
        model.say(f"Memory ran out: going on with tiles of {round(model.tile**0.5)} px.")
