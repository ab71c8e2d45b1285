"""Masks: find or derive them, widen and soften them, blend by them.

A mask is ``[1, 1, H, W]`` in [0, 1], 1 where the model's output is wanted. Lengths are in pixels of a picture whose
longer side is 250 px, and scale with the picture.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, at_most, size_of
from consingan.pictures import images
from consingan.storage.formats import SUFFIXES

REFERENCE = 250  # px, the longer side for which lengths are given
SOFTNESS = 5.0  # px, the Gaussian's standard deviation
WORKING_SIDE = 500  # px; masks are widened at this size at most, because the work grows with the fourth power
RATIO_TOLERANCE = 0.02  # by which the sides' ratios of mask and picture may differ
NOTHING, RIM = 0.05, 0.25  # of a mask: up to here there is no object (what JPEG leaves), from here on there is
COMPARED_SIDE = 1000  # px; larger pictures are compared at this size
CHANGED = 0.12  # of full scale: a larger difference than JPEG's is a change
DIFFERENT, NOISE = 0.03, 8  # of full scale, and times the median difference: a smaller difference is none
UNSCALED = 0.008  # the former where no picture was resized
MOST_CHANGED = 0.5  # share of the picture above which two pictures do not have the same layout


def find(naive: Path) -> Path | None:
    """The mask beside a naive picture, ``NAME_mask.EXT`` with any extension; None where there is none."""
    beside = [naive.with_name(f"{naive.stem}_mask{suffix}") for suffix in (naive.suffix, *SUFFIXES)]
    return next((path for path in beside if path.is_file()), None)


def read(path: Path, size: Size, inverted: bool = False) -> Tensor:
    """A mask file, resized to a picture's ``(H, W)``.

    Raises:
        UserError: the file cannot be read, its sides have another ratio than the picture's, or it is empty or full.
    """
    mask = images.load_mask(path)
    height, width = mask.shape[2:]
    if abs(height * size[1] / (width * size[0]) - 1) > RATIO_TOLERANCE and not _within_a_pixel((height, width), size):
        raise UserError(
            f"The mask {path} is {width}x{height} px, another shape than the naive picture's {size[1]}x{size[0]} px; "
            "give the mask that was made for this picture."
        )
    if (height, width) != tuple(size):
        mask = F.interpolate(mask, size=tuple(size), mode="bilinear", antialias=True).clamp(0, 1)
    mask = 1 - mask if inverted else mask
    check(mask, f"The mask {path}{' inverted' if inverted else ''}")
    return mask


def check(mask: Tensor, what: str) -> None:
    """Refuse a mask that selects nothing or everything; a pixel counts where it is above one half."""
    selected = mask > 0.5
    if not bool(selected.any()):
        raise UserError(f"{what} is empty: no pixel is above half; paint the object white on black.")
    if bool(selected.all()):
        raise UserError(f"{what} is full: nothing of the naive picture would remain; paint the object white on black.")


def softened(mask: Tensor, dilation: float, softness: float = SOFTNESS) -> Tensor:
    """Widen a mask by a disk and soften it, ``skimage.morphology.binary_dilation`` and a Gaussian in effect.

    Args:
        mask: ``[1, 1, H, W]`` in [0, 1]; a pixel counts where it is above one half.
        dilation: radius of the disk, px at 250 px.
        softness: standard deviation of the Gaussian, px at 250 px.

    Returns:
        ``[1, 1, H, W]`` in [0, 1]; exactly 0 further than about ``dilation + 4 * softness`` from the object.
    """
    size = size_of(mask)
    shrink = min(1.0, WORKING_SIDE / max(size))
    hard = (mask > 0.5).float()
    if shrink < 1:
        inner = (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))
        hard = (F.interpolate(hard, size=inner, mode="area") > 0).float()  # so that thin parts stay
    scale = max(hard.shape[2:]) / REFERENCE
    soft = blurred(dilated(hard, dilation * scale), softness * scale)
    if shrink < 1:
        soft = F.interpolate(soft, size=size, mode="bilinear")
    return soft.clamp(0, 1)


def support(mask: Tensor) -> Tensor:
    """Where there is anything of the object: ``[1, 1, H, W]`` in [0, 1].

    An antialiased rim counts whole, so that nothing of the object's own colours stays in it; beyond it nothing counts.
    """
    return ((mask - NOTHING) / (RIM - NOTHING)).clamp(0, 1)


def dilated(mask: Tensor, radius: float) -> Tensor:
    """The pixels within ``radius`` px of a pixel that is above one half: ``[1, 1, H, W]``, 0 or 1."""
    hard = (mask > 0.5).float()
    if radius < 1:
        return hard
    kernel = disk(radius)
    return (F.conv2d(hard, kernel, padding=kernel.shape[-1] // 2) > 0.5).float()


def disk(radius: float) -> Tensor:
    """``[1, 1, 2r + 1, 2r + 1]``, 1 where the distance to the middle is at most ``radius``; r is it rounded down."""
    offsets = torch.arange(-int(radius), int(radius) + 1)
    return (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()[None, None]


def blurred(mask: Tensor, sigma: float) -> Tensor:
    """Gaussian blur that ends after 4 sigma; the border's values go on beyond it."""
    if sigma <= 0:
        return mask
    side = 2 * ceil(4 * sigma) + 1
    from kornia.filters import gaussian_blur2d  # here: most commands do without kornia, which loads slowly

    return gaussian_blur2d(mask, (side, side), (sigma, sigma), border_type="replicate")


