"""New stills: noise in, pictures out; of the picture's size or any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.applications.progress import finishing
from consingan.applications.tiles import Tiles
from consingan.errors import UserError
from consingan.gan.stills import Stills, check_start, output_sizes
from consingan.storage.formats import for_kind
from consingan.storage.results import Role
from consingan.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.after import StillStep
    from consingan.gan.model import SingleImageModel
    from consingan.gan.steering import Toward
    from consingan.grid.sizes import Size
    from consingan.pictures.sketches import Sketch


@dataclass(frozen=True)
class Samples:
    """Stills of a trained model.

    Args:
        after: further steps behind those that the options name.
    """

    name: str = "samples"
    summary: str = "new pictures, at any size"
    options: Stills = Stills()
    after: Sequence[StillStep] = ()

    def unfit(self, material: Material) -> str | None:
        return without_model(self.name, material) or no_stage_for_noise(self.name, material.trained)

    def announce(self, material: Material, options: Stills) -> Expected:
        from consingan.gan.sampling import photo_for
        from consingan.gan.steering import wanted

        model, start = material.trained, options.gen_start_scale
        Tiles.wanted(options, model)
        finished, toward = photo_for(model, options.finish) is not None, wanted(model, options)
        if not finished and toward is None:
            return Expected()
        sizes = sizes_of(model, options, toward)
        check_start(start, model.stages, "--gen_start_scale")
        before = max(moving(model, options, size) for size in sizes) if toward else 0.0
        return Expected(options.num_samples, sizes, finished, before)

    def apply(self, material: Material, options: Stills, told: Told) -> Iterator[Result]:
        from consingan.gan import album, codes, sampling, steering
        from consingan.gan.after import Chain

        model, start = material.trained, options.gen_start_scale
        kind, format = model.kind, for_kind(options.format, model.kind)
        check_start(start, model.stages, "--gen_start_scale")
        check_noise(start, model, "--gen_start_scale")
        photo = sampling.photo_for(model, options.finish)
        tiles = Tiles.wanted(options, model)
        given, toward = sampling.fixed_codes(model, options), steering.wanted(model, options)
        sizes = sizes_of(model, options, toward)
        first = 0.0  # share of the time before the finish
        if toward:
            before = max(moving(model, options, size) for size in sizes)
            first = before / (before + (max(map(finishing, sizes)) if photo else 0.0))
            toward = replace(toward, told=lambda share: told(first * share))
        shares: list[tuple[float, ...]] = []
        chain = sampling.chain(model, options, lambda share: told(first + (1 - first) * share), shares.extend)
        if options.reconstruction:
            yield from reconstructions(model, format)
        own = model.settings.sampling.variation
        variation = own if options.variation is None else options.variation
        facts = {
            "gen_start_scale": f"{start}",
            "variation": f"{variation:g}",
            "finish": "patches" if photo else "none",
            **followed(options),
        }
        for size in sizes:
            folder = f"samples_{size[1]}x{size[0]}_start_{start}"
            folder += f"_variation_{variation:g}" if variation < 1 else ""
            folder += "_patches" if photo else ""
            folder += "" if options.finish_seed is None else f"_finish_seed_{options.finish_seed}"
            folder += album.folder(model, options.of)
            folder += following(options) + tiles.folder
            if toward:
                notes = toward.sketch.notes
                beside = shown(toward.sketch, size)
                yield Result(f"{folder}/sketch", Role.SKETCH, [beside], facts, format, notes=notes, kind=kind)
            pictures = sampling.stills(model, options, size, Chain([*chain.steps, *self.after]), toward)
            for number, picture in enumerate(pictures):
                name = f"{folder}/seed_{options.seed}_sample_{number:03d}"
                _, values = sampling.coded(model, options, number, given)
                place = {"seed": f"{options.seed}", "sample": f"{number}", **codes.facts(model.settings.codes, values)}
                place |= album.facts(model, options, number, shares.pop(0) if shares else ())
                yield from tiles.shown(Result(name, Role.SAMPLE, [picture], place | facts, format, kind=kind))


def reconstructions(model: SingleImageModel, format: str) -> Iterator[Result]:
    """Each picture of a model, as the model learned it."""
    from consingan.gan.album import names, pages_of

    for number, (page, name) in enumerate(zip(pages_of(model), names(model), strict=True), 1):
        facts = {"picture": name} if model.pages else {}
        called = "reconstruction" if number == 1 else f"reconstruction_{number}"
        yield Result(called, Role.RECONSTRUCTION, [page.reconstruct()], facts, format, kind=model.kind)


def followed(options: Stills) -> dict[str, str]:
    """What of the options says how samples follow a sketch, by name; nothing without one."""
    if options.like is None:
        return {}
    return {
        "like": options.like,
        **({} if options.mask is None else {"mask": options.mask}),
        "follow": f"{options.follow:g}",
        **({} if options.colours == "photo" else {"colours": options.colours}),
    }


def following(options: Stills) -> str:
    """The same for the name of a folder, so that trials lie side by side."""
    if options.like is None:
        return ""
    mask = "" if options.mask is None else f"_mask_{Path(options.mask).stem}"
    colours = "" if options.colours == "photo" else f"_{options.colours}"
    return f"_like_{Path(options.like).stem}{mask}_follow_{options.follow:g}{colours}"


def moving(model: SingleImageModel, options: Stills, size: Size) -> float:
    """Seconds that moving the noise of a sample of ``(H, W)`` takes, see ``steering.seconds``."""
    from consingan.gan import sampling, steering

    return steering.seconds(model, sampling.chain(model, options).sizes(size)[0], options.gen_start_scale)


def shown(sketch: Sketch, size: Size) -> Tensor:
    """A sketch as it stands beside the samples, ``[1, C, H, W]`` in [-1, 1]: grey where it does not count."""
    picture, mask = sketch.at(size)
    return mask * picture


def sizes_of(model: SingleImageModel, options: Stills, toward: Toward | None = None) -> list[Size]:
    """Sizes ``(H, W)`` to draw from a model, see ``output_sizes`` and ``sampling.own_size``."""
    from consingan.gan.album import number_of
    from consingan.gan.sampling import own_size, photo_for

    finished = photo_for(model, options.finish) is not None
    of = number_of(model, options.of) or 0
    return output_sizes(options, own_size(model, options.finish, options.longest, toward, of), finished)


def first_noise(model: SingleImageModel) -> int:
    """The first stage that noise may enter at."""
    return TASKS[model.settings.mode].first_noise


def no_stage_for_noise(application: str, model: SingleImageModel) -> str | None:
    """The sentence for models whose stages have all learned to take pictures."""
    if model.guided:
        return (
            f"--application {application} needs a stage that takes noise, and those of a {model.settings.mode} model "
            "take pictures; leave the flag out."
        )
    if first_noise(model) < model.stages:
        return None
    return (
        f"--application {application} needs a stage that takes noise, and the only one of this {model.settings.mode} "
        "model takes pictures; leave the flag out."
    )


def check_noise(start: int, model: SingleImageModel, flag: str) -> None:
    """Refuse noise at a stage that has learned to take pictures."""
    if start < first_noise(model):
        raise UserError(
            f"{flag} is {start}, but stage {start} of a {model.settings.mode} model takes pictures, not noise; "
            f"give {first_noise(model)} or more."
        )


SAMPLES: Application[Stills] = Samples()
