"""What a run was made with, and what is said of it to those who are not to know where it lies."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from consingan.errors import name_of


def environment() -> dict[str, Any]:
    """What a reader needs to repeat the run: versions, machine kind, devices, threads, command line.

    No host name and no user name; of files that lie outside of the folder where the command was typed it has the
    names. Imports torch.
    """
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "consingan": _version("consingan"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "kornia": _version("kornia"),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": devices,
        "command": [*program(Path(sys.argv[0])), *map(without_folders, sys.argv[1:])],
    }


def program(called: Path) -> list[str]:
    """The words that a process was started by: an installed program, a script, or a package as a module."""
    if called.name == "__main__.py":
        return ["python", "-m", called.parent.name]
    return ["python", called.name] if called.suffix == ".py" else [called.name]


def _version(package: str) -> str | None:
    """The installed version; for a package that runs from its source its own word, None if it has none."""
    own = getattr(sys.modules.get(package), "__version__", None)
    if own is not None:
        return str(own)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def without_folders(argument: str) -> str:
    """A word of a command line, with the name only of a file that lies outside of the folder it was typed in."""
    flag, equals, value = (
        argument.partition("=") if argument.startswith("-") and "=" in argument else ("", "", argument)
    )
    whole = PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
    outside = whole or re.match(r"~|(\./)*\.\.[/\\]", value)
    return f"{flag}{equals}{name_of(value) if outside else value}"


def shared_text(text: str, run: Path) -> str:
    """A sentence about a run for those who are not to know where it lies: paths begin at OUTDIR's name or at "~".

    Args:
        text: any.
        run: its folder, OUTDIR/IMAGE/RUN.
    """
    above = run.absolute().parent.parent.parent
    for place, short in ((str(above), ""), (os.path.expanduser("~").rstrip("/\\"), "~/")):
        if len(Path(place).parts) > 1:
            text = re.sub(rf"(?<![\w.~/\\-]){re.escape(place)}[/\\]", short, text)
    return text
