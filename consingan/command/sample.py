"""consingan sample: what a trained model, or the picture alone, makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.applications import APPLICATIONS
from consingan.applications.base import Application, Asked, Material, chosen, declared
from consingan.applications.use import ALONE
from consingan.command.common import DEVICE, TALK, check_mode, chosen_device, loading, monitor
from consingan.command.flags import (
    GroupedCommand,
    command,
    declared_option,
    one_sentence,
    option,
    options,
    shown,
    typed,
)
from consingan.command.outputs import FILES, is_file_name, one_file
from consingan.config import Declared
from consingan.errors import UserError
from consingan.pictures.source import NAME, check_file, check_no_address, is_input
from consingan.storage import runs
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import Run
from consingan.storage.runs import home
from consingan.tasks import TASKS
from consingan.tasks.base import Use
from consingan.training.plan import recorded
from consingan.watch.clock import counted

if TYPE_CHECKING:
    import torch


NAMED = 6  # applications that a heading names at most
# What most people turn: the flags of the short help.
TURNED = [
    "model_dir",
    "out",
    "num_samples",
    "size",
    "variation",
    "seed",
    "finish",
    "application",
    "longest",
    "frames",
    "fps",
    "format",
    "naive_img",
    "mask",
    "hand",
    "not_cuda",
    "quiet",
]
EXAMPLES = [
    ("last", "new pictures of the newest run"),
    ("RUN --num_samples 8 --size 600x200", "WIDTHxHEIGHT"),
    ("RUN --out one.png --seed 7", "one picture, to one file"),
    ("RUN --application walk --frames 40", "an animation"),
    ("RUN --naive_img naive.png", "of harmonization and editing: the pasted object, repainted"),
    ("photo.jpg", "in seconds, without training"),
]


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
        group = heading(owners)
        defaults = dict.fromkeys(shown(s.default) for s in owners.values() if s.default is not None)
        choices = list(dict.fromkeys(choice for s in owners.values() for choice in s.setting.choices))
        changes: dict[str, Any] = {"default": None, "shown_default": " or ".join(defaults) or None}
        changes["help"] = "; ".join(dict.fromkeys(s.setting.help for s in owners.values()))
        if choices:
            changes["type"] = click.Choice(choices)
        flags.append(declared_option(group, setting, **changes))
    return flags


def heading(owners: Collection[str]) -> str:
    """The heading of a flag that some applications have."""
    if len(owners) == len(APPLICATIONS):
        return "Sampling"
    shown = list(owners) if len(owners) <= NAMED else [*list(owners)[:3], "and others"]
    return f"Sampling: {', '.join(shown)}"


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


@command("make new pictures, with a trained model or without one", cls=SampleCommand, turned=TURNED, examples=EXAMPLES)
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
    metavar="FOLDER|FILE",
    help="folder for the pictures; by default RUN/Evaluation, or trained_models/NAME/instant when sampling a picture. "
    "With a file's name, such as new.png: one picture, to this file",
)
@DEVICE
@TALK
@click.pass_context
def sample(ctx: click.Context, **flags: Any) -> None:
    """Make new pictures with the trained model of a RUN, or in seconds, without training, of a PICTURE.

    RUN is a run folder, a folder above runs, the word last, or the name of a picture. PICTURE may be - for standard
    input.
    """
    with one_sentence():
        given = {name: flags[name] for name in sampling_settings() if typed(ctx, name)}
        sources = list(dict.fromkeys(name for name in (flags["source"], flags["model_dir"]) if name))
        if len(sources) != 1:
            found = " and ".join(sources) or "nothing"
            raise UserError(f"{found} is given to sample; name one run folder or one picture, as in: sample photo.jpg")
        pictures = pictures_of(sources[0])
        if one_file(flags["out"], given) and len(pictures) > 1:
            raise UserError(f"--out {flags['out']} is one file, and {sources[0]} has several pictures; name a folder.")
        alone = flags["model_dir"] is None and bool(pictures)
        run = None if alone else Run.open(sources[0], "--model_dir" if flags["model_dir"] else "RUN|PICTURE")
        check_use(run, flags["application"], given)
        loading(flags)
        device, notes = chosen_device(ctx, flags)
        if run:
            make(opened_run(run, device), notes, given, flags)
        elif Path(sources[0]).is_dir():
            make_each(pictures, device, notes, given, flags)
        else:
            make(opened_picture(pictures[0], device), notes, given, flags)


def is_picture(source: Path) -> bool:
    """Whether something to sample is a picture's file rather than a run or a model."""
    return is_input(source) or (source.is_file() and source.suffix.lower() not in (".safetensors", ".json"))


