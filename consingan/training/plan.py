"""From what a person typed to a configuration and a run folder. No torch here."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from consingan import config
from consingan.config import Iterations, Train
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures.pyramid import proposed_stages, sizes
from consingan.storage.files import read_json
from consingan.storage.run import Run, folder_for, label
from consingan.tasks import TASKS

DEFAULT_PRESET = "fast"
FEWEST, MOST = 100, 8000  # iterations of a stage where --niter is auto
# Learning rates that suit one feature, times each other's number: what a step of Adam changes grows with the width.
RATES = {"lr_g": 0.024, "lr_d": 0.072}


def resolve(
    mode: str, preset: str, image: str, channels: int, given: Mapping[str, Any], size: Size | None = None
) -> tuple[Train, dict[str, str]]:
    """The configuration and the origin of each value: given > the task's recipe > default.

    Args:
        mode, preset: the task and the name of its recipe.
        image: the picture's name.
        channels: the picture's, 1 or 3; the model's unless given.
        given: settings that the person named.
        size: ``(H, W)`` of the picture, from which follows what is the word auto; while it is not known the
            configuration is that of a picture of the largest size.
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
    resolved, origins = config.resolve(mode, image, *settled(mode, layers, size))
    naive = resolved.naive
    if naive.naive_img is not None and not TASKS[mode].takes_naive:
        fitting = ", ".join(task.name for task in TASKS.values() if task.takes_naive)
        raise UserError(f"--naive_img {naive.naive_img} does not go with --train_mode {mode}; it is for {fitting}.")
    return resolved, origins


Layer = tuple[str, Mapping[str, Any]]


def settled(mode: str, layers: Sequence[Layer], size: Size | None) -> list[Layer]:
    """The layers of a configuration with numbers in place of the word auto, where that holds."""
    values = dict(ChainMap(*(dict(layer) for _, layer in reversed(layers))))
    waiting = {name for name in automatic() if values.get(name) == "auto"}
    known = [(origin, {k: v for k, v in layer.items() if k not in waiting}) for origin, layer in layers]

    def draft() -> Train:
        return config.resolve(mode, "", *known)[0]

    if "train_stages" in waiting:
        wanted = draft().pyramid
        number = proposed_stages(size or (wanted.max_size,) * 2, wanted.min_size, wanted.max_size)
        known.append(("auto, by the picture's size", {"train_stages": number}))
    if "niter" in waiting:
        known.append(("auto, by the stages' sizes", {"niter": proposed_iterations(draft(), size)}))
    rates = {name: rate / draft().network.nfc for name, rate in RATES.items() if name in waiting}
    return [*known, ("auto, by the width", rates)]


def proposed_iterations(settings: Train, picture: Size | None) -> Iterations:
    """Iterations by stage with which all learn from the same number of pixels, so that each costs about the same.

    Args:
        settings: all but the iterations; its ``work`` is the number of pixels.
        picture: ``(H, W)`` as it was loaded; one of the largest size if None.
    """
    wanted, law = settings.pyramid, TASKS[settings.mode].law
    of = sizes(picture or (wanted.max_size,) * 2, wanted.train_stages, wanted.min_size, wanted.max_size, law)
    seen = [window_pixels(settings, stage) for stage in of[wanted.start_scale :]]
    return tuple(round(min(MOST, max(FEWEST, settings.optimisation.work * 1e6 / pixels))) for pixels in seen)


def window_pixels(settings: Train, size: Size) -> int:
    """The pixels of a stage of ``(H, W)`` that an iteration learns from."""
    side = config.window_side(settings, size) or max(size)
    return min(side, size[0]) * min(side, size[1])


def automatic() -> set[str]:
    """The settings for which the word auto may be given."""
    return {s.name for s in config.settings() if s.setting.auto}


def decided(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, but for the word auto: a model that is trained already has its numbers."""
    waiting = automatic()
    return {name: value for name, value in given.items() if value != "auto" or name not in waiting}


def new_run(outdir: str | Path, settings: Train) -> Run:
    """A new run folder for a configuration."""
    return Run.create(outdir, Path(settings.image).stem, run_label(settings))


def planned_folder(outdir: str | Path, settings: Train) -> Path:
    """The folder that ``new_run`` would make now."""
    return folder_for(outdir, Path(settings.image).stem, run_label(settings))


def unfinished_run(outdir: str | Path, settings: Train) -> Run | None:
    """The newest run below ``outdir`` of the same picture, mode and settings that can be gone on with."""
    folders = planned_folder(outdir, settings).parent.glob("*/config.json")
    for file in sorted(folders, reverse=True):  # a folder's name begins with its time
        run = Run(file.parent)
        if run.finished.exists() or not any(run.checkpoints.glob("*.safetensors")):
            continue
        with suppress(UserError):  # a broken configuration is that of no run
            if config.from_json(read_json(file), str(file)) == settings:
                return run
    return None


def run_label(settings: Train) -> str:
    """The run folder's name after the time."""
    optimisation, network = settings.optimisation, settings.network
    return label(
        settings.mode,
        fine_tune=settings.naive.fine_tune,
        train_depth=optimisation.train_depth,
        lr_scale=optimisation.lr_scale,
        batch_norm=network.batch_norm,
        activation=network.activation,
        lrelu_alpha=network.lrelu_alpha,
    )
