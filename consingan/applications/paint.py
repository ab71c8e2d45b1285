"""A rough painting becomes a photo of the model's world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.config import MOST_STAGES, SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import TRUST
from consingan.gan.stills import OF, as_size, check_start, parse_size
from consingan.grid.sizes import Size, size_of
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from consingan.gan.model import SingleImageModel

STRIP_SIDE = 250  # px of the pictures of the strip


@dataclass(frozen=True)
class PaintOptions:
    """Painting to photo."""

    clipart: str | None = setting(None, "a rough painting, of any size and shape", file=True)
    start_stage: int | None = setting(
        None,
        "stage at which the painting enters; higher stages keep more of it; by default the last of at most 40 px. "
        "The strip shows all",
        low=0,
        high=MOST_STAGES,
    )
    quantise: int | None = setting(
        None, "first give the painting so many colours of the picture; by default it keeps its own", low=2, high=256
    )
    noise_scale: float = setting(1.0, "factor for the noise of the later stages; 0: no noise", low=0, high=100)
    num_samples: int = setting(1, "results per picture, each with different noise", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    of: str | None = OF
    size: str | None = setting(None, "WIDTHxHEIGHT of the pictures in pixels, such as 600x400", reads=parse_size)
    longest: int = setting(
        1024, "stills: longer side of finished samples in pixels, if no size is given", low=16, high=8000
    )
    finish: str | None = setting(
        None,
        "stills: patches rebuilds samples from patches of the picture, sharp at any size; none "
        "leaves them as the generator makes them",
        choices=("patches", "none"),
    )
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> PaintOptions:
        """The same for one result."""
        return replace(self, num_samples=1)


@dataclass(frozen=True)
class Paint:
    """Photos after a painting, and a strip of what every stage makes of it."""

    name: str = "paint"
    summary: str = "a rough painting, made a photo of the picture's world"
    options: PaintOptions = PaintOptions()

    def unfit(self, material: Material) -> str | None:
        return without_model(self.name, material)

    def announce(self, material: Material, options: PaintOptions) -> Expected:
        from consingan.gan.sampling import photo_for

        model = material.trained
        start_of(model, options)
        size = size_for(model, read(model, options), options)
        if photo_for(model, options.finish) is None:
            return Expected()
        return Expected(options.num_samples, [size])

    def apply(self, material: Material, options: PaintOptions, told: Told) -> Iterator[Result]:
        from consingan.gan import album
        from consingan.gan.sampling import photo_for
        from consingan.pictures import palette

        model = material.trained
        start, painting = start_of(model, options), read(model, options)
        size, format = size_for(model, painting, options), for_kind(options.format, model.kind)
        if options.quantise is not None:
            page = album.named(model, options.of)
            photo = photo_for(page, options.finish) or (None if model.pages else material.photo)
            world = photo.picture if photo else page.reconstruct().cpu()
            painting = palette.in_colours(painting, palette.palette(world, options.quantise))
        facts = {"clipart": Path(str(options.clipart)).name, "noise_scale": f"{options.noise_scale:g}"}
        facts |= {"size": f"{size[1]}x{size[0]}", "finish": options.finish or "by the model"}
        facts |= {} if options.quantise is None else {"quantise": f"{options.quantise}"}
        facts |= album.beside(model, options.of)
        stem = Path(str(options.clipart)).stem
        stem += "" if options.quantise is None else f"_quantise_{options.quantise}"
        stem += "" if options.noise_scale == 1 else f"_noise_{options.noise_scale:g}"
        stem += album.folder(model, options.of)
        if options.quantise is not None:
            yield Result(f"{stem}_painting", Role.SKETCH, [painting], facts, format, kind=model.kind)
        make = maker(model, painting, options, told)
        for number in range(options.num_samples):
            seed = options.seed + number
            own = {**facts, "start_stage": f"{start}", "seed": f"{seed}"}
            name = f"{stem}_stage_{start}_seed_{seed}"
            yield Result(name, Role.PAINTED, [make(start, size, seed)], own, format, kind=model.kind)
        yield Result(f"{stem}_stages_view", Role.VIEW, [strip(painting, model, size, make, options.seed)], facts)


def start_of(model: SingleImageModel, options: PaintOptions) -> int:
    """The stage that the painting enters at.

    Raises:
        UserError: the model has no such stage.
    """
    coarse = sum(max(size) <= TRUST for size in model.sizes[: model.stages])  # whose flat colours still become things
    start = max(0, coarse - 1) if options.start_stage is None else options.start_stage
    check_start(start, model.stages, "--start_stage")
    return start


def read(model: SingleImageModel, options: PaintOptions) -> Tensor:
    """The painting, ``[1, C, H, W]`` in [-1, 1], in the model's channels.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    from consingan.pictures import images

    if options.clipart is None:
        raise UserError("--clipart is not given; name the painting that is to become a photo.")
    return images.of_kind(Path(options.clipart), model.kind)


def size_for(model: SingleImageModel, painting: Tensor, options: PaintOptions) -> Size:
    """``(H, W)`` of the results: as asked for, or in the painting's proportions as large as samples are.

    Raises:
        UserError: that is too small or too large, or the generator's own output is wanted in another size.
    """
    from consingan.finish.scales import check_size
    from consingan.gan.album import named, number_of
    from consingan.gan.sampling import own_size, photo_for
    from consingan.gan.steering import shaped

    of = number_of(model, options.of) or 0
    if photo_for(model, options.finish) is None:
        if options.size is not None:
            raise UserError(
                f"--size {options.size} needs the finish, and without it the result has the generator's own size; "
                "leave --size out."
            )
        return named(model, options.of).fitting(size_of(painting))
    wanted = (
        as_size(options.size)
        if options.size
        else shaped(own_size(model, options.finish, options.longest, of=of), size_of(painting))
    )
    check_size(wanted)
    return wanted


def strip(
    painting: Tensor, model: SingleImageModel, size: Size, make: Callable[[int, Size, int], Tensor], seed: int
) -> Tensor:
    """The painting and what each stage makes of it, ``[1, C, H, W]`` in [-1, 1]; ``make`` is that of ``maker``."""
    from consingan.finish.scales import own_size
    from consingan.pictures.sheets import side_by_side

    small = own_size(size, STRIP_SIDE)
    made = [(f"stage {stage}", make(stage, small, seed)) for stage in range(model.stages)]
    return side_by_side([("painting", painting), *made], STRIP_SIDE)


def maker(
    model: SingleImageModel, painting: Tensor, options: PaintOptions, told: Told
) -> Callable[[int, Size, int], Tensor]:
    """A function of stage, ``(H, W)`` and seed that makes a photo of the painting, ``[1, C, H, W]`` in [-1, 1]."""
    from consingan.finish.patches import finish
    from consingan.gan.album import named, number_of
    from consingan.gan.sampling import store_for
    from consingan.grid.noise import Draw

    own, photo = named(model, options.of), store_for(model, options.finish, number_of(model, options.of) or 0)

    def make(stage: int, size: Size, seed: int) -> Tensor:
        layout = own.transform(painting, stage, options.noise_scale, seed)
        if photo is None:
            return layout
        return finish(photo, layout, size, [Draw(seed, ("paint",), model.device)], told=told).picture

    return make


PAINT: Application[PaintOptions] = Paint()
