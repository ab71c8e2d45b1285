"""What sampling will take, and how far it has come, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from time import monotonic

from consingan.applications.base import Result
from consingan.finish.scales import SEARCHED
from consingan.grid.sizes import Size
from consingan.storage.results import Role
from consingan.watch.clock import counted, duration

# Seconds of a finished sample: of each, and of a pixel where the photo is shown at up to ``SEARCHED`` px, and beyond.
SECONDS, PER_SEARCHED, PER_PIXEL = 0.45, 6.0e-6, 0.7e-6
MEGABYTES, BYTES_PER_PIXEL = 350, 150  # of the process
EVERY = 5.0  # seconds between two words
COUNTED = {Role.SAMPLE, Role.ENLARGED, Role.PAINTED, Role.TRANSLATED}
FORESEEN = 0.1  # of all, from which on what has passed tells what is left
WORTH_A_WORD = 3.0  # seconds; what takes less is not announced


@dataclass
class Progress:
    """Says what samples will take, and every few seconds how far they have come.

    Args:
        say: hears the sentences.
        number: samples of each size; 0 where that is not known before, of which nothing is said.
        sizes: ``(H, W)`` of the samples.
        finished: whether they are finished.
        before: seconds that each takes before that.
        what: one of them is called.
    """

    say: Callable[[str], None]
    number: int
    sizes: Sequence[Size]
    finished: bool = True
    before: float = 0.0
    what: str = "sample"
    done: float = 0.0
    begun: float = field(default_factory=monotonic)
    spoken: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        from consingan.finish.pace import slowness  # here: it needs torch

        self.slow = slowness() if self.number else 1.0
        if self.seconds >= WORTH_A_WORD:
            shown = ", ".join(f"{width}x{height}" for height, width in self.sizes)
            memory = MEGABYTES + max(BYTES_PER_PIXEL * h * w for h, w in self.sizes) / 2**20
            self.say(f"{self.called} of {shown} px: about {duration(self.seconds)} and {memory:.0f} MB of memory.")

    @property
    def total(self) -> int:
        """Samples in all."""
        return self.number * len(self.sizes)

    @property
    def called(self) -> str:
        """Their number, in words."""
        return counted(self.total, self.what)

    @property
    def seconds(self) -> float:
        """What all of them are expected to take."""
        each = (self.before + (finishing(size) if self.finished else 0.0) for size in self.sizes)
        return self.slow * self.number * sum(each)

    def told(self, share: float) -> None:
        """Hear how far the sample in progress has come, from 0 to 1."""
        now = monotonic()
        at = min(self.done + share, self.total)
        if 0 < at < self.total and now - self.spoken >= EVERY:
            self.spoken = now
            left = (now - self.begun) * (self.total - at) / at
            ending = f", {duration(left)} left" if at / self.total >= FORESEEN else ""
            self.say(f"{at / self.total:.0%} of {self.called}{ending}.")

    def seen(self, results: Iterable[Result]) -> Iterator[Result]:
        """The results as they come, counted."""
        for result in results:
            self.done += result.role in COUNTED
            yield result


def finishing(size: Size) -> float:
    """Seconds that finishing a sample of ``(H, W)`` takes, where ``slowness`` is 1."""
    shown = 1.5 * min(size)  # px of the photo's longer side, about
    searched = prod(size) * min(1.0, SEARCHED / shown) ** 2
    return SECONDS + PER_SEARCHED * searched + PER_PIXEL * (prod(size) - searched)
