"""Where errands are carried out: the contract of the two pools, ``processes.Processes`` and ``cluster.Cluster``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consingan.batch.errand import Errand, Outcome
from consingan.watch.log import Record


@dataclass(frozen=True)
class News:
    """Something happened to a job; one of the three is there.

    Args:
        name: of the job.
        record: of its training.
        outcome: how its errand ended.
        died: its worker ended without an outcome; the reason in words.
    """

    name: str
    record: Record | None = None
    outcome: Outcome | None = None
    died: str | None = None


class Pool(Protocol):
    """Workers. Each has one errand at a time; an errand that is sent ends in one outcome or one death."""

    @property
    def count(self) -> int:
        """How many workers there are now."""

    @property
    def room(self) -> int:
        """How many more errands it takes now."""

    def send(self, errand: Errand) -> None:
        """Give an errand to a worker.

        Raises:
            UserError: there is no way to the workers any more.
        """

    def news(self, seconds: float) -> Sequence[News]:
        """What has happened; waits so long for something to happen.

        Raises:
            UserError: as ``send``.
        """

    def stop(self) -> None:
        """Ask all workers to save and to stop; their outcomes follow."""

    def close(self) -> None:
        """End the workers, now."""
