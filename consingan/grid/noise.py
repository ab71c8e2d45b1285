"""Noise as a function of position: the same address gives the same numbers.

An address is a seed and a tuple such as ``("train", stage, iteration)`` or ``("sample", k)``. No generator
state is carried along, so a run resumes exactly, sample ``k`` does not depend on how many are drawn, and the
batch size changes no draw. Numbers come from the CPU generator and are moved, so devices agree as well.

A ``Field`` takes this down to the pixel: a part of a stage's noise can be had without the rest, so that a picture of
any size needs no more noise in memory than the part of it that is being computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import torch
from torch import Tensor

from consingan.grid.windows import Span, Window

BLOCK = 32  # px, side of the squares that a field is drawn in; it decides the numbers, so it is part of the files
FINGERPRINT_TOLERANCE = 1e-3  # the same numbers differ in their last bits between processors, others by about 1

Source = Callable[[Window], Tensor]  # a stage's input by the part of it that is wanted: ``[B, C, h, w]``


@dataclass(frozen=True)
class Draw:
    """One address in the stream of random numbers.

    Args:
        seed: the run's or the sample's seed.
        address: words and numbers.
        device: where the tensors are wanted.
    """

    seed: int
    address: tuple[str | int, ...] = ()
    device: torch.device | str = "cpu"

    def at(self, *address: str | int) -> Draw:
        """The address below this one."""
        return Draw(self.seed, self.address + address, self.device)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers of this address, float32, on ``device``."""
        return torch.randn(tuple(shape), generator=self.generator()).to(self.device)

    def uniform(self, shape: Sequence[int] = ()) -> Tensor:
        """Uniform numbers in [0, 1) of this address, float32, on ``device``."""
        return torch.rand(tuple(shape), generator=self.generator()).to(self.device)

    def numbers(self, count: int) -> list[float]:
        """Uniform numbers in [0, 1) of this address, for the host; no device is waited for."""
        return torch.rand((count,), generator=self.generator()).tolist()

    def generator(self) -> torch.Generator:
        """A fresh CPU generator that starts at this address."""
        name = repr((self.seed, self.address)).encode()
        start = int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
        return torch.Generator().manual_seed(start % 2**63)


@dataclass(frozen=True)
class Field:
    """Standard normal noise over a plane without end to the right and below.

    It is drawn in squares of ``BLOCK`` pixels, each of which has an address of its own, so that a pixel's numbers do
    not depend on the part that is asked for.

    Args:
        draw: its address.
        channels: numbers per pixel.
    """

    draw: Draw
    channels: int

    def cut(self, window: Window) -> Tensor:
        """A part of it: ``[1, channels, h, w]``, float32 in channels_last memory, on the address's device."""
        found = torch.empty(1, *window.size, self.channels)
        for row, inner_rows, outer_rows in blocks(window.rows):
            for column, inner_columns, outer_columns in blocks(window.columns):
                square = torch.randn((BLOCK, BLOCK, self.channels), generator=self.draw.at(row, column).generator())
                found[0, outer_rows, outer_columns] = square[inner_rows, inner_columns]
        return found.permute(0, 3, 1, 2).to(self.draw.device)


def blocks(span: Span) -> Iterator[tuple[int, slice, slice]]:
    """The blocks that some rows lie in: number, the rows within the block, the same within the span."""
    for number in range(span[0] // BLOCK, (span[1] - 1) // BLOCK + 1):
        start = number * BLOCK
        first, end = max(span[0], start), min(span[1], start + BLOCK)
        yield number, slice(first - start, end - start), slice(first - span[0], end - span[0])


def mixed(picture: Tensor, noise: Tensor, variation: float) -> Tensor:
    """``(1 - variation) * picture + variation * noise``: what a generator makes a layout of.

    Args:
        picture: ``[1, C, h, w]``, the anchor of the coarsest stage.
        noise: ``[B, C, h, w]``.
        variation: 0 for the picture itself, 1 for noise alone, as published.
    """
    return (1 - variation) * picture + variation * noise


def as_source(x: Tensor) -> Source:
    """A tensor ``[B, C, H, W]`` as a source of its parts."""
    return lambda window: window.cut(x)


@cache
def fingerprint() -> tuple[float, ...]:
    """A few numbers of a fixed field: where they are others, so is all noise that is stored by its address only."""
    corner = Field(Draw(0, ("fingerprint",)), 2).cut(Window((BLOCK - 1, BLOCK + 1), (BLOCK - 1, BLOCK + 1)))
    return tuple(round(number, 5) for number in corner.flatten().tolist())


def draws_alike(numbers: Sequence[float]) -> bool:
    """Whether a ``fingerprint`` from another time or machine is that of this one."""
    own = fingerprint()
    return len(numbers) == len(own) and all(
        abs(a - b) < FINGERPRINT_TOLERANCE for a, b in zip(numbers, own, strict=True)
    )


def walk(
    anchor: Tensor, frames: int, alpha: float, beta: float, fresh: Callable[[str | int], Tensor]
) -> Iterator[Tensor]:
    """A random walk in noise around an anchor, for animation (SinGAN, supplementary material).

    ``z_t = a * anchor + (1 - a) * (z_{t-1} + b * (z_{t-1} - z_{t-2}) + (1 - b) * fresh_t)``; the two frames before
    the first are the anchor and 0.99 anchor + 0.01 fresh noise.

    Args:
        anchor: ``[1, C, h, w]``, the noise of the reconstruction or a part of it.
        frames: number of frames.
        alpha: pull back to the anchor, in [0, 1].
        beta: smoothness of the motion, in [0, 1].
        fresh: new noise shaped as the anchor, by ``"first"`` or the frame's number.

    Yields:
        ``frames`` tensors shaped as the anchor, one at a time: a whole walk of the finest stage would fill memory.
    """
    before = anchor
    now = 0.99 * anchor + 0.01 * fresh("first")
    for frame in range(frames):
        following = now + beta * (now - before) + (1 - beta) * fresh(frame)
        before, now = now, alpha * anchor + (1 - alpha) * following
        yield now
