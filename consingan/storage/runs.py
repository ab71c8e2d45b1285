"""Where runs lie: below a folder, by a word, and in the words of a message."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOME = "trained_models"  # where runs are made unless another folder is named
VARIABLE = "CONSINGAN_OUTDIR"  # of the environment: names another one
LAST = "last"
SHOWN = 5  # runs that a message names


def home() -> str:
    """The folder of runs where no command names one."""
    return os.environ.get(VARIABLE) or HOME


def below(folder: Path, wanted: str = "config.json") -> list[Path]:
    """The folders of the runs one or two levels below a folder that hold the file ``wanted``, the newest first."""
    try:
        found = {file.parent for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{wanted}")}
        runs = [run for run in found if (run / "config.json").is_file()]
    except (OSError, ValueError):  # ValueError: a NUL character inside the path
        return []
    return sorted(runs, key=lambda run: run.name, reverse=True)  # a name begins with its time


def newest(folder: Path, wanted: str) -> Path | None:
    """The newest run below a folder that holds the file ``wanted``; None where there is none."""
    if folder.resolve() == Path(folder.resolve().anchor):  # the root: no reason to look through the whole disk
        return None
    return next(iter(below(folder, wanted)), None)


def by_word(word: str, wanted: str) -> Path | None:
    """The newest run that holds the file ``wanted``: of all for the word last, of a picture for its name.

    Runs are looked for below ``home()``. None where there is none.
    """
    if Path(word).name != word or "\0" in word:
        return None
    found = below(Path(home()), wanted)
    return next((run for run in found if word in (LAST, run.parent.name)), None)


def hint(folder: Path, wanted: str) -> str:
    """`` (runs below it: a, b and 3 more)``, the newest first, or nothing where there are none."""
    if folder == folder.parent:  # a mistyped path in the root is no reason to look through the whole disk
        return ""
    runs = below(folder, wanted)
    if not runs:
        return ""
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return f" (runs below {folder}: {', '.join(str(run) for run in runs[:SHOWN])}{more})"


@contextmanager
def removed_on_failure(outdir: str) -> Iterator[list[Path]]:
    """Leave no folder from which nothing can be gone on with, nor those that were made above it.

    Args:
        outdir: where the run is made.

    Yields:
        A list for its folder, once it is made.
    """
    there = {folder for folder in (Path(outdir), *Path(outdir).parents) if folder.exists()}
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for run in made:
            shutil.rmtree(run, ignore_errors=True)
            with suppress(OSError):  # those that hold something, as other runs, stay
                for folder in run.parents:
                    if folder in there:
                        break
                    folder.rmdir()
        raise
