"""Carry a change that was made to a small picture over to the large one.

A model works at 250 px or so, the picture that it is applied to may have ten times as many. For an object, whose edges
stay where they are, the change is split in two. What a local map of colours to colours explains, red to ochre, acts on
the large picture itself: it keeps the detail, and it stops at the object's edge, because the colours beyond are others.
What remains, the painting's texture, is enlarged and added in flat parts only: at edges, what remains is the blur of
the small output, and would stand around the object as a halo. For seams, which are to go, the change is enlarged and
added, and the large picture keeps its detail where there is little change.

Source: the guided filter with a colour guide of He, Sun and Tang (PAMI 2013, eq. 19 and 20) on the small picture
(fast guided filter, 1505.00996), here fitted to the change instead of to the result, so that no change leaves the
picture as it is to the bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.resize import resize
from consingan.grid.sizes import size_of

WINDOW = 4  # px of the small picture, radius of the window in which the map of colours is fitted
SMOOTHNESS = 4e-3  # of the squared range [-1, 1]: differences of colour below its root are not followed
NEAR = 2  # px of the small picture, radius of the window in which contrast and change are measured
FRAME = 2  # px of the small picture at its borders whose change is not believed
FLAT = 1e-2  # of the squared range: contrast, or change, at whose root half of the texture, or detail, is left


def carried(picture: Tensor, before: Tensor, after: Tensor, keep_edges: bool = True) -> Tensor:
    """The large picture with the change that took ``before`` to ``after``.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        before: ``[1, C, h, w]``, the picture at the size of the change.
        after: ``[1, C, h, w]`` in [-1, 1].
        keep_edges: whether the picture's edges stay where they are, as those of an object; seams should not.

    Returns:
        ``[1, C, H, W]`` in [-1, 1]. Of the same size as ``after`` it is ``after``; where nothing changed it is
        ``picture``.
    """
    if picture.shape == after.shape:
        return after
    size = size_of(picture)
    change = after - before
    if not keep_edges:
        doubt = F.interpolate(1 - FLAT / (power(change) + FLAT), size=size, mode="bilinear")
        return (picture + resize(change, size) - doubt * (picture - resize(before, size))).clamp(-1, 1)
    gain, offset = fitted(before, change)
    flatness = FLAT / (power(before) - power_of_mean(before) + FLAT)
    texture = flatness * (change - mapped(before, gain, offset))
    gain, offset = (F.interpolate(x, size=size, mode="bilinear") for x in (gain, offset))
    return (picture + mapped(picture, gain, offset) + resize(texture, size)).clamp(-1, 1)


def without_frame(before: Tensor, after: Tensor) -> Tensor:
    """``after`` with the change of its borders taken from next to them: ``[1, C, h, w]`` in [-1, 1].

    A network sees zeros past the picture's border and makes a frame of them: a bar of a foreign colour.

    Args:
        before, after: ``[1, C, h, w]`` in [-1, 1].
    """
    if min(size_of(after)) <= 4 * FRAME:
        return after
    inner = (after - before)[:, :, FRAME:-FRAME, FRAME:-FRAME]
    made = (before + F.pad(inner, (FRAME,) * 4, mode="replicate")).clamp(-1, 1)
    made[:, :, FRAME:-FRAME, FRAME:-FRAME] = after[:, :, FRAME:-FRAME, FRAME:-FRAME]  # to the bit
    return made


def fitted(guide: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """The map of colours that is nearest to the change in each window.

    Args:
        guide, change: ``[1, C, h, w]``.

    Returns:
        Gain ``[1, C * C, h, w]`` and offset ``[1, C, h, w]`` for ``mapped``, averaged over the windows that a pixel
        lies in.
    """
    channels, size = guide.shape[1], guide.shape[2:]
    mean_guide, mean_change = window_mean(guide), window_mean(change)
    variance = window_mean(products(guide, guide)) - products(mean_guide, mean_guide)
    covariance = window_mean(products(guide, change)) - products(mean_guide, mean_change)
    matrices = (x.view(channels, channels, -1).permute(2, 0, 1) for x in (variance, covariance))  # [h * w, C, C]
    gain = torch.linalg.solve(next(matrices) + SMOOTHNESS * torch.eye(channels), next(matrices))
    gain = gain.permute(1, 2, 0).reshape(1, channels * channels, *size)
    offset = mean_change - mapped(mean_guide, gain, torch.zeros(()))
    return window_mean(gain), window_mean(offset)


def mapped(x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Each pixel's colour times its matrix plus its offset: ``[1, C, h, w]``; ``gain`` is ``[1, C * C, h, w]``."""
    channels = x.shape[1]
    return (gain.unflatten(1, (channels, channels)) * x[:, :, None]).sum(dim=1) + offset


def products(a: Tensor, b: Tensor) -> Tensor:
    """Every channel of ``a`` times every channel of ``b``: ``[1, C * C, h, w]``."""
    return (a[:, :, None] * b[:, None]).flatten(1, 2)


def power(x: Tensor) -> Tensor:
    """Mean square over near pixels and channels: ``[1, 1, h, w]``."""
    return window_mean(x.square(), NEAR).mean(dim=1, keepdim=True)


def power_of_mean(x: Tensor) -> Tensor:
    """Mean over channels of the squared mean over near pixels: ``[1, 1, h, w]``."""
    return window_mean(x, NEAR).square().mean(dim=1, keepdim=True)


def window_mean(x: Tensor, radius: int = WINDOW) -> Tensor:
    """Mean over a window of a radius in px, of what lies inside the picture: ``[1, C, h, w]``."""
    side = 2 * radius + 1
    return F.avg_pool2d(x, side, stride=1, padding=radius, count_include_pad=False)
