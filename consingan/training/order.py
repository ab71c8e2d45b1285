"""What somebody wants trained, as plain data. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consingan.config import Naive, settings
from consingan.errors import UserError
from consingan.pictures.source import NAME, is_input
from consingan.training.plan import DEFAULT_PRESET

FIRST_MODE = "generation"
FILES = frozenset(s.name for s in settings() if s.setting.file)  # settings that are paths
WHITE = "white"
MOST_PIXELS = 100_000_000
FOR_NEW_RUNS = ("preset", "background", "max_pixels", "outdir")


def moved(settings: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Settings whose files are elsewhere, one or several in each: ``place`` says where."""
    return {name: place_of(value, place) if name in FILES else value for name, value in settings.items()}


def place_of(files: Any, place: Callable[[str], str]) -> Any:
    """A file, or several, or None, as ``moved``."""
    if files is None:
        return None
    return place(str(files)) if not isinstance(files, tuple | list) else tuple(place(str(file)) for file in files)


def files_of(order: Order) -> list[str]:
    """All files that an order names, its picture first."""
    found = [] if order.picture is None else [str(order.picture)]
    for name in sorted(FILES & order.settings.keys()):
        files = order.settings[name]
        found += [] if files is None else map(str, files) if isinstance(files, tuple | list) else [str(files)]
    return found


@dataclass(frozen=True)
class Order:
    """One training as it is asked for; JSON holds all of it (``dataclasses.asdict`` and ``Order(**values)``).

    What is None was not asked for and has its default; a run that is gone on with refuses what was.

    Args:
        picture: its file, or - for standard input; a name where the pixels are given beside the order; None where
            ``resume`` names a run, or the settings one to learn on from, which hold their own.
        mode: a name in ``consingan.tasks.TASKS``; generation.
        preset: a name in the task's recipes; fast.
        settings: settings of ``consingan.config`` by name.
        outdir: where the run folder is made; nothing is written without one.
        name: of the folder for runs of the picture below ``outdir``; the picture's, without its ending.
        resume: a run folder to go on with; or auto, for the newest unfinished run below ``outdir`` of the same
            picture, mode and settings, and a new one where there is none.
        background: colour that transparent pixels are laid on, or keep-out for the mean of the opaque ones; alpha is
            kept unless it is given, by tasks that take no naive pictures.
        max_pixels: pictures with more are refused, 1 or more; 100 million.
        device: auto, cpu, cuda:N or mps.
        gpu: which CUDA device auto takes, 0 or more.
        not_cuda: auto takes the CPU.
        deterministic: the same bits again on this machine, for the whole process.
        checkpoint_every: seconds between two checkpoints within a stage, 1 or more.
    """

    picture: str | None = None
    mode: str | None = None
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    outdir: str | None = None
    name: str | None = None
    resume: str | None = None
    background: str | None = None
    max_pixels: int | None = None
    device: str = "auto"
    gpu: int | None = None
    not_cuda: bool = False
    deterministic: bool = False
    checkpoint_every: float = 60.0

    @property
    def names_a_run(self) -> bool:
        """Whether ``resume`` says which run to go on with."""
        return self.resume not in (None, "auto")

    @property
    def wanted(self) -> tuple[str, str]:
        """The mode and the preset."""
        return self.mode or FIRST_MODE, self.preset or DEFAULT_PRESET

    @property
    def image(self) -> str:
        """The picture's name in the configuration; empty where a run has it."""
        return NAME if self.picture is not None and is_input(self.picture) else self.picture or ""

    @property
    def base(self) -> str | None:
        """The run that the training learns on from, empty where it is not named; None for a new model."""
        return Naive.base(self.settings)

    def check(self) -> None:
        """Refuse what is out of range or contradicts itself, but for the settings.

        Raises:
            UserError: one of the above.
        """
        if not self.checkpoint_every >= 1:  # so written, it refuses nan as well
            raise UserError(f"--checkpoint_every is {self.checkpoint_every}; give a number of at least 1.")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise UserError(f"--max_pixels is {self.max_pixels}; give a number of at least 1.")
        if self.names_a_run:
            if self.picture is not None:
                raise UserError(
                    "--resume goes on with its own picture; give neither a picture nor --dry_run beside it."
                )
            for name in FOR_NEW_RUNS:
                if getattr(self, name) is not None:
                    raise UserError(f"--{name} is for new runs; leave it out beside --resume.")
        elif self.picture is None and self.base is None:
            raise UserError("No picture is given; name one, such as photo.jpg (--input_name).")
        elif self.resume == "auto" and self.outdir is None:
            raise UserError("--resume auto looks for a run below the outdir, which is not given; name it.")
