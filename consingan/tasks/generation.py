"""New pictures of the same place: noise in, picture out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.base import Recipes, Use

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw


# By the trials in docs/performance.md: the generator only lays out what the finish makes of the picture's patches, so
# nothing above 40 px is learned. Half the features cost a third and take twice the rates; one critic step of three
# times the generator's rate does what three do; the critic is told where it looks, so that the layout stands within a
# minute.
FAST = {
    "nfc": 32,
    "Dsteps": 1,
    "positions": 1.0,
    "noise": "mixed",
    "finish": "patches",
    "variation": 0.6,
    "train_stages": 3,
    "min_size": 16,
    "max_size": 40,
    "niter": (1500, 1200, 700),
    "lr_g": "auto",
    "lr_d": "auto",
    "decay": "linear",
    "gamma": 0.02,
}
QUICK = {**FAST, "niter": (400, 300, 200)}
# A critic that knows where it looks ends, in a long training, at the picture itself whatever the noise.
BEST = {**FAST, "nfc": 64, "niter": (4000, 3000, 2500), "positions": 0.0, "variation": 0.85}


@dataclass(frozen=True)
class Generation:
    """Noise at every stage; the anchor of stage 0 is the coarsest picture itself.

    Args:
        border: ``extend`` lets the edges vary as much as the middle.
        variation: of the samples of models that have it as a dial; the recipe's if None.
    """

    name: str = "generation"
    summary: str = "new pictures of the same place"
    border: str = "extend"
    takes_naive: bool = False
    first_noise: int = 0
    mixes: str = "layouts near each picture, patches of all"
    variation: float | None = None
    sampling: Use = Use("samples")
    preview: Use = Use(
        "samples", {"num_samples": 3, "scale_h": 1.0, "scale_w": 1.0, "longest": 250, "reconstruction": True}
    )

    @property
    def recipes(self) -> Recipes:
        dial = {} if self.variation is None else {"variation": self.variation}
        finished = {preset: {**recipe, **dial} for preset, recipe in (("fast", FAST), ("quick", QUICK), ("best", BEST))}
        return {**finished, "paper": {"precision": "fp32"}}

    @property
    def law(self) -> Law:
        return rescaling

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return draw.normal(coarsest.shape)
