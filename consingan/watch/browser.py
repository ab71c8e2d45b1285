"""A page in the person's browser, where there is one with a screen: one of the terminal would take it over."""

from __future__ import annotations

import os
import sys


def in_browser(address: str) -> bool:
    """Open an address; whether a browser took it. May wait for the browser; never fails."""
    import webbrowser  # here: it is slow to load, and few commands need it

    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:
        return screen and webbrowser.open(address)
    except Exception:  # whatever a browser's script does
        return False
