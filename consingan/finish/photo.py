"""The training picture as a store of patches: at every scale its pixels, and its patches as short vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish.scales import SEARCHED, Plan
from consingan.grid.kinds import Kind
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, at_most, size_of

REACH = 3  # px from a patch's centre to its border: patches of 7x7
COMPONENTS = 24  # numbers that a patch is compared by
LARGEST = 4096  # px, the longer side of a picture that is kept with a model
LEARNED_FROM = 20_000  # patches that the principal components are taken of, at most


Field = tuple[Tensor, Tensor]  # see ``search``


class Store(Protocol):
    """Patches at one scale: of a picture (``Scale``), or of several (``atlas.Sheet``).

    Attributes:
        size: ``(H, W)`` of what a field's rows and columns count.
        longest: px of the longest side of a picture.
        grid, pixels, blurred, sharp: see ``Scale``.
        grids: by picture, how many patches lie along its height and its width.
        places: the numbers of the patches that may be taken, picture by picture; all if None.
    """

    size: Size
    longest: int
    grid: Size
    grids: Sequence[Size]
    places: Tensor | None
    pixels: Tensor
    searched: bool
    blurred: Tensor
    sharp: Tensor

    def patches(self, x: Tensor) -> Tensor:
        """See ``Scale.patches``."""

    def differences(self, axis: int) -> Tensor:
        """What the next pixel downwards (0) or to the right (1) has more: ``[H * W, C]``, 0 where there is none."""

    def inside(self, field: Field) -> Field:
        """A field whose patches lie within a picture."""

    def carried(self, field: Field, at: Field, places: Field, shown: Size) -> Field:
        """A field of the scale below, carried to this one: see ``search.enlarged``.

        Args:
            field: what the coarse places ``at`` have, one for each place.
            at, places: rows and columns, the coarse and the fine ones, ``[1, h, 1]`` and ``[1, 1, w]``.
            shown: ``(h, w)`` of the picture at the scale below.
        """


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
        self.size, self.longest = (height, width), max(height, width)
        self.grid = (height - 2 * REACH, width - 2 * REACH)
        self.grids: Sequence[Size] = [self.grid]
        self.places: Tensor | None = None
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
        return precise(x, self.filters, self.offset).permute(0, 2, 3, 1).contiguous()

    def differences(self, axis: int) -> Tensor:
        """See ``Store.differences``."""
        plane = self.pixels.view(*self.size, -1)
        last = plane.narrow(axis, self.size[axis] - 1, 1)
        return plane.diff(dim=axis, append=last).flatten(0, 1)

    def inside(self, field: Field) -> Field:
        """See ``Store.inside``."""
        height, width = self.size
        return field[0].clamp(REACH, height - 1 - REACH), field[1].clamp(REACH, width - 1 - REACH)

    def carried(self, field: Field, at: Field, places: Field, shown: Size) -> Field:
        """See ``Store.carried``."""
        found = []
        for axis in (0, 1):
            grown = ((field[axis] - at[axis]) * (self.size[axis] / shown[axis])).round().long()
            found.append(grown + places[axis])
        return self.inside((found[0], found[1]))


def precise(x: Tensor, filters: Tensor, offset: Tensor) -> Tensor:
    """``torch.nn.functional.conv2d`` that never rounds to TF32, whose ten bits are too few to tell patches apart.

    The word is given with the call: ``torch.backends`` is shared with all other threads.
    """
    exact = torch.backends.cudnn.deterministic or torch.are_deterministic_algorithms_enabled()
    tuned = torch.backends.cudnn.benchmark
    return torch._convolution(x, filters, offset, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, tuned, exact, True, False)


def components(*pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The first principal components of the patches of one or more pictures, as a convolution.

    Args:
        pictures: ``[1, C, H, W]`` each.

    Returns:
        Filters ``[24, C, 7, 7]`` (fewer where a patch has fewer numbers) and offsets ``[24]`` of the mean patch.
    """
    side = 2 * REACH + 1
    picture = pictures[0]
    found = torch.cat([F.unfold(each, side)[0].T for each in pictures])  # [patches, C * 49]
    found = found[:: max(1, len(found) // LEARNED_FROM)].cpu().double()
    mean = found.mean(0)
    centred = found - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -COMPONENTS:].T.flip(0)  # [24, C * 49]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # one of two directions, always the same
    filters, offset = axes.float(), -(axes @ mean).float()
    return filters.view(-1, picture.shape[1], side, side).to(picture.device), offset.to(picture.device)


def stored(picture: Tensor, kind: Kind | None = None) -> Tensor:
    """A picture as it is kept with a model, shrunk to ``LARGEST`` px.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        kind: what it is; 8-bit without alpha if None.

    Returns:
        The same as files hold it: straight colours, of the depth's type.
    """
    return whole(resize(picture, at_most(size_of(picture), LARGEST)), kind)


def whole(picture: Tensor, kind: Kind | None = None) -> Tensor:
    """As ``stored``, at the picture's own size."""
    return (kind or Kind(picture.shape[1])).stored(picture).cpu()


class Photo:
    """A picture whose patches finish samples.

    Args:
        pixels: ``[1, C, H, W]``, as ``stored`` gives it.
        device: where to work.
        kind: what it is; 8-bit without alpha if None.
    """

    def __init__(self, pixels: Tensor, device: torch.device | str = "cpu", kind: Kind | None = None):
        self.pixels, self.device = pixels, torch.device(device)
        self.kind = kind or Kind(pixels.shape[1])
        self.kept: tuple[Plan, list[Scale]] | None = None

    @property
    def size(self) -> Size:
        """``(H, W)``."""
        return self.pixels.shape[2], self.pixels.shape[3]

    @property
    def picture(self) -> Tensor:
        """``[1, C, H, W]`` in [-1, 1]; premultiplied."""
        return self.kind.signed(self.pixels)

    def at(self, size: Size) -> Tensor:
        """The picture at a size: ``[1, C, h, w]`` in [0, 1]; premultiplied."""
        return resize(self.kind.light(self.pixels.to(self.device)), size).clamp(0, 1)

    @property
    def scales(self) -> list[Scale]:
        """Those that are kept."""
        return self.kept[1] if self.kept else []

    def prepared(self, plan: Plan) -> list[Scale]:
        """The picture at the scales of a plan, kept for the next sample of the same."""
        kept = self.kept  # looked at once: other threads may put theirs there
        if kept is None or kept[0].photo != plan.photo:
            sharp = [self.at(size) for size in plan.photo]
            below = [sharp[0], *sharp[:-1]]
            scales = [
                Scale(x, resize(y, size).clamp(0, 1), searched=y is x or max(size) <= SEARCHED + 1)  # may be rounded up
                for x, y, size in zip(sharp, below, plan.photo, strict=True)
            ]
            kept = self.kept = plan, scales
        return kept[1]
