"""The one exception that a person is meant to read, how words are shown, and the fault that is met by doing less."""

import re

_OUT_OF_MEMORY = r"out of memory|can't allocate memory|bad_alloc"  # torch's words on CUDA, MPS and the CPU

MOST_NAME = 255  # characters of a file's name


class UserError(Exception):
    """Something the person can put right: a flag, a file, a folder.

    The message is one sentence that names the flag or file, the value seen and what to do about it.
    The command line prints it and exits with code 2; nothing is written before it is raised.
    """


def printable(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """Text for a terminal: names of files may hold line ends and characters that it would obey.

    Args:
        text: any.
        encoding: of the terminal; what it lacks is escaped as well.
        keep: unprintable characters that may stay, such as line ends.
    """
    shown = "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def name_of(path: str) -> str:
    """The last part of a path of any system: what is said of a file to those who are not to know where it lies."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return parts[-1][-MOST_NAME:] if parts else "picture"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device; torch says so in an ordinary RuntimeError."""
    return isinstance(error, MemoryError) or bool(re.search(_OUT_OF_MEMORY, str(error)))
