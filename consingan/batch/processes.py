"""Workers on this machine: a process each, kept from job to job, so that torch is imported once a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import IO

from consingan.batch.errand import Errand, Outcome
from consingan.batch.pool import News
from consingan.errors import printable

PACKAGE = Path(__file__).parent.parent.parent  # the folder that this package is imported from
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GPUS = "CUDA_VISIBLE_DEVICES"
TAIL = 2000  # bytes of a dead worker's stderr that are looked at
END_S = 10.0  # seconds that an idle worker has to end


@dataclass(eq=False)
class Worker:
    """A process, and what it is at work on."""

    process: subprocess.Popen[str]
    stderr: IO[bytes]
    errand: str | None = None

    def say(self, message: Mapping[str, object]) -> None:
        """A line to the process; of one that has died its reader tells."""
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def last_words(self) -> str:
        """How the process ended."""
        code = self.process.wait()
        self.stderr.seek(max(0, self.stderr.seek(0, os.SEEK_END) - TAIL))
        lines = self.stderr.read().decode("utf-8", "replace").split("\n")
        said = next((printable(each) for each in reversed(lines) if each.strip()), "")
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; memory may have run out" if code == -9 else f"; its last words: {said}" if said else ""
        return f"its worker {how}{hint}"


class Processes:
    """A pool of worker processes.

    Args:
        program: the command of one; it serves as ``worker.serve`` does.
        count: of workers.
        threads: of the CPU, for each.
    """

    def __init__(self, program: Sequence[str], count: int, threads: int) -> None:
        self._program, self._count, self._threads = list(program), count, threads
        self._gpus: Sequence[str] = ()
        self._workers: dict[int, Worker] = {}
        self._news: SimpleQueue[tuple[int, Worker, News | None]] = SimpleQueue()

    @property
    def count(self) -> int:
        return self._count

    @property
    def room(self) -> int:
        return self._count - sum(worker.errand is not None for worker in self._workers.values())

    def grow(self, count: int, gpus: int = 0) -> None:
        """Have so many workers; they take turns with the GPUs, of which each then sees one."""
        self._count = count
        if gpus > 1:
            self.close()  # the worker that there is sees all of them
            seen = os.environ.get(GPUS)
            self._gpus = seen.split(",") if seen else [str(number) for number in range(gpus)]

    def send(self, errand: Errand) -> None:
        idle = [number for number, worker in self._workers.items() if worker.errand is None]
        number = idle[0] if idle else next(n for n in range(self._count) if n not in self._workers)
        worker = self._workers.get(number) or self._started(number)
        worker.errand = errand.name
        worker.say({"errand": asdict(errand)})

    def news(self, seconds: float) -> Sequence[News]:
        found: list[News] = []
        with suppress(Empty):
            while True:
                number, worker, news = self._news.get(timeout=seconds if not found else 0)
                if news is None:
                    found += self._ended(number, worker)
                    continue
                if news.outcome is not None:
                    worker.errand = None
                found.append(news)
        return found

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.say({"stop": True})

    def close(self) -> None:
        for worker in self._workers.values():
            if worker.errand is not None:
                worker.process.kill()
            assert worker.process.stdin is not None
            with suppress(OSError):
                worker.process.stdin.close()
        for worker in self._workers.values():
            try:
                worker.process.wait(timeout=END_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.stderr.close()
        self._workers = {}

    # ---- inside

    def _started(self, number: int) -> Worker:
        path = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))
        own = {name: str(self._threads) for name in THREADS}
        if self._gpus:
            own[GPUS] = self._gpus[number % len(self._gpus)]
        stderr = TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        process = subprocess.Popen(
            self._program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="ascii",
            start_new_session=True,  # Ctrl-C is the driver's
            env={**os.environ, **own, "PYTHONPATH": path},
        )
        worker = self._workers[number] = Worker(process, stderr)
        threading.Thread(target=self._listen, args=(number, worker), daemon=True).start()
        return worker

    def _listen(self, number: int, worker: Worker) -> None:
        """Read what a worker says, in a thread of its own, until it ends."""
        assert worker.process.stdout is not None
        with suppress(ValueError, OSError):  # closed while it is read
            for text in worker.process.stdout:
                if worker.errand is None:
                    continue
                with suppress(ValueError):  # half a line of a process that was killed
                    message = json.loads(text)
                    if "outcome" in message:
                        self._news.put((number, worker, News(worker.errand, outcome=Outcome(**message["outcome"]))))
                    else:
                        self._news.put((number, worker, News(worker.errand, record=message["record"])))
        self._news.put((number, worker, None))

    def _ended(self, number: int, worker: Worker) -> Sequence[News]:
        """A worker's process has ended; another takes its place when it is needed."""
        if self._workers.get(number) is not worker:
            return []
        del self._workers[number]
        words, name = worker.last_words(), worker.errand
        worker.stderr.close()
        return [] if name is None else [News(name, died=words)]


def program(module: str) -> list[str]:
    """The command that runs a module of ours as a worker."""
    return [sys.executable, "-m", module]
