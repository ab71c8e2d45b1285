"""The one exception that a person is meant to read, how words are shown, and the fault that is met by doing less."""

import re
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec

_OUT_OF_MEMORY = r"out of memory|can't allocate memory|bad_alloc"  # torch's words on CUDA, MPS and the CPU

MOST_NAME = 255  # characters of a file's name
MOST_WORD = 300  # characters of a value that a sentence repeats


class UserError(Exception):
    """Something the person can put right: a flag, a file, a folder.

    The message is one sentence that names the flag or file, the value seen and what to do about it.
    The command line prints it and exits with code 2; nothing is written before it is raised.
    """


REQUIRED = ("torch", "kornia", "imageio", "PIL", "numpy", "rich", "safetensors", "jinja2")  # to train and sample
OTHER_NAMES = {"PIL": "pillow"}  # of packages that are installed by another name than they are imported


def check_packages(modules: Sequence[str] = REQUIRED) -> None:
    """Refuse to begin where a package is missing that would be needed in the middle; imports none.

    Raises:
        UserError: names the package, and how to install it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise UserError(not_installed(module))


def missing_package(error: ModuleNotFoundError) -> str | None:
    """The sentence for a package that is not installed; None for a module of ours, whose fault is ours."""
    module = (error.name or "").partition(".")[0]
    return None if module in ("", "consingan") or module in sys.stdlib_module_names else not_installed(module)


def not_installed(module: str) -> str:
    """What to do about a package that is missing."""
    package = OTHER_NAMES.get(module, module)
    return f"The package {package} is not installed; install it with: {sys.executable} -m pip install {package}"


def printable(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """Text for a terminal: names of files may hold line ends and characters that it would obey.

    Args:
        text: any.
        encoding: of the terminal; what it lacks is escaped as well.
        keep: unprintable characters that may stay, such as line ends.
    """
    shown = "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def brief(sentence: str) -> str:
    """A sentence with the middle of endless words left out."""
    half = MOST_WORD // 2
    return re.sub(rf"\S{{{MOST_WORD + 1},}}", lambda word: f"{word[0][:half]}...{word[0][-half:]}", sentence)


def meant(name: str, known: Iterable[str]) -> str:
    """What a person may have meant by a name of a setting that there is not, as the end of a sentence."""
    from difflib import get_close_matches  # here: few commands need it

    found = get_close_matches(name, list(known), n=1)
    return f"did you mean {found[0]}?" if found else "consingan train --help_all shows all."


def name_of(path: str) -> str:
    """The last part of a path of any system: what is said of a file to those who are not to know where it lies."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return parts[-1][-MOST_NAME:] if parts else "picture"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device; torch says so in an ordinary RuntimeError."""
    return isinstance(error, MemoryError) or bool(re.search(_OUT_OF_MEMORY, str(error)))
