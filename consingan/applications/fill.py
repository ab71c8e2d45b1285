"""What is under a mask made anew, and pictures that go on beyond their edges: one thing, a hole that is filled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from consingan.applications.base import Application, Expected, Material, Options, Result, Told
from consingan.applications.instant import photo_of
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import LARGEST_PIXELS
from consingan.grid.sizes import Size
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.finish.photo import Photo

FORMATS = ("png", "jpg", "webp", "tif")


class Holed(Options, Protocol):
    """Options that say where the hole is, and how many proposals are wanted."""

    @property
    def num_samples(self) -> int: ...

    @property
    def variation(self) -> float | None: ...

    @property
    def seed(self) -> int: ...

    @property
    def format(self) -> str: ...

    def holed(self, photo: Photo, own: Path | None) -> tuple[Tensor, Tensor]:
        """The picture ``[1, C, H, W]`` in [-1, 1] that has the hole, and the hole ``[1, 1, H, W]``, 1 in it.

        Args:
            photo: what is given.
            own: the mask of a run.

        Raises:
            UserError: there is no such hole.
        """

    def facts(self) -> dict[str, str]:
        """What makes the hole again."""


Own = TypeVar("Own", bound=Holed)


@dataclass(frozen=True)
class FillOptions:
    """Making anew what is under a mask."""

    mask: str | None = setting(None, "fill: mask of the picture's size, white where it is to be made anew", file=True)
    invert_mask: bool = setting(False, "fill: the mask is black where the picture is to be made anew")
    num_samples: int = setting(3, "fill, uncrop: proposals", low=1, high=100_000)
    variation: float | None = setting(None, "fill, uncrop: share of noise in trained layouts", low=0, high=1)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=FORMATS)

    def single(self) -> Self:
        """The same for one proposal."""
        return replace(self, num_samples=1)

    def holed(self, photo: Photo, own: Path | None) -> tuple[Tensor, Tensor]:
        """As ``Holed``: the photo, and what is white in the mask."""
        from consingan.pictures import holes

        check_pixels(photo.size)
        file = own if self.mask is None else Path(self.mask)
        if file is None:
            raise UserError("--mask is missing: give a picture of the photo's size, white where it is to be made anew.")
        return photo.picture, holes.read(file, photo.size, self.invert_mask and self.mask is not None)

    def facts(self) -> dict[str, str]:
        """The mask's name."""
        given = {} if self.mask is None else {"mask": Path(self.mask).name}
        return {**given, **({"inverted": "yes"} if self.invert_mask else {})}


@dataclass(frozen=True)
class UncropOptions:
    """Going on beyond a picture's edges."""

    left: int = setting(0, "uncrop: pixels to add on the left", low=0, high=32768)
    top: int = setting(0, "uncrop: pixels to add above", low=0, high=32768)
    right: int = setting(0, "uncrop: pixels to add on the right", low=0, high=32768)
    bottom: int = setting(0, "uncrop: pixels to add below", low=0, high=32768)
    num_samples: int = setting(3, "fill, uncrop: proposals", low=1, high=100_000)
    variation: float | None = setting(None, "fill, uncrop: share of noise in trained layouts", low=0, high=1)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=FORMATS)

    def single(self) -> Self:
        """The same for one proposal."""
        return replace(self, num_samples=1)

    def holed(self, photo: Photo, own: Path | None) -> tuple[Tensor, Tensor]:
        """As ``Holed``: the photo on a larger canvas, and its margins."""
        from consingan.pictures.holes import Margins

        margins = Margins(self.left, self.top, self.right, self.bottom)
        margins.check(photo.size)
        check_pixels((photo.size[0] + self.top + self.bottom, photo.size[1] + self.left + self.right))
        return margins.around(photo.picture)

    def facts(self) -> dict[str, str]:
        """The margins."""
        return {"left": f"{self.left}", "top": f"{self.top}", "right": f"{self.right}", "bottom": f"{self.bottom}"}


