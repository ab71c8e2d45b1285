"""Poisson's equation on whole planes, solved at once: in waves, of which each has a solution of its own.

Along an axis with ends the waves are cosines, along one that goes on at its other side they are those of Hartley's
transform; both are real, and differences of neighbours leave each in its place.

Sources: Strang, "The Discrete Cosine Transform" (SIAM Review 1999), section 3; Makhoul, "A Fast Cosine Transform in One
and Two Dimensions" (ASSP 1980), equations 14 and 16; Bracewell, "Discrete Hartley Transform" (JOSA 1983).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish.search import strips_of
from consingan.grid.sizes import NOWHERE, Wraps

Transform = Callable[[Tensor], Tensor]  # along the last axis
ABLE = ("cpu", "cuda")  # devices that have complex numbers throughout; for others the CPU solves


def solved(wanted: Tensor, held: float, wraps: Wraps = NOWHERE) -> Tensor:
    """The x of ``D' D x + held * x = wanted``, where D gives the differences of neighbouring pixels.

    Plane by plane, so that the bits of one do not depend on how many there are.

    Args:
        wanted: ``[B, C, h, w]``.
        held: in 1 / px^2, above 0.
        wraps: along which axes the last pixel has the first one beside it.
    """
    if wanted.device.type not in ABLE:
        return solved(wanted.cpu(), held, wraps).to(wanted.device)
    height, width = wanted.shape[2:]
    down, right = (axis(length, wrap, wanted.device) for length, wrap in zip((height, width), wraps, strict=True))
    stiffness = right[2][:, None] + down[2] + held
    found = torch.empty_like(wanted)
    for plane, result in zip(wanted.flatten(0, 1), found.flatten(0, 1), strict=True):
        spectrum = each_row(each_row(plane, right[0]).T, down[0]) / stiffness
        result.copy_(each_row(each_row(spectrum, down[1]).T, right[1]))
    return found


def axis(length: int, wrap: bool, device: torch.device) -> tuple[Transform, Transform, Tensor]:
    """Along an axis the transform into waves, the one back, and what ``D' D`` multiplies each wave by."""
    turns = torch.arange(length, device=device) / length
    if wrap:
        return hartley, lambda x: hartley(x) / length, 2 - 2 * torch.cos(2 * torch.pi * turns)
    return cosines, from_cosines, 2 - 2 * torch.cos(torch.pi * turns)


def each_row(plane: Tensor, transform: Transform) -> Tensor:
    """A transform of all rows of a plane ``[h, w]``, in strips, so that memory is bounded."""
    return torch.cat([transform(plane[rows.start : rows.stop]) for rows in strips_of(*plane.shape)])


def hartley(x: Tensor) -> Tensor:
    """``X[k] = sum of x[n] * (cos + sin)(2 pi k n / N)`` along the last axis; twice over, it is N times x."""
    waves = torch.fft.fft(x)
    return waves.real - waves.imag


def cosines(x: Tensor) -> Tensor:
    """``X[k] = sum of x[n] * cos(pi k (2 n + 1) / (2 N))`` along the last axis (the cosine transform II)."""
    length = x.shape[-1]
    waves = torch.fft.rfft(x[..., folded(length, x.device)]) * quarter_turns(length, -1, x.device)
    return torch.cat([waves.real, -waves.imag[..., 1 : (length + 1) // 2].flip(-1)], dim=-1)


def from_cosines(x: Tensor) -> Tensor:
    """The inverse of ``cosines``."""
    length = x.shape[-1]
    half = length // 2 + 1
    mirrored = F.pad(x[..., 1:].flip(-1), (1, 0))[..., :half]
    waves = torch.complex(x[..., :half].contiguous(), -mirrored) * quarter_turns(length, 1, x.device)
    found = torch.empty_like(x)
    found[..., folded(length, x.device)] = torch.fft.irfft(waves, length)
    return found


def folded(length: int, device: torch.device) -> Tensor:
    """The even places, and back over the odd ones."""
    places = torch.arange(length, device=device)
    return torch.cat([places[::2], places[1::2].flip(0)])


def quarter_turns(length: int, sign: int, device: torch.device) -> Tensor:
    """``exp(sign * i pi k / (2 N))`` for the first half of the waves."""
    angles = sign * torch.pi / (2 * length) * torch.arange(length // 2 + 1, device=device)
    return torch.polar(torch.ones_like(angles), angles)
