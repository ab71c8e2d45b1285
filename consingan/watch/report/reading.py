"""What a run folder holds, read once: its configuration, its stages, its pictures, its curves.

Nothing is computed here and torch is not imported. A run may be unfinished, resumed, stopped or from an older
version: what is missing is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consingan import config
from consingan.config import Chosen, Train
from consingan.errors import UserError
from consingan.storage import results
from consingan.storage.files import read_json
from consingan.storage.machine import shared_text, without_folders
from consingan.storage.results import SUMMARIES, Kept, Role
from consingan.storage.run import Run
from consingan.watch.log import RESERVED, finite, last_time, read_log, whole

Log = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Moment:
    """A picture of the result so far, after `iteration` iterations of a stage."""

    stage: int
    iteration: int
    picture: Path


@dataclass(frozen=True)
class Stage:
    """One stage of the pyramid.

    Args:
        number: from 0, the coarsest.
        size: ``(H, W)`` in pixels.
        planned, done: iterations.
        seconds: of training, over all processes; 0 before it has begun.
        memory_mb: peak, of ``memory_of``; None where it is not known yet.
        picture: the training picture at this size.
        reconstruction, samples: what the stage made when it was finished.
        further: the reconstructions of further pictures, of a model of several.
        moments: what it made on the way, oldest first.
    """

    number: int
    size: tuple[int, int]
    planned: int
    done: int
    seconds: float
    memory_mb: float | None
    memory_of: str
    picture: Path
    reconstruction: Path | None
    samples: tuple[Kept, ...]
    moments: tuple[Moment, ...]
    complete: bool
    further: tuple[Path, ...] = ()

    @property
    def seconds_each(self) -> float | None:
        """Of one iteration."""
        return self.seconds / self.done if self.done and self.seconds > 0 else None


Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A figure over the training.

    Args:
        name: its name in the log.
        pieces: one list of (iteration over all stages, value) per stage that has any; values are finite.
    """

    name: str
    pieces: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True)
class Facts:
    """A run, read.

    Args:
        run: its folder.
        settings: its configuration.
        chosen: the preset, and what the person set.
        environment: versions, device, command; empty where the file is missing.
        stages: coarsest first, those to come included.
        losses, figures: curves of the log's iterations and of its figures.
        starts: for each stage the number of iterations before it, and at the end that of all.
        messages: what was said, oldest first.
        finished: whether all stages are trained.
        seconds: of training, over all processes, as ``log.last_time``.
    """

    run: Run
    settings: Train
    chosen: Chosen
    environment: Mapping[str, Any]
    stages: tuple[Stage, ...]
    losses: tuple[Curve, ...]
    figures: tuple[Curve, ...]
    starts: tuple[int, ...]
    messages: tuple[str, ...]
    finished: bool
    seconds: float

    @property
    def name(self) -> str:
        """The training picture's file name."""
        return Path(self.settings.image).name

    @property
    def picture(self) -> Path:
        """The training picture: as the run keeps it, or in runs of the first version the finest of the pyramid."""
        return self.run.picture if self.run.picture.is_file() else self.stages[-1].picture

    @property
    def pictures(self) -> list[tuple[str, Path]]:
        """All that the model learns from, by what each is called."""
        also = self.settings.album.also
        return [(self.name, self.picture), *zip(also, self.run.further, strict=False)]

    @property
    def first_look(self) -> list[Kept]:
        """What was made of the picture before anything was trained."""
        return samples_of(results.kept(self.run.first_look))

    @property
    def newest(self) -> Stage | None:
        """The finest stage with samples."""
        return next((stage for stage in reversed(self.stages) if stage.samples or stage.reconstruction), None)

    @property
    def current(self) -> Stage | None:
        """The finest stage that has begun."""
        return next((stage for stage in reversed(self.stages) if stage.seconds > 0 or stage.done), None)

    @property
    def memory_mb(self) -> float | None:
        """The highest peak of all stages."""
        return max((stage.memory_mb for stage in self.stages if stage.memory_mb is not None), default=None)


