"""Every setting of a training run: its default, its range, what it means.

The dataclasses below are the one place where a setting is declared; the command line makes its flags from them,
the run folder its config.json, the model file its header. A flag's name is the field's name.
No torch here: the command line answers ``--help`` from this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from consingan.errors import UserError

SCHEMA = 1

Iterations = tuple[int, ...]
SEED: dict[str, Any] = {"low": 0, "high": 2**32 - 1, "names": ("manualSeed",)}


@dataclass(frozen=True)
class Setting:
    """How a field is offered and checked.

    Args:
        help: one line for ``--help``.
        low, high: inclusive range of a number.
        choices: allowed words.
        odd: whether the number must be odd.
        above: an exclusive lower bound.
        names: further flag names.
        auto: whether the word auto may be given, which becomes a number when picture and other settings are known.
    """

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    odd: bool = False
    above: float | None = None
    names: tuple[str, ...] = ()
    auto: bool = False


def setting(default: Any, help: str, **how: Any) -> Any:
    """A dataclass field that carries its ``Setting``."""
    return field(default=default, metadata={"setting": Setting(help, **how)})


@dataclass(frozen=True)
class Pyramid:
    """Sizes of the stages."""

    train_stages: int = setting(
        6,
        "stages of the pyramid, more keep more of the global layout; auto: by the picture's size",
        low=1,
        high=20,
        auto=True,
    )
    start_scale: int = setting(0, "first stage of the pyramid to train; coarser ones are left out", low=0, high=19)
    min_size: int = setting(25, "shorter side of the coarsest stage, in pixels", low=8, high=4096)
    max_size: int = setting(250, "longer side of the finest stage, in pixels; never enlarged", low=8, high=8192)


@dataclass(frozen=True)
class Network:
    """Generator and critic."""

    nfc: int = setting(64, "features of every layer", low=1, high=1024)
    ker_size: int = setting(3, "side of the kernels, odd", low=1, high=15, odd=True)
    num_layer: int = setting(3, "convolutions per stage", low=1, high=16)
    padd_size: int = setting(0, "zeros each convolution adds itself, at most half its kernel", low=0, high=7)
    nc_im: int = setting(3, "picture channels, 1 or 3; without the flag 1 for grey pictures", low=1, high=3)
    activation: str = setting("lrelu", "activation", choices=("lrelu", "prelu", "elu", "selu"))
    lrelu_alpha: float = setting(0.05, "slope of lrelu, start of prelu, for negative inputs", low=0, high=1)
    batch_norm: bool = setting(False, "normalise the generator's layers by the picture's own statistics")
    positions: float = setting(
        0.0,
        "how well the critic knows where on the picture it looks: more keeps the picture's layout, less varies it; "
        "0, as published, not at all",
        low=0,
        high=100,
    )


@dataclass(frozen=True)
class Objective:
    """Losses."""

    objective: str = setting("wgan_gp", "adversarial objective", choices=("wgan_gp",))
    lambda_grad: float = setting(0.1, "weight of the gradient penalty", low=0)
    alpha: float = setting(10.0, "weight of the reconstruction loss", low=0)
    noise_amp: float = setting(0.1, "amplitude of a stage's noise, times the error below it", low=0)
    noise: str = setting(
        "pure",
        "what the coarsest stage learns from: pure noise, or mixtures of the picture with noise, so that the "
        "variation is a dial when sampling",
        choices=("pure", "mixed"),
    )


@dataclass(frozen=True)
class Optimisation:
    """Schedule."""

    niter: Iterations = setting(
        (2000,),
        "iterations per stage, or a list by stage as 2000,1000,500; auto: as many as the work takes",
        low=1,
        auto=True,
    )
    work: float = setting(
        10.0,
        "million pixels that each stage learns from where niter is auto; twice as many take twice as long",
        above=0,
    )
    lr_g: float = setting(5e-4, "learning rate of the generator; auto: by nfc", above=0, auto=True)
    lr_d: float = setting(5e-4, "learning rate of the critic; auto: by nfc", above=0, auto=True)
    decay: str = setting(
        "step",
        "step: the rates fall after 80 % of a stage; linear: from 40 % on, and a short stage begins lower",
        choices=("step", "linear"),
    )
    lr_scale: float = setting(0.1, "rate of a stage, times that of the one above; more is closer to the picture", low=0)
    gamma: float = setting(0.1, "factor on the rates at the end of a stage", low=0, high=1)
    beta1: float = setting(0.5, "Adam's first beta", low=0, high=0.999)
    train_depth: int = setting(3, "stages that learn together; 1 is SinGAN's stage by stage", low=1, high=20)
    window: str = setting("auto", "pixels that an iteration sees: side of a square, off for all, auto beyond 256x256")
    Gsteps: int = setting(3, "generator's Adam steps per iteration, on one gradient", low=1, high=100)
    Dsteps: int = setting(3, "critic's steps per iteration, on one fake", low=1, high=100)


@dataclass(frozen=True)
class Stopping:
    """When a stage has learned enough."""

    stop: str = setting(
        "niter",
        "niter: all iterations; auto: a stage whose figures stand still has fewer",
        choices=("niter", "auto"),
    )
    stop_tolerance: float = setting(
        0.03, "change of the figures, as a share, up to which they count as standing still", low=0, high=1
    )


@dataclass(frozen=True)
class Runtime:
    """Randomness and arithmetic."""

    seed: int = setting(0, "seed of all random numbers", **SEED)
    precision: str = setting(
        "auto", "arithmetic: auto takes bf16 where the machine gains by it", choices=("auto", "fp32", "tf32", "bf16")
    )
    graphs: str = setting("off", "replay whole iterations as CUDA graphs, where they see all", choices=("off", "on"))
    compile: bool = setting(False, "compile the networks with torch.compile; on a CPU that needs a C++ compiler")


@dataclass(frozen=True)
class Sampling:
    """What previews and samples are like unless sampling says otherwise."""

    finish: str = setting(
        "none",
        "patches: samples are made anew of the picture's patches, sharp at any size; none: as the generator made them",
        choices=("patches", "none"),
    )
    variation: float = setting(
        1.0,
        "from 0, nearly the photo, to 1, anything goes; below 1 for models of mixed noise",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class Naive:
    """The naive picture, one with an object pasted in: what the model is applied to, and fine-tuned on."""

    naive_img: str | None = setting(None, "picture with a pasted object; previews show what becomes of it")
    fine_tune: bool = setting(False, "only the last stage of the --model_dir learns, on the --naive_img")
    model_dir: str | None = setting(None, "the run to fine-tune")
    keep_structure: float = setting(
        0.0, "weight of a loss that keeps the structure of what --model_dir made of it; fine-tuning has 1", low=0
    )
    snapshot_every: int = setting(
        0, "iterations between pictures of the result so far, 0 for three a stage; fine-tuning has 100", low=0
    )
    hand: float = setting(
        0.0, "how much of the painting's strokes and grain the object takes over in results", low=0, high=1
    )


@dataclass(frozen=True)
class Train:
    """The whole configuration of a training run."""

    mode: str
    image: str
    pyramid: Pyramid = Pyramid()
    network: Network = Network()
    objective: Objective = Objective()
    optimisation: Optimisation = Optimisation()
    stopping: Stopping = Stopping()
    runtime: Runtime = Runtime()
    sampling: Sampling = Sampling()
    naive: Naive = Naive()


SECTIONS = {
    "pyramid": Pyramid,
    "network": Network,
    "objective": Objective,
    "optimisation": Optimisation,
    "stopping": Stopping,
    "runtime": Runtime,
    "sampling": Sampling,
    "naive": Naive,
}
# Settings that files of older versions lack, with what these did.
LATER: dict[str, dict[str, Any]] = {
    "network": {"positions": 0.0},
    "objective": {"noise": "pure"},
    "optimisation": {"window": "off", "decay": "step", "work": 10.0},
    "runtime": {"graphs": "off", "compile": False},
    "naive": {"keep_structure": 0.0, "hand": 0.0},
}
WINDOW, SMALLEST_WINDOW = 192, 32  # px: of window "auto", and the least that may be asked for
WHOLE = 256 * 256  # pixels up to which "auto" takes all


@dataclass(frozen=True)
class Declared:
    """A setting with its place: section, field name, type and default."""

    section: str
    name: str
    kind: Any
    default: Any
    setting: Setting

    @property
    def plain_kind(self) -> Any:
        """The type without ``| None``, which means: decided elsewhere unless it is given."""
        if not isinstance(self.kind, UnionType):
            return self.kind
        return next(kind for kind in get_args(self.kind) if kind is not NoneType)


def declared(cls: type, section: str = "") -> list[Declared]:
    """The settings that a dataclass declares, in order."""
    kinds = get_type_hints(cls)
    return [Declared(section, f.name, kinds[f.name], f.default, f.metadata["setting"]) for f in fields(cls)]


def settings() -> Iterator[Declared]:
    """Every setting of a training run."""
    for section, cls in SECTIONS.items():
        yield from declared(cls, section)


def resolve(mode: str, image: str, *layers: tuple[str, Mapping[str, Any]]) -> tuple[Train, dict[str, str]]:
    """Lay values over the defaults, later layers over earlier ones.

    Args:
        mode: a name in TASKS.
        image: the picture's path as it was given.
        layers: pairs of an origin in words and the values by setting name.

    Returns:
        The checked configuration, and per setting the origin of its value.

    Raises:
        UserError: a value is unknown, of the wrong type, out of range or in contradiction to another.
    """
    values = {s.name: s.default for s in settings()}
    origins = dict.fromkeys(values, "default")
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in values:
                raise UserError(f"{name} is no setting of a training run; the settings are {', '.join(values)}.")
            values[name], origins[name] = value, origin
    checked = {s.name: check(s, values[s.name]) for s in settings()}
    sections = {section: cls(**{s.name: checked[s.name] for s in declared(cls)}) for section, cls in SECTIONS.items()}
    config = Train(mode, image, **sections)
    check_together(config)
    return config, origins


def flat(config: Train) -> dict[str, Any]:
    """Every setting's value by name."""
    return {s.name: getattr(getattr(config, s.section), s.name) for s in settings()}


