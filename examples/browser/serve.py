"""Serves this folder to browsers of this machine: the page, the runtime and the model.

    python serve.py [PORT]

Needs no package. A page may use threads only where it is isolated from others, which is what the two headers say.
"""

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # a model that was exported again is read again
}


class Handler(SimpleHTTPRequestHandler):
    """Files with their types, whatever the machine takes them for."""

    extensions_map = {  # noqa: RUF012 - as the parent has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *told: object) -> None:
        """Only what went wrong is said, by the page."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder on the loopback; port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the page on this machine.")
    parser.add_argument("port", type=int, nargs="?", default=8000)
    port = parser.parse_args().port
    try:
        serving = server(Path(__file__).parent, port)
    except (OSError, OverflowError) as error:
        parser.error(f"port {port} cannot be used ({error}); give another, such as {8001 if port == 8000 else 8000}.")
    print(f"http://127.0.0.1:{serving.server_port}", flush=True)
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        serving.server_close()


if __name__ == "__main__":
    main()
