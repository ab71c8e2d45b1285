"""The picture set in motion: its pixels go where a layout's go, and become as much lighter or darker.

Patches that are chosen for every frame anew either stay or pop (see docs/animation.md). Here the picture itself is
displaced smoothly, by the optical flow from the layout at rest to that of the frame (Lucas and Kanade, IJCAI 1981,
coarse to fine), and what the displacement does not explain is added as light. Both are continuous in the layout, so a
walk without leaps gives frames without leaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.grid.resize import resize
from consingan.grid.sizes import size_of

SIDE = 64  # px, the longer side at which motion is looked for
LEVELS, STEPS = 3, 4  # of the search; each level has half the pixels of the one above along each axis
NEAR = 3.0  # px, deviation of the window that moves as one
DOUBT = 0.02  # squared slope in [-1, 1] per px at which half of a motion is believed
STILL = 0.02  # change in [-1, 1] at which half of a motion is believed
EDGE = 0.1  # share of the picture at whose border motion across it fades
LIGHT = 1.5  # px, deviation of the blur of what is added
PACE = 0.4  # how far a frame goes from the layout of the frame before to its own: the walk without its jitter


def moving(picture: Tensor, rest: Tensor, layouts: Iterable[Tensor]) -> Iterator[Tensor]:
    """A picture that moves as layouts do.

    Args:
        picture: ``[1, C, H, W]`` in [-1, 1].
        rest: ``[1, C, h, w]`` in [-1, 1], the layout that stands for the picture as it is.
        layouts: of the frames, shaped as ``rest``.

    Yields:
        For each layout a frame ``[1, C, H, W]``; for ``rest`` itself the picture, to rounding.
    """
    size = size_of(picture)
    shrink = min(1.0, SIDE / max(rest.shape[2:]))
    small = (max(8, round(rest.shape[2] * shrink)), max(8, round(rest.shape[3] * shrink)))
    rest = resize(rest, small)
    now: Tensor | None = None
    for layout in layouts:
        layout = resize(layout, small)
        now = layout if now is None else torch.lerp(now, layout, PACE)
        shift = motion(rest, now)
        light = blurred(now - displaced(rest, shift), LIGHT)
        shift = F.interpolate(shift, size, mode="bicubic")
        yield (displaced(picture, shift) + resize(light, size)).clamp(-1, 1)


def motion(rest: Tensor, layout: Tensor) -> Tensor:
    """Where the pixels of a layout come from.

    Args:
        rest, layout: ``[1, C, h, w]``.

    Returns:
        ``[1, 2, h, w]``, down and right as shares of height and width, for ``displaced``. Nothing moves where the two
        are equal, nor across the borders.
    """
    pairs = [(rest, layout)]
    for _ in range(LEVELS - 1):
        half = (max(8, pairs[-1][0].shape[2] // 2), max(8, pairs[-1][0].shape[3] // 2))
        pairs.append((resize(pairs[-1][0], half), resize(pairs[-1][1], half)))
    shift = torch.zeros(1, 2, 1, 1, device=rest.device)
    for old, new in reversed(pairs):
        shift = F.interpolate(shift, old.shape[2:], mode="bilinear")
        for _ in range(STEPS):
            shift = blurred(shift + step(old, new, shift), NEAR / 2)
    return shift * believed(rest, layout) * inner(shift)


def step(old: Tensor, new: Tensor, shift: Tensor) -> Tensor:
    """What to add to a displacement so that ``displaced(old, shift)`` comes nearer to ``new``, at most a pixel.

    The least squares over a window of what slopes and differences say, for every pixel.
    """
    height, width = old.shape[2:]
    now = displaced(old, shift)
    padded = F.pad(now, (1, 1, 1, 1), mode="replicate")
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    right = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    products = (down * down, right * right, down * right, down * (new - now), right * (new - now))
    dd, rr, dr, d, r = blurred(torch.cat([x.sum(1, keepdim=True) for x in products], dim=1), NEAR).split(1, dim=1)
    dd, rr = dd + DOUBT, rr + DOUBT
    pixels = torch.cat([rr * d - dr * r, dd * r - dr * d], dim=1) / (dd * rr - dr * dr)
    return pixels.clamp(-1, 1) / torch.tensor([height, width], device=old.device).view(1, 2, 1, 1)


def displaced(x: Tensor, shift: Tensor) -> Tensor:
    """Pictures ``[1, C, h, w]`` whose pixels come from so far down and right of their places, see ``motion``."""
    rows, columns = (centres(side, x.device) for side in x.shape[2:])
    points = torch.stack(torch.meshgrid(rows, columns, indexing="ij")) + shift[0]
    grid = (points * 2 - 1).flip(0).permute(1, 2, 0)[None]
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def centres(side: int, device: torch.device) -> Tensor:
    """The middles of a row's pixels as shares of it, ``[side]``."""
    return (torch.arange(side, device=device) + 0.5) / side


def believed(rest: Tensor, layout: Tensor) -> Tensor:
    """How far a motion is believed, ``[1, 1, h, w]`` in [0, 1]: not at all where nothing near changes."""
    change = F.max_pool2d((layout - rest).abs().amax(1, keepdim=True), 5, stride=1, padding=2)
    return blurred(change / (change + STILL), NEAR / 2)


def inner(shift: Tensor) -> Tensor:
    """1 within the picture, falling to 0 towards the borders that a displacement would cross, ``[1, 2, h, w]``."""
    fades = [((0.5 - (centres(side, shift.device) - 0.5).abs()) / EDGE).clamp(max=1) for side in shift.shape[2:]]
    return torch.stack(torch.meshgrid(*fades, indexing="ij"))[None]


def blurred(x: Tensor, spread: float) -> Tensor:
    """Pictures ``[B, C, h, w]`` blurred by a Gaussian of a deviation in px; beyond its borders is what is at them."""
    reach = round(3 * spread)
    weights = torch.exp(-(torch.arange(-reach, reach + 1, device=x.device) ** 2) / (2 * spread * spread))
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(x, weights, groups=x.shape[1]), weights.transpose(2, 3), groups=x.shape[1])
