"""What has to be computed for a report: the figures of the newest samples, and where one of them is copied from.

Computed once per set of samples in a process: a page that renews itself asks again and again.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.ranges import signed, unit
from consingan.metrics import sets
from consingan.metrics.table import METRICS, Metric, evaluate
from consingan.pictures import arrays, images
from consingan.storage.results import Kept, Role
from consingan.watch.report import origins
from consingan.watch.report.pictures import MOST_PIXELS, Embedded, still
from consingan.watch.report.reading import Facts, Stage

JUDGED = 5  # samples; more change the figures little and cost as much each
RANKED = 12  # samples among which the best are looked for
LEGEND_SIDE = 320
MOST_FRAMES = 1000  # of an animation that are looked through
CODES = 255  # places in steps of 1/255 of a side: finer than the map

_one_at_a_time = Lock()


@dataclass(frozen=True)
class Traced:
    """Where a sample is copied from, for the page.

    Args:
        file: the sample's name.
        sample, colours, legend: the sample, its pixels in the colours of their places, the picture in these colours.
        codes: base64 of two bytes per pixel of the map, row by row: 255 times its column and its row in the
            picture, as shares of the sides.
        width, height: of the map.
        in_place, together, distance: see ``origins.Origins``; the last is its mean.
    """

    file: str
    sample: Embedded
    colours: Embedded
    legend: Embedded
    codes: str
    width: int
    height: int
    in_place: float
    together: float
    distance: float


@dataclass(frozen=True)
class Findings:
    """Figures of ``judged`` samples by name, and where the first of them is copied from: of which picture, from 0."""

    figures: Mapping[str, float] = field(default_factory=dict)
    judged: int = 0
    traced: Traced | None = None
    near: int = 0


NOTHING = Findings()


def find(facts: Facts) -> Findings:
    """The findings for the newest samples of a run; nothing where there are none that can be judged."""
    stage = next((stage for stage in reversed(facts.stages) if judged_files(stage)), None)
    if stage is None:
        return NOTHING
    files = judged_files(stage)
    try:
        pictures = tuple(path for _, path in facts.pictures)
        stamps = tuple((file, file.stat().st_mtime_ns) for file in (*pictures, *(each.path for each in files)))
        with _one_at_a_time:  # the training and a server's thread may ask at the same time
            return _find(stamps, len(pictures), files[0].moving)
    except Exception:  # a picture too small for a patch, or a broken one: decoders raise nearly anything
        return NOTHING


def judged_files(stage: Stage) -> list[Kept]:
    """The samples that stand beside the picture as its equals: stills, animations, results for a naive picture."""
    samples = [each for each in stage.samples if each.role is Role.SAMPLE]
    stills, moving = ([each for each in samples if each.moving is kind] for kind in (False, True))
    masked, whole = ([each for each in stage.samples if each.role is role] for role in (Role.MASKED, Role.NAIVE))
    return (stills or moving or masked or whole)[:JUDGED]


def metrics(wanted: Collection[str]) -> dict[str, Metric]:
    """Those of the figures that are wanted, in the order of the table."""
    return {name: one for name, one in METRICS.items() if name in wanted}


def best(facts: Facts, further: Sequence[Kept] = ()) -> list[Path]:
    """The newest samples, and ``further`` stills, by their patch distance to the picture, the best first.

    Animations, and what cannot be measured, keep their order.
    """
    stage = next((stage for stage in reversed(facts.stages) if judged_files(stage)), None)
    files = [*further, *(judged_files(stage) if stage else [])][:RANKED]
    try:
        real, *others = reals([path for _, path in facts.pictures])
        shown = {each.path: read_samples([each.path], each.moving) for each in files}
        distance = {path: evaluate(real, picture, ["swd"], others)["swd"] for path, picture in shown.items()}
    except Exception:  # as in ``find``
        return [each.path for each in files]
    return sorted(distance, key=lambda path: distance[path])


@lru_cache(maxsize=8)
def _find(stamps: Sequence[tuple[Path, int]], pictures: int, moving: bool) -> Findings:
    names = [file for file, _ in stamps]
    (real, *others), files = reals(names[:pictures]), names[pictures:]
    samples = read_samples(files, moving)
    near = sets.nearest([real, *others], samples[:1]) if others else 0
    from_where = traced([real, *others][near], samples[:1], files[0].name)
    return Findings(evaluate(real, samples, others=others), len(samples), from_where, near)


def reals(files: Sequence[Path]) -> list[Tensor]:
    """The pictures of a run, ``[1, C, H, W]`` each in [0, 1]."""
    return [unit(images.load(file, max_pixels=MOST_PIXELS).pixels) for file in files]


def read_samples(files: Sequence[Path], moving: bool) -> Tensor:
    """Samples as ``[N, C, H, W]`` in [0, 1]: stills of one size, or frames of the first animation."""
    if moving:
        return unit(torch.cat(frames(files[0])))
    pictures = [images.load(file, max_pixels=MOST_PIXELS).pixels for file in files]
    return unit(torch.cat([picture for picture in pictures if picture.shape == pictures[0].shape]))


def frames(file: Path) -> list[Tensor]:
    """Up to JUDGED frames of an animation, evenly, each ``[1, 3, H, W]`` in [-1, 1]."""
    with Image.open(file) as image:
        if image.width * image.height > MOST_PIXELS // JUDGED:
            raise UserError(f"{file} has {image.width}x{image.height} px, too many to be judged; sample smaller ones.")
        count = frames_of(image)
        chosen = sorted({round(k * (count - 1) / max(JUDGED - 1, 1)) for k in range(JUDGED)})
        found = []
        for number in chosen:
            image.seek(number)
            found.append(arrays.from_array(np.asarray(image.convert("RGB"))))
        return found


def frames_of(image: Image.Image) -> int:
    """How many frames a file has, up to MOST_FRAMES."""
    count = 1
    with suppress(EOFError):
        while count < MOST_FRAMES:
            image.seek(count)
            count += 1
    return count


def traced(real: Tensor, sample: Tensor, file: str) -> Traced:
    """Where ``sample`` is copied from; both ``[1, C, H, W]`` in [0, 1]."""
    found = origins.trace(real, sample)
    height, width = found.rows.shape
    places = [found.columns / max(width - 1, 1), found.rows / max(height - 1, 1)]
    codes = (torch.stack(places, -1) * CODES).round().clamp(0, CODES).to(torch.uint8)
    return Traced(
        file,
        as_embedded(sample),
        as_embedded(origins.colour_map(found)),
        as_embedded(origins.legend(found)),
        base64.b64encode(codes.numpy().tobytes()).decode("ascii"),
        width,
        height,
        found.in_place,
        found.together,
        found.distance.mean().item(),
    )


def as_embedded(picture: Tensor) -> Embedded:
    """A picture ``[1, C, H, W]`` in [0, 1] for the page."""
    return still(Image.fromarray(arrays.to_uint8(signed(picture))).convert("RGB"), LEGEND_SIDE)