def derived(naive: Tensor, training: Tensor) -> Tensor | None:
    """Where a naive picture differs from the training picture, if the rest of it is the same.

    What differs much over more than a speck is changed, and so is what differs at all and touches it: a white wall
    before a bright sky, a thin rail (hysteresis, Canny, PAMI 1986).

    Args:
        naive: ``[1, C, H, W]`` in [-1, 1].
        training: ``[1, C, h, w]`` in [-1, 1], any size.

    Returns:
        ``[1, 1, H, W]``, 0 or 1; None where the pictures have no common layout or do not differ.
    """
    size = size_of(training)
    if abs(naive.shape[2] * size[1] / (naive.shape[3] * size[0]) - 1) > RATIO_TOLERANCE:
        return None
    same = size == size_of(naive)
    size = at_most(min(size, size_of(naive)), COMPARED_SIDE)
    difference = (resize(naive, size) - resize(training, size)).abs().amax(dim=1, keepdim=True) / 2
    scale = max(size) / REFERENCE
    strong = (blurred(difference, scale) > CHANGED).float()
    strong = 1 - dilated(1 - strong, scale)  # drops specks ...
    least = max(UNSCALED if same else DIFFERENT, NOISE * difference.median().item())
    region = connected(strong, (difference > least).float())
    region = 1 - dilated(1 - dilated(region, 3 * scale), 3 * scale)  # ... and closes gaps
    share = region.mean().item()
    if not 0 < share <= MOST_CHANGED:
        return None
    return (F.interpolate(region, size=tuple(naive.shape[2:]), mode="bilinear") > 0.5).float()


def connected(seeds: Tensor, within: Tensor) -> Tensor:
    """The parts of ``within`` that a seed lies in, and the seeds: ``[1, 1, H, W]``, 0 or 1, as both are."""
    within = torch.maximum(seeds, within)
    while True:
        grown = F.max_pool2d(seeds, 3, stride=1, padding=1) * within
        if torch.equal(grown, seeds):
            return grown
        seeds = grown


def blend(naive: Tensor, output: Tensor, mask: Tensor) -> Tensor:
    """``mask * output + (1 - mask) * naive``: the naive picture, to the bit, where the mask is 0.

    Args:
        naive, output: ``[1, C, H, W]`` in [-1, 1].
        mask: ``[1, 1, H, W]`` in [0, 1].
    """
    return mask * output + (1 - mask) * naive


def _within_a_pixel(mask: Size, picture: Size) -> bool:
    """Whether the mask is the picture at another scale, its sides rounded to whole pixels."""
    scale = max(mask) / max(picture)
    return all(abs(m - p * scale) <= 1 for m, p in zip(mask, picture, strict=True))
