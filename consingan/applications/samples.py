"""New stills: noise in, pictures out; of the picture's size or any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.errors import UserError
from consingan.gan.stills import Stills, check_start, output_sizes
from consingan.storage.results import Role
from consingan.tasks import TASKS

if TYPE_CHECKING:
    from consingan.gan.after import StillStep
    from consingan.gan.model import SingleImageModel
    from consingan.grid.sizes import Size


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

        model = material.trained
        if photo_for(model, options.finish) is None:
            return Expected()
        return Expected(options.num_samples, sizes_of(model, options))

    def apply(self, material: Material, options: Stills, told: Told) -> Iterator[Result]:
        from consingan.gan import codes, sampling
        from consingan.gan.after import Chain

        model, start = material.trained, options.gen_start_scale
        check_start(start, model.stages, "--gen_start_scale")
        check_noise(start, model, "--gen_start_scale")
        chain = sampling.chain(model, options, told)
        photo = sampling.photo_for(model, options.finish)
        sizes, given = sizes_of(model, options), sampling.fixed_codes(model, options)
        if options.reconstruction:
            yield Result("reconstruction", Role.RECONSTRUCTION, [model.reconstruct()], format=options.format)
        own = model.settings.sampling.variation
        variation = own if options.variation is None else options.variation
        facts = {
            "gen_start_scale": f"{start}",
            "variation": f"{variation:g}",
            "finish": "patches" if photo else "none",
        }
        for size in sizes:
            folder = f"samples_{size[1]}x{size[0]}_start_{start}"
            folder += f"_variation_{variation:g}" if variation < 1 else ""
            folder += "_patches" if photo else ""
            folder += "" if options.finish_seed is None else f"_finish_seed_{options.finish_seed}"
            pictures = model.samples(options, size, Chain([*chain.steps, *self.after]))
            for number, picture in enumerate(pictures):
                name = f"{folder}/seed_{options.seed}_sample_{number:03d}"
                _, values = sampling.coded(model, options, number, given)
                place = {"seed": f"{options.seed}", "sample": f"{number}", **codes.facts(model.settings.codes, values)}
                yield Result(name, Role.SAMPLE, [picture], place | facts, options.format)


def sizes_of(model: SingleImageModel, options: Stills) -> list[Size]:
    """Sizes ``(H, W)`` to draw from a model, see ``output_sizes``."""
    from consingan.gan.sampling import own_size, photo_for

    finished = photo_for(model, options.finish) is not None
    return output_sizes(options, own_size(model, options.finish, options.longest), finished)


def first_noise(model: SingleImageModel) -> int:
    """The first stage that noise may enter at."""
    return TASKS[model.settings.mode].first_noise


def no_stage_for_noise(application: str, model: SingleImageModel) -> str | None:
    """The sentence for models whose only stage has learned to take pictures."""
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
