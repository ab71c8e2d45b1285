"""A picture with parts moved or copied becomes one piece again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consingan.applications.naive import PREVIEW, NaiveOptions, results
from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.augment import shifted_tiles
from consingan.tasks.base import Recipes, Result

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.storage.run import Run

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
    """The coarsest picture with shifted tiles and noise goes in; the picture comes out.

    Args:
        dilation: of the mask, px at 250 px.
        keep_edges: of the naive picture, where the change is carried to its size: seams are to go.
    """

    name: str = "editing"
    summary: str = "parts moved by hand, made one piece"
    border: str = "zero"
    options: type = NaiveOptions
    takes_naive: bool = True
    preview: NaiveOptions = PREVIEW
    dilation: float = 20.0
    keep_edges: bool = False

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

    def sample(self, model: SingleImageModel, options: NaiveOptions, run: Run | None = None) -> Iterator[Result]:
        yield from results(model, options, run, self.dilation, self.keep_edges, self.first_input)
