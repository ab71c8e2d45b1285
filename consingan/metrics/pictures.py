"""What comes in: pictures as tensors ``[N, 3, H, W]``, values in [0, 1] (0 black, 1 white).

A picture of one channel counts as grey and is repeated to three channels. Everything is brought to the
CPU in float32: a figure must not depend on the device, and some devices round products of float32 numbers
to 10 bits by default (TF32), which would show in the third digit of the figures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.sizes import Size, are_pictures

PATCH = 7  # side of a patch in pixels, as in the papers on patch statistics named in figures.py


def prepare(real: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Check both and bring them to one form and one size: that of the samples.

    Args:
        real: the training picture, ``[1, C, H, W]`` with C = 1 or 3, values in [0, 1].
        samples: ``[N, C, H', W']``, values in [0, 1].

    Returns:
        ``[1, 3, H', W']`` and ``[N, 3, H', W']``, float32 on the CPU. Preparing twice changes nothing.

    Raises:
        UserError: the samples are smaller than a patch, or hold what is not finite.
        ValueError: a shape or a range is another.
    """
    if not are_pictures(real) or len(real) != 1:
        raise ValueError(f"the real picture must be one picture [1, C, H, W], not {tuple(real.shape)}")
    samples = as_rgb(samples, "samples")
    height, width = samples.shape[2:]
    if min(height, width) < PATCH:
        raise UserError(
            f"the samples are {width} x {height} px, but the quality figures compare patches of "
            f"{PATCH} x {PATCH} px: make the samples at least {PATCH} px wide and high."
        )
    return match(as_rgb(real, "the real picture"), (height, width)), samples


def as_rgb(pictures: Tensor, what: str) -> Tensor:
    """Pictures in colour: ``[N, 3, H, W]``, float32 on the CPU.

    Args:
        pictures: ``[N, 1 or 3, H, W]`` of any float type, in [0, 1].
        what: their name in messages.

    Raises:
        UserError: they hold what is not finite.
        ValueError: the shape or the range is another.
    """
    if not are_pictures(pictures):
        raise ValueError(f"{what} must have the shape [N, 1 or 3, H, W], not {tuple(pictures.shape)}")
    pictures = pictures.detach().to("cpu", torch.float32)
    if not pictures.isfinite().all():
        raise UserError(
            f"{what} hold pixels that are infinite or not a number, so no quality figure exists: "
            "the training has diverged; train again with a smaller learning rate (--lr_g, --lr_d)."
        )
    low, high = pictures.aminmax()
    if low < -0.001 or high > 1.001:  # most likely pictures in [-1, 1] that nobody converted
        raise ValueError(f"{what} must have values in [0, 1], not from {low:.3f} to {high:.3f}")
    return pictures.expand(-1, 3, -1, -1)


def match(real: Tensor, size: Size) -> Tensor:
    """Resize pictures, bicubic with antialiasing, clamped to [0, 1].

    The same filter as Pillow's BICUBIC, but without its rounding and clipping to 8 bits after each direction. Pictures
    that have the size already are returned untouched.

    Args:
        real: ``[N, C, H, W]`` in [0, 1].
        size: ``(H', W')``.
    """
    if tuple(real.shape[2:]) == tuple(size):
        return real
    return F.interpolate(real, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def shrink(pictures: Tensor, scale: float) -> Tensor:
    """Pictures ``[N, C, H, W]`` with both sides times a scale, but never below one pixel more than a patch."""
    height, width = (max(PATCH + 1, round(side * scale)) for side in pictures.shape[2:])
    return pictures if scale == 1 else match(pictures, (height, width))
