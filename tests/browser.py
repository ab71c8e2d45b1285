"""A real browser for tests: headless Chromium, driven over the WebDriver protocol as plain HTTP."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "needs chromium and chromedriver (Debian: chromium, chromium-driver)"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One page at a time; a context manager."""

    def __enter__(self) -> Browser:
        self._profile = tempfile.mkdtemp()
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._driver.stdout is not None
        port = None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                port = found[1]
                break
        self._address = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={self._profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *fault: object) -> None:
        try:
            self._send("DELETE", self._session, None)
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=20)
            assert self._driver.stdout is not None
            self._driver.stdout.close()
            shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, address: str, width: int = 1280, height: int = 900, dark: bool = False, scale: float = 1.0) -> None:
        """Show a page on a screen of that many CSS pixels; what the console said before is forgotten."""
        phone = width < 600
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.console()
        self._post(f"{self._session}/url", {"url": address})

    def run(self, script: str) -> Any:
        """The value that a function's body returns in the page."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def console(self) -> list[str]:
        """Warnings and errors of the console since the last call."""
        entries = self._post(f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self, path: Path, whole: bool = False) -> None:
        """What is on the screen, or the whole page, as PNG."""
        got = self.devtools(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole} | self._clip(whole)
        )
        path.write_bytes(base64.b64decode(got["data"]))

    def devtools(self, command: str, values: dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self._post(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": values})

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.run("const d = document.documentElement; return [d.clientWidth, d.scrollHeight]")
        return {"clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}}

    def _post(self, path: str, body: Any) -> Any:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
