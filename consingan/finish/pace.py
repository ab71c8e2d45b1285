"""How fast patches are compared on this machine, for those who tell how long something will take."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter

import torch

PACE = 0.011  # seconds of what is tried, on the free core where the constants of estimates were measured
PATCHES, QUERIES, KEYS, NUMBERS = 2**16, 2**10, 2**12, 24


@lru_cache(maxsize=1)
def slowness() -> float:
    """How many times as long work takes here and now as where the constants were measured; tries for a tenth of 1 s."""
    patches, order = torch.zeros(PATCHES, NUMBERS), torch.arange(PATCHES) * 40503 % PATCHES  # odd: all, in disorder
    queries, keys = torch.zeros(QUERIES, NUMBERS), torch.zeros(NUMBERS, KEYS)
    seconds = []
    for _ in range(4):
        begun = perf_counter()
        (patches.index_select(0, order) - patches).square_().sum(1)
        (queries @ keys).clamp_min_(0).argmin(1)
        seconds.append(perf_counter() - begun)
    return min(seconds) / PACE
