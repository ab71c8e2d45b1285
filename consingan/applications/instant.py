"""New stills of the picture alone, without a model: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told
from consingan.applications.tiles import Tiles
from consingan.errors import UserError
from consingan.finish.scales import own_size
from consingan.gan.stills import Stills, output_sizes
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from consingan.finish.photo import Photo

VARIATION = 0.6


@dataclass(frozen=True)
class Instant:
    """Stills without a model."""

    name: str = "instant"
    summary: str = "new pictures of the picture alone, without a model"
    options: Stills = Stills(num_samples=9)

    def unfit(self, material: Material) -> str | None:
        if material.photo is not None:
            return None
        return f"--application {self.name} needs the training picture, which this model does not hold; name its file."

    def announce(self, material: Material, options: Stills) -> Expected:
        return Expected(options.num_samples, sizes_of(photo_of(material), options))

    def apply(self, material: Material, options: Stills, told: Told) -> Iterator[Result]:
        from consingan.finish.instant import instant

        needing = {
            "--finish none": options.finish == "none",
            "--reconstruction": options.reconstruction,
            f"--gen_start_scale {options.gen_start_scale}": options.gen_start_scale > 0,
            f"--like {options.like}": options.like is not None,
            f"--mask {options.mask}": options.mask is not None,
            f"--code {' --code '.join(options.code)}": bool(options.code),
            f"--finish_seed {options.finish_seed}": options.finish_seed is not None,
        }
        for flag in (name for name, given in needing.items() if given):
            raise UserError(f"{flag} needs a trained model; name a run folder, or leave the flag out.")
        photo, tiles = photo_of(material), Tiles.wanted(options)
        format = for_kind(options.format, photo.kind)
        variation = VARIATION if options.variation is None else options.variation
        for size in sizes_of(photo, options):
            folder = f"samples_{size[1]}x{size[0]}_variation_{variation:g}_instant{tiles.folder}"
            pictures = instant(photo, options.num_samples, size, variation, options.seed, told, tiles.wraps)
            for number, picture in enumerate(pictures):
                facts = {"seed": f"{options.seed}", "sample": f"{number}", "variation": f"{variation:g}"}
                name = f"{folder}/seed_{options.seed}_sample_{number:03d}"
                facts["model"] = "none"
                yield from tiles.shown(Result(name, Role.SAMPLE, [picture], facts, format, kind=photo.kind))


def photo_of(material: Material) -> Photo:
    """The picture.

    Raises:
        UserError: it is not known.
    """
    if material.photo is None:
        raise UserError("This needs the training picture, which the model does not hold; name the picture's file.")
    return material.photo


def sizes_of(photo: Photo, options: Stills) -> list[tuple[int, int]]:
    """Sizes ``(H, W)`` to make of a picture, see ``output_sizes``."""
    return output_sizes(options, own_size(photo.size, options.longest), finished=True)


INSTANT: Application[Stills] = Instant()
