"""What was made and left in a folder: each picture's file with its role and its facts.

``results.json`` beside the files is their index; those who show pictures read it and not the names:
    {"schema": 1, "results": [{"file": "samples_40x30_start_0/seed_0_sample_000.png", "role": "sample",
                               "moving": false, "facts": {"seed": "0", ...}}, ...]}
``file`` is below the index's folder, with ``/`` on every system. A folder that further results come into keeps what its
index holds. A file that no index names, as in runs of 0.1.0, has the role that its name tells (``by_name``): nowhere
else has a name a meaning. torch is not imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from consingan.errors import UserError
from consingan.storage.files import read_json, write_json
from consingan.storage.formats import ANIMATED, WRITABLE

INDEX = "results.json"
SCHEMA = 1
PICTURES = frozenset({*WRITABLE, *ANIMATED})
ITERATION = "iteration"  # the fact of a snapshot


class Role(StrEnum):
    """What a result is to those who look at it."""

    RECONSTRUCTION = "reconstruction"  # the training picture, as the model learned it
    SAMPLE = "sample"  # something new, still or moving
    EXAMPLE = "example"  # an input like those of the training beside what the model makes of it
    NAIVE = "naive"  # a naive picture with the model's change, all over
    TRANSLATED = "translated"  # a picture in the manner of another
    BACK = "back"  # the same, brought back to its own manner
    MASKED = "masked"  # the same with the change inside its mask only
    PASTED = "pasted"  # the naive picture as it was given
    NATIVE = "native"  # the model's own output for a naive picture, at the model's resolution
    ENLARGED = "enlarged"  # the picture itself with more pixels
    PAINTED = "painted"  # a painting as a photo of the model's world
    SKETCH = "sketch"  # what samples were to follow
    MASK = "mask"  # where a naive picture's object is
    VIEW = "view"  # several of these side by side, to judge by
    REPEATED = "repeated"  # a sample laid beside itself, to see whether it has a seam
    GRID = "grid"  # the pictures of a folder as one
    SNAPSHOT = "snapshot"  # the result so far, on the way through a stage
    STRIP = "strip"  # the snapshots of a stage side by side


SUMMARIES = frozenset({Role.GRID, Role.STRIP, Role.REPEATED})  # pictures made of others


@dataclass(frozen=True)
class Kept:
    """A result's file.

    Args:
        path: where it is.
        role: what it is.
        moving: whether it is an animation.
        facts: what is needed to make it again; a snapshot's ``iteration``.
    """

    path: Path
    role: Role
    moving: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)


def kept(folder: Path) -> list[Kept]:
    """Every result below a folder, by path; none where there is no folder. Hidden files are none.

    An index speaks for all below its folder, one further down for its own.
    """
    files = sorted(folder.rglob("*"))
    indexes = sorted((file.parent for file in files if file.name == INDEX), key=lambda inner: len(inner.parts))
    known = {each.path: each for inner in indexes for each in read(inner)}
    return [
        known.get(file) or by_name(file)
        for file in files
        if file.suffix in PICTURES and not file.name.startswith(".") and file.is_file()
    ]


def snapshots(made: Iterable[Kept]) -> list[tuple[int, Path]]:
    """The snapshots among results with their iterations, oldest first."""
    found = [(each.facts.get(ITERATION, ""), each.path) for each in made if each.role is Role.SNAPSHOT]
    return sorted((int(number), path) for number, path in found if re.fullmatch("[0-9]{1,15}", number))


def of(file: Path, top: Path) -> Kept:
    """A file's entry in the nearest index, from its own folder up to ``top``; else what its name tells."""
    for folder in file.parents:
        for each in read(folder):
            if each.path == file:
                return each
        if folder == top:
            break
    return by_name(file)


def overview(found: Sequence[Kept]) -> list[Kept]:
    """Without the single pictures of a grid: the grids first, then those that are in none."""
    grids = [each for each in found if each.role is Role.GRID]
    folders = {each.path.parent for each in grids}
    return grids + [each for each in found if each.path.parent not in folders]


def read(folder: Path) -> list[Kept]:
    """What a folder's index holds; nothing where there is none that can be read, and no entry that makes no sense."""
    with suppress(UserError):
        values = read_json(folder / INDEX)
        if is_index(values):
            return [entry for value in values["results"] if (entry := read_entry(folder, value))]
    return []


def read_entry(folder: Path, value: object) -> Kept | None:
    """One entry of an index; None for one that makes no sense."""
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        return None
    parts = value["file"].split("/")
    if any(part in ("", ".", "..") or set(part) & set("\0\\:") for part in parts):  # it must not lead out of the folder
        return None
    role, facts = value.get("role"), value.get("facts")
    if not isinstance(role, str) or role not in set(Role) or not isinstance(facts, dict):
        return None
    facts = {str(name): str(fact) for name, fact in facts.items()}
    return Kept(folder.joinpath(*parts), Role(role), value.get("moving") is True, facts)


def check_own(folder: Path) -> None:
    """Refuse a folder where another program, or a newer version, keeps a file of the index's name.

    Raises:
        UserError: names the file.
    """
    try:
        values = read_json(folder / INDEX)
    except UserError:  # there is none, or one that is damaged and is written anew
        return
    if not is_index(values):
        raise UserError(
            f"{folder / INDEX} is no list of results of this version; move it away, or choose another folder."
        )


def is_index(values: object) -> bool:
    """Whether a JSON value is an index that this version reads."""
    return isinstance(values, dict) and values.get("schema") == SCHEMA and isinstance(values.get("results"), list)


def add(folder: Path, results: Iterable[Kept]) -> None:
    """Write results into a folder's index, over older entries of the same files.

    Raises:
        StorageError: the disk refuses.
        UserError: the file of that name is another program's.
    """
    check_own(folder)
    entries = {each.path: each for each in (*read(folder), *results)}
    values = [
        {
            "file": each.path.relative_to(folder).as_posix(),
            "role": str(each.role),
            "moving": each.moving,
            "facts": dict(each.facts),
        }
        for each in entries.values()
    ]
    write_json(folder / INDEX, {"schema": SCHEMA, "results": values})


@contextmanager
def indexed(folder: Path) -> Iterator[list[Kept]]:
    """A list of results that goes into the folder's index at the end, also where the work breaks off.

    Raises:
        UserError: the file of that name is another program's; before the work begins.
        StorageError: the disk refuses.
    """
    check_own(folder)
    made: list[Kept] = []
    try:
        yield made
    except BaseException:
        with suppress(UserError):
            if made:
                add(folder, made)
        raise
    if made:
        add(folder, made)


ENDINGS = {
    "_mask": Role.MASK,
    "_view": Role.VIEW,
    "_masked": Role.MASKED,
    "_harmonized": Role.NAIVE,
    "_native": Role.NATIVE,
}
WHOLE_NAMES = {"reconstruction": Role.RECONSTRUCTION, "grid": Role.GRID, "strip": Role.STRIP}
FOLDERS = {"snapshots": Role.SNAPSHOT, "examples": Role.EXAMPLE}


def by_name(file: Path) -> Kept:
    """What the name of a file tells that no index names."""
    stem = file.stem
    found = WHOLE_NAMES.get(stem) or FOLDERS.get(file.parent.name)
    found = found or next((role for ending, role in ENDINGS.items() if stem.endswith(ending)), Role.SAMPLE)
    moving = file.suffix == ".gif" or stem.startswith("animation_")
    number = stem.rpartition("_")[2]
    if found is not Role.SNAPSHOT:
        return Kept(file, found, moving)
    return Kept(file, found, moving, {ITERATION: number})
