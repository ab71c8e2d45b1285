"""The picture with more pixels: the generator learns what a picture shrunk by a step lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consingan.pictures.pyramid import Law, thirds
from consingan.tasks.base import Recipes, Use

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.noise import Draw

# Of SinGAN's super-resolution: the weight of the reconstruction, and a pyramid in steps of 2^(1/3). Of that pyramid the
# finest generator alone is used to enlarge, so only what it needs is trained: the step below it, and itself.
PUBLISHED: dict[str, Any] = {"alpha": 100.0, "train_stages": 2, "min_size": 8, "max_size": 8192, "window": "128"}
FAST: dict[str, Any] = {
    **PUBLISHED,
    "nfc": 32,
    "Dsteps": 1,
    "niter": (400, 600),
    "lr_g": "auto",
    "lr_d": "auto",
    "decay": "linear",
    "gamma": 0.02,
}


@dataclass(frozen=True)
class Enlargement:
    """The picture shrunk by a step goes in; the picture comes out.

    Source: Shaham, Dekel and Michaeli, "SinGAN: Learning a Generative Model from a Single Natural Image" (ICCV 2019),
    section 5. There each stage is a generator of its own that takes a picture; here stage 0 takes it.
    """

    name: str = "enlargement"
    summary: str = "the picture with more pixels"
    border: str = "zero"
    takes_naive: bool = False
    first_noise: int = 1
    sampling: Use = Use("enlarge", {"method": "singan"})
    preview: Use = Use("enlarge", {"method": "singan", "factor": 1.26})

    @property
    def recipes(self) -> Recipes:
        return {
            "fast": FAST,
            "quick": {**FAST, "niter": (250, 350)},
            "best": {**FAST, "nfc": 64, "niter": (800, 1200)},
            "paper": {**PUBLISHED, "train_depth": 1, "precision": "fp32"},
        }

    @property
    def law(self) -> Law:
        return thirds

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest
