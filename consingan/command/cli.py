"""The command line: flags -> configuration -> one call. Nothing here imports torch before a command has work."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan import __version__, config
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
from consingan.storage.files import read_json
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.generation import StillOptions
from consingan.training import plan
from consingan.training.plan import DEFAULT_PRESET
from consingan.watch.report.commands import resuming, sampling

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from consingan.config import Train
    from consingan.gan.model import SingleImageModel
    from consingan.pictures.pyramid import Size
    from consingan.training.estimate import Estimate
    from consingan.training.state import Training
    from consingan.watch.monitor import Monitor, Watcher

SECTION_TITLES = {
    "pyramid": "Pyramid",
    "network": "Networks",
    "objective": "Losses and noise",
    "optimisation": "Schedule",
    "stopping": "End of a stage",
    "runtime": "Randomness and arithmetic",
    "sampling": "Samples and previews",
    "naive": "Naive picture and fine-tuning",
}
INSTANT = 9  # pictures that are made of a picture without training, unless --num_samples says otherwise
PRESETS = sorted({preset for task in TASKS.values() for preset in task.recipes})


DEVICE = options(
    [
        option("Machine", "--gpu", type=int, default=0, help="which GPU, where there is one", shown_default="0"),
        option("Machine", "--not_cuda", is_flag=True, help="do not use a GPU"),
        option("Machine", "--device", default="auto", help="auto, cpu, cuda:N or mps", shown_default="auto"),
        option("Machine", "--deterministic", is_flag=True, help="the same bits again on this machine, or refuse"),
    ]
)
TALK = options(
    [
        option("Messages", "--quiet", is_flag=True, help="say nothing but the folder of the results"),
        option(
            "Messages",
            "--log-format",
            type=click.Choice(["rich", "plain", "json"]),
            default="rich",
            help="how progress is shown on stderr",
            shown_default="rich",
        ),
    ]
)
WATCH = options(
    [
        option("Watching", "--live", is_flag=True, help="show the run in the browser while it trains, on this machine"),
        option("Watching", "--port", type=int, help="where --live listens; a free port unless given"),
        option("Watching", "--tensorboard", is_flag=True, help="also write event files, into RUN/tensorboard"),
    ]
)
TASK = options(
    [
        click.argument("picture", required=False),
        option("Task", "--input_name", metavar="FILE", help="the picture; may also stand without the flag"),
        option(
            "Task",
            "--train_mode",
            type=click.Choice(list(TASKS)),
            default="generation",
            help="; ".join(f"{task.name}: {task.summary}" for task in TASKS.values()),
            shown_default="generation",
        ),
        option(
            "Task",
            "--preset",
            type=click.Choice(PRESETS),
            default=DEFAULT_PRESET,
            help="quick: half a minute; fast: a minute; best: ten minutes; paper: the method to the letter",
            shown_default=DEFAULT_PRESET,
        ),
        option(
            "Task",
            "--background",
            default="white",
            help="colour under transparent pixels, or keep-out for the mean of the opaque ones",
            shown_default="white",
        ),
        option(
            "Task",
            "--max_pixels",
            type=click.IntRange(min=1),
            default=100_000_000,
            help="refuse pictures with more pixels",
            shown_default="100 million",
        ),
        option(
            "Task",
            "--outdir",
            default="trained_models",
            help="a run lies in OUTDIR/PICTURE/TIME_MODE...",
            shown_default="trained_models",
        ),
        option(
            "Task",
            "--resume",
            metavar="RUN",
            help="go on with a stopped run, nothing else is needed; or auto beside the command as it was: "
            "go on with its newest unfinished run, else begin",
        ),
        option(
            "Task",
            "--checkpoint-every",
            type=float,
            default=60.0,
            help="seconds between checkpoints, at least 1",
            shown_default="60",
        ),
        option("Task", "--dry-run", is_flag=True, help="show what would be done and what it costs, and stop"),
    ]
)
SETTINGS = options(
    [
        declared_option(SECTION_TITLES[s.section], s, **({"shown_default": "by picture"} if s.name == "nc_im" else {}))
        for s in config.settings()
    ]
)


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


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="consingan")
def main() -> None:
    """Learn a generative model from one picture."""


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
@TASK
@SETTINGS
@DEVICE
@WATCH
@TALK
@click.pass_context
def train(ctx: click.Context, **flags: Any) -> None:
    """Train on one PICTURE: python main_train.py --train_mode generation --input_name photo.jpg"""
    with one_sentence():
        given = {s.name: checked(s, flags[s.name]) for s in config.settings() if typed(ctx, s.name)}
        check_task_flags(flags)
        (resume_run if names_a_run(flags) else start_run)(ctx, flags, given)


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
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


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
@option("Object", "--object", "object_file", required=True, metavar="FILE", help="picture of the object")
@option("Object", "--key_color", metavar="COLOUR", help="the colour around the object, where it has no transparency")
@option("Object", "--rectangle", metavar="X,Y,W,H", help="the part of the object's picture to take")
@option("Place", "--onto", required=True, metavar="FILE", help="the picture to paste it into")
@option("Place", "--at", required=True, metavar="X,Y", help="where its upper left corner goes, in pixels")
@option("Place", "--scale", type=float, default=1.0, help="times the object's size", shown_default="1")
@option("Place", "--rotate", type=float, default=0.0, help="degrees, counter-clockwise", shown_default="0")
@option("Place", "--feather", type=float, default=0.0, help="pixels over which its rim fades", shown_default="0")
@option("Task", "--out", required=True, metavar="FILE", help="the naive picture; its mask goes to NAME_mask.png")
def paste(**flags: Any) -> None:
    """Paste an object into a picture and keep its mask, as harmonization needs them."""
    with one_sentence():
        from consingan.pictures.paste import paste_files

        numbers = {name: whole_numbers(flags[name], name, count) for name, count in (("at", 2), ("rectangle", 4))}
        for written in paste_files(**(flags | numbers)):
            click.echo(written)


def checked(setting: Declared, value: Any) -> Any:
    """A typed setting's value; the word auto waits for the picture."""
    return value if setting.setting.auto and value == "auto" else config.check(setting, value)


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("run")
def report(run: str) -> None:
    """Write report.html of a RUN folder anew; prints its path."""
    with one_sentence():
        opened = Run.open(run, "report", needs_model=False)

        from consingan.watch import report

        click.echo(report.write(opened))


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@option("Task", "--out", default="compare.html", metavar="FILE", help="the page", shown_default="compare.html")
def compare(runs: tuple[str, ...], out: str) -> None:
    """Write one page with runs side by side: settings, figures, times, samples."""
    with one_sentence():
        if len(runs) < 2:
            raise UserError(f"compare got {len(runs)} run folders; give two or more.")
        opened = [Run.open(run, "compare", needs_model=False) for run in runs]
        if Path(out).is_dir():
            raise UserError(f"--out {out} is a folder; give the name of the page, such as compare.html.")

        from consingan.watch import compare

        click.echo(compare.write(opened, Path(out)))


