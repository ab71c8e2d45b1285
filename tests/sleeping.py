"""A worker for tests of batches: its jobs sleep, fail or die as their names say, and train nothing."""

import os
import time
from pathlib import Path

from consingan.batch.errand import Outcome
from consingan.batch.worker import serve


def work(errand, tell, stop) -> Outcome:
    """``x_SECONDS``, ``fails``, ``raises``, or ``dies_N``: dies until there are N files of that name in the folder."""
    kind, _, number = errand.name.partition("_")
    if errand.verb == "plan":
        return Outcome("finished", cost={"seconds": 1.0, "peak_mb": 100.0, "gpus": 0})
    if kind == "fails":
        return Outcome("failed", "It fails.")
    if kind == "dies":
        marks = list(Path(errand.outdir).glob(f"{errand.name}.*"))
        if len(marks) < int(number):
            Path(errand.outdir, f"{errand.name}.{len(marks)}").touch()
            os.kill(os.getpid(), 9)
    until = time.monotonic() + float(number if kind == "x" else 0)
    while time.monotonic() < until:
        tell({"event": "progress", "stage": 0, "stages": 1, "share": 0.5, "left_s": 1.0})
        if stop():
            return Outcome("stopped")
        time.sleep(0.01)
    return Outcome("finished", seconds=float(number or 0))


if __name__ == "__main__":
    serve(work)
