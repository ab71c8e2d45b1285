"""Where a picture is read from: a file, or standard input. Looked at without torch."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import AbstractContextManager
from io import BytesIO
from typing import BinaryIO

from consingan.errors import UserError

AnyPath = str | os.PathLike[str]
STANDARD_INPUT = "-"
NAME = "stdin"  # of a picture that has none
MOST_BYTES = 2**30  # of standard input; a file's size is known before it is read


def is_input(path: AnyPath) -> bool:
    """Whether a path is the word for standard input."""
    return os.fspath(path) == STANDARD_INPUT


def is_address(path: AnyPath) -> bool:
    """Whether a path is the address of a web page."""
    return re.match(r"[a-z][a-z0-9+.-]+:/", os.fspath(path), re.IGNORECASE) is not None


def check_no_address(path: AnyPath) -> None:
    """Refuse the address of a web page.

    Raises:
        UserError: says how to fetch it.
    """
    if is_address(path):
        raise UserError(
            f"{path} is an address, and nothing is fetched from the network; save the picture and name its file, or "
            "pipe it in as the picture -, as in: curl -L ADDRESS | consingan train -"
        )


def check_there(path: AnyPath, called: str) -> None:
    """Refuse a path at which nothing lies, before anything is loaded.

    Args:
        path: of a file or a folder, or the word for standard input.
        called: the flag or the argument that it is given as.

    Raises:
        UserError: names the flag or the argument, and the path.
    """
    check_no_address(path)
    if not is_input(path) and not os.path.exists(path):  # false, not an error, for names no system allows
        raise UserError(f"{called} {os.fspath(path)} does not exist; check the spelling of the path.")


def check_file(path: AnyPath, called: str) -> None:
    """Refuse what is no picture file, before anything is loaded; arguments as for ``check_there``.

    Raises:
        UserError: names the flag or the argument, and the path.
    """
    check_there(path, called)
    if not is_input(path) and not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "not an ordinary file"
        raise UserError(f"{called} {os.fspath(path)} is {what}; name one picture file.")


def opened(path: AnyPath) -> AbstractContextManager[BinaryIO]:
    """A picture's bytes, to be read.

    Raises:
        UserError: there is no such ordinary file, or it is empty.
    """
    if is_input(path):
        return BytesIO(standard_input())
    check_no_address(path)
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} does not exist: check the spelling of the path") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be opened ({reason(error)}): check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a folder: name one picture file")
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block or never end
        raise UserError(f"{path} is not an ordinary file: name a picture file, or - for standard input")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): save or fetch it again")
    return open(path, "rb")


def standard_input() -> bytes:
    """All that standard input holds.

    Raises:
        UserError: it is a terminal, empty, or endless.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("The picture - is read from standard input, which is a terminal here: pipe a picture into it.")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if not data:
        raise UserError("The picture - is read from standard input, which is empty: pipe a picture into it.")
    if len(data) > MOST_BYTES:
        raise UserError("Standard input has more than 1 GB: save the picture and name its file.")
    return data


def reason(error: BaseException) -> str:
    """The library's own words, cut down to a clause that fits into our sentence."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    first = words.strip().splitlines()[0].split(". ")[0].strip(" .")
    return first[:100] or type(error).__name__
