"""Results of sampling as files: stills, animations, one grid per folder. Used for previews and evaluation alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import prod
from pathlib import Path

from torch import Tensor

from consingan.applications.base import Result
from consingan.errors import UserError
from consingan.pictures import images, sheets
from consingan.storage import results as storage
from consingan.storage.files import StorageError
from consingan.storage.results import ITERATION, Kept, Role

GRID_PICTURES, GRID_SIDE = 9, 1024  # pictures of a grid, and the longer side of one in px at most
# What people sample for; of a code that turns, the view.
NEW = {Role.SAMPLE, Role.TRANSLATED, Role.MASKED, Role.NAIVE, Role.ENLARGED, Role.PAINTED, Role.VIEW}
NUMBERS = "npy"  # a format that nobody looks at
PREVIEW_PIXELS = 10 * 512**2  # of a stage's previews, after which no more are begun


def write(
    results: Iterable[Result], folder: Path, facts: Mapping[str, str], say: Callable[[str], None] = lambda note: None
) -> Iterator[Path]:
    """Write each result as it comes and yield its path; a grid of a folder's first stills comes last.

    The file of one result is written while the next is computed. The folder's index names all of them at the end, also
    where the work breaks off. Where a file of the same name holds a result of other facts, as of another mask, the new
    one gets a number behind its name.

    Args:
        results: what an application makes.
        folder: made where it is missing.
        facts: written into every file beside the result's own.
        say: is told each result's notes.

    Raises:
        UserError: a folder or a file cannot be written.
    """
    shown: dict[tuple[Path, str], list[Tensor]] = defaultdict(list)
    there = {each.path: each.facts for each in storage.read(folder)}
    with storage.indexed(folder) as kept:
        with ThreadPoolExecutor(1) as writer:  # a file is compressed while the next picture is computed
            begun: Future[Path] | None = None
            for result in results:
                path = free(folder / f"{result.name}.{result.format}", {**facts, **result.facts}, there)
                make_folder(path.parent)
                gallery = shown[path.parent, result.format]
                if not result.fps and path.parent != folder and len(gallery) < GRID_PICTURES:
                    gallery.append(sheets.at_most(result.seen, GRID_SIDE))
                if begun is not None:
                    yield begun.result()
                begun = writer.submit(save, result, path, facts, kept)
                for note in result.notes:
                    say(note)
            if begun is not None:
                yield begun.result()
        for (inner, extension), pictures in shown.items():
            if len(pictures) > 1:
                path = inner / f"grid.{extension if extension != NUMBERS else 'png'}"
                images.save(path, sheets.grid(pictures))
                kept.append(Kept(path, Role.GRID))
                yield path


def free(path: Path, facts: Mapping[str, str], there: Mapping[Path, Mapping[str, str]]) -> Path:
    """A path, or the first with a number behind its name that holds no result of other facts.

    Args:
        path: the wanted one.
        facts: of what is to be written.
        there: of the results that are there.
    """
    named, number = path, 1
    while named in there and there[named] != facts and named.exists():
        number += 1
        named = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return named


def write_one(
    results: Iterable[Result], file: Path, facts: Mapping[str, str], say: Callable[[str], None] = lambda note: None
) -> None:
    """Write the first thing that is new among results, to a file of any name; nothing else.

    Args:
        results: what an application makes.
        file: its folder is made where it is missing.
        facts, say: as ``write``.

    Raises:
        UserError: nothing is new, or the file cannot be written.
    """
    for result in results:
        for note in result.notes:
            say(note)
        if result.role in NEW:
            make_folder(file.parent)
            return put(result, file, facts)
    raise UserError(f"Nothing new was made for --out {file}; give the picture to work on with --naive_img.")


def put(result: Result, path: Path, facts: Mapping[str, str]) -> None:
    """Write one result's file, its facts with these in it."""
    if result.fps:
        images.save_animation(path, result.frames, result.fps, result.kind)
    else:
        images.save(path, result.frames[0], text={**facts, **result.facts}, kind=result.kind)


def save(result: Result, path: Path, facts: Mapping[str, str], kept: list[Kept]) -> Path:
    """Write one result, and its facts with these, and note it as kept; give its path back."""
    put(result, path, facts)
    kept.append(Kept(path, result.role, result.fps > 0, {**facts, **result.facts}))
    return path


def within(made: Iterable[Result], pixels: int) -> Iterator[Result]:
    """Results until so many pixels have been made, and at least two: the previews of a large picture are fewer."""
    for number, result in enumerate(made, 1):
        yield result
        pixels -= sum(prod(frame.shape[2:]) for frame in result.frames)
        if number >= 2 and pixels <= 0:
            return


def snapshot(result: Result, folder: Path, iteration: int) -> Path:
    """Keep a result as it is at an iteration, and renew the strip of all that are kept.

    Args:
        result: its first picture is kept, in ``FOLDER/snapshots``.
        folder: where ``strip.png`` goes.
        iteration: the caption.

    Returns:
        Where it is kept.

    Raises:
        UserError: a folder or a file cannot be written.
    """
    inner = folder / "snapshots"
    make_folder(inner)
    path, strip = inner / f"iteration_{iteration:06d}.png", folder / "strip.png"
    images.save(path, result.seen, text=result.facts)
    facts = {**result.facts, ITERATION: f"{iteration}"}
    storage.add(folder, [Kept(path, Role.SNAPSHOT, facts=facts), Kept(strip, Role.STRIP)])
    items = []
    for number, file in storage.snapshots(storage.kept(folder)):
        with suppress(UserError):  # one that somebody broke is not among them
            items.append((f"{number} iterations", images.load(file).pixels))
    images.save(strip, sheets.side_by_side(items))
    return path


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, or say in a sentence why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.of(folder, error) from error
