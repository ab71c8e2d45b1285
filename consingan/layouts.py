"""Layouts that vary: the coarse picture mixed with noise."""

from __future__ import annotations

from torch import Tensor


def mixed(picture: Tensor, noise: Tensor, variation: float) -> Tensor:
    """``(1 - variation) * picture + variation * noise``: what a generator makes a layout of.

    Args:
        picture: ``[1, C, h, w]``, the anchor of the coarsest stage.
        noise: ``[1, C, h, w]``.
        variation: 0 for the picture itself, 1 for noise alone, as published.
    """
    return (1 - variation) * picture + variation * noise
