"""consingan sample: what a trained model, or the picture alone, makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, declared
from consingan.applications.use import ALONE
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
from consingan.storage.runs import HOME
from consingan.tasks import TASKS
from consingan.tasks.base import Use

if TYPE_CHECKING:
    import torch


def sampling_settings() -> dict[str, dict[str, Declared]]:
    """Every application's options: flag -> application -> its declaration."""
    owners: dict[str, dict[str, Declared]] = {}
    for application in APPLICATIONS.values():
        for setting in declared(application):
            owners.setdefault(setting.name, {})[application.name] = setting
    return owners


def sampling_options() -> list[Callable]:
    """Flags of all applications' options, under headings that say whose they are.

    The model tells the application only when it is opened, so a flag's default is left to the application.
    """
    flags = [
        option(
            "Sampling",
            "--application",
            type=click.Choice(list(APPLICATIONS)),
            help="; ".join(f"{application.name}: {application.summary}" for application in APPLICATIONS.values()),
            shown_default="what the model was trained for",
        )
    ]
    for owners in sampling_settings().values():
        setting = next(iter(owners.values()))
        group = "Sampling" if len(owners) == len(APPLICATIONS) else f"Sampling: {', '.join(owners)}"
        defaults = dict.fromkeys(shown(s.default) for s in owners.values() if s.default is not None)
        choices = list(dict.fromkeys(choice for s in owners.values() for choice in s.setting.choices))
        changes: dict[str, Any] = {"default": None, "shown_default": " or ".join(defaults) or None}
        changes["help"] = "; ".join(dict.fromkeys(s.setting.help for s in owners.values()))
        if choices:
            changes["type"] = click.Choice(choices)
        flags.append(declared_option(group, setting, **changes))
    return flags


class SampleCommand(GroupedCommand):
    """A command that has the flags of every application in the table, behind those of its task."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        if __name__ not in ctx.meta:  # a context is asked several times, and compares what it got
            ctx.meta[__name__] = parameters(sampling_options())
        first = next(place for place, param in enumerate(own) if getattr(param, "group", "Task") != "Task")
        return [*own[:first], *ctx.meta[__name__], *own[first:]]


def parameters(decorators: list[Callable]) -> list[click.Parameter]:
    """What decorators would add to a command."""

    def command() -> None: ...

    options(decorators)(command)
    return list(reversed(command.__click_params__))  # type: ignore[attr-defined]


@click.command(
    cls=SampleCommand, context_settings=CONTEXT, short_help="make new pictures, with a trained model or without one"
)
@click.argument("source", required=False, metavar="RUN|PICTURE")
@option(
    "Task",
    "--model_dir",
    metavar="RUN",
    help="the run folder, or its model.safetensors; RUN without the flag means the same",
)
@option(
    "Task",
    "--out",
    metavar="FOLDER",
    help="folder for the pictures; by default RUN/Evaluation, or trained_models/NAME/instant when sampling a picture",
)
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
        alone = flags["model_dir"] is None and is_picture(Path(sources[0]))
        if alone:
            wanted_use(Use(ALONE), flags["application"], given)  # refuses before torch is imported
        run = None if alone else Run.open(sources[0])

        device, notes = chosen_device(ctx, flags)
        make((opened_run(run, device) if run else opened_picture(Path(sources[0]), device)), notes, given, flags)


def is_picture(source: Path) -> bool:
    """Whether something to sample is a picture's file rather than a run or a model."""
    return source.is_file() and source.suffix.lower() not in (".safetensors", ".json")


@dataclass(frozen=True, eq=False)
class Opened:
    """What is to be sampled.

    Args:
        material: the model or the picture.
        use: what is made of it where nothing else is said.
        out: where the pictures go where nothing else is said.
        facts: written into every file.
        notes: what to say first.
        lost: what to say at the end: what of the picture the results have not.
    """

    material: Material
    use: Use
    out: Path
    facts: Mapping[str, str]
    notes: tuple[str, ...]
    lost: tuple[str, ...] = ()


def opened_run(run: Run, device: torch.device) -> Opened:
    """A run's model."""
    from consingan.devices import describe
    from consingan.gan.model import SingleImageModel

    model = SingleImageModel.load(run.model, device)
    check_mode(model.settings.mode, run.model)
    task = TASKS[model.settings.mode]
    note = f"Sampling by {task.name}: a model of {model.stages} stages on {describe(device)}."
    return Opened(Material.of(model, run), task.sampling, run.evaluation, {"model": run.folder.name}, (note,))


def opened_picture(file: Path, device: torch.device) -> Opened:
    """A picture without a model."""
    from consingan.devices import describe
    from consingan.finish.photo import Photo, stored
    from consingan.pictures import images

    loaded = images.load(file)
    note = f"New pictures of {file} by its patches, without training, on {describe(device)}."
    material = Material(photo=Photo(stored(loaded.pixels), device))
    out = Path(HOME) / file.stem / "instant"
    return Opened(material, Use(ALONE), out, {"picture": file.name}, (*loaded.notes, note), loaded.lost)


def make(opened: Opened, notes: list[str], given: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Make and write what the flags ask for, and print where it lies."""
    from consingan.applications.progress import Progress
    from consingan.applications.writing import write

    use = wanted_use(opened.use, flags["application"], given)
    application, material = APPLICATIONS[use.application], opened.material
    if reason := application.unfit(material):
        raise UserError(reason)
    wanted = chosen(application, use.options)
    out = Path(flags["out"]) if flags["out"] else opened.out
    with monitor(dict(flags)) as talk:
        for note in (*notes, *opened.notes):
            talk.message(note)
        if material.model is not None:
            material.model.say = talk.message
        expected = application.announce(material, wanted)
        progress = Progress(talk.message, expected.number, expected.sizes)
        made = application.apply(material, wanted, progress.told)
        count = sum(1 for _ in write(progress.seen(made), out, opened.facts, talk.message))
        if material.run is not None and out == material.run.evaluation and material.run.report.is_file():
            from consingan.training.loop import write_report

            write_report(material.run, talk)  # which shows them
        for sentence in opened.lost:
            talk.message(sentence)
        talk.message(f"Wrote {count} files.")
    click.echo(out)


def wanted_use(use: Use, name: str | None, given: Mapping[str, Any]) -> Use:
    """The application that a person names, or else that of the material, with the options that are given.

    Raises:
        UserError: an option belongs to other applications, or its value is out of range.
    """
    own = use.options if name in (None, use.application) else {}
    application = APPLICATIONS[name or use.application]
    mine = {s.name for s in declared(application)}
    for flag in (flag for flag in given if flag not in mine):
        owners = list(sampling_settings()[flag])
        raise UserError(
            f"--{flag} is a flag of --application {', '.join(owners)}, not of {application.name}; leave it out, or "
            f"give --application {owners[0]}."
        )
    chosen(application, given)  # refuses
    return Use(application.name, {**own, **given})
