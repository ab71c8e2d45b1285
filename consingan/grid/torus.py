"""Planes that go on at their other side, along one axis or both: noise, padding and resizing that know no border.

Positions are counted without end: row -1 is the last row, row H the first. Everything here commutes with rolling the
plane, as far as the pixel grids allow: a map of n pixels that is resized to m may be rolled by a pixels where
``a * m / n`` is whole.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from consingan.grid.noise import Source
from consingan.grid.resize import cubic, resize, scatter
from consingan.grid.sizes import NOWHERE, Size, Span, Wraps, size_of
from consingan.grid.windows import Window, cyclic, turns


def surrounded(x: Tensor, by: int, wraps: Wraps) -> Tensor:
    """A plane ``[B, C, H, W]`` with ``by`` pixels of its other side around it, along the axes that wrap."""
    for dim, wrap in zip((2, 3), wraps, strict=True):
        if wrap and by:
            x = cyclic(x, dim, (-by, x.shape[dim] + by))
    return x


def bared(x: Tensor, by: int, wraps: Wraps) -> Tensor:
    """The inverse of ``surrounded``: without the outermost ``by`` pixels along the axes that wrap."""
    for dim, wrap in zip((2, 3), wraps, strict=True):
        if wrap and by:
            x = x.narrow(dim, by, x.shape[dim] - 2 * by)
    return x


def halfway(x: Tensor, wraps: Wraps) -> Tensor:
    """A plane ``[B, C, H, W]`` rolled by half along the axes that wrap: its border lies in the middle."""
    dims = [dim for dim, wrap in zip((2, 3), wraps, strict=True) if wrap]
    return x.roll([x.shape[dim] // 2 for dim in dims], dims) if dims else x


def grown(span: Span, by: int, length: int) -> Span:
    """A span with ``by`` pixels more at each side; all of a plane's ``length`` where it would be as long or longer."""
    return capped((span[0] - by, span[1] + by), length)


def capped(span: Span, length: int) -> Span:
    """A span of a plane's rows or columns, all of them where it is as long or longer."""
    return span if span[1] - span[0] < length else (0, length)


def going_on(source: Source, size: Size) -> Source:
    """A source of a plane of ``(H, W)`` that also gives windows across its border, of its other side.

    Windows within the plane are asked for as they are.
    """

    def cut(window: Window) -> Tensor:
        spans = zip((window.rows, window.columns), size, strict=True)
        rows, columns = (list(turns(span, length)) for span, length in spans)
        parts = [source(Window(*spans)) for spans in product(rows, columns)]
        if len(parts) == 1:
            return parts[0]
        wide = len(columns)
        return torch.cat([torch.cat(parts[at : at + wide], 3) for at in range(0, len(parts), wide)], 2)

    return cut


# ---------------------------------------------------------------------------------------------------------
# resizing


