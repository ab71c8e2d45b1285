"""What a batch will take: some of its jobs are tried on a worker, before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from consingan.batch.book import Book, Job
from consingan.batch.errand import Outcome
from consingan.batch.pool import Pool
from consingan.watch.clock import duration

TRIED = 4  # kinds of jobs, by their flags
TRIES = 3  # pictures of a kind, where the first ones cannot be used
SHARE = 0.9  # of the free memory that workers may take together
CGROUPS = (  # limit and use, of a container
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class Cost:
    """Of a job, as a worker found it: the mean of seconds, the most of memory.

    Args:
        seconds: not a number where no job could be tried.
        peak_mb: in MB of a worker process, or of its GPU.
        gpus: that a worker sees and would use; 0 on a CPU.
    """

    seconds: float
    peak_mb: float
    gpus: int = 0

    def total(self, jobs: int, workers: int) -> float:
        """Seconds of so many jobs."""
        return self.seconds * math.ceil(jobs / max(workers, 1))


UNKNOWN = Cost(math.nan, math.nan)


def tried(book: Book, jobs: Sequence[Job], pool: Pool, stop: Callable[[], bool]) -> Cost:
    """The cost of jobs by trying one of each kind, at most ``TRIED`` of them.

    Args:
        book: of the batch.
        jobs: to be done.
        pool: has at least one worker.
        stop: asked on the way; the cost is then unknown.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        kinds.setdefault(repr((job.order.wanted, sorted(job.order.settings))), []).append(job)
    chosen = sorted(kinds.values(), key=len, reverse=True)[:TRIED]
    found = [(one, len(kind)) for kind in chosen if (one := _tried(book, kind, pool, stop))]
    if not found:
        return UNKNOWN
    seconds = sum(one.cost["seconds"] * count for one, count in found) / sum(count for _, count in found)
    peaks = [one.cost["peak_mb"] for one, _ in found]
    return Cost(seconds, mean(peaks) if any(map(math.isnan, peaks)) else max(peaks), int(found[0][0].cost["gpus"]))


def _tried(book: Book, kind: Sequence[Job], pool: Pool, stop: Callable[[], bool]) -> Outcome | None:
    """The outcome of the verb plan for the first job of a kind that has one."""
    for job in kind[:TRIES]:
        pool.send(job.errand(book.folder, (), book.threads, verb="plan"))
        done = None
        while done is None:
            if stop():
                return None
            for news in pool.news(0.2):
                if news.outcome or news.died:
                    done = news.outcome or Outcome("failed", news.died)
        if done.how == "finished":
            return done
    return None


def cores() -> int:
    """CPU threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_mb() -> float:
    """Memory that is free, in MB: of the machine, or of the container; infinite where the system does not tell."""
    found = [math.inf]
    meminfo = _numbers("/proc/meminfo")
    if "MemAvailable:" in meminfo:
        found.append(int(meminfo[meminfo.index("MemAvailable:") + 1]) / 2**10)
    for limit, used in CGROUPS:
        held = (*_numbers(limit), *_numbers(used))
        if len(held) == 2 and all(each.isdigit() for each in held):
            found.append((int(held[0]) - int(held[1])) / 2**20)
    return min(found)


def _numbers(file: str) -> list[str]:
    try:
        return Path(file).read_text().split()
    except OSError:
        return []


def workers(jobs: int, cost: Cost, processors: int, free: float) -> int:
    """As many workers as cores (or GPUs) and memory allow, and as there are jobs; at least one."""
    if cost.gpus:  # peak_mb is of the GPU
        return max(1, min(jobs, cost.gpus))
    fitting = math.inf if math.isnan(cost.peak_mb) else max(1, SHARE * free // cost.peak_mb)
    return int(max(1, min(jobs, processors, fitting)))


def advice(jobs: int, workers: int, cost: Cost, processors: int, free: float, own: bool) -> list[str]:
    """What is about to happen, and what to change, in sentences.

    Args:
        jobs, workers, cost: as they are.
        processors: CPU threads of this machine.
        free: MB of memory.
        own: whether the person named the number of workers.
    """
    said = f"{jobs} job{'s' if jobs > 1 else ''} on {workers} worker{'s' if workers > 1 else ''}"
    if math.isnan(cost.seconds):
        return [f"{said}; what they take could not be estimated."]
    memory = "" if math.isnan(cost.peak_mb) else f", {cost.peak_mb:.0f} MB of memory each"
    found = [
        f"{said}{memory}: about {duration(cost.total(jobs, workers))} in all, "
        f"{duration(cost.seconds)} a job and what loading takes."
    ]
    if own and not cost.gpus and workers * cost.peak_mb > free:
        found.append(f"{workers} workers need more than the {free:.0f} MB that are free; give fewer --workers.")
    elif not own and not cost.gpus and workers < min(jobs, processors):
        found.append(f"Memory allows no more of {processors}; a smaller --max_size or --nfc needs less.")
    return found
