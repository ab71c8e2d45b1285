"""What is refused of the two pictures of a translation, before anything is written. torch is not imported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from consingan import config
from consingan.config import Train
from consingan.errors import UserError
from consingan.pictures.source import check_no_address
from consingan.tasks import TASKS
from consingan.tasks.terms import Guided


def check_settings(settings: Train, given: Collection[str]) -> None:
    """Refuse a second picture where there is one only, one alone where there are two, and what goes with neither.

    Args:
        settings: the configuration.
        given: names of the settings that the person gave.
    """
    wanted, mode = settings.translation, settings.mode
    if not isinstance(TASKS[mode], Guided):
        for s in config.own("translation"):
            if s.name in given:
                raise UserError(
                    f"--{s.name} {getattr(wanted, s.name)} does not go with --train_mode {mode}; it is for "
                    f"{', '.join(name for name, task in TASKS.items() if isinstance(task, Guided))}."
                )
        return
    check_share(settings, given)
    if settings.objective.noise != "pure":
        raise UserError(f"--noise {settings.objective.noise} does not go with --train_mode {mode}; leave it out.")
    if (run := settings.naive.model_dir) is not None:
        raise UserError(f"--model_dir {run} does not go with --train_mode {mode}; train both pictures anew.")


def check_share(settings: Train, given: Collection[str]) -> None:
    """Refuse a latent of generators without layers for one, and weights of losses that there are not.

    Args:
        settings, given: as for ``check_settings``.
    """
    wanted, layers = settings.translation, settings.network.num_layer
    if wanted.share == "latent" and layers < 2:
        raise UserError(
            f"--share latent needs two layers to share, and --num_layer is {layers}; raise it to 2 or more."
        )
    for name in ("latent_kl", "autoencoder"):
        if name in given and wanted.share != "latent":
            raise UserError(
                f"--{name} {getattr(wanted, name):g} is for --share latent, and this is --share {wanted.share}; leave "
                "it out."
            )
    if "cycle_start" in given and not wanted.cycle_from:
        raise UserError(
            f"--cycle_start {wanted.cycle_start:g} holds until --cycle_from, which is 0; give --cycle_from as well."
        )


def check_files(mode: str, picture: str | None, given: Mapping[str, Any]) -> None:
    """Refuse a second picture that is not named, is no file, or is the first one again.

    Args:
        mode: the task.
        picture: the first one's file, if it is one.
        given: settings as the person gave them.
    """
    if not isinstance(TASKS[mode], Guided):
        return
    target = given.get("target_name")
    if target is None:
        raise UserError(f"--train_mode {mode} needs a second picture; name it, as in: --target_name painting.jpg")
    check_no_address(target)
    if not os.path.isfile(target):
        what = f"{target} is a folder" if os.path.isdir(target) else f"There is no picture at {target}"
        raise UserError(f"{what}; check the path behind --target_name.")
    if picture is not None and os.path.exists(picture) and os.path.samefile(picture, target):
        raise UserError(
            f"--target_name {target} is the picture that is translated, {picture}, itself; name another one."
        )


def check_channels(picture: str, channels: int, given: Mapping[str, Any]) -> None:
    """Refuse a grey picture beside one in colour, where nothing is said of the model's channels.

    Args:
        picture: the name of the first one.
        channels: its own.
        given: settings as the person gave them.
    """
    target = given.get("target_name")
    if target is None or given.get("nc_im") is not None:
        return
    from consingan.pictures import images

    if images.load(target).pixels.shape[1] != channels:
        kinds = ("is grey", "is in colour") if channels == 1 else ("is in colour", "is grey")
        raise UserError(
            f"{Path(picture).name} {kinds[0]}, but --target_name {target} {kinds[1]}; give --nc_im 1 to translate both "
            "in grey, or --nc_im 3 in colour."
        )
