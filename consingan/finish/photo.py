"""The training picture as a store of patches: at every scale its pixels, and its patches as short vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.devices import Products
from consingan.finish.scales import SEARCHED, Plan
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, at_most, size_of

REACH = 3  # px from a patch's centre to its border: patches of 7x7
COMPONENTS = 24  # numbers that a patch is compared by
LARGEST = 4096  # px, the longer side of a picture that is kept with a model
LEARNED_FROM = 20_000  # patches that the principal components are taken of, at most


class Scale:
    """The picture at one size.

    Args:
        sharp: ``[1, C, H, W]`` in [0, 1].
        blurred: the same as sharp as the scale below can show it; what a sample is like before it is finished here.
        searched: whether its patches are searched; too fine a scale is not, the coarsest always.

    Attributes:
        grid: how many patches lie along its height and its width.
        pixels: ``[H * W, C]``, row by row.
        blurred, sharp: ``[(H - 6) * (W - 6), 24]``, the patches in their first principal components, where they are
            searched.
    """

    def __init__(self, sharp: Tensor, blurred: Tensor, searched: bool = True):
        channels, height, width = sharp.shape[1:]
        self.size = (height, width)
        self.grid = (height - 2 * REACH, width - 2 * REACH)
        self.pixels = sharp[0].permute(1, 2, 0).reshape(-1, channels).contiguous()
        self.searched = searched
        if not searched:
            return
        self.filters, self.offset = components(sharp)
        self.blurred, self.sharp = (self.patches(x).flatten(0, 2) for x in (blurred, sharp))

    def patches(self, x: Tensor) -> Tensor:
        """Patches of pictures ``[B, C, h, w]`` by the picture's components: ``[B, h - 6, w - 6, 24]``.

        Distances between them are those of the pixels but for what the components leave out: sums of squares over a
        patch's numbers in [0, 1].
        """
        with Products(tf32=False):  # ten bits are too few to tell patches apart
            return F.conv2d(x, self.filters, self.offset).permute(0, 2, 3, 1).contiguous()


def components(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The first principal components of a picture's patches, as a convolution.

    Args:
        picture: ``[1, C, H, W]``.

    Returns:
        Filters ``[24, C, 7, 7]`` (fewer where a patch has fewer numbers) and offsets ``[24]`` of the mean patch.
    """
    side = 2 * REACH + 1
    found = F.unfold(picture, side)[0].T  # [patches, C * 49]
    found = found[:: max(1, len(found) // LEARNED_FROM)].cpu().double()
    mean = found.mean(0)
    centred = found - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -COMPONENTS:].T.flip(0)  # [24, C * 49]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # one of two directions, always the same
    filters, offset = axes.float(), -(axes @ mean).float()
    return filters.view(-1, picture.shape[1], side, side).to(picture.device), offset.to(picture.device)


def stored(picture: Tensor, side: int = LARGEST) -> Tensor:
    """A picture as it is kept with a model: ``[1, C, H, W]`` in [-1, 1] -> uint8, shrunk to a longer side in px."""
    size = at_most(size_of(picture), side)
    return ((resize(picture, size).clamp(-1, 1) + 1) * 127.5).round().byte().cpu()


class Photo:
    """A picture whose patches finish samples.

    Args:
        pixels: ``[1, C, H, W]`` uint8.
        device: where to work.
    """

    def __init__(self, pixels: Tensor, device: torch.device | str = "cpu"):
        self.pixels, self.device = pixels, torch.device(device)
        self.plan: Plan | None = None
        self.scales: list[Scale] = []

    @property
    def size(self) -> Size:
        """``(H, W)``."""
        return self.pixels.shape[2], self.pixels.shape[3]

    @property
    def picture(self) -> Tensor:
        """``[1, C, H, W]`` in [-1, 1]."""
        return self.pixels.float() / 127.5 - 1

    def at(self, size: Size) -> Tensor:
        """The picture at a size: ``[1, C, h, w]`` in [0, 1]."""
        return resize(self.pixels.to(self.device).float() / 255, size).clamp(0, 1)

    def prepared(self, plan: Plan) -> list[Scale]:
        """The picture at the scales of a plan, kept for the next sample of the same."""
        if self.plan is None or self.plan.photo != plan.photo:
            sharp = [self.at(size) for size in plan.photo]
            below = [sharp[0], *sharp[:-1]]
            self.scales = [
                Scale(x, resize(y, size).clamp(0, 1), searched=y is x or max(size) <= SEARCHED + 1)  # may be rounded up
                for x, y, size in zip(sharp, below, plan.photo, strict=True)
            ]
            self.plan = plan
        return self.scales