def check_same(found: Train, wanted: Train, who: str) -> None:
    """Refuse two configurations that differ, naming the first setting in which they do.

    Args:
        found, wanted: the two.
        who: who has them, as the first words of the message.
    """
    one, other = ({"mode": c.mode, "image": c.image, **flat(c)} for c in (found, wanted))
    for name, value in one.items():
        if value != other[name]:
            raise UserError(
                f"{who} differ in {name}, {value} and {other[name]}; a run goes on with what it began with, "
                "start a new one for other settings."
            )


def iterations(niter: Iterations, stage: int) -> int:
    """Iterations of a stage; a list shorter than the pyramid goes on with its last number."""
    return niter[min(stage, len(niter) - 1)]


def window_side(config: Train, size: tuple[int, int]) -> int | None:
    """Side of the window that an iteration at a stage of ``(H, W)`` looks at, in pixels; None for all of it."""
    window = config.optimisation.window
    if window == "auto":  # batch norm's statistics are of the whole picture
        return None if size[0] * size[1] <= WHOLE or config.network.batch_norm else WINDOW
    return None if window == "off" else int(window)


def check(declared: Declared, value: Any) -> Any:
    """The value in its declared type, or a UserError that names flag, value and range."""
    how, flag = declared.setting, f"--{declared.name}"
    if declared.kind == Iterations:
        numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not numbers or not all(_is_whole(n) and n >= 1 for n in numbers):
            seen = ",".join(map(str, numbers))
            raise UserError(f"{flag} is {seen!r}; give a whole number of at least 1, or a list of them by stage.")
        return numbers
    kind = declared.plain_kind
    if value is None and kind is not declared.kind:
        return None
    if kind is float and _is_whole(value):
        value = float(value) if abs(value) < 2**1023 else inf
    if type(value) is not kind:
        raise UserError(f"{flag} is {value!r}; give a value of type {kind.__name__}.")
    if how.choices and value not in how.choices:
        raise UserError(f"{flag} is {value!r}; choose one of {', '.join(how.choices)}.")
    if isinstance(value, float) and value != value:
        raise UserError(f"{flag} is not a number; {range_of(how)}.")
    below = (how.low is not None and value < how.low) or (how.above is not None and value <= how.above)
    if below or (how.high is not None and value > how.high) or value in (inf, -inf):
        raise UserError(f"{flag} is {value}; {range_of(how)}.")
    if how.odd and value % 2 == 0:
        raise UserError(f"{flag} is {value}, an even number; give an odd one, such as {value + 1}.")
    return value


