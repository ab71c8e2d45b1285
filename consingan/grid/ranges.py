"""The two ranges of values: [-1, 1] where networks work, [0, 1] where light is mixed, compared and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]; nothing is clamped."""
    return (x + 1) / 2


def signed(x: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]; nothing is clamped."""
    return x * 2 - 1
