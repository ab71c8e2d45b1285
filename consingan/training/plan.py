"""From what was asked for to a configuration, a run folder and a report of what is about to happen. No torch here."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan import config
from consingan.config import Iterations, Train
from consingan.config.resolving import check_together
from consingan.errors import UserError, meant, name_of
from consingan.grid.sizes import Size
from consingan.pictures.pyramid import proposed_stages, sizes
from consingan.storage.files import read_json
from consingan.storage.run import Run, folder_for, label
from consingan.tasks import TASKS
from consingan.training import album, pairs
from consingan.training.belongings import Belongings
from consingan.training.tileable import check_tileable, implied
from consingan.watch.clock import duration

if TYPE_CHECKING:
    from consingan.training.estimate import Estimate

DEFAULT_PRESET = "fast"
FEWEST, MOST = 100, 8000  # iterations of a stage where --niter is auto
# Learning rates that suit one feature, times each other's number: what a step of Adam changes grows with the width.
RATES = {"lr_g": 0.024, "lr_d": 0.072}


@dataclass(frozen=True)
class Plan:
    """A training before it begins; as a string the report of ``--dry_run``.

    Args:
        settings: the resolved configuration.
        origins: by setting, in words, where its value comes from.
        sizes: ``(H, W)`` of each stage, coarsest first.
        generator, critic: numbers that they learn, with all stages; of all branches.
        cost: seconds and memory, from a few real iterations.
        device: where it would train, in words.
        folder: the run folder that would be made now; None where nothing would be written.
        notes: sentences about the picture, the naive picture and the device.
    """

    settings: Train
    origins: Mapping[str, str]
    sizes: tuple[Size, ...]
    generator: int
    critic: int
    cost: Estimate
    device: str
    folder: Path | None
    notes: tuple[str, ...]

    @property
    def iterations(self) -> tuple[int, ...]:
        """Of each stage; with ``--stop auto`` at most so many."""
        return tuple(config.iterations(self.settings.optimisation.niter, stage) for stage in range(len(self.sizes)))

    @property
    def seconds(self) -> float:
        """What the whole training is thought to take."""
        return self.cost.seconds

    @property
    def peak_mb(self) -> float:
        """Peak memory in MB; not a number where the system does not tell."""
        return self.cost.peak_mb

    @property
    def summary(self) -> str:
        """What is about to happen and what it costs, in a sentence."""
        height, width = self.sizes[-1]
        about = "at most about" if self.settings.stopping.stop == "auto" else "about"
        pictures = self.settings.album.pictures
        several = f" on {pictures} pictures as one," if pictures > 1 else ""
        return (
            f"Training {self.settings.mode}{several} on {self.device}: {len(self.sizes)} stages up to {width}x{height} "
            f"px, {about} {duration(self.seconds)} and {self.peak_mb:.0f} MB of memory."
        )

    def __str__(self) -> str:
        """Every value with its origin, the pyramid, parameters, folder and cost."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        values = config.flat(self.settings)
        wide = max(map(len, values))
        also, shares = self.settings.album.also, self.settings.album.shares
        yield f"{self.settings.mode} of {', '.join((self.settings.image, *also))}"
        if also:
            yield f"shares of the iterations: {', '.join(f'{share:.0%}' for share in shares)}"
        yield from self.notes
        yield "settings:"
        for name, value in values.items():
            yield f"  {name:{wide}}  {shown(value):<12}  {self.origins[name]}"
        yield "pyramid:"
        stages = zip(self.sizes, self.iterations, self.cost.per_iteration, strict=True)
        for stage, ((height, width), count, seconds) in enumerate(stages):
            yield f"  stage {stage}: {width}x{height} px, {count} iterations of {seconds:.3g} s"
        yield f"parameters: generator {self.generator:,}, critic {self.critic:,}"
        yield f"run folder: {self.folder or 'none, nothing is written'}"
        yield self.summary


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

    Raises:
        UserError: a value is unknown, out of range, or in contradiction to another.
    """
    if mode not in TASKS:
        raise UserError(f"--train_mode is {mode!r}; choose one of {', '.join(TASKS)}.")
    presets = TASKS[mode].recipes
    if preset not in presets:
        raise UserError(f"--preset is {preset!r}; {mode} has {', '.join(presets)}.")
    layers = (
        (f"preset {preset}", presets[preset]),
        ("picture", {"nc_im": channels}),
        ("tileable", implied(given)),
        ("several pictures", album.implied(given, presets[preset])),
        ("flag", given),
    )
    values = ChainMap(*(dict(layer) for _, layer in reversed(layers)))
    waiting = {name for name in automatic() if values.get(name) == "auto"}
    known = [(origin, {k: v for k, v in layer.items() if k not in waiting}) for origin, layer in layers]
    draft, origins = config.resolve(mode, image, *known)
    settings = settled(draft, waiting, size)
    naive = settings.naive.naive_img
    if naive is not None and not TASKS[mode].takes_naive:
        fitting = ", ".join(task.name for task in TASKS.values() if task.takes_naive)
        raise UserError(f"--naive_img {naive} does not go with --train_mode {mode}; it is for {fitting}.")
    check_codes(settings, given)
    check_tileable(settings)
    pairs.check_settings(settings, given)
    album.check_settings(settings)
    return settings, origins | {name: AUTO[name][0] for name in waiting}


def settled(draft: Train, waiting: Collection[str], size: Size | None) -> Train:
    """The configuration with numbers for the settings that wait for the picture or for others.

    Raises:
        UserError: such a number contradicts another setting.
    """
    settings = draft
    for name in (name for name in AUTO if name in waiting):
        section = next(s.section for s in config.settings() if s.name == name)
        changed = replace(getattr(settings, section), **{name: AUTO[name][1](settings, size)})
        settings = replace(settings, **{section: changed})
    check_together(settings)
    return settings


def check_codes(settings: Train, given: Collection[str]) -> None:
    """Refuse codes where they can do nothing.

    Args:
        settings: the configuration.
        given: names of the settings that the person gave.
    """
    codes, mode = settings.codes, settings.mode
    if codes.code_categories == 1:
        raise UserError("--code_categories is 1, which tells nothing; give 0 for none, or at least 2.")
    if not codes.channels:
        if "code_weight" in given:
            raise UserError(f"--code_weight {codes.code_weight:g} is given without --codes; give both or none.")
        return
    if TASKS[mode].first_noise:
        fitting = ", ".join(task.name for task in TASKS.values() if not task.first_noise)
        raise UserError(
            f"{codes.flag} does not go with --train_mode {mode}, whose coarsest stage takes pictures; "
            f"codes are for {fitting}."
        )
    if settings.network.batch_norm:
        raise UserError(
            f"{codes.flag} does not go with --batch_norm, which takes out what is the same all over; leave one out."
        )


def stages_of(settings: Train, picture: Size | None) -> int:
    """Stages by the size of the picture, ``(H, W)``; of the largest size if None."""
    wanted = settings.pyramid
    return proposed_stages(picture or (wanted.max_size,) * 2, wanted.min_size, wanted.max_size)


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


def rate_of(name: str) -> Callable[[Train, Size | None], float]:
    """A learning rate by the width of the networks."""
    return lambda settings, picture: RATES[name] / settings.network.nfc


# What the word auto becomes, with its origin, in the order in which one follows from the others.
AUTO: dict[str, tuple[str, Callable[[Train, Size | None], Any]]] = {
    "train_stages": ("auto, by the picture's size", stages_of),
    "niter": ("auto, by the stages' sizes", lambda settings, picture: proposed_iterations(settings, picture)),
    "lr_g": ("auto, by the width", rate_of("lr_g")),
    "lr_d": ("auto, by the width", rate_of("lr_d")),
}


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


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name in their declared types; the word auto waits for the picture.

    Raises:
        UserError: one is unknown, of another type or out of range.
    """
    known = {s.name: s for s in config.settings()}
    for name in given:
        if name not in known:
            raise UserError(f"{name} is no setting of a training run; {meant(name, known)}")
    return {
        name: value if known[name].setting.auto and value == "auto" else config.check(known[name], value)
        for name, value in given.items()
    }


