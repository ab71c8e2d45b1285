"""The colours of one picture given to another: as many dark, green or bright ones, each where it fits best.

Mean and covariance are matched first, by the linear map that moves colours least (Pitie and Kokaram, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer", CVMP 2007, section 3.4), then the
histograms along turned axes, one turn after another (Pitie, Kokaram and Dahyot, "N-dimensional probability density
function transfer and its application to colour transfer", ICCV 2005). Both maps are fitted to some of the pixels and
act on each pixel alone, so that a large picture takes no more than its own memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from consingan.grid.noise import Draw

FITTED = 65_536  # pixels that a map is fitted to, at most
TURNS = 6  # of the axes along which histograms are matched; for grey one is all there is
LEVELS = 1024  # of a histogram
FAINT = 1e-6  # of the squared range [0, 1]: variance of an axis along which a picture has no colours
STRIP = 2**18  # pixels that are mapped together


def matched(picture: Tensor, target: Tensor) -> Tensor:
    """A picture in the colours of another.

    Args:
        picture: ``[1, C, H, W]`` in [0, 1], C 1 or 3.
        target: ``[1, C, h, w]`` in [0, 1].

    Returns:
        ``[1, C, H, W]`` in [0, 1]; the same for the same arguments.
    """
    pixels = picture[0].flatten(1).T.contiguous()  # [H * W, C]
    some, wanted = (chosen(x[0].flatten(1).T) for x in (picture, target))
    gain, offset = linear(some, wanted)
    some, pixels = some @ gain + offset, pixels @ gain + offset
    for axes in turns(some.shape[1], some.device):
        ours, theirs = levels(some @ axes), levels(wanted @ axes)
        some = moved(some @ axes, ours, theirs) @ axes.T
        for part in pixels.split(STRIP):
            part.copy_(moved(part @ axes, ours, theirs) @ axes.T)
    return pixels.clamp_(0, 1).T.reshape(picture.shape)


def chosen(pixels: Tensor) -> Tensor:
    """Some of the pixels ``[N, C]``, evenly: ``[n, C]``, n at most ``FITTED`` and a few."""
    return pixels[:: max(1, len(pixels) // FITTED)]


def linear(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Gain ``[C, C]`` and offset ``[C]`` that give pixels ``[n, C]`` the mean and the covariance of others."""
    a, b = (covariance(x) for x in (ours, theirs))
    values, vectors = torch.linalg.eigh(a)
    values = values.clamp_min(FAINT)
    half = vectors * values.sqrt() @ vectors.T
    inverse = vectors / values.sqrt() @ vectors.T
    inner, axes = torch.linalg.eigh(half @ b @ half)
    gain = inverse @ (axes * inner.clamp_min(0).sqrt() @ axes.T) @ inverse
    return gain.to(ours), theirs.mean(0) - ours.mean(0) @ gain.to(ours)


def covariance(pixels: Tensor) -> Tensor:
    """``[C, C]`` of pixels ``[n, C]``, in float64 on the CPU."""
    pixels = pixels.cpu().double()
    pixels = pixels - pixels.mean(0)
    return pixels.T @ pixels / len(pixels)


def turns(channels: int, device: torch.device) -> Iterator[Tensor]:
    """Axes ``[C, C]`` that histograms are matched along, always the same ones."""
    for number in range(TURNS if channels > 1 else 1):
        axes, _ = torch.linalg.qr(Draw(0, ("colours", number), torch.device("cpu")).normal((channels, channels)))
        yield axes.to(device)


def levels(pixels: Tensor) -> Tensor:
    """Quantiles along each axis: ``[LEVELS, C]`` of ``[n, C]``."""
    places = torch.linspace(0, len(pixels) - 1, LEVELS, device=pixels.device).round().long()
    return pixels.sort(dim=0).values[places]


def moved(pixels: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Pixels ``[n, C]`` from our quantiles to theirs ``[LEVELS, C]``, axis by axis, linearly between two levels."""
    made = torch.empty_like(pixels)
    for axis in range(pixels.shape[1]):
        values, levels = pixels[:, axis].contiguous(), ours[:, axis].contiguous()
        above = torch.searchsorted(levels, values).clamp_(1, LEVELS - 1)
        low, high = levels[above - 1], levels[above]
        share = ((values - low) / (high - low).clamp_min(1e-9)).clamp_(0, 1)
        made[:, axis] = torch.lerp(theirs[above - 1, axis], theirs[above, axis], share)
    return made
