"""Results of sampling as files: stills, animations, one grid per folder. Used for previews and evaluation alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from consingan import images
from consingan.tasks.base import Result

GRID_PICTURES = 9


def write(results: Iterable[Result], folder: Path, facts: Mapping[str, str]) -> Iterator[Path]:
    """Write each result as it comes and yield its path; a grid of a folder's first stills comes last.

    Args:
        results: what a task's ``sample`` gives.
        folder: made where it is missing.
        facts: written into every file beside the result's own.
    """
    shown: dict[tuple[Path, str], list[Tensor]] = defaultdict(list)
    for result in results:
        path = folder / f"{result.name}.{result.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if result.fps:
            images.save_animation(path, result.frames, result.fps)
        else:
            images.save(path, result.frames[0], text={**facts, **result.facts})
            gallery = shown[path.parent, result.format]
            if path.parent != folder and len(gallery) < GRID_PICTURES:
                gallery.append(result.frames[0])
        yield path
    for (inner, extension), pictures in shown.items():
        if len(pictures) > 1:
            path = inner / f"grid.{extension}"
            images.save(path, images.grid(pictures))
            yield path
