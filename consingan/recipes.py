"""From what a person typed to a configuration and a run folder. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consingan import config
from consingan.config import Train
from consingan.errors import UserError
from consingan.run import Run, folder_for, label
from consingan.tasks import TASKS

DEFAULT_PRESET = "paper"


def resolve(
    mode: str, preset: str, image: str, channels: int, given: Mapping[str, Any]
) -> tuple[Train, dict[str, str]]:
    """The configuration and the origin of each value: given > the task's recipe > default.

    Args:
        mode, preset: the task and the name of its recipe.
        image: the picture's name.
        channels: the picture's, 1 or 3; the model's unless given.
        given: settings that the person named.
    """
    if mode not in TASKS:
        raise UserError(f"--train_mode is {mode!r}; choose one of {', '.join(TASKS)}.")
    presets = TASKS[mode].recipes
    if preset not in presets:
        raise UserError(f"--preset is {preset!r}; {mode} has {', '.join(presets)}.")
    layers = (
        (f"preset {preset}", presets[preset]),
        ("picture", {"nc_im": channels}),
        ("flag", given),
    )
    return config.resolve(mode, image, *layers)


def new_run(outdir: str | Path, settings: Train) -> Run:
    """A new run folder for a configuration."""
    return Run.create(outdir, Path(settings.image).stem, run_label(settings))


def planned_folder(outdir: str | Path, settings: Train) -> Path:
    """The folder that ``new_run`` would make now."""
    return folder_for(outdir, Path(settings.image).stem, run_label(settings))


def run_label(settings: Train) -> str:
    """The run folder's name after the time."""
    optimisation, network = settings.optimisation, settings.network
    return label(
        settings.mode,
        fine_tune=False,
        train_depth=optimisation.train_depth,
        lr_scale=optimisation.lr_scale,
        batch_norm=network.batch_norm,
        activation=network.activation,
        lrelu_alpha=network.lrelu_alpha,
    )