def cyclic_span(n_in: int, n_out: int, wanted: Span) -> Span:
    """The inputs that some outputs of ``cyclic_weights`` depend on; all where they are as many or more."""
    first, last = (((2 * place + 1) * n_in - n_out) // (2 * n_out) for place in (wanted[0], wanted[1] - 1))
    return capped((first - 1, last + 3), n_in)


@lru_cache(maxsize=256)
def cyclic_on(n_in: int, n_out: int, device: torch.device, dtype: torch.dtype, wanted: Span, given: Span) -> Tensor:
    """``cyclic_weights`` as a tensor, made once."""
    return torch.from_numpy(cyclic_weights(n_in, n_out, wanted, given)).to(dtype).to(device)


def cyclic_weights(n_in: int, n_out: int, wanted: Span, given: Span) -> np.ndarray:
    """Bicubic weights ``[outputs, inputs]`` on a circle of ``n_in`` pixels that becomes one of ``n_out`` (float64).

    Kernel a = -0.75, as ``resize.aligned_weights``; output p lies at input ``(p + 1/2) * n_in / n_out - 1/2``.

    Args:
        n_in, n_out: lengths of the whole.
        wanted, given: which outputs, and which inputs there are: ``cyclic_span`` of the outputs, or all.
    """
    places = np.arange(*wanted)
    over = (2 * places + 1) * n_in - n_out  # over 2 * n_out: in integers, so that rolled places get the same weights
    taps = over[:, None] // (2 * n_out) + np.arange(-1, 3)
    away = (over[:, None] - taps * 2 * n_out) / (2 * n_out)
    return scatter(_numbered(taps, n_in, given), cubic(away, a=-0.75), given[1] - given[0])


def _numbered(taps: np.ndarray, length: int, given: Span) -> np.ndarray:
    whole = given[1] - given[0] >= length
    return (taps - given[0]) % length if whole else taps - given[0]


def resized(x: Tensor, size: Size, wraps: Wraps) -> Tensor:
    """As ``resize.resize``: antialiased bicubic resize of pictures ``[B, C, H, W]``, wrapping along some axes."""
    if wraps == NOWHERE:
        return resize(x, size)
    rows, columns = (length if wrap else new for length, new, wrap in zip(size_of(x), size, wraps, strict=True))
    x = resize(x, (rows, columns))  # the other axis
    for dim, wrap in zip((2, 3), wraps, strict=True):
        if wrap and x.shape[dim] != size[dim - 2]:
            x = _resized_along(x, dim, size[dim - 2])
    return x


def _resized_along(x: Tensor, dim: int, n_out: int) -> Tensor:
    """One axis, tap by tap: it takes no more memory than a few pictures."""
    taps, weights = smooth_taps(x.shape[dim], n_out)
    shape = (-1, 1) if dim == 2 else (1, -1)
    made = torch.zeros((), device=x.device)
    for places, share in zip(taps, weights, strict=True):
        part = x.index_select(dim, torch.from_numpy(places).to(x.device))
        made = made + part * torch.from_numpy(share).to(x.dtype).to(x.device).view(shape)
    return made


def smooth_taps(n_in: int, n_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and their weights, both ``[taps, n_out]``: kernel a = -0.5, as wide as it shrinks, as Pillow's."""
    scale = max(1.0, n_in / n_out)
    reach = int(np.ceil(2 * scale)) + 1
    over = (2 * np.arange(n_out) + 1) * n_in - n_out
    taps = over // (2 * n_out) + np.arange(-reach, reach + 1)[:, None]
    weights = cubic((over - taps * 2 * n_out) / (2 * n_out) / scale, a=-0.5)
    return taps % n_in, weights / weights.sum(axis=0)


# ---------------------------------------------------------------------------------------------------------
# pictures that do not wrap by themselves


def joined(picture: Tensor, wraps: Wraps) -> Tensor:
    """A picture without the step between its opposite sides: its periodic component, along the axes that wrap.

    The step is spread over the picture as a smooth one is, by Poisson's equation; all else stays. Source: Moisan,
    "Periodic plus smooth image decomposition" (JMIV 2011), section 2. Along an axis that does not wrap the picture goes
    on as in a mirror.

    Args:
        picture: ``[B, C, H, W]``.
        wraps: without any the picture itself.
    """
    if wraps == NOWHERE:
        return picture
    height, width = size_of(picture)
    for dim, wrap in zip((2, 3), wraps, strict=True):
        if not wrap:
            picture = torch.cat([picture, picture.flip(dim)], dim)
    steps = torch.zeros_like(picture)
    for dim in (2, 3):
        step = picture.narrow(dim, picture.shape[dim] - 1, 1) - picture.narrow(dim, 0, 1)
        steps.narrow(dim, 0, 1).add_(step)
        steps.narrow(dim, picture.shape[dim] - 1, 1).sub_(step)
    waves = [2 * torch.cos(2 * torch.pi * torch.arange(n, device=picture.device) / n) for n in picture.shape[2:]]
    laplace = waves[0][:, None] + waves[1] - 4
    laplace[0, 0] = 1.0
    spectrum = torch.fft.fft2(steps) / laplace
    spectrum[..., 0, 0] = 0
    return (picture - torch.fft.ifft2(spectrum).real)[:, :, :height, :width].to(picture.dtype)


def repeated(x: Tensor, times: int, wraps: Wraps) -> Tensor:
    """A tile ``[B, C, H, W]`` laid so many times along the axes that wrap."""
    return x.repeat(1, 1, *(times if wrap else 1 for wrap in wraps))


def quiet(picture: Tensor, wraps: Wraps) -> Tensor:
    """A picture that goes on at its other side, cut where that shows little: rolled, and otherwise as it is.

    Where it is cut is a choice, for it closes everywhere. It is the nearest place whose step is at most the mean one,
    so that no line of the picture, such as a brick's edge, is cut along.

    Args:
        picture: ``[1, C, H, W]``.
        wraps: along which axes it goes on; along others it stays.
    """
    for dim, wrap in zip((2, 3), wraps, strict=True):
        if wrap:
            steps = (picture - picture.roll(1, dim)).abs().mean(dim=(0, 1, 5 - dim))  # between place k - 1 and k
            away = torch.arange(len(steps), device=steps.device)
            away = torch.minimum(away, len(steps) - away)
            away[steps > steps.mean()] = len(steps)
            picture = picture.roll(-int(away.argmin()), dim)
    return picture


def seams(picture: Tensor) -> dict[str, float]:
    """How well a picture closes with its other side: the mean step across the seam over the mean step inside.

    1 is a seam that is as any place; an ordinary picture has 2 to 10.

    Args:
        picture: ``[B, C, H, W]``, sides of 2 px or more.

    Returns:
        ``x``: between the last column and the first; ``y``: between the last row and the first. A flat picture has 1.
    """
    found = {}
    for axis, dim in (("x", 3), ("y", 2)):
        inside = picture.diff(dim=dim).abs().mean().item()
        last, first = picture.narrow(dim, picture.shape[dim] - 1, 1), picture.narrow(dim, 0, 1)
        across = (first - last).abs().mean().item()
        found[axis] = across / inside if inside else 1.0 + across
    return found