def whole_numbers(text: str | None, flag: str, count: int) -> tuple[int, ...] | None:
    """``"3,-4"`` -> ``(3, -4)``; None where the flag is not given."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count or not all(re.fullmatch(r"-?\d{1,6}", part, re.ASCII) for part in parts):
        raise UserError(f"--{flag} is {text!r}; give {count} whole numbers with commas between them.")
    return tuple(int(part) for part in parts)


@main.command(cls=GroupedCommand, context_settings=CONTEXT)
@click.argument("real")
@click.argument("samples", nargs=-1, required=True)
@option("Output", "--json", "as_json", is_flag=True, help="as JSON; null where a figure does not exist")
@option("Figures", "--inception-weights", "weights", metavar="FILE", help="Inception v3 as .safetensors, for SIFID")
def score(real: str, samples: tuple[str, ...], as_json: bool, weights: str | None) -> None:
    """Figures of SAMPLES beside the REAL picture: consingan score photo.jpg RUN/Evaluation/samples_...

    REAL is a picture, SAMPLES are files, folders or patterns of its samples. All are compared at the size of the first
    sample.

    Or REAL is a folder of pictures, SAMPLES are folders, one for each method: mean and spread over the pictures. To
    NAME.jpg belong a method's NAME.* and NAME_*.* and what lies in its folder NAME; of several names that fit the
    longest counts.
    """
    with one_sentence():
        if not os.path.exists(real):
            raise UserError(f"There is nothing at {real}; name the picture, or a folder of pictures.")
        (score_study if os.path.isdir(real) else score_picture)(Path(real), samples, as_json, weights)


def score_picture(real: Path, samples: Sequence[str], as_json: bool, weights: str | None) -> None:
    """Print the figures of one picture's samples."""
    from consingan.metrics import study as scoring

    files = scoring.samples_at(samples)
    values = scoring.figures(real, files, scoring.load_trunks(weights), note)
    show(values if as_json else scoring.table({counted(len(files), "sample"): values}, {}))


