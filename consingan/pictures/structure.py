"""Whether two pictures have the same structure, whatever the brightness and the contrast of each.

Source: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity"
(TIP 2004), equation 10, in square windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.pictures.transfer import window_mean

NEAR = 3  # px, radius of the window that structure is compared in
FAINT = 3e-3  # of the squared range [-1, 1]: contrast, at whose root half of the structure counts


def difference(a: Tensor, b: Tensor) -> Tensor:
    """One minus the correlation of two pictures' brightness in a window around each pixel, averaged over the pixels.

    Args:
        a, b: ``[1, C, H, W]`` in [-1, 1].

    Returns:
        0-dim: 0 where each window of one is a linear map of the other's, 2 where light and dark are exchanged.
    """
    a, b = (x.mean(dim=1, keepdim=True) for x in (a, b))
    a, b = (x - x.mean() for x in (a, b))  # less to cancel below
    mean_a, mean_b = window_mean(a, NEAR), window_mean(b, NEAR)
    variance_a, variance_b = (
        (window_mean(x.square(), NEAR) - mean.square()).clamp(min=0) for x, mean in ((a, mean_a), (b, mean_b))
    )
    covariance = window_mean(a * b, NEAR) - mean_a * mean_b
    return 1 - ((covariance + FAINT) / ((variance_a + FAINT) * (variance_b + FAINT)).sqrt()).mean()


def differences(a: Tensor, b: Tensor, coarser: Sequence[int]) -> Tensor:
    """The mean over scales of what ``difference`` says of two pictures.

    Args:
        a, b: ``[1, C, H, W]`` in [-1, 1].
        coarser: by scale, the side in pixels of the squares of which each is one pixel there.
    """
    scaled = (tuple(F.avg_pool2d(x, by, ceil_mode=True) for x in (a, b)) for by in coarser)
    return torch.stack([difference(*pair) for pair in scaled]).mean()
