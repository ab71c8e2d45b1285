"""Workers of a Dask cluster: the same errands as tasks. Scheduler, workers, TLS and addresses are Dask's own."""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from consingan.batch import afar
from consingan.batch.book import inside
from consingan.batch.errand import Errand, Outcome, run_of
from consingan.batch.pool import News
from consingan.errors import UserError
from consingan.storage.files import read_json
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import safe_name
from consingan.training.order import Order, files_of, moved

TIMEOUT_S = 15.0  # to reach the scheduler
TICK_S = 0.5  # between two tries while the scheduler is away
LOOK_S = 1.0  # between two questions to the scheduler who is there
BEAT_S = 5.0  # between two signs of life to the workers
AHEAD = 2  # tasks for each worker that the scheduler has at a time
EXTRA = "The package distributed is not installed; install it with: {} -m pip install 'consingan[cluster]'"

Task = Callable[[Mapping[str, Any]], None]


@dataclass(eq=False)
class Attempt:
    """A task of the scheduler's.

    Args:
        name: of the job.
        future: of the task.
        heard: whether its worker has sent something.
        ended: whether its outcome has come.
    """

    name: str
    future: Any
    heard: bool = False
    ended: bool = False


class Cluster:
    """A pool on a Dask cluster.

    Args:
        address: of the scheduler, or the file that it wrote it to (.json).
        task: carries a parcel out; a function of a module that the workers have.
        folder: the batch's.
        shared: whether the workers see pictures and folder at the same paths, so that nothing travels.
        resources: what a task takes of a worker, as in ``GPU=1``; None for nothing.

    Raises:
        UserError: it cannot be reached, has other versions, or no worker that fits.
    """

    def __init__(self, address: str, task: Task, folder: Path, shared: bool, resources: str | None) -> None:
        self._task, self._folder, self._shared = task, folder, shared
        self._resources = parsed(resources)
        self._client = reached(address)
        self._address, self._channel = address, f"consingan-{secrets.token_hex(8)}"
        self._attempts: dict[str, Attempt] = {}  # that the scheduler has
        self._news: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._sign: object = 0
        self._known: Mapping[str, Any] = {}
        self._until = float("-inf")  # what is known holds until then
        self._end = threading.Event()
        try:
            self._check()
        except BaseException:
            self._client.close()
            raise
        import distributed

        self._queue = distributed.Queue(f"{self._channel}-news", client=self._client)
        self._beat = distributed.Variable(f"{self._channel}-beat", client=self._client)
        self._beat.set(0)
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._listen, self._live)]
        for thread in self._threads:
            thread.start()

    @property
    def count(self) -> int:
        return max(1, len(self._workers()))

    @property
    def room(self) -> int:
        return AHEAD * self.count - len(self._attempts)

    def send(self, errand: Errand) -> None:
        attempt = secrets.token_hex(8)
        parcel = {
            "attempt": attempt,
            "channel": self._channel,
            "versions": afar.versions(),
            "shared": self._shared,
            **(self._as_it_is(errand) if self._shared else self._packed(errand)),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size of the pictures
            future = self._client.submit(
                self._task, parcel, key=f"{self._channel}-{attempt}", pure=False, resources=self._resources
            )
        self._attempts[attempt] = Attempt(errand.name, future)
        future.add_done_callback(lambda done: self._news.put({"attempt": attempt, "done": done}))

    def news(self, seconds: float) -> Sequence[News]:
        if self._client.status not in ("running", "connecting"):
            raise UserError(
                f"The scheduler at {self._address} has gone; what came back is kept. Give the same command again."
            )
        found: list[News] = []
        with suppress(Empty):
            while True:
                found += self._read(self._news.get(timeout=seconds if not found else 0))
        return found

    def stop(self) -> None:
        """Tasks of which nothing has been heard are taken back at once; those that run save first."""
        self._sign = afar.STOP
        with suppress(Exception):
            self._beat.set(afar.STOP)
        for name, attempt in self._attempts.items():
            if not attempt.heard:
                self._news.put({"attempt": name, "outcome": Outcome("stopped").plain()})
                attempt.future.cancel()

    def close(self) -> None:
        self._end.set()
        with suppress(Exception):
            self._beat.set(afar.STOP)  # whatever still runs there is of no use any more
            self._queue.put([])
            self._client.cancel([attempt.future for attempt in self._attempts.values()])
        self._client.close()
        for thread in self._threads:
            thread.join(TICK_S)

    # ---- what is sent

    def _as_it_is(self, errand: Errand) -> dict[str, Any]:
        return {
            "errand": asdict(replace(errand, order=placed(errand, lambda file: str(Path(file).absolute())))),
            "files": {},
        }

    def _packed(self, errand: Errand) -> dict[str, Any]:
        """The errand with its pictures, and with what there is of its run."""
        settings = errand.order["settings"]
        if settings.get("model_dir") is not None:
            raise UserError(
                "--model_dir does not travel to a cluster; give --shared, on a folder that all machines see."
            )
        for word in (word for words in errand.then for word in words if Path(word).suffix and Path(word).is_file()):
            raise UserError(
                f"{word}, which --then names, does not travel to a cluster; give --shared, on a folder that all "
                "machines see."
            )
        held: dict[str, bytes] = {}
        try:
            naive = settings.get("naive_img")
            for path in (*map(Path, files_of(Order(**errand.order))), *(beside(Path(naive)) if naive else ())):
                data, place = path.read_bytes(), f"{afar.PICTURES}/{path.name}"
                if held.setdefault(place, data) != data:
                    raise UserError(f"Two files of {errand.name} are called {path.name}; rename one, or give --shared.")
        except OSError as error:
            raise UserError(f"Cannot read {error.filename}: {error.strerror}; check the list.") from error
        if (run := run_of(self._folder, errand.name)) is not None:
            for name in afar.stamps(run.folder):
                place = (run.folder / name).relative_to(self._folder).as_posix()
                held[f"{afar.RUNS}/{place}"] = (run.folder / name).read_bytes()
        return {"errand": asdict(replace(errand, order=placed(errand, lambda file: Path(file).name))), "files": held}

    # ---- what comes back

    def _read(self, message: dict[str, Any]) -> list[News]:
        attempt = self._attempts.get(message["attempt"])
        if attempt is None or (attempt.ended and "done" not in message):
            return []
        found = self._done(attempt) if "done" in message else self._heard(attempt, message)
        # kept until the scheduler says so: it would take the worker for busy, and give the next task to another one
        if any(news.died for news in found) or (attempt.ended and attempt.future.done()):
            del self._attempts[message["attempt"]]
        return found

    def _heard(self, attempt: Attempt, message: dict[str, Any]) -> list[News]:
        attempt.heard = True
        if "record" in message:
            return [News(attempt.name, record=message["record"])]
        if "files" in message:
            self._keep(attempt.name, message)
            return []
        attempt.ended = True
        return [News(attempt.name, outcome=Outcome(**message["outcome"]))]

    def _done(self, attempt: Attempt) -> list[News]:
        if attempt.ended or attempt.future.status == "finished":  # its outcome is on the way
            return []
        return [News(attempt.name, died=f"its worker was lost ({attempt.future.status})")]

    def _keep(self, name: str, message: Mapping[str, Any]) -> None:
        """Write what a worker sent of a job's runs; checkpoints that it has no more are removed."""
        own = safe_name(name)
        files = {file: data for file, data in message["files"].items() if inside(file) and file.startswith(f"{own}/")}
        afar.put(self._folder, files)
        for folder in {Path(file).parent for file in files if Path(file).parent.name == "checkpoints"}:
            for path in (self._folder / folder).glob("*.safetensors"):
                if path.relative_to(self._folder).as_posix() not in message["names"]:
                    path.unlink(missing_ok=True)

    def _listen(self) -> None:
        """Take what workers send, in a thread, until the batch sends itself an end."""
        while not self._end.is_set():
            try:
                for message in self._queue.get():
                    self._news.put(message)
            except Exception:  # the scheduler is away, which ``news`` sees
                self._end.wait(TICK_S)

    def _live(self) -> None:
        """Show the workers that the batch is there, in a thread."""
        begun = monotonic()
        while not self._end.wait(BEAT_S):
            if self._sign != afar.STOP:
                with suppress(Exception):
                    self._beat.set(monotonic() - begun)

    # ---- who is there

    def _workers(self) -> Mapping[str, Any]:
        """Workers that a task may go to."""
        if monotonic() > self._until:  # each question goes to the scheduler and back
            found = self._client.scheduler_info(n_workers=-1)["workers"]
            wanted = self._resources or {}
            self._known = {
                address: worker
                for address, worker in found.items()
                if all(worker["resources"].get(name, 0) >= count for name, count in wanted.items())
            }
            self._until = monotonic() + LOOK_S
        return self._known

    def _check(self) -> None:
        every = self._client.scheduler_info(n_workers=-1)["workers"]
        if every and not self._workers():
            raise UserError(
                f"None of {len(every)} workers at {self._address} has {self._resources}; start some with --resources."
            )
        for address, worker in self._workers().items():
            if worker["nthreads"] > 1 and not self._resources:
                raise UserError(
                    f"The worker {address} does {worker['nthreads']} tasks at a time, and a training wants a process "
                    "of its own; start workers with --nthreads 1."
                )
        own = afar.versions()
        try:
            theirs = self._client.run(afar.versions)
        except Exception as error:
            raise UserError(
                f"The workers at {self._address} have no consingan of this version ({type(error).__name__}: {error}); "
                "install the same there."
            ) from error
        for address, found in theirs.items():
            for name, wanted in own.items():
                if found[name] != wanted:
                    raise UserError(
                        f"The worker {address} has {name} {found[name]}, and this machine {wanted}; install the same."
                    )


def placed(errand: Errand, place: Callable[[str], str]) -> dict[str, Any]:
    """The order of an errand whose files are elsewhere."""
    order = dict(errand.order)
    return {**order, "picture": place(str(order["picture"])), "settings": moved(order["settings"], place)}


def beside(naive: Path) -> list[Path]:
    """The masks beside a naive picture, as ``pictures.masks.find`` looks for them."""
    found = [naive.with_name(f"{naive.stem}_mask{suffix}") for suffix in dict.fromkeys((naive.suffix, *SUFFIXES))]
    return [path for path in found if path.is_file()]


def parsed(resources: str | None) -> dict[str, float] | None:
    """``GPU=1,MEMORY=2e9`` -> numbers by name.

    Raises:
        UserError: it is written otherwise.
    """
    if resources is None:
        return None
    found = {}
    for part in resources.split(","):
        name, _, count = part.partition("=")
        try:
            found[name.strip()] = float(count)
        except ValueError:
            raise UserError(f"--worker_resources is {resources!r}; give one such as GPU=1.") from None
    return found


def reached(address: str) -> Any:
    """A client of the scheduler.

    Raises:
        UserError: the package is missing, or the scheduler does not answer.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise UserError(EXTRA.format(sys.executable)) from None
    place = of_file(Path(address)) if address.endswith(".json") else address
    try:
        with ThreadPoolExecutor(1) as beside:  # a notebook's thread has a loop of its own
            beside.submit(asyncio.run, answered(place)).result()
        return distributed.Client(place, timeout=TIMEOUT_S, set_as_default=False)
    except Exception as error:  # of many kinds: no such host, no certificate, no answer, no address
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"--scheduler {address} cannot be reached ({reason}); check the address, whether the scheduler runs, and "
            "for tls:// the certificates in Dask's configuration."
        ) from error


def of_file(file: Path) -> str:
    """The address in the file that a scheduler has written.

    Raises:
        UserError: it is not there, or another one.
    """
    try:
        return str(read_json(file)["address"])
    except UserError as error:
        raise UserError(f"--scheduler {file} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(
            f"--scheduler {file} is no file of a Dask scheduler; give the one of its --scheduler-file."
        ) from error


async def answered(address: str) -> None:
    """Connect, and no more: a client that cannot would try to say goodbye to nobody for half a minute."""
    import distributed
    from distributed.comm import connect

    security = distributed.Security().get_connection_args("client")
    comm = await connect(address, timeout=TIMEOUT_S, **security)
    comm.abort()
