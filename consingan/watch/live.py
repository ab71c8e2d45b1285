"""A run watched while it trains: its page and its files over HTTP, on this machine alone.

The server answers GET and HEAD on the loopback address only, writes nothing, and gives nothing from outside the run
folder. Requests that name another host are refused, so that no foreign web page can read a run through a name that
it makes point here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread
from time import sleep
from typing import Any
from urllib.parse import unquote, urlsplit

from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.watch import report
from consingan.watch.browser import in_browser
from consingan.watch.clock import duration
from consingan.watch.log import MOMENTARY, Record

HOST = "127.0.0.1"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
}
PAGE_KIND = KINDS[".html"]
CONNECTIONS = 16  # at a time; a browser opens six
PAUSE_S = 0.2  # after the system gave no connection
MOST_BYTES = 256 * 2**20  # of a file that is given


class Live:
    """An observer that serves the page of the run which the record "started" names, until it is closed.

    The port is held from the beginning, so that a port that is taken is known before anything is made; requests that
    come before the run has a folder wait.

    Args:
        port: 1 to 65535; a free one where it is None.
        shown: whether to open the page in the person's browser.

    Raises:
        UserError: the port is out of range or cannot be had.
    """

    def __init__(self, port: int | None = None, shown: bool = True) -> None:
        if port is not None and not 1 <= port <= 65535:
            raise UserError(f"--port is {port}; give a number from 1 to 65535, or leave it out for a free one.")
        self._server = _bound(port)
        self._thread: Thread | None = None
        self._shown = shown

    @property
    def address(self) -> str:
        """Where the page is, ``http://127.0.0.1:PORT/``."""
        return f"http://{HOST}:{self._server.server_port}/"

    def __call__(self, record: Record) -> None:
        """Begin with the run; later records are read from its folder when somebody looks, but for how far it is."""
        if record["event"] == MOMENTARY:
            self._server.progress = progress(record)
        if record["event"] == "started" and record["run"] is not None and self._thread is None:
            self.serve(Run(Path(record["run"])))
            if self._shown:
                show(self.address)

    def serve(self, run: Run) -> None:
        """Answer requests for a run folder from now on."""
        self._server.run = run
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more, and free the port."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def show(address: str) -> None:
    """Open an address in the person's browser, where there is one with a screen; never waits, never fails."""
    Thread(target=in_browser, args=[address], daemon=True).start()


def most_connections() -> int:
    """How many connections may be open at a time: of the files that this process may open, an eighth."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, files // 8))


def _bound(port: int | None) -> _Server:
    try:
        return _Server(port or 0)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--port {port or 'free'} cannot be had on {HOST} ({reason}); give another one, or leave it out."
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a reader that hangs must not keep the training from ending
    allow_reuse_address = os.name != "nt"  # on Windows it would share a port that is taken

    def __init__(self, port: int):
        super().__init__((HOST, port), _Handler)
        self._free = BoundedSemaphore(most_connections())
        self.run: Run | None = None  # nothing is answered before it has one
        self.progress: Mapping[str, Any] = {"share": 0.0, "text": ""}
        self.names = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        self._lock, self._version, self._page = Lock(), "", b""

    def page(self) -> bytes:
        """The page as the folder stands; made once for each of its states."""
        assert self.run is not None
        with self._lock:
            now = version(self.run)
            if now != self._version:
                self._page = report.report_page(self.run, live=True).encode("utf-8", "replace")
                self._version = now
            return self._page

    def get_request(self) -> Any:
        """The next connection; where the system gives none, the training goes first."""
        try:
            return super().get_request()
        except OSError:
            sleep(PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; close a connection where as many are open as the training can spare."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the base's, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "consingan", ""
    timeout = 10  # seconds for a request to arrive

    def do_GET(self) -> None:
        assert self.server.run is not None
        if self.headers.get("Host", "") not in self.server.names:
            return self._answer(HTTPStatus.FORBIDDEN, b"This address is for this machine.\n", KINDS[".jsonl"])
        path = urlsplit(self.path).path
        try:
            if path == "/":
                return self._answer(HTTPStatus.OK, self.server.page(), PAGE_KIND)
            if path == "/version":
                return self._answer(HTTPStatus.OK, version(self.server.run).encode("ascii"), KINDS[".jsonl"])
            if path == "/progress":
                body = json.dumps(self.server.progress).encode("ascii")
                return self._answer(HTTPStatus.OK, body, KINDS[".json"])
            file = inside(self.server.run.folder, path)
            if file is not None and file.stat().st_size <= MOST_BYTES:
                return self._answer(HTTPStatus.OK, file.read_bytes(), KINDS[file.suffix])
        except (BrokenPipeError, ConnectionError, TimeoutError):  # the reader went away
            raise
        except Exception:  # just being replaced, or broken; the page asks again
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"Not at this moment.\n", KINDS[".jsonl"])
        return self._answer(HTTPStatus.NOT_FOUND, b"There is no such file in this run.\n", KINDS[".jsonl"])

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:
        """The terminal belongs to the training."""


def inside(folder: Path, path: str) -> Path | None:
    """The file that a request's path names in a folder, or None: for what lies outside of it, by ``..``, by a link or
    by a drive's letter, for hidden files, folders, and kinds that a page does not need."""
    parts = unquote(path, errors="replace").split("/")[1:]
    if any(part in ("", "..") or part.startswith(".") or set(part) & set("\\:\0") for part in parts):
        return None
    try:
        root = folder.resolve(strict=True)
        file = root.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle
        return None
    return file if file.is_relative_to(root) and file.is_file() and file.suffix in KINDS else None


def progress(record: Record) -> dict[str, Any]:
    """How far a training is, as the page shows it: its share, and the words of the terminal."""
    stage = f"stage {record['stage'] + 1}/{record['stages']}"
    left = [] if record["left_s"] is None else [f"{duration(record['left_s'])} left"]
    text = " · ".join([stage, f"iteration {record['iteration']}/{record['iterations']}", *left])
    return {"share": record["share"], "text": text}


def version(run: Run) -> str:
    """A word that changes when there is something new to show."""
    digest = hashlib.sha256()
    folders = [
        run.folder,
        run.first_look,
        *sorted(run.samples.glob("stage_*")),
        *sorted(run.samples.glob("stage_*/snapshots")),
    ]
    for path in (run.log, *folders):
        with suppress(OSError):
            found = path.stat()
            digest.update(f"{path.name} {found.st_mtime_ns} {found.st_size if path.is_file() else 0};".encode())
    return digest.hexdigest()[:16]
