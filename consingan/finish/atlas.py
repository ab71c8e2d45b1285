"""Several photos as one store of patches: at every scale they lie below each other in one sheet.

A field names pixels of the sheet (``search.Field``), so that search and vote work on it as on one picture.
No patch lies across two photos: those that would are never taken, and places beside a photo are moved into one.

All photos are shown as large, compared with each other, as the generator learned them, and none of them is enlarged:
the photo with the least detail sets the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from consingan.finish.photo import REACH, Field, Photo, components, precise
from consingan.finish.scales import SEARCHED, Plan
from consingan.grid.kinds import Kind
from consingan.grid.resize import resize
from consingan.grid.sizes import Size, size_of

LEAST = 2 * REACH + 1  # px of a side: a patch
NEVER = 1e3  # of a number of a patch that is none; those of patches are below 10


class Sheet:
    """Several photos at one scale, below each other: a ``photo.Store``.

    Args:
        sharp: ``[1, C, h, w]`` each, in [0, 1].
        blurred: the same as sharp as the scale below can show them.
        searched: whether patches are searched, see ``Scale``.
        below: the sheet of the scale below.

    Attributes:
        tops: the row at which each photo begins.
        sizes: ``(h, w)`` of the photos.
    """

    def __init__(
        self, sharp: Sequence[Tensor], blurred: Sequence[Tensor], searched: bool = True, below: Sheet | None = None
    ):
        self.sizes, self.below, self.searched = [size_of(each) for each in sharp], below, searched
        self.longest = max(max(size) for size in self.sizes)
        heights, width = [height for height, _ in self.sizes], max(width for _, width in self.sizes)
        self.tops = [sum(heights[:number]) for number in range(len(heights))]
        self.size: Size = (sum(heights), width)
        self.grid: Size = (sum(heights) - 2 * REACH, width - 2 * REACH)
        self.grids: Sequence[Size] = [(height - 2 * REACH, width - 2 * REACH) for height, width in self.sizes]
        self.device = sharp[0].device
        self.pixels = self._laid([each[0].permute(1, 2, 0) for each in sharp], 0.0, self.size).flatten(0, 1)
        self._tops, self._heights, self._widths = (
            torch.tensor(each, device=self.device) for each in (self.tops, heights, [w for _, w in self.sizes])
        )
        self.places: Tensor | None = torch.cat(
            [
                ((torch.arange(rows)[:, None] + top) * self.grid[1] + torch.arange(columns)).flatten()
                for top, (rows, columns) in zip(self.tops, self.grids, strict=True)
            ]
        ).to(self.device)
        if searched:
            self.filters, self.offset = components(*sharp)
            self.blurred, self.sharp = (
                self._laid([self.patches(each)[0] for each in photos], NEVER, self.grid).flatten(0, 1)
                for photos in (blurred, sharp)
            )

    def _laid(self, parts: Sequence[Tensor], otherwise: float, size: Size) -> Tensor:
        """Parts ``[h, w, D]`` at their photos' rows, ``[*size, D]``."""
        sheet = torch.full((*size, parts[0].shape[2]), otherwise, device=self.device)
        for top, part in zip(self.tops, parts, strict=True):
            sheet[top : top + part.shape[0], : part.shape[1]] = part
        return sheet

    def patches(self, x: Tensor) -> Tensor:
        """See ``Scale.patches``; the components are those of all photos."""
        return precise(x, self.filters, self.offset).permute(0, 2, 3, 1).contiguous()

    def photo_of(self, rows: Tensor) -> Tensor:
        """By row of the sheet the number of the photo there; the first and the last beyond it."""
        return (torch.bucketize(rows, self._tops, right=True) - 1).clamp_min(0)

    def differences(self, axis: int) -> Tensor:
        """See ``Store.differences``."""
        plane = self.pixels.view(*self.size, -1)
        found = plane.roll(-1, axis) - plane
        for top, (height, width) in zip(self.tops, self.sizes, strict=True):
            found[top : top + height, :width].select(axis, -1).zero_()
        return found.flatten(0, 1)

    def inside(self, field: Field) -> Field:
        """See ``Store.inside``."""
        return self._within(self.photo_of(field[0]), field)

    def _within(self, photo: Tensor, field: Field) -> Field:
        top, height, width = self._tops[photo], self._heights[photo], self._widths[photo]
        rows = field[0].clamp(top + REACH, top + height - 1 - REACH)
        return rows, field[1].clamp(torch.full_like(width, REACH), width - 1 - REACH)

    def carried(self, field: Field, at: Field, places: Field, shown: Size) -> Field:
        """See ``Store.carried``; every place stays in its photo."""
        assert self.below is not None
        photo = self.below.photo_of(field[0])
        own = field[0] - self.below._tops[photo], field[1]
        found = []
        for axis, (now, before) in enumerate(
            ((self._heights, self.below._heights), (self._widths, self.below._widths))
        ):
            share = (now / before)[photo]
            found.append(((own[axis] - at[axis]) * share).round().long() + places[axis])
        top, height = self._tops[photo], self._heights[photo]
        rows = found[0].clamp(torch.full_like(height, REACH), height - 1 - REACH) + top
        return self._within(photo, (rows, found[1]))


