"""Figures of a picture against the one that it should be, pixel by pixel.

Both take pictures ``[1, C, H, W]`` of one shape with values in [0, 1].
"""

from __future__ import annotations

from math import inf, log10

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SPREAD = 11, 1.5  # px, and the deviation of the Gaussian in it
STABLE = (0.01**2, 0.03**2)  # K1 and K2 of the paper, squared, for values in [0, 1]


def psnr(truth: Tensor, made: Tensor) -> float:
    """Peak signal to noise ratio in dB: ``-10 log10`` of the mean squared error; infinite for equal pictures."""
    error = (truth.double() - made.double()).square().mean().item()
    return -10 * log10(error) if error else inf


def ssim(truth: Tensor, made: Tensor) -> float:
    """Structural similarity, at most 1, the mean over channels and over all windows that lie within the picture.

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE Trans. Image Processing 2004, eq. 13, with its Gaussian of 11 px. In a picture with a smaller side
    the window is as large as that side allows.
    """
    side = min(WINDOW, min(truth.shape[2:]) // 2 * 2 - 1)
    offsets = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-offsets.square() / (2 * SPREAD**2))
    weights /= weights.sum()

    def mean(x: Tensor) -> Tensor:
        channels = x.shape[1]
        rows = weights.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
        return F.conv2d(F.conv2d(x, rows, groups=channels), rows.transpose(2, 3), groups=channels)

    a, b = truth.cpu().double(), made.cpu().double()
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    first, second = STABLE
    above = (2 * mean_a * mean_b + first) * (2 * covariance + second)
    return (above / ((mean_a**2 + mean_b**2 + first) * (variances + second))).mean().item()
