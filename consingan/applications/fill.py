"""What is under a mask made anew, and pictures that go on beyond their edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told
from consingan.applications.instant import photo_of
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import LARGEST_PIXELS
from consingan.grid.sizes import Size
from consingan.storage.results import Role

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.finish.photo import Photo

BEFORE = 2.0  # seconds that the scales up to 512 px take on one core, about


@dataclass(frozen=True)
class FillOptions:
    """Making anew what is under a mask."""

    mask: str | None = setting(None, "fill: mask of the picture's size, white where it is to be made anew")
    invert_mask: bool = setting(False, "fill: the mask is black where the picture is to be made anew")
    variation: float | None = setting(
        None, "fill: how far a trained layout may leave that of the patches, from 0 to 1", low=0, high=1
    )
    num_samples: int = setting(3, "fill: proposals", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> FillOptions:
        """The same for one proposal."""
        return replace(self, num_samples=1)


@dataclass(frozen=True)
class UncropOptions:
    """Going on beyond a picture's edges."""

    left: int = setting(0, "uncrop: pixels to add on the left", low=0, high=32768)
    top: int = setting(0, "uncrop: pixels to add above", low=0, high=32768)
    right: int = setting(0, "uncrop: pixels to add on the right", low=0, high=32768)
    bottom: int = setting(0, "uncrop: pixels to add below", low=0, high=32768)
    num_samples: int = setting(3, "uncrop: proposals", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> UncropOptions:
        """The same for one proposal."""
        return replace(self, num_samples=1)


@dataclass(frozen=True)
class Fill:
    """Proposals for what is under a mask."""

    name: str = "fill"
    summary: str = "what is under a mask, made anew"
    options: FillOptions = FillOptions()

    def unfit(self, material: Material) -> str | None:
        if material.photo is None:
            return f"--application {self.name} needs the picture, which this model does not hold; name its file."
        if material.model is None or (material.run is not None and material.run.hole.is_file()):
            return None
        return (
            f"--application {self.name} is for pictures, and for runs that consingan {self.name} trained on the "
            "rest of one: this model has learned from all of its picture; name the picture's file."
        )

    def announce(self, material: Material, options: FillOptions) -> Expected:
        photo = photo_of(material)
        self._hole(material, photo, options)
        return Expected(options.num_samples, [photo.size], True, BEFORE)

    def apply(self, material: Material, options: FillOptions, told: Told) -> Iterator[Result]:
        photo = photo_of(material)
        hole = self._hole(material, photo, options)
        mask = options.mask or "that of the run"
        facts = {"mask": Path(mask).name} | ({"inverted": "yes"} if options.invert_mask else {})
        yield from proposals(self.name, material, photo.picture, hole, options, facts, told)

    def _hole(self, material: Material, photo: Photo, options: FillOptions) -> Tensor:
        """The hole of the mask that is given, or else of the run's."""
        from consingan.pictures import holes

        own = material.run.hole if material.run else None
        if options.mask is None:
            if own is None:
                raise UserError(f"--application {self.name} needs a mask of what is to be made anew; give --mask.")
            return holes.read(own, photo.size)
        check_pixels(photo.size)
        hole = holes.read(Path(options.mask), photo.size, options.invert_mask)
        if own is not None and not bool((hole == holes.read(own, photo.size)).all()):
            raise UserError(
                f"--mask {options.mask} is another than the one that {material.run.folder} was trained around; "  # type: ignore[union-attr]
                "leave it out, or name the picture instead of the run."
            )
        return hole


@dataclass(frozen=True)
class Uncrop:
    """Proposals for what lies beyond a picture's edges."""

    name: str = "uncrop"
    summary: str = "a picture that goes on beyond its edges"
    options: UncropOptions = UncropOptions()

    def unfit(self, material: Material) -> str | None:
        if material.model is None and material.photo is not None:
            return None
        return (
            f"--application {self.name} works on a picture alone; name its file, or use consingan {self.name} to train "
            "a model for it."
        )

    def announce(self, material: Material, options: UncropOptions) -> Expected:
        from consingan.pictures.holes import Margins

        height, width = photo_of(material).size
        Margins(options.left, options.top, options.right, options.bottom).check((height, width))
        size = (height + options.top + options.bottom, width + options.left + options.right)
        check_pixels(size)
        return Expected(options.num_samples, [size], True, BEFORE)

    def apply(self, material: Material, options: UncropOptions, told: Told) -> Iterator[Result]:
        from consingan.pictures.holes import Margins

        photo = photo_of(material)
        margins = Margins(options.left, options.top, options.right, options.bottom)
        self.announce(material, options)
        picture, hole = margins.around(photo.picture)
        facts = {"margins": f"{options.left},{options.top},{options.right},{options.bottom}"}
        yield from proposals(self.name, material, picture, hole, options, facts, told)


def proposals(
    name: str,
    material: Material,
    picture: Tensor,
    hole: Tensor,
    options: FillOptions | UncropOptions,
    facts: dict[str, str],
    told: Told,
) -> Iterator[Result]:
    """Pictures whose hole is made anew, each other than the last.

    Args:
        name: of their folder.
        material: what the hole is made of; with a model it is laid out by it.
        picture: ``[1, C, H, W]`` in [-1, 1].
        hole: ``[1, 1, H, W]``, 1 where it is to be made.
        options: how many, and from which numbers.
        facts: what else makes them.
        told: hears how far each has come.
    """
    import torch

    from consingan.finish.completion import completed
    from consingan.grid.noise import Draw
    from consingan.grid.ranges import signed, unit

    device = photo_of(material).device
    layout = "patches" if material.model is None else "trained"
    known, hole = unit(picture).to(device), hole.to(device)
    for number in range(options.num_samples):
        draw = Draw(options.seed, ("fill", number), device)
        made = signed(completed(known, hole, draw, told=told)).cpu()
        result = torch.where(hole.cpu() > 0, made, picture)
        place = {"seed": f"{options.seed}", "sample": f"{number}", "layout": layout}
        stem = f"{name}_{layout}/seed_{options.seed}_sample_{number:03d}"
        yield Result(stem, Role.SAMPLE, [result], {**facts, **place}, options.format)


def check_pixels(size: Size) -> None:
    """Refuse a result of ``(H, W)`` that is too large to be worked on."""
    height, width = size
    if height * width > LARGEST_PIXELS:
        raise UserError(
            f"The result would have {width}x{height} px; at most {LARGEST_PIXELS / 1e6:.0f} million can be made, "
            "take a smaller picture or smaller margins."
        )


FILL: Application[FillOptions] = Fill()
UNCROP: Application[UncropOptions] = Uncrop()