def pictures_of(source: str) -> list[Path]:
    """The picture that is to be sampled, or those of a folder without runs; none of a run, a model or its name.

    Raises:
        UserError: an address, a picture that is not there, or two pictures whose results would lie in one folder.
    """
    path = Path(source)
    if path.is_dir() and not (path / "config.json").exists() and not runs.below(path):
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        for one, other in pairwise(sorted(found, key=lambda file: file.stem)):
            if one.stem == other.stem:
                raise UserError(f"{one} and {other} would be sampled into the same folder; rename one.")
        return found
    if path.suffix.lower() in SUFFIXES and not runs.by_word(source, "model.safetensors"):
        check_file(source, "PICTURE")
    check_no_address(source)
    return [path] if is_picture(path) else []


def check_use(run: Run | None, application: str | None, given: Mapping[str, Any]) -> None:
    """Refuse values that are out of range, and flags of other applications, before anything is loaded.

    Raises:
        UserError: names the flag.
    """
    use = Use(ALONE)
    if run is not None:
        with suppress(UserError):  # what is wrong with it is said when its model is opened
            if (task := TASKS.get(recorded(run).mode)) is not None:
                wanted_use(task.sampling, application, {})
                use = task.sampling
    wanted_use(use, application, given)


def make_each(
    pictures: Sequence[Path], device: torch.device, notes: list[str], given: Mapping[str, Any], flags: Mapping[str, Any]
) -> None:
    """Sample each picture of a folder, into a folder of its own.

    Raises:
        UserError: some of them could not be sampled; each is named, and the others were.
    """
    faults = []
    for picture in pictures:
        own = {**flags, "out": str(Path(flags["out"], picture.stem))} if flags["out"] else flags
        try:
            make(opened_picture(picture, device), notes, given, own)
        except UserError as error:
            faults.append(f"{error}" if str(picture) in str(error) else f"{picture}: {error}")
    if faults:
        raise UserError(f"{len(faults)} of {len(pictures)} pictures could not be sampled: {' '.join(faults)}")


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
    from consingan.pictures import images

    loaded = images.read(file)
    file = Path(NAME) if is_input(file) else file
    note = f"New pictures of {file} by its patches, without training, on {describe(device)}."
    material = Material.of_picture(loaded, device)
    out = Path(home()) / file.stem / "instant"
    return Opened(material, Use(ALONE), out, {"picture": file.name}, (*loaded.notes, note), loaded.lost)


def make(opened: Opened, notes: list[str], given: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Make and write what the flags ask for, and print where it lies."""
    from consingan.applications.progress import Progress
    from consingan.applications.writing import write, write_one

    use = wanted_use(opened.use, flags["application"], given)
    application, material = APPLICATIONS[use.application], opened.material
    if reason := application.unfit(material):
        raise UserError(reason)
    wanted = chosen(application, use.options)
    out = Path(flags["out"]) if flags["out"] else opened.out
    single = flags["out"] is not None and is_file_name(flags["out"])
    if single:
        wanted = fitting(application, out, wanted).single()
    with monitor(dict(flags)) as talk:
        for note in (*notes, *opened.notes):
            talk.message(note)
        if material.model is not None:
            material.model.say = talk.message
        expected = application.announce(material, wanted)
        progress = Progress(talk.message, **vars(expected))
        made = application.apply(material, wanted, progress.told)
        if single:
            write_one(progress.seen(made), out, opened.facts, talk.message)
        else:
            count = sum(1 for _ in write(progress.seen(made), out, opened.facts, talk.message))
            if material.run is not None and out == material.run.evaluation and material.run.report.is_file():
                from consingan.training.loop import write_report

                write_report(material.run, talk)  # which shows them
            talk.message(f"Wrote {counted(count, 'file')}.")
        for sentence in opened.lost:
            talk.message(sentence)
    click.echo(out)


def fitting(application: Application[Any], out: Path, options: Any) -> Any:
    """The options with the format that a file's name tells.

    Raises:
        UserError: the application has no such format.
    """
    (choices,) = (s.setting.choices for s in declared(application) if s.name == "format")
    if FILES[out.suffix.lower()] not in choices:
        ends = ", ".join(f".{choice}" for choice in choices)
        raise UserError(f"--out {out} cannot hold what --application {application.name} makes; end it in {ends}.")
    return replace(options, format=FILES[out.suffix.lower()])


def wanted_use(use: Use, name: str | None, given: Mapping[str, Any]) -> Use:
    """The application that a person names, or else that of the material, with the options that are given.

    Raises:
        UserError: an option belongs to other applications, or its value is out of range.
    """
    name = name or meant(use, given)
    own = use.options if name == use.application else {}
    application = APPLICATIONS[name]
    mine = {s.name for s in declared(application)}
    for flag in (flag for flag in given if flag not in mine):
        owners = list(sampling_settings()[flag])
        raise UserError(
            f"--{flag} is a flag of --application {', '.join(owners)}, not of {application.name}; leave it out, or "
            f"give --application {owners[0]}."
        )
    chosen(application, given)  # refuses
    return Use(application.name, {**own, **given})


def meant(use: Use, given: Mapping[str, Any]) -> str:
    """The application that is meant where none is named: one that the flags ask for, or else the material's."""
    asking = (name for name, one in APPLICATIONS.items() if isinstance(one, Asked) and one.asked(given))
    return next(asking, use.application)