@dataclass(frozen=True)
class Fill(Generic[Own]):
    """Proposals for what is in a hole.

    Args:
        name, summary, options: as the contract says; the options say where the hole is.
    """

    name: str
    summary: str
    options: Own

    def unfit(self, material: Material) -> str | None:
        if material.photo is None:
            return f"--application {self.name} needs the picture, which this model does not hold; name its file."
        if material.model is None or (material.run is not None and material.run.hole.is_file()):
            return None
        return (
            f"--application {self.name} is for pictures, and for runs that consingan {self.name} trained on the "
            "rest of one: this model has learned from all of its picture; name the picture's file."
        )

    def announce(self, material: Material, options: Own) -> Expected:
        from consingan.finish.completion import seconds

        picture, hole = self._holed(material, options)
        return Expected(options.num_samples, [(picture.shape[2], picture.shape[3])], False, seconds(hole))

    def apply(self, material: Material, options: Own, told: Told) -> Iterator[Result]:
        picture, hole = self._holed(material, options)
        yield from proposals(self.name, material, picture, hole, options, told)

    def _holed(self, material: Material, options: Own) -> tuple[Tensor, Tensor]:
        """The picture and its hole, which must be that of the run where there is a model."""
        from consingan.pictures import holes

        own = material.run.hole if material.run else None
        picture, hole = options.holed(photo_of(material), own)
        if own is not None:
            trained = holes.read(own, None)
            if trained.shape != hole.shape or not bool((trained == hole).all()):
                raise UserError(
                    f"The hole is another than the one that the model of {own.parent} was trained around; leave --mask "
                    "and margins out, or name the picture instead of the run."
                )
        return picture, hole


def proposals(
    name: str,
    material: Material,
    picture: Tensor,
    hole: Tensor,
    options: Holed,
    told: Told,
) -> Iterator[Result]:
    """Pictures whose hole is made anew, each other than the last.

    Args:
        name: of their folder.
        material: what the hole is made of; with a model it is laid out by it.
        picture: ``[1, C, H, W]`` in [-1, 1].
        hole: ``[1, 1, H, W]``, 1 where it is to be made.
        options: how many, and from which numbers.
        told: hears how far each has come.
    """
    import torch

    from consingan.finish.completion import completed
    from consingan.finish.hole import opened
    from consingan.gan.around import laid_out
    from consingan.grid.noise import Draw
    from consingan.grid.ranges import signed, unit

    photo = photo_of(material)
    device, format = photo.device, for_kind(options.format, photo.kind)
    model = material.model
    known, hole = unit(picture).to(device), hole.to(device)
    how = "patches" if model is None else "trained"
    for number in range(options.num_samples):
        draw = Draw(options.seed, ("fill", number), device)
        layout = None
        if model is not None:
            rest = (~opened(hole, model.sizes[0])).float()[None, None]
            layout = unit(laid_out(model, rest, draw, options.variation))
        made = signed(completed(known, hole, draw, layout, told)).cpu()
        result = torch.where(hole.cpu() > 0, made, picture)
        place = {"seed": f"{options.seed}", "sample": f"{number}", "layout": how}
        place |= {} if options.variation is None else {"variation": f"{options.variation:g}"}
        stem = f"{name}_{how}/seed_{options.seed}_sample_{number:03d}"
        yield Result(stem, Role.SAMPLE, [result], {**options.facts(), **place}, format, kind=photo.kind)


def check_pixels(size: Size) -> None:
    """Refuse a result of ``(H, W)`` that is too large to be worked on."""
    height, width = size
    if height * width > LARGEST_PIXELS:
        raise UserError(
            f"The result would have {width}x{height} px; at most {LARGEST_PIXELS / 1e6:.0f} million can be made, "
            "take a smaller picture or smaller margins."
        )


FILL: Application[FillOptions] = Fill("fill", "what is under a mask, made anew", FillOptions())
UNCROP: Application[UncropOptions] = Fill("uncrop", "a picture that goes on beyond its edges", UncropOptions())
