"""Noise as a function of position: the same address gives the same numbers.

An address is a seed and a tuple such as ``("train", stage, iteration)`` or ``("sample", k)``. No generator
state is carried along, so a run resumes exactly, sample ``k`` does not depend on how many are drawn, and the
batch size changes no draw. Numbers come from the CPU generator and are moved, so devices agree as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """One place in the stream of random numbers.

    Args:
        seed: the run's or the sample's seed.
        address: words and numbers that name the place.
        device: where the tensors are wanted.
    """

    seed: int
    address: tuple[str | int, ...] = ()
    device: torch.device | str = "cpu"

    def at(self, *address: str | int) -> Draw:
        """The place below this one."""
        return Draw(self.seed, self.address + address, self.device)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers of this place, float32, on ``device``."""
        return torch.randn(tuple(shape), generator=self.generator()).to(self.device)

    def uniform(self, shape: Sequence[int] = ()) -> Tensor:
        """Uniform numbers in [0, 1) of this place, float32, on ``device``."""
        return torch.rand(tuple(shape), generator=self.generator()).to(self.device)

    def generator(self) -> torch.Generator:
        """A fresh CPU generator that starts at this place."""
        name = repr((self.seed, self.address)).encode()
        start = int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
        return torch.Generator().manual_seed(start % 2**63)


def walk(anchor: Tensor, frames: int, alpha: float, beta: float, draw: Draw) -> Iterator[Tensor]:
    """A random walk in noise around an anchor, for animation (SinGAN, supplementary material).

    ``z_t = a * anchor + (1 - a) * (z_{t-1} + b * (z_{t-1} - z_{t-2}) + (1 - b) * fresh)``; the two frames before
    the first are the anchor and 0.99 anchor + 0.01 fresh noise.

    Args:
        anchor: ``[1, C, H, W]``, the noise of the reconstruction.
        frames: number of frames.
        alpha: pull back to the anchor, in [0, 1].
        beta: smoothness of the motion, in [0, 1].
        draw: the place of the fresh noise.

    Yields:
        ``frames`` tensors shaped as the anchor, one at a time: a whole walk of the finest stage would fill memory.
    """
    before = anchor
    now = 0.99 * anchor + 0.01 * draw.at("first").normal(anchor.shape)
    for frame in range(frames):
        fresh = draw.at(frame).normal(anchor.shape)
        following = now + beta * (now - before) + (1 - beta) * fresh
        before, now = now, alpha * anchor + (1 - alpha) * following
        yield now
