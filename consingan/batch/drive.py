"""From the book to the workers and back, until all is done or somebody stops it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from consingan.batch.book import Book, Entry, Job
from consingan.batch.display import Display
from consingan.batch.errand import Outcome
from consingan.batch.pool import News, Pool

TICK_S = 0.2  # between two looks whether to stop


class Driver:
    """A batch on its way.

    Args:
        book: has all of the jobs.
        jobs: those to be done.
        pool: does them.
        display: shows it.
        retries: how often a job begins again whose worker ended without a word, from its newest checkpoint.
    """

    def __init__(self, book: Book, jobs: Sequence[Job], pool: Pool, display: Display, retries: int) -> None:
        self._book, self._pool, self._display, self._retries = book, pool, display, retries
        self._waiting, self._running = deque(jobs), dict[str, Job]()
        self._deaths: dict[str, int] = {}
        self._stopping = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Do all jobs.

        Args:
            stop: asked several times a second; where it says so, what runs is saved and nothing more begins.

        Raises:
            UserError: the book cannot be written, or the workers cannot be reached any more.
        """
        while self._running or (self._waiting and not self._stopping):
            if stop() and not self._stopping:
                self._stopping = True
                self._display.said(f"Stopping: {len(self._running)} jobs save what they have.")
                self._pool.stop()
            while self._waiting and not self._stopping and self._pool.room > 0:
                self._begin(self._waiting.popleft())
            for news in self._pool.news(TICK_S):
                if news.name in self._running:
                    self._take(news)

    def _begin(self, job: Job) -> None:
        book = self._book
        self._running[job.name] = job
        book.put(replace(book.entries[job.name], state="running", error=None))
        self._display.began(job.name)
        self._pool.send(job.errand(book.folder, book.then, book.threads))

    def _take(self, news: News) -> None:
        """Note what happened to a job."""
        if news.record is not None:
            self._display.told(news.name, news.record)
        elif news.outcome is not None:
            self._end(news.outcome, self._running.pop(news.name))
        elif news.died is not None:
            self._bury(news.died, self._running.pop(news.name))

    def _end(self, done: Outcome, job: Job) -> None:
        entry = self._book.entries[job.name].after(done)
        error = None if entry.error is None else job.shared(entry.error, self._book.folder)
        self._book.put(replace(entry, error=error))
        self._display.ended(entry)

    def _bury(self, reason: str, job: Job) -> None:
        """A worker ended without a word: the job begins again from its checkpoint, a few times."""
        deaths = self._deaths[job.name] = self._deaths.get(job.name, 0) + 1
        if self._stopping:
            self._end(Outcome("stopped", reason), job)
        elif deaths > self._retries:
            self._end(
                Outcome("failed", f"{reason[0].upper()}{reason[1:]} ({deaths} times); it is not tried again."), job
            )
        else:
            self._display.said(f"{job.name}: {reason}; it goes on from its checkpoint.")
            self._waiting.appendleft(job)


def left(entries: Sequence[Entry]) -> list[str]:
    """The names of jobs that are not finished: what failed is tried again."""
    return [entry.name for entry in entries if entry.state != "finished"]