def range_of(how: Setting) -> str:
    """The allowed range in words."""
    if how.above is not None:
        return f"give a number above {_short(how.above)}" + (
            f" and at most {_short(how.high)}" if how.high is not None else ""
        )
    if how.low is not None and how.high is not None:
        return f"give a number from {_short(how.low)} to {_short(how.high)}"
    return f"give a number of at least {_short(how.low)}" if how.low is not None else "give a number"


def check_together(config: Train) -> None:
    """Refuse settings that contradict each other."""
    pyramid, network = config.pyramid, config.network
    if network.nc_im == 2:
        raise UserError("--nc_im is 2; give 1 for grey or 3 for colour.")
    if network.padd_size > (network.ker_size - 1) // 2:
        half = (network.ker_size - 1) // 2
        raise UserError(
            f"--padd_size {network.padd_size} is more than half of --ker_size {network.ker_size}; give at most {half}."
        )
    if pyramid.min_size > pyramid.max_size:
        raise UserError(
            f"--min_size {pyramid.min_size} is above --max_size {pyramid.max_size}; lower the one or raise the other."
        )
    window = config.optimisation.window
    if window not in ("auto", "off"):
        if not (window.isascii() and window.isdigit() and SMALLEST_WINDOW <= int(window) <= 8192):
            raise UserError(f"--window is {window!r}; give auto, off or a side of {SMALLEST_WINDOW} to 8192 pixels.")
        if network.batch_norm:
            raise UserError(
                f"--window {window} does not go with --batch_norm, whose statistics are of the whole picture; "
                "give --window off."
            )
    naive = config.naive
    if naive.fine_tune and not (naive.model_dir and naive.naive_img):
        lacking = "--naive_img" if naive.model_dir else "--model_dir"
        raise UserError(f"--fine_tune is given without {lacking}; name the trained run and the picture to tune it on.")
    if naive.model_dir and not naive.fine_tune:
        raise UserError(
            f"--model_dir {naive.model_dir} is the run to fine-tune, but --fine_tune is not given; give both or none."
        )
    if naive.keep_structure and not naive.fine_tune:
        raise UserError(
            f"--keep_structure {naive.keep_structure:g} is for fine-tuning, but --fine_tune is not given; "
            "give both or none."
        )
    if pyramid.start_scale >= pyramid.train_stages:
        raise UserError(
            f"--start_scale {pyramid.start_scale} leaves none of the --train_stages {pyramid.train_stages}; "
            f"give at most {pyramid.train_stages - 1}."
        )