def read(run: Run) -> Facts:
    """Read a run folder.

    Raises:
        UserError: it has no configuration, or one that this version cannot read.
    """
    values = read_json(run.config)
    settings = config.from_json(values, str(run.config))
    log: Log = read_log(run.log) if run.log.is_file() else []
    stages = tuple(read_stages(run, settings, log))
    starts = [0]
    for stage in stages:
        starts.append(starts[-1] + (stage.done if stage.complete else max(stage.planned, stage.done)))
    return Facts(
        run,
        settings,
        config.chosen_in(values),
        read_environment(run),
        stages,
        curves(of_event(log, "iteration"), starts),
        curves(of_event(log, "figures"), starts),
        tuple(starts),
        tuple(shared_text(str(record.get("text", "")), run.folder) for record in of_event(log, "message")),
        run.finished.is_file(),
        last_time(run.log) if log else 0.0,
    )


def read_environment(run: Run) -> Mapping[str, Any]:
    """environment.json, or nothing."""
    with suppress(UserError):
        found = read_json(run.environment)
        if isinstance(found, dict):
            words = found.get("command")  # runs of 0.1.0 have whole paths in it
            return {**found, "command": [without_folders(str(word)) for word in words or ()]}
    return {}


def read_stages(run: Run, settings: Train, log: Log) -> Iterator[Stage]:
    """Every stage of the pyramid, as the folder and the log tell."""
    number = 0
    while number < config.MOST_STAGES and (picture := run.pyramid / f"{number}.png").is_file():
        own = [record for record in log if record.get("stage") == number]
        folder = run.samples / f"stage_{number}"
        made = results.kept(folder)
        again = [each.path for each in made if each.role is Role.RECONSTRUCTION]
        again.sort(key=lambda path: (len(path.name), path.name))  # reconstruction_2 before reconstruction_10
        ends = of_event(own, "stage")
        memory = [mb for record in ends if (mb := finite(record.get("peak_memory_mb"))) is not None]
        yield Stage(
            number,
            size_of(picture),
            config.iterations(settings.optimisation.niter, number),
            iterations_done(own),
            seconds_spent(own),
            max(memory, default=None),
            str(ends[-1].get("memory_of", "")) if ends else "",
            picture,
            next(iter(again), None),
            tuple(samples_of(made)),
            tuple(Moment(number, iteration, path) for iteration, path in results.snapshots(made)),
            bool(ends) and ends[-1].get("complete") is True and own[-1]["event"] != "begin_stage",
            tuple(again[1:]),
        )
        number += 1


def iterations_done(own: Log) -> int:
    """Iterations of a stage that are done and still count, as its records tell."""
    done = begun = 0
    for record in own:
        if record["event"] == "begin_stage":
            done = whole(record.get("start_iteration"))
            begun = done
        elif record["event"] == "iteration":
            done = max(done, whole(record.get("iteration")) + 1)
        elif record["event"] == "stage":
            done = max(done, begun + whole(record.get("iterations"))) if record.get("complete") else done
    return done


def seconds_spent(own: Log) -> float:
    """Seconds between the first and the last word of a stage, over all processes."""
    times = [time for record in own if (time := finite(record.get("time_s"))) is not None]
    return max(times) - min(times) if times else 0.0


def samples_of(made: Iterable[Kept]) -> list[Kept]:
    """Without the reconstruction, pictures of pictures and those made on the way."""
    apart = {Role.RECONSTRUCTION, Role.SNAPSHOT, *SUMMARIES}
    return [each for each in made if each.role not in apart]


def curves(records: Iterable[Mapping[str, Any]], starts: Sequence[int]) -> tuple[Curve, ...]:
    """Every term of the records as a curve over all stages; what is not finite is left out."""
    terms: dict[str, dict[int, list[Point]]] = {}
    for record in records:
        stage = whole(record.get("stage"))
        if not 0 <= stage < len(starts):
            continue
        for name, value in record.items():
            number = None if name in RESERVED else finite(value)
            if number is not None:
                place = starts[stage] + whole(record.get("iteration"))
                terms.setdefault(name, {}).setdefault(stage, []).append((place, number))
    return tuple(
        Curve(name, tuple(tuple(sorted(pieces[stage])) for stage in sorted(pieces))) for name, pieces in terms.items()
    )


def of_event(log: Log, event: str) -> list[Mapping[str, Any]]:
    """The records of one event."""
    return [record for record in log if record["event"] == event]


def size_of(picture: Path) -> tuple[int, int]:
    """``(H, W)`` of a picture; 0 and 0 of a file that is none."""
    from PIL import Image

    try:
        with Image.open(picture) as opened:
            return opened.height, opened.width
    except Exception:  # a broken file may raise nearly anything
        return 0, 0
