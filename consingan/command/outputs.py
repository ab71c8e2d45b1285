"""What ``--out`` names: a folder for results, or one picture's file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consingan.errors import UserError
from consingan.storage.formats import ANIMATED, WRITABLE

# Extensions of a file that --out may name, with the format that each means.
FILES = {suffix: {"jpeg": "jpg", "tiff": "tif"}.get(suffix[1:], suffix[1:]) for suffix in (*WRITABLE, *ANIMATED)}


def is_file_name(out: str) -> bool:
    """Whether ``--out`` names a picture's file rather than a folder."""
    return not out.endswith(("/", "\\")) and not Path(out).is_dir() and Path(out).suffix.lower() in FILES


def one_file(out: str | None, given: Mapping[str, Any]) -> bool:
    """Whether ``--out`` is one picture's file; what cannot be written there is refused.

    Raises:
        UserError: names the flag.
    """
    if out is not None and is_file_name(out):
        check_single(Path(out), given)
        return True
    if out is not None and os.path.lexists(out) and not Path(out).is_dir():
        raise UserError(f"--out {out} is no folder; name one, or a new picture such as new.png.")
    return False


def check_single(out: Path, given: Mapping[str, Any]) -> None:
    """Refuse flags that want more than the one picture of a file, and a file that is there already.

    Raises:
        UserError: names the flag.
    """
    if out.exists():
        raise UserError(f"--out {out} exists already; name another file, or move it away.")
    if given.get("num_samples", 1) > 1:
        raise UserError(
            f"--num_samples {given['num_samples']} do not fit into one file, --out {out}; name a folder, or leave one "
            "of the two out."
        )
    if given.get("reconstruction"):
        raise UserError(f"--reconstruction is a second picture, and --out {out} is one file; name a folder.")
    if "format" in given and given["format"] != FILES[out.suffix.lower()]:
        raise UserError(f"--format {given['format']} contradicts --out {out}; leave one of the two out.")