def to_json(config: Train) -> dict[str, Any]:
    """The configuration as JSON values, with the schema's version."""
    values: dict[str, Any] = {"schema": SCHEMA, "mode": config.mode, "image": config.image}
    for section in SECTIONS:
        values[section] = to_json_section(getattr(config, section))
    return values


def to_json_section(part: Any) -> dict[str, Any]:
    """One section's settings as JSON values."""
    return {s.name: _plain(getattr(part, s.name)) for s in declared(type(part))}


def from_json(values: Mapping[str, Any], where: str) -> Train:
    """Read what ``to_json`` wrote.

    Args:
        values: the parsed JSON.
        where: the file, for the message.

    Raises:
        UserError: a newer schema, an unknown or a missing key, a value out of range.
    """
    if not isinstance(values, Mapping) or not _is_whole(values.get("schema")) or values["schema"] < 1:
        raise UserError(f"{where} holds no configuration of this program; point to a run that it made.")
    if values["schema"] > SCHEMA:
        raise UserError(f"{where} has schema {values['schema']}, newer than {SCHEMA}; install a newer version.")
    whole = {"naive": Naive(), "stopping": Stopping(), "sampling": Sampling()}  # sections that older files lack
    values = {section: to_json_section(part) for section, part in whole.items()} | dict(values)
    known = {"schema", "mode", "image", *SECTIONS}
    if set(values) != known or not all(isinstance(values[s], Mapping) for s in SECTIONS):
        odd = ", ".join(sorted(map(str, set(values) ^ known))) or "a section"
        raise UserError(f"{where} is not a whole configuration: {odd} is unknown, missing or malformed.")
    for name in ("mode", "image"):
        if not isinstance(values[name], str):
            raise UserError(f"{where} is not a whole configuration: {name} is {values[name]!r}, not a word.")
    layer = {}
    for section, cls in SECTIONS.items():
        names, found = {s.name for s in declared(cls)}, {**LATER.get(section, {}), **values[section]}
        if set(found) != names:
            odd = ", ".join(sorted(map(str, set(found) ^ names)))
            raise UserError(f"{where} is not a whole configuration: {odd} is unknown or missing in {section}.")
        layer.update(found)
    try:
        config, _ = resolve(values["mode"], values["image"], (where, layer))
    except UserError as error:
        raise UserError(f"{where} is not a sound configuration: {error}") from None
    return config


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _short(bound: float) -> str:
    return f"{bound:d}" if isinstance(bound, int) else f"{bound:g}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
