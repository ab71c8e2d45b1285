"""Features of a picture: its 7 x 7 patches, and their projections on fixed random directions.

A place is the top left corner of a patch; places are counted row by row, so a picture of H x W pixels has
(H - 6) * (W - 6) of them. A patch is a vector of 3 * 7 * 7 = 147 numbers, ordered channel, row, column.
No function here holds all patches of a picture at once: at 2048 x 2048 px that would take 2.4 GB.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.metrics.pictures import PATCH

CHUNK_PLACES = 8192  # patches unfolded at once: 5 MB


def place_grid(picture: Tensor) -> tuple[int, int]:
    """Rows and columns of places in a picture ``[1, C, H, W]``."""
    height, width = picture.shape[2:]
    return height - PATCH + 1, width - PATCH + 1


def patches_at(picture: Tensor, places: Tensor) -> Tensor:
    """Patches of a picture: ``[n, 147]``.

    Args:
        picture: ``[1, 3, H, W]``.
        places: ``[n]``, whole numbers.
    """
    columns = place_grid(picture)[1]
    windows = picture[0].unfold(1, PATCH, 1).unfold(2, PATCH, 1)  # a view, [3, rows, columns, 7, 7]
    chosen = windows[:, places // columns, places % columns]  # [3, n, 7, 7]
    return chosen.transpose(0, 1).flatten(1)


def patch_strips(picture: Tensor, chunk: int = CHUNK_PLACES) -> Iterator[Tensor]:
    """All patches of a picture in strips ``[147, n]``, one patch a column.

    Args:
        picture: ``[1, 3, H, W]``.
        chunk: about what n is.
    """
    rows, columns = place_grid(picture)
    step = max(1, chunk // columns)
    for top in range(0, rows, step):
        # neighbouring strips share 6 rows of pixels, but no place
        yield F.unfold(picture[:, :, top : min(top + step, rows) + PATCH - 1], PATCH)[0]


def random_directions(count: int) -> Tensor:
    """Fixed unit vectors in patch space, as convolution filters ``[count, 3, 7, 7]``.

    Always the same ones (seed 0): figures of two runs can be compared only on the same directions.
    """
    vectors = torch.randn(3 * PATCH * PATCH, count, generator=torch.Generator().manual_seed(0))
    return F.normalize(vectors, dim=0).T.reshape(count, 3, PATCH, PATCH)


def project(picture: Tensor, directions: Tensor) -> Tensor:
    """Scalar product of every patch with every direction: ``[d, places]``.

    A convolution is just that, and it needs no list of patches in memory.

    Args:
        picture: ``[1, 3, H, W]``.
        directions: ``[d, 3, 7, 7]``.
    """
    return F.conv2d(picture, directions)[0].flatten(1)