@dataclass
class Atlas:
    """The photos of a model of several pictures.

    Args:
        photos: in order, all of one kind.
        trained: ``(H, W)`` of the pictures that the generator makes of each.
        size: ``(H, W)`` of the one that sets the size of samples, with as much detail as all have.
        reference: its number.
    """

    photos: Sequence[Photo]
    trained: Sequence[Size]
    size: Size
    reference: int
    kept: tuple[Plan, list[Sheet]] | None = None

    @classmethod
    def of(cls, photos: Sequence[Photo], trained: Sequence[Size], reference: int = 0) -> Atlas:
        """An atlas of photos, of which one sets the size."""
        detail = [max(photo.size) / max(size) for photo, size in zip(photos, trained, strict=True)]
        share = min(detail) / detail[reference]
        height, width = photos[reference].size
        return cls(photos, trained, (max(1, round(height * share)), max(1, round(width * share))), reference)

    @property
    def kind(self) -> Kind:
        """What the photos are."""
        return self.photos[0].kind

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self.photos[0].device

    def sizes(self, shown: Size) -> list[Size]:
        """``(h, w)`` of all photos where the one that sets the size is shown at ``shown``."""
        share = max(shown) / max(self.trained[self.reference])
        found = []
        for photo, trained in zip(self.photos, self.trained, strict=True):
            side = share * max(trained) / max(photo.size)
            found.append((max(LEAST, round(photo.size[0] * side)), max(LEAST, round(photo.size[1] * side))))
        found[self.reference] = shown
        return found

    def prepared(self, plan: Plan) -> list[Sheet]:
        """The photos at the scales of a plan, kept for the next sample of the same."""
        kept = self.kept
        if kept is None or kept[0].photo != plan.photo:
            sheets: list[Sheet] = []
            last: list[Tensor] = []
            for shown in plan.photo:
                sharp = [photo.at(size) for photo, size in zip(self.photos, self.sizes(shown), strict=True)]
                pairs = zip(last, sharp, strict=True) if last else ()
                blurred = [resize(x, size_of(y)).clamp(0, 1) for x, y in pairs] or sharp
                searched = not last or max(shown) <= SEARCHED + 1
                sheets.append(Sheet(sharp, blurred, searched, sheets[-1] if sheets else None))
                last = sharp
            kept = self.kept = plan, sheets
        return kept[1]

    def shares(self, field: Field) -> list[tuple[float, ...]]:
        """By sample the shares of its places whose patches come from each photo; of the field of the last scale."""
        assert self.kept is not None
        found = self.kept[1][-1].photo_of(field[0])
        counts = [torch.bincount(each.flatten(), minlength=len(self.photos)).double() for each in found]
        return [tuple((each / each.sum()).tolist()) for each in counts]
