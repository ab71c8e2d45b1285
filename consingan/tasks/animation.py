"""A still that moves: a smooth random walk in the noise around the picture's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.config import MOST_STAGES, SEED, setting
from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.base import Recipes, Result
from consingan.tasks.generation import Generation, check_start

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.storage.run import Run

PUBLISHED_BETAS = (0.80, 0.85, 0.90, 0.95)
PUBLISHED_STARTS = (0, 1, 2)


@dataclass(frozen=True)
class WalkOptions:
    """Sampling animations. Without --alpha, --beta and --start_scale the published twelve are made."""

    num_samples: int = setting(1, "animations per setting, each with a walk of its own", low=1, high=100_000)
    alpha: float | None = setting(None, "pull back to the picture, 0.1 unless given", low=0, high=1)
    beta: float | None = setting(None, "smoothness of the motion, 0.9 unless given", low=0, high=1)
    start_scale: int | None = setting(None, "first stage that moves, 0 unless given", low=0, high=MOST_STAGES)
    frames: int = setting(100, "frames", low=1, high=10_000)
    finish: str | None = setting(
        None,
        "moved: the picture moves as the generator's frames do; patches: each frame is made anew of the picture's "
        "patches; none: as the generator",
        choices=("moved", "patches", "none"),
    )
    longest: int = setting(512, "longer side of finished frames, px", low=16, high=2048)
    fps: float = setting(10.0, "frames per second", low=0.1, high=50)
    seed: int = setting(0, "seed of the walk", **SEED)
    format: str = setting("gif", "file format", choices=("gif", "webp", "png"))


@dataclass(frozen=True)
class Animation:
    """As generation, but the anchor of stage 0 is fixed noise, so that a walk around it stays near the picture."""

    name: str = "animation"
    summary: str = "the picture set in motion"
    border: str = "extend"
    options: type = WalkOptions
    takes_naive: bool = False
    preview: WalkOptions = WalkOptions(start_scale=0, frames=20, longest=250)

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

    def sample(self, model: SingleImageModel, options: WalkOptions, run: Run | None = None) -> Iterator[Result]:
        wanted = walks(options, model.stages)  # refuses before anything is made
        finish = finish_of(model, options)
        yield Result("reconstruction", [model.reconstruct()], {}, format="png")
        for start, alpha, beta in wanted:
            for seed in range(options.seed, options.seed + options.num_samples):
                frames = list(model.animate(options.frames, alpha, beta, start, seed, finish, options.longest))
                name = f"animation_start_{start}_alpha_{alpha:g}_beta_{beta:g}_seed_{seed}"
                name += "" if finish == "none" else f"_{finish}"
                facts = {"start_scale": f"{start}", "alpha": f"{alpha}", "beta": f"{beta}", "seed": f"{seed}"}
                facts["finish"] = finish
                yield Result(name, frames, facts, options.format, options.fps)


def finish_of(model: SingleImageModel, options: WalkOptions) -> str:
    """How frames are finished: as the flag says; without it moved, where the configuration finishes samples.

    Raises:
        UserError: the model holds no picture to finish with.
    """
    finished = model.finishing(options.finish) is not None
    return options.finish or ("moved" if finished else "none")


def walks(options: WalkOptions, stages: int) -> list[tuple[int, float, float]]:
    """(start stage, alpha, beta) of each animation: as the flags say, or the published twelve without any."""
    alpha = 0.1 if options.alpha is None else options.alpha
    if (options.alpha, options.beta, options.start_scale) == (None, None, None):
        return [(start, alpha, beta) for start in PUBLISHED_STARTS if start < stages for beta in PUBLISHED_BETAS]
    start = options.start_scale or 0
    check_start(start, stages, "--start_scale")
    return [(start, alpha, 0.9 if options.beta is None else options.beta)]
