"""Carry a change that was made to a small picture over to the large one.

A model works at 250 px or so, the picture that it is applied to may have ten times as many. The change is split in
two: what a local brightness and contrast explains is a slowly varying gain and offset, which act on the large
picture's own detail; the rest, the painting's texture, is enlarged and added.

Source: the fast guided filter of He and Sun (1505.00996), here fitted to the change instead of to the result, so that
no change leaves the picture as it is to the bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.resize import resize

WINDOW = 4  # px of the small picture, radius of the window in which gain and offset are fitted
SMOOTHNESS = 4e-3  # of the squared range [-1, 1]: contrast below its root counts as flat
GAIN = (-0.7, 0.7)  # beyond these, the gain would blow up the detail rather than recolour it


def carried(picture: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The large picture with the change that took ``before`` to ``after``.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        before: ``[1, C, h, w]``, the picture at the size of the change.
        after: ``[1, C, h, w]`` in [-1, 1].

    Returns:
        ``[1, C, H, W]`` in [-1, 1]. Of the same size as ``after`` it is ``after``; where nothing changed it is
        ``picture``.
    """
    if picture.shape == after.shape:
        return after
    size = (picture.shape[2], picture.shape[3])
    change = after - before
    gain, offset = fitted(before, change)
    rest = change - gain * before - offset
    smooth = torch.cat([gain, offset], dim=1)
    gain, offset = F.interpolate(smooth, size=size, mode="bilinear").chunk(2, dim=1)
    return (picture + gain * picture + offset + resize(rest, size)).clamp(-1, 1)


def fitted(guide: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset, by channel, with which ``gain * guide + offset`` is nearest to the change in each window.

    Args:
        guide, change: ``[1, C, h, w]``.

    Returns:
        Two ``[1, C, h, w]``, averaged over the windows that a pixel lies in.
    """
    mean_guide, mean_change = window_mean(guide), window_mean(change)
    covariance = window_mean(guide * change) - mean_guide * mean_change
    variance = window_mean(guide * guide) - mean_guide.square()
    gain = (covariance / (variance + SMOOTHNESS)).clamp(*GAIN)
    offset = mean_change - gain * mean_guide
    return window_mean(gain), window_mean(offset)


def window_mean(x: Tensor) -> Tensor:
    """Mean over a window of radius ``WINDOW``, of what lies inside the picture: ``[1, C, h, w]``."""
    side = 2 * WINDOW + 1
    return F.avg_pool2d(x, side, stride=1, padding=WINDOW, count_include_pad=False)
