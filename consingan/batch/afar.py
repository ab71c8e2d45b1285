"""A job on a machine that may not see our files: they travel there with it, and what it writes travels back.

``Parcel`` and messages are plain data. Messages go through a queue of the scheduler's, several at a time, in the order
in which they were sent, the outcome last, so that whoever has the outcome has all files:
    {"attempt", "record": {...}}    {"attempt", "files": {name: bytes}, "names": [...]}    {"attempt", "outcome": {...}}
A worker's process can die at any time. The scheduler then gives the same task to another worker, with the files of its
beginning. That one sees that the attempt has begun before and leaves it (``LostError``); the batch sends the job again,
with the files that have come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from consingan import __version__
from consingan.batch.errand import Errand, Outcome, Work
from consingan.batch.worker import throttled
from consingan.storage.files import write_bytes
from consingan.training.order import moved

LOOK_S = 1.0  # between two looks for new files, and whether to stop
SILENCE_S = 60.0  # without a sign of the batch, after which a worker saves and stops
PIECE = 64 * 2**20  # bytes of a message, but for larger files
PICTURES, RUNS = "pictures", "runs"
STOP = "stop"

Parcel = Mapping[str, Any]
Message = dict[str, Any]
Stamps = dict[str, tuple[int, int]]


class LostError(Exception):
    """Another worker had this attempt, and is no more."""


@cache
def versions() -> dict[str, str]:
    """What must be the same on all machines, by name; a worker is asked too."""
    return {"consingan": __version__, "torch": version("torch").partition("+")[0]}


@dataclass(frozen=True)
class Line:
    """A worker's way to the batch. Each call goes to the scheduler and back, and may raise anything.

    Args:
        claim: whether this attempt has not begun before; it has, from then on.
        beat: the newest sign of the batch, or the word stop.
        put: hands over messages, in their order.
    """

    claim: Callable[[], bool]
    beat: Callable[[], object]
    put: Callable[[list[Message]], None]


def carry(parcel: Parcel, work: Work) -> None:
    """The task on a worker: do an errand, and send what comes of it.

    Args:
        parcel: ``errand``, ``attempt``, ``channel`` (a name that the batch has made up), ``versions``, ``files`` by
            name below a folder, or ``shared``, where the worker sees the batch's files.
        work: does errands.

    Raises:
        LostError: a worker that had this attempt has died.
    """
    import distributed

    worker, line = distributed.get_worker(), through_dask(parcel["channel"], parcel["attempt"])
    if (own := versions()) != parcel["versions"]:
        wrong = ", ".join(f"{name} {own[name]} instead of {wanted}" for name, wanted in parcel["versions"].items())
        sentence = f"The worker {worker.address} has {wrong}; install the same there."
        with Side(line, parcel["attempt"], None) as side:
            side.say({"outcome": Outcome("failed", sentence).plain()})
        return
    with unpacked(parcel, worker.local_directory) as (errand, runs), Side(line, parcel["attempt"], runs) as side:
        done = work(errand, throttled(lambda record: side.say({"record": dict(record)})), side.stopping)
        side.say({"outcome": done.plain()})


def through_dask(channel: str, attempt: str) -> Line:
    """The way from inside a task of Dask."""
    import distributed

    client = distributed.get_client()
    begun = distributed.Event(f"{channel}-{attempt}", client=client)

    def claim() -> bool:
        first = not begun.is_set()
        begun.set()
        return first

    beat = distributed.Variable(f"{channel}-beat", client=client)
    return Line(claim, partial(beat.get, timeout=LOOK_S), lambda messages: queue_of(channel, client).put(messages))


@lru_cache(maxsize=1)
def queue_of(channel: str, client: Any) -> Any:
    """The queue of a batch; kept from job to job, since the scheduler is asked to make it each time."""
    import distributed

    return distributed.Queue(f"{channel}-news", client=client)


@contextmanager
def unpacked(parcel: Parcel, place: str) -> Iterator[tuple[Errand, Path | None]]:
    """The errand as it is to be done here, and the folder whose files are to be sent back, if there is one."""
    errand = Errand(**parcel["errand"])
    if parcel["shared"]:
        yield errand, None
        return
    with TemporaryDirectory(dir=place, prefix="consingan-") as folder:
        top = Path(folder)
        put(top, parcel["files"])
        order = dict(errand.order)
        order["picture"] = str(top / PICTURES / order["picture"])
        settings = moved(order["settings"], lambda name: str(top / PICTURES / name))
        (top / RUNS).mkdir(exist_ok=True)
        yield replace(errand, order={**order, "settings": settings}, outdir=str(top / RUNS)), top / RUNS


class Side:
    """Beside the training, in a thread: all talk with the batch, so that the training never waits for it.

    Every moment it looks whether to stop, and sends what was said and what files are new; the rest at the end.

    Args:
        line: the way to the batch.
        attempt: which this is.
        folder: whose files are sent; None for none.

    Raises:
        LostError: at the end, where the attempt has begun before; then nothing is sent.
    """

    def __init__(self, line: Line, attempt: str, folder: Path | None) -> None:
        self._line, self._attempt, self._folder = line, attempt, folder
        self._own: bool | None = None  # whether the attempt is ours; not known yet
        self._said: SimpleQueue[Message] = SimpleQueue()
        self._stop, self._end = threading.Event(), threading.Event()
        self._sent: Stamps = {}
        self._thread = threading.Thread(target=self._look, daemon=True)

    def stopping(self) -> bool:
        """Whether the training is to stop."""
        return self._stop.is_set()

    def say(self, message: Message) -> None:
        """Send a message, soon."""
        self._said.put(message)

    def __enter__(self) -> Side:
        if self._folder:
            self._sent = stamps(self._folder)  # which came with the parcel
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._end.set()
        self._thread.join()
        self._claim()
        self._send()

    def _look(self) -> None:
        heard, last = monotonic(), None
        with suppress(Exception):  # the scheduler may be away for a moment
            self._claim()
        while not self._end.wait(LOOK_S):
            with suppress(Exception):
                sign = self._line.beat()
                if sign != last:
                    heard, last = monotonic(), sign
            if last == STOP or monotonic() - heard > SILENCE_S:
                self._stop.set()
            with suppress(Exception):
                self._claim()
                self._send()

    def _claim(self) -> None:
        if self._own is None:
            self._own = self._line.claim()
        if not self._own:
            self._stop.set()
            raise LostError

    def _send(self) -> None:
        """Send what has changed, then what was said; files that are read are whole, since they are renamed."""
        for message in self._changed():
            self._put([message])
        if said := [self._said.get() for _ in range(self._said.qsize())]:
            self._put(said)

    def _put(self, messages: Sequence[Message]) -> None:
        self._line.put([{"attempt": self._attempt, **message} for message in messages])

    def _changed(self) -> Iterator[Message]:
        if self._folder is None:
            return
        now = stamps(self._folder)
        changed = [name for name, stamp in now.items() if self._sent.get(name) != stamp]
        if not changed and now.keys() == self._sent.keys():
            return
        for files in pieces(self._folder, sorted(changed, key=last_pointers)):
            yield {"files": files, "names": sorted(now)}
        self._sent = now


def stamps(folder: Path) -> Stamps:
    """Time and size of every file below a folder that is whole, by its name there with /."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone in the meantime
            if path.is_file() and not path.name.startswith("."):
                stat = path.stat()
                found[path.relative_to(folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
    return found


def last_pointers(name: str) -> tuple[bool, str]:
    """The order of sending: what names other files comes after them."""
    return name.endswith(("newest.json", "finished.json")), name


def pieces(folder: Path, names: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """Files in messages of some size, at least one message."""
    held: dict[str, bytes] = {}
    for name in names:
        with suppress(OSError):  # a checkpoint that has been replaced since
            data = (folder / name).read_bytes()
            if held and sum(map(len, held.values())) + len(data) > PIECE:
                yield held
                held = {}
            held[name] = data
    yield held


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder, each whole."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