def score_study(real: Path, folders: Sequence[str], as_json: bool, weights: str | None) -> None:
    """Print mean and spread of several methods' figures over many pictures."""
    from consingan.metrics import study as scoring

    study = scoring.Study.find(real, folders, note)
    trunks = scoring.load_trunks(weights)
    with click.progressbar(length=len(study), label="Scoring", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        scores = study.score(trunks, note, bar.update)
    names = {method: f"{method}\n{counted(found['samples'], 'sample')}" for method, found in scores.items()}
    means, spreads = ({names[m]: found[what] for m, found in scores.items()} for what in ("mean", "spread"))
    if not as_json:
        click.echo(f"Mean and standard deviation over {counted(len(study.reals), 'picture')}:")
    show(scores if as_json else scoring.table(means, spreads))


def counted(count: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def note(text: str) -> None:
    """Say something beside the results."""
    click.echo("".join(c if c.isprintable() else repr(c)[1:-1] for c in text), err=True)


def show(result: Any) -> None:
    """A result on stdout: a table, or JSON."""
    if isinstance(result, dict):
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        from rich.console import Console

        Console().print(result)


def start_run(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Train from the beginning, or show what that would be."""
    file = flags["picture"] or flags["input_name"]
    if not os.path.exists(file):  # false, not an error, for names that the system does not allow
        raise UserError(f"There is no picture at {file}; check the path behind --input_name.")
    plan.resolve(flags["train_mode"], flags["preset"], file, 3, given)  # refuses before torch is imported
    if given.get("fine_tune"):
        return start_fine_tuning(ctx, flags, given, file)

    from consingan.pictures import images
    from consingan.training.estimate import estimate
    from consingan.training.state import Training

    picture = images.load(
        file, channels=given.get("nc_im"), background=flags["background"], max_pixels=flags["max_pixels"]
    )
    _, channels, height, width = picture.pixels.shape
    settings, origins = plan.resolve(flags["train_mode"], flags["preset"], file, channels, given, size=(height, width))
    naive_notes = check_naive(settings)
    device, notes = chosen_device(ctx, flags)
    state = Training.start(settings, picture.pixels, device)
    if flags["resume"] and not flags["dry_run"]:
        if unfinished := plan.unfinished_run(flags["outdir"], settings):
            return go_on(unfinished, flags, device, notes, state.reals)
        notes.append(f"No unfinished run with these settings lies below {flags['outdir']}: this is a new one.")
    cost = estimate(settings, picture.pixels, device)
    launch(state, cost, origins, [*notes, *picture.notes, *naive_notes], flags)


def start_fine_tuning(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any], file: str) -> None:
    """Fine-tune a trained run on a naive picture, or show what that would be."""
    if flags["resume"]:
        raise UserError("--resume auto does not go with --fine_tune; give --resume the run folder to go on with.")
    base_run = Run.open(given["model_dir"])  # refuses before torch is imported

    from consingan.pictures import images
    from consingan.training import finetune
    from consingan.training.estimate import estimate_of

    device, notes = chosen_device(ctx, flags)
    base = config.from_json(read_json(base_run.config), str(base_run.config))
    settings, origins = finetune.resolve(base, flags["train_mode"], file, given)
    naive_notes = check_naive(settings)
    channels = settings.network.nc_im
    picture = images.load(file, channels=channels, background=flags["background"], max_pixels=flags["max_pixels"])

    def begin() -> Training:
        return finetune.from_run(settings.mode, file, picture.pixels, given, device)

    launch(begin(), estimate_of(begin()), origins, [*notes, *picture.notes, *naive_notes], flags)


def check_naive(settings: Train) -> list[str]:
    """Refuse a naive picture or a mask that could not be used for previews; what to say about them."""
    from consingan.applications import cases

    if settings.naive.naive_img is None:
        return []
    file = Path(settings.naive.naive_img)
    case = cases.read(file, settings.network.nc_im)
    return [f"{file}: {note}" for note in case.notes]


def launch(state: Training, cost: Estimate, origins: dict[str, str], notes: list[str], flags: dict[str, Any]) -> None:
    """Make the run folder and train in it, or show what that would be.

    Args:
        state: at its beginning.
        cost, origins: of the dry run's report.
        notes: what to say first.
        flags: as the person chose.
    """
    from consingan.training.loop import look_first, write_start

    settings = state.model.settings
    if flags["dry_run"]:
        click.echo(dry_run_report(settings, origins, state, cost, plan.planned_folder(flags["outdir"], settings)))
        return
    run = plan.new_run(flags["outdir"], settings)
    with run.lock():
        write_start(state, run)
        with watched(flags, run) as talk:
            for note in notes:
                talk.message(note)
            talk.message(summary(state, cost))
            look_first(state, run, talk)
            talk.begin(cost.weights(settings))
            finish(state, run, talk, flags)


def resume_run(ctx: click.Context, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Go on with a run that is named, or say that it is finished."""
    run = Run.open(flags["resume"], "--resume", needs_model=False)
    check_same_run(ctx, run, flags, given)  # refuses before torch is imported
    if run.finished.exists():
        with monitor(flags) as talk:
            talk.message(f"{run.folder} is finished; sample it with: {sampling(run)}")
        click.echo(run.folder)
    else:
        go_on(run, flags, *chosen_device(ctx, flags))


def go_on(
    run: Run, flags: dict[str, Any], device: torch.device, notes: list[str], reals: list[Tensor] | None = None
) -> None:
    """Train a run to its end from its newest whole checkpoint.

    Args:
        run: the run, unfinished.
        flags, device, notes: as the person chose; what to say first.
        reals: the picture at each stage's size, where the person named one.
    """

    from consingan.training.loop import resume

    with run.lock(), watched(flags, run) as talk:
        for note in notes:
            talk.message(note)
        state = resume(run, device, talk.message)
        if reals is not None and not state.trains_on(reals):
            raise UserError(
                f"The picture is no longer the one that {run.folder} is trained on; leave --resume auto out, or "
                "put the picture back."
            )
        talk.message(f"Going on at stage {state.stage + 1} of {len(state.reals)}, iteration {state.iteration}.")
        finish(state, run, talk, flags)


def finish(state: Training, run: Run, talk: Monitor, flags: dict[str, Any]) -> None:
    """Train to the end, or until a signal asks to stop."""
    from consingan.training.loop import train as run_training
    from consingan.training.signals import StoppedError, StopRequest
    from consingan.training.watchdog import CollapsedError

    again = f"go on with: {resuming(run)}"
    with StopRequest() as stop:
        try:
            run_training(state, talk, run, flags["checkpoint_every"], stop)
        except StoppedError:
            talk.message(f"Stopped and saved; {again}")
            click.echo(run.folder)
            sys.exit(128 + (stop.number or 0))
        except CollapsedError:
            raise
        except UserError as error:  # a file could not be written; the checkpoints are as they were
            raise UserError(f"{error} Then {again}") from error
    talk.message(f"Done; sample it with: {sampling(run)}")
    click.echo(run.folder)


def check_task_flags(flags: dict[str, Any]) -> None:
    """Refuse flags of the task group, and of those who watch, that are out of range or contradict each other."""
    if not flags["checkpoint_every"] >= 1:  # so written, it refuses nan as well
        raise UserError(f"--checkpoint-every is {flags['checkpoint_every']}; give a number of at least 1.")
    files = [name for name in (flags["picture"], flags["input_name"]) if name]
    if flags["port"] is not None and not flags["live"]:
        raise UserError(f"--port {flags['port']} is where --live listens; give --live too, or leave the port out.")
    if flags["live"]:
        from consingan.watch.live import check_port

        check_port(flags["port"])
    if flags["tensorboard"]:
        from consingan.watch.tensorboard import check_installed

        check_installed()
    if names_a_run(flags):
        if files or flags["dry_run"]:
            raise UserError("--resume goes on with its own picture; give neither a picture nor --dry-run beside it.")
    elif not files:
        raise UserError("No picture is given; name one, as in: --input_name photo.jpg")
    elif len(set(files)) > 1:
        raise UserError(f"Two pictures are given, {files[0]} and --input_name {files[1]}; give one.")


def names_a_run(flags: dict[str, Any]) -> bool:
    """Whether --resume says which run to go on with."""
    return flags["resume"] not in (None, "auto")


def check_same_run(ctx: click.Context, run: Run, flags: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse flags that want something else than the run to resume."""
    recorded = config.from_json(read_json(run.config), str(run.config))
    check_mode(recorded.mode, run.config)
    own = {**config.flat(recorded), "train_mode": recorded.mode}
    wanted = plan.decided(given) | ({"train_mode": flags["train_mode"]} if typed(ctx, "train_mode") else {})
    for name, value in wanted.items():
        if own[name] != value:
            raise UserError(
                f"--{name} is {shown(value)} but the run to resume has {shown(own[name])}; "
                "leave the flag out or start a new run."
            )
    for name in ("preset", "background", "max_pixels", "outdir"):
        if typed(ctx, name):
            raise UserError(f"--{name} is for new runs; leave it out beside --resume.")


def check_mode(mode: str, file: Path) -> None:
    """Refuse a file of a task that this version does not have."""
    if mode not in TASKS:
        raise UserError(f"{file} is of the task {mode!r}, unlike {', '.join(TASKS)}; install a newer version.")


def chosen_device(ctx: click.Context, flags: dict[str, Any]) -> tuple[torch.device, list[str]]:
    """The device of the flags, and a sentence where a GPU was asked for and there is none."""
    from consingan import devices

    if flags["gpu"] < 0:
        raise UserError(f"--gpu is {flags['gpu']}; give the number of a GPU, 0 for the first, or --not_cuda.")
    device = devices.pick(flags["device"], flags["gpu"], flags["not_cuda"])
    if flags["deterministic"]:
        devices.make_deterministic(device)
    asked = typed(ctx, "gpu") and not flags["not_cuda"] and flags["device"] == "auto"
    if asked and device.type != "cuda":
        return device, [f"No CUDA GPU was found for --gpu {flags['gpu']}: this runs on {devices.describe(device)}."]
    return device, []


def monitor(flags: dict[str, Any], run: Run | None = None, watchers: Sequence[Watcher] = ()) -> Monitor:
    """What shows progress, as the flags say."""
    from consingan.watch.monitor import Monitor

    return Monitor(run.log if run else None, "quiet" if flags["quiet"] else flags["log_format"], watchers=watchers)


@contextmanager
def watched(flags: dict[str, Any], run: Run) -> Iterator[Monitor]:
    """The monitor of a training, with all that looks on as the flags say: event files, the live page."""
    with ExitStack() as stack:
        watchers: list[Watcher] = []
        if flags["tensorboard"]:
            from consingan.watch.tensorboard import EventFiles

            watchers.append(events := EventFiles(run))
            stack.callback(events.close)
        talk = stack.enter_context(monitor(flags, run, watchers))
        if flags["live"]:
            from consingan.watch import live

            address = stack.enter_context(live.serving(run, flags["port"]))
            talk.message(f"Watch it at {address}")
            live.show(address)
        yield talk


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


def summary(state: Training, cost: Estimate) -> str:
    """What is about to happen and what it costs, in a sentence."""
    from consingan import devices
    from consingan.watch.monitor import duration

    height, width = state.model.sizes[-1]
    about = "at most about" if state.model.settings.stopping.stop == "auto" else "about"
    return (
        f"Training {state.model.settings.mode} on {devices.describe(state.model.device)}: {len(state.reals)} stages "
        f"up to {width}x{height} px, {about} {duration(cost.seconds)} and {cost.peak_mb:.0f} MB of memory."
    )


def dry_run_report(settings: Train, origins: dict[str, str], state: Training, cost: Estimate, folder: Path) -> str:
    """The dry run's report: every value with its origin, the pyramid, parameters, folder and cost."""
    values = config.flat(settings)
    wide = max(map(len, values))
    lines = [f"  {name:{wide}}  {shown(value):<12}  {origins[name]}" for name, value in values.items()]
    model = state.model
    stages = [
        f"  stage {stage}: {width}x{height} px, {config.iterations(settings.optimisation.niter, stage)} iterations "
        f"of {seconds:.3g} s"
        for stage, ((height, width), seconds) in enumerate(zip(model.sizes, cost.per_iteration, strict=True))
    ]
    parameters = model.generator.parameters_with(len(model.sizes))
    critic = sum(p.numel() for p in state.critic.parameters())
    return "\n".join(
        [
            f"{settings.mode} of {settings.image}", "settings:", *lines, "pyramid:", *stages,
            f"parameters: generator {parameters:,}, critic {critic:,}", f"run folder: {folder}", summary(state, cost),
        ]
    )  # fmt: skip
