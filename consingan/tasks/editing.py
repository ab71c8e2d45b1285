"""A picture with parts moved or copied becomes one piece again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.augment import shifted_tiles
from consingan.tasks.base import Recipes, Use

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw

NOISE = 0.1  # of the input of stage 0

QUICK: dict[str, Any] = {
    "train_stages": 5,
    "max_size": 160,
    "nfc": 32,
    "Dsteps": 1,
    "lr_d": 1.5e-3,
    "lr_scale": 0.2,
    "niter": (2000, 1500, 1000, 400, 150),
    "batch_norm": True,
}


@dataclass(frozen=True)
class Editing:
    """The coarsest picture with shifted tiles and noise goes in; the picture comes out."""

    name: str = "editing"
    summary: str = "parts that you moved or copied, blended into the picture"
    border: str = "zero"
    takes_naive: bool = True
    first_noise: int = 1
    sampling: Use = Use("edit")
    preview: Use = Use("edit")

    @property
    def recipes(self) -> Recipes:
        return {
            "paper": {"niter": (1000,), "batch_norm": True, "precision": "fp32"},
            "fast": {**QUICK, "max_size": 250},
            "quick": QUICK,
            "best": {**QUICK, "nfc": 64, "max_size": 250, "lr_d": 5e-4, "Dsteps": 3},
        }

    @property
    def law(self) -> Law:
        return rescaling

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest + NOISE * draw.normal(coarsest.shape)

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return shifted_tiles(coarsest, draw.at("tiles")) + NOISE * draw.at("noise").normal(coarsest.shape)
