"""consingan sample: what a trained model, or the picture alone, makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan import config
from consingan.command.common import DEVICE, TALK, check_mode, chosen_device, monitor
from consingan.command.flags import (
    CONTEXT,
    GroupedCommand,
    declared_option,
    one_sentence,
    option,
    options,
    shown,
    typed,
)
from consingan.config import Declared
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.generation import StillOptions

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel
    from consingan.grid.sizes import Size

INSTANT = 9  # pictures that are made of a picture without training, unless --num_samples says otherwise


def sampling_settings() -> dict[str, dict[str, Declared]]:
    """Every task's sampling options: flag -> task -> its declaration."""
    owners: dict[str, dict[str, Declared]] = {}
    for task in TASKS.values():
        for setting in config.declared(task.options):
            owners.setdefault(setting.name, {})[task.name] = setting
    return owners


def sampling_options() -> list[Callable]:
    """Flags of all tasks' sampling options, under headings that say whose they are.

    The model tells the task only when it is opened, so a flag's default is left to the task.
    """
    flags = []
    for owners in sampling_settings().values():
        setting = next(iter(owners.values()))
        group = "Sampling" if len(owners) == len(TASKS) else f"Sampling: {', '.join(owners)}"
        defaults = dict.fromkeys(shown(s.default) for s in owners.values() if s.default is not None)
        choices = list(dict.fromkeys(choice for s in owners.values() for choice in s.setting.choices))
        changes: dict[str, Any] = {"default": None, "shown_default": " or ".join(defaults) or None}
        changes["help"] = "; ".join(dict.fromkeys(s.setting.help for s in owners.values()))
        if choices:
            changes["type"] = click.Choice(choices)
        flags.append(declared_option(group, setting, **changes))
    return flags


@click.command(cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("source", required=False, metavar="RUN|PICTURE")
@option("Task", "--model_dir", metavar="RUN", help="the run folder, or its model.safetensors; also without the flag")
@option(
    "Task",
    "--out",
    metavar="FOLDER",
    help="where the pictures go; RUN/Evaluation, or for a picture trained_models/NAME/instant, unless given",
)
@options(sampling_options())
@DEVICE
@TALK
@click.pass_context
def sample(ctx: click.Context, **flags: Any) -> None:
    """Sample a trained model: python evaluate_model.py --model_dir trained_models/photo/...

    Or, in seconds and without training, make new pictures of a PICTURE: consingan sample photo.jpg
    """
    with one_sentence():
        given = {name: flags[name] for name in sampling_settings() if typed(ctx, name)}
        sources = list(dict.fromkeys(name for name in (flags["source"], flags["model_dir"]) if name))
        if len(sources) != 1:
            found = " and ".join(sources) or "nothing"
            raise UserError(f"{found} is given to sample; name one run folder or one picture, as in: sample photo.jpg")
        if flags["model_dir"] is None and is_picture(Path(sources[0])):
            return sample_picture(ctx, Path(sources[0]), given, flags)
        run = Run.open(sources[0])  # refuses before torch is imported

        from consingan.applications.progress import Progress
        from consingan.applications.writing import write
        from consingan.devices import describe
        from consingan.gan.model import SingleImageModel

        device, notes = chosen_device(ctx, flags)
        model = SingleImageModel.load(run.model, device)
        check_mode(model.settings.mode, run.model)
        task = TASKS[model.settings.mode]
        chosen = sampling_choice(model.settings.mode, given)
        out = Path(flags["out"]) if flags["out"] else run.evaluation
        with monitor(flags) as talk:
            for note in notes:
                talk.message(note)
            talk.message(f"Sampling by {task.name}: a model of {model.stages} stages on {describe(device)}.")
            model.say = talk.message
            progress = Progress(talk.message, *announced(model, chosen))
            model.told = progress.told
            made = task.sample(model, chosen, run)
            count = sum(1 for _ in write(progress.seen(made), out, {"model": run.folder.name}, talk.message))
            talk.message(f"Wrote {count} files.")
        click.echo(out)


def is_picture(source: Path) -> bool:
    """Whether something to sample is a picture's file rather than a run or a model."""
    return source.is_file() and source.suffix.lower() not in (".safetensors", ".json")


def sample_picture(ctx: click.Context, file: Path, given: dict[str, Any], flags: dict[str, Any]) -> None:
    """New pictures of a picture without a model."""
    chosen = StillOptions(**{"num_samples": INSTANT} | still_choices(given))

    from consingan.applications import instant
    from consingan.applications.progress import Progress
    from consingan.applications.writing import write
    from consingan.devices import describe
    from consingan.finish.photo import Photo, stored
    from consingan.finish.scales import own_size
    from consingan.pictures import images
    from consingan.tasks.generation import output_sizes

    device, notes = chosen_device(ctx, flags)
    loaded = images.load(file)
    photo = Photo(stored(loaded.pixels), device)
    out = Path(flags["out"]) if flags["out"] else Path("trained_models") / file.stem / "instant"
    with monitor(flags) as talk:
        for note in (*notes, *loaded.notes):
            talk.message(note)
        talk.message(f"New pictures of {file} by its patches, without training, on {describe(device)}.")
        sizes = output_sizes(chosen, own_size(photo.size, chosen.longest), finished=True)
        progress = Progress(talk.message, chosen.num_samples, sizes)
        made = instant.results(photo, chosen, progress.told)
        count = sum(1 for _ in write(progress.seen(made), out, {"picture": file.name}, talk.message))
        talk.message(f"Wrote {count} files.")
    click.echo(out)


def still_choices(given: dict[str, Any]) -> dict[str, Any]:
    """The sampling options of stills with the given values.

    Raises:
        UserError: a flag is for models only, or its value is out of range.
    """
    own = {s.name: s for s in config.declared(StillOptions)}
    for name in given:
        if name not in own:
            raise UserError(f"--{name} is for trained models; leave it out, or name a run folder.")
    return {name: config.check(own[name], value) for name, value in given.items()}


def announced(model: SingleImageModel, options: Any) -> tuple[int, list[Size]]:
    """How many finished samples of which sizes are to come; none where that is not known before."""
    if not isinstance(options, StillOptions) or model.finishing(options.finish) is None:
        return 0, []
    from consingan.tasks.generation import output_sizes

    own = model.own_size(options.finish, options.longest)
    return options.num_samples, output_sizes(options, own, finished=True)


def sampling_choice(mode: str, given: dict[str, Any]) -> Any:
    """The task's sampling options with the given values.

    Raises:
        UserError: a flag belongs to another task, or its value is out of range.
    """
    own = {s.name: s for s in config.declared(TASKS[mode].options)}
    for name in given:
        if name not in own:
            owners = ", ".join(sampling_settings()[name])
            raise UserError(f"--{name} is for models of {owners}; this one is of {mode}, leave the flag out.")
    return TASKS[mode].options(**{name: config.check(own[name], value) for name, value in given.items()})
