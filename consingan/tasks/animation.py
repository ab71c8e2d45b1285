"""A still that moves: a smooth random walk in the noise around the picture's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.base import Recipes, Use
from consingan.tasks.generation import Generation

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw


@dataclass(frozen=True)
class Animation:
    """As generation, but the anchor of stage 0 is fixed noise, so that a walk around it stays near the picture."""

    name: str = "animation"
    summary: str = "the picture set in motion"
    border: str = "extend"
    takes_naive: bool = False
    first_noise: int = 0
    sampling: Use = Use("walk")
    preview: Use = Use("walk", {"start_scale": 0, "frames": 20, "longest": 250, "reconstruction": True})

    @property
    def recipes(self) -> Recipes:
        return {preset: {**recipe, "min_size": 20} for preset, recipe in Generation().recipes.items()}

    @property
    def law(self) -> Law:
        return rescaling

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return draw.normal(coarsest.shape)

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return draw.normal(coarsest.shape)
