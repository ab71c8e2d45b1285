"""New pictures of the same place: noise in, picture out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.config import MOST_STAGES, SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import check_size
from consingan.grid.sizes import Size, rescaled
from consingan.pictures.pyramid import Law, rescaling
from consingan.tasks.base import Recipes, Result

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.storage.run import Run

PUBLISHED_SCALES = ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0))
SMALLEST_SIDE, LARGEST_SIDE = 8, 32768


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
BEST = {**FAST, "nfc": 64, "niter": (8000, 6000, 5000)}


@dataclass(frozen=True)
class StillOptions:
    """Sampling stills."""

    num_samples: int = setting(50, "pictures per size", low=1, high=100_000)
    seed: int = setting(0, "seed; sample k does not depend on how many are drawn", **SEED)
    size: str | None = setting(None, "WIDTHxHEIGHT of the pictures in pixels, as 600x400")
    scale_h: float | None = setting(None, "height, times the trained one", above=0, high=100)
    scale_w: float | None = setting(None, "width, times the trained one", above=0, high=100)
    gen_start_scale: int = setting(
        0, "first stage that draws noise; more is closer to the picture", low=0, high=MOST_STAGES
    )
    finish: str | None = setting(
        None,
        "patches of the picture make samples sharp at any size; none: as the generator",
        choices=("patches", "none"),
    )
    variation: float | None = setting(None, "from 0, nearly the picture, to 1, anything goes", low=0, high=1)
    finish_seed: int | None = setting(None, "seed of the finish alone: other finishes of the same layouts", low=0)
    longest: int = setting(1024, "longer side of finished samples where no size is given, px", low=16, high=8000)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))


@dataclass(frozen=True)
class Generation:
    """Noise at every stage; the anchor of stage 0 is the coarsest picture itself.

    Args:
        border: ``extend`` lets the edges vary as much as the middle.
    """

    name: str = "generation"
    summary: str = "new pictures of the same place"
    border: str = "extend"
    options: type = StillOptions
    takes_naive: bool = False
    preview: StillOptions = StillOptions(num_samples=3, scale_h=1.0, scale_w=1.0, longest=250)

    @property
    def recipes(self) -> Recipes:
        return {"fast": FAST, "paper": {"precision": "fp32"}, "quick": QUICK, "best": BEST}

    @property
    def law(self) -> Law:
        return rescaling

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return draw.normal(coarsest.shape)

    def sample(self, model: SingleImageModel, options: StillOptions, run: Run | None = None) -> Iterator[Result]:
        check_start(options.gen_start_scale, model.stages, "--gen_start_scale")
        photo = model.finishing(options.finish)
        sizes = output_sizes(options, model.own_size(options.finish, options.longest), photo is not None)
        yield Result("reconstruction", [model.reconstruct()], {}, options.format)
        defaults = model.settings.sampling
        variation = defaults.variation if options.variation is None else options.variation
        for size in sizes:
            folder = f"samples_{size[1]}x{size[0]}_start_{options.gen_start_scale}"
            folder += f"_variation_{variation:g}" if variation < 1 else ""
            folder += "_patches" if photo else ""
            start = options.gen_start_scale
            folder += "" if options.finish_seed is None else f"_finish_seed_{options.finish_seed}"
            pictures = model.samples(
                options.num_samples, size, options.seed, start, variation, options.finish, options.finish_seed
            )
            for number, picture in enumerate(pictures):
                facts = {
                    "seed": f"{options.seed}",
                    "sample": f"{number}",
                    "gen_start_scale": f"{start}",
                    "variation": f"{variation:g}",
                    "finish": "patches" if photo else "none",
                }
                name = f"{folder}/seed_{options.seed}_sample_{number:03d}"
                yield Result(name, [picture], facts, options.format)


def output_sizes(options: StillOptions, own: Size, finished: bool = False) -> list[Size]:
    """Sizes ``(H, W)`` to draw: as the flags say; without any the model's own, or those of the published evaluation.

    Args:
        options: the flags.
        own: the size of the model's samples where none is asked for.
        finished: whether they are made anew of patches, which has bounds of its own.

    Raises:
        UserError: ``--size`` is no size, stands beside a scale, or a side is out of bounds.
    """
    scales = (options.scale_h, options.scale_w)
    if options.size is not None:
        if scales != (None, None):
            raise UserError(f"--size {options.size} and --scale_h or --scale_w contradict each other; give one.")
        wanted = [parse_size(options.size)]
    elif scales == (None, None):
        wanted = [own] if finished else [rescaled(own, h, w) for h, w in PUBLISHED_SCALES]
    else:
        wanted = [rescaled(own, options.scale_h or 1.0, options.scale_w or 1.0)]
    for size in wanted if finished else ():
        check_size(size)
    for height, width in wanted:
        if max(height, width) > LARGEST_SIDE or min(height, width) < SMALLEST_SIDE:
            raise UserError(
                f"The output size {width}x{height} has a side outside {SMALLEST_SIDE} to {LARGEST_SIDE} px; "
                "choose another --size or --scale_h, --scale_w."
            )
    return wanted


def parse_size(text: str) -> Size:
    """``(H, W)`` from ``WIDTHxHEIGHT``."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 7 for side in sides):
        raise UserError(f"--size is {text!r}; give WIDTHxHEIGHT in pixels, as 600x400.")
    return int(sides[1]), int(sides[0])


def check_start(start: int, stages: int, flag: str) -> None:
    """Refuse a start stage that the model does not have."""
    if start >= stages:
        raise UserError(f"{flag} is {start}, but this model has stages 0 to {stages - 1}; give one of them.")
