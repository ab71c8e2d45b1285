"""Sketches: colour maps that a person painted, roughly, of where things are to lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, at_most, size_of
from consingan.pictures import images
from consingan.pictures.arrays import with_channels
from consingan.pictures.masks import RATIO_TOLERANCE

MATCHED = 128  # px, the longer side at which the colours of a sketch are exchanged
LIGHTNESS = 0.5  # its weight among colours; hue tells grass from sky, and people paint too bright or too dark


@dataclass(frozen=True, eq=False)
class Sketch:
    """A colour map and where it counts.

    Args:
        picture: ``[1, C, h, w]`` in [-1, 1], of any size.
        mask: ``[1, 1, h, w]`` in [0, 1], of any size; 1 where the picture counts, None for everywhere.
        notes: whole sentences about how it was read.

    Raises:
        UserError: a value is not finite or out of range, or the mask counts nothing.
    """

    picture: Tensor
    mask: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, x, low in (("sketch", self.picture, -1), ("sketch's mask", self.mask, 0)):
            if x is not None and not bool(((x >= low) & (x <= 1)).all()):  # nor is NaN
                raise UserError(f"The {what} has values that are not from {low} to 1; give it in this range.")
        if self.mask is not None and not bool((self.mask > 0.5).any()):
            raise UserError("The sketch counts nowhere: no pixel of its mask is above half; paint it white there.")

    def at(self, size: Size) -> tuple[Tensor, Tensor]:
        """Picture ``[1, C, H, W]`` and mask ``[1, 1, H, W]`` at a size, stretched where its proportions are others."""
        mask = torch.ones(1, 1, *size) if self.mask is None else resize(self.mask, size).clamp(0, 1)
        return resize(self.picture, size).clamp(-1, 1), mask

    def in_colours_of(self, picture: Tensor) -> Sketch:
        """The sketch with each colour replaced by the nearest that a picture ``[1, C, h, w]`` in [-1, 1] has."""
        small = resize(self.picture, at_most(size_of(self.picture), MATCHED)).clamp(-1, 1)
        colours = picture[0].flatten(1).T.to(small)  # [K, C]
        nearest = torch.cdist(perceived(small), perceived(picture.to(small))).argmin(1)
        matched = colours[nearest].T.reshape(1, -1, *size_of(small))
        return Sketch(matched, self.mask, self.notes)


def read(like: Path, mask: Path | None, channels: int) -> Sketch:
    """A sketch's file; where it is transparent it does not count.

    Args:
        like: the sketch.
        mask: white where it counts; everywhere that it is opaque if None.
        channels: 1 or 3, the model's.

    Raises:
        UserError: a file cannot be read, the mask has another shape than the sketch, or nothing counts.
    """
    opaque = images.alpha_of(like)
    if opaque is not None and not bool((opaque > 0.5).any()):
        raise UserError(f"The sketch {like} is transparent everywhere; paint where things are to lie.")
    picture = images.load(like, channels=channels, background="keep-out").pixels
    see_through = opaque is not None and bool((opaque < 1).any())
    notes = (f"Transparent parts of {like} do not count.",) if see_through else ()
    counts = opaque if see_through else None
    if mask is not None:
        given = images.load_mask(mask)
        (height, width), (own_height, own_width) = size_of(given), size_of(picture)
        if abs(height * own_width / (width * own_height) - 1) > RATIO_TOLERANCE:
            raise UserError(
                f"--mask {mask} is {width}x{height} px, another shape than the sketch's {own_width}x{own_height} px; "
                "give the mask that was made for this sketch."
            )
        given = resize(given, size_of(picture)).clamp(0, 1)
        if not bool((given > 0.5).any()):
            raise UserError(f"--mask {mask} is empty: no pixel is above half; paint it white where the sketch counts.")
        counts = given if counts is None else given * counts
    return Sketch(picture, counts, notes)


def perceived(picture: Tensor) -> Tensor:
    """The colours of a picture ``[1, C, h, w]`` in [-1, 1] as points ``[h * w, 3]`` of OKLab, lightness weighted.

    Source: Ottosson, "A perceptual color space for image processing" (2020).
    """
    light = ((with_channels(picture, 3)[0].flatten(1).T + 1) / 2).clamp(0, 1)
    light = torch.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    cones = (light @ light.new_tensor(TO_CONES).T).clamp_min(0) ** (1 / 3)
    return cones @ cones.new_tensor(TO_LAB).T * cones.new_tensor([LIGHTNESS, 1, 1])


TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
