"""A pasted object takes the hand and the palette of the painting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consingan.pictures.pyramid import Law, geometric
from consingan.tasks.augment import augmented
from consingan.tasks.base import Recipes, Use

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw

PUBLISHED: dict[str, Any] = {
    "train_stages": 3,
    "min_size": 120,
    "lrelu_alpha": 0.3,
    "niter": (1000,),
    "batch_norm": True,
}

# One critic step and half the features, as generation's quick; the coarsest stage is the one that learns what becomes
# of foreign colours, and the cheapest, so it gets most of the iterations.
QUICK: dict[str, Any] = {
    **PUBLISHED,
    "nfc": 32,
    "Dsteps": 1,
    "lr_scale": 0.5,
    "max_size": 160,
    "min_size": 60,
    "niter": (900, 500, 300),
    "hand": 1.0,
}


@dataclass(frozen=True)
class Harmonization:
    """The coarsest picture, augmented, goes in; the picture comes out."""

    name: str = "harmonization"
    summary: str = "a pasted object, repainted in the painting's style"
    border: str = "zero"
    takes_naive: bool = True
    first_noise: int = 1
    sampling: Use = Use("harmonize")
    preview: Use = Use("harmonize")

    @property
    def recipes(self) -> Recipes:
        return {
            "paper": {**PUBLISHED, "precision": "fp32"},
            "fast": {**QUICK, "max_size": 250, "min_size": 80, "niter": (1200, 600, 350)},
            "quick": QUICK,
            "best": {**PUBLISHED, "lr_scale": 0.5, "niter": (1500, 1000, 700), "hand": 1.0},
        }

    @property
    def law(self) -> Law:
        return geometric

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return augmented(coarsest, draw)