def files_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The paths of files among settings as given, by the names that a configuration keeps of them."""
    typed = [given.get(s.name) for s in config.settings() if s.setting.file and s.kind != config.Words]
    return {name_of(path): str(path) for path in typed if path is not None}


def check_same(own: Train, mode: str | None, given: Mapping[str, Any]) -> None:
    """Refuse settings that want something else than the run to resume, which has ``own``."""
    values = {**config.flat(own), "train_mode": own.mode}
    known = {s.name: s for s in config.settings()}
    given = {name: config.kept(known[name], value) for name, value in given.items()}
    for name, value in (decided(given) | ({} if mode is None else {"train_mode": mode})).items():
        if name not in values:  # an option of another objective
            raise UserError(
                f"--{name} is {shown(value)} but the run to resume has no such setting; leave the flag out."
            )
        if values[name] != value:
            raise UserError(
                f"--{name} is {shown(value)} but the run to resume has {shown(values[name])}; "
                "leave the flag out or start a new run."
            )


def check_mode(mode: str, file: Path) -> None:
    """Refuse a file of a task that this version does not have."""
    if mode not in TASKS:
        raise UserError(f"{file} is of the task {mode!r}, unlike {', '.join(TASKS)}; install a newer version.")


def shown(value: Any) -> str:
    """A setting's value as one types it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def recorded(run: Run) -> Train:
    """The configuration that a run was made with."""
    return config.from_json(read_json(run.config), str(run.config))


def new_run(outdir: str | Path, settings: Train, name: str | None = None) -> Run:
    """A new run folder for a configuration; ``name`` is another than its picture's."""
    return Run.create(outdir, name or Path(settings.image).stem, run_label(settings))


def planned_folder(outdir: str | Path, settings: Train, name: str | None = None) -> Path:
    """The folder that ``new_run`` would make now."""
    return folder_for(outdir, name or Path(settings.image).stem, run_label(settings))


def unfinished_run(outdir: str | Path, settings: Train, begun_with: Belongings, name: str | None = None) -> Run | None:
    """The newest run below ``outdir`` of the same files, mode and settings that can be gone on with."""
    folders = planned_folder(outdir, settings, name).parent.glob("*/config.json")
    for file in sorted(folders, reverse=True):  # a folder's name begins with its time
        run = Run(file.parent)
        if run.finished.exists() or not any(run.checkpoints.glob("*.safetensors")):
            continue
        with suppress(UserError):  # a broken configuration is that of no run
            if recorded(run) == settings and begun_with.may_be_of(run):
                return run
    return None


def run_label(settings: Train) -> str:
    """The run folder's name after the time."""
    optimisation, network = settings.optimisation, settings.network
    return label(
        settings.mode,
        verb=settings.naive.verb,
        train_depth=optimisation.train_depth,
        lr_scale=optimisation.lr_scale,
        batch_norm=network.batch_norm,
        activation=network.activation,
        lrelu_alpha=network.lrelu_alpha,
    )
