"""Stopping in good order: the first signal asks, the second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# SIGHUP comes when the terminal is closed; Windows has none
SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class StoppedError(Exception):
    """Training was asked to stop, and what was done has been kept."""


class StopRequest:
    """While its block runs, these signals set a flag that the loop looks at between iterations.

    A SIGHUP that is ignored stays so: that is how nohup lets a training outlive its terminal.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            heard = SIGNALS if signal.getsignal(SIGNALS[-1]) is not signal.SIG_IGN else SIGNALS[:2]
            self._before = {number: signal.signal(number, self._take) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt(number)
        self.number = number
