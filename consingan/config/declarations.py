"""Every setting of a training run: its default, its range, what it means.

The dataclasses below are the one place where a setting is declared; the command line makes its flags from them,
the run folder its config.json, the model file its header. A flag's name is the field's name.
No torch here: the command line answers ``--help`` from this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from consingan.config.album import Album
from consingan.config.codes import Codes
from consingan.config.setting import Setting, setting
from consingan.config.techniques import Techniques
from consingan.config.translation import Translation

Iterations = tuple[int, ...]
MOST_STAGES = 20  # of a pyramid
SEED: dict[str, Any] = {"low": 0, "high": 2**32 - 1, "names": ("manualSeed",)}
# Of a setting whose words are the entries of a table: that table, of dataclasses that declare further settings. Those
# of the chosen entry stand behind it in its section, whose ``chosen`` is made of them. The tables lie in higher rooms;
# ``consingan/__init__`` names them here.
TABLES: dict[str, Mapping[str, type]] = {}


@dataclass(frozen=True)
class Pyramid:
    """Sizes of the stages."""

    train_stages: int = setting(
        6,
        "number of stages in the pyramid; more stages keep more of the global layout; auto: "
        "computed from the picture's size",
        low=1,
        high=MOST_STAGES,
        auto=True,
    )
    start_scale: int = setting(
        0, "first stage of the pyramid to train; coarser stages are left out", low=0, high=MOST_STAGES - 1
    )
    min_size: int = setting(25, "shorter side of the coarsest stage, in pixels", low=8, high=4096)
    max_size: int = setting(
        250, "longer side of the finest stage, in pixels; smaller pictures are not enlarged", low=8, high=8192
    )


@dataclass(frozen=True)
class Network:
    """Generator and critic."""

    nfc: int = setting(64, "number of features in every layer", low=1, high=1024)
    ker_size: int = setting(3, "side of the convolution kernels; an odd number", low=1, high=15, odd=True)
    num_layer: int = setting(3, "convolutions per stage", low=1, high=16)
    padd_size: int = setting(
        0, "zero padding inside each convolution, in pixels; at most half the kernel", low=0, high=7
    )
    nc_im: int = setting(3, "channels of the model: 1 grey, 3 colour, 2 or 4 with alpha, up to 8", low=1, high=8)
    activation: str = setting("lrelu", "activation function", choices=("lrelu", "prelu", "elu", "selu"))
    lrelu_alpha: float = setting(
        0.05, "slope for negative inputs: of lrelu, or the initial one of prelu", low=0, high=1
    )
    batch_norm: bool = setting(
        False, "normalise the generator's layers, as DCGAN does, with the statistics of the picture itself"
    )
    virtual_batch_norm: bool = setting(
        False, "normalise the generator's layers with the statistics of the picture and of the training picture"
    )
    spectral_norm: bool = setting(False, "divide the weights of the critic's convolutions by their spectral norm")
    minibatch_discrimination: int = setting(
        0,
        "kernels by which the critic compares a picture's parts with each other and with earlier samples",
        low=0,
        high=256,
    )
    positions: float = setting(
        0.0,
        "how well the critic knows the position of the patch that it judges: higher values keep "
        "the picture's layout, lower values vary it; 0, as published: not at all",
        low=0,
        high=100,
    )
    tileable: str = setting(
        "off",
        "samples repeat without a seam: to the right (x), downwards (y) or both (xy), as textures do",
        choices=("off", "x", "y", "xy"),
    )

    @property
    def whole(self) -> bool:
        """Whether the generator needs the statistics of a whole picture, so that it works on no part of one."""
        return self.batch_norm or self.virtual_batch_norm


@dataclass(frozen=True)
class Objective:
    """Losses.

    Attributes:
        chosen: the adversarial objective with its own settings, an instance of its entry in the table.
    """

    objective: str = setting("wgan-gp", "adversarial objective: the game that generator and critic play")
    alpha: float = setting(10.0, "weight of the reconstruction loss", low=0)
    noise_amp: float = setting(
        0.1, "noise amplitude of a stage, as a multiple of the reconstruction error of the stage below", low=0
    )
    noise: str = setting(
        "pure",
        "input of the coarsest stage in training: pure noise, or mixtures of picture and noise, "
        "so that the variation can be chosen when sampling",
        choices=("pure", "mixed"),
    )
    chosen: Any = None

    def __post_init__(self) -> None:
        if self.chosen is None:
            object.__setattr__(self, "chosen", TABLES["objective"][self.objective]())


@dataclass(frozen=True)
class Optimisation:
    """Schedule."""

    niter: Iterations = setting(
        (2000,),
        "iterations per stage, or a list with a number for each stage, such as 2000,1000,500; "
        "auto: computed from the work",
        low=1,
        auto=True,
    )
    work: float = setting(
        10.0,
        "millions of pixels that each stage learns from if niter is auto; twice as many take twice as long",
        above=0,
    )
    lr_g: float = setting(5e-4, "learning rate of the generator; auto: computed from nfc", above=0, auto=True)
    lr_d: float = setting(5e-4, "learning rate of the critic; auto: computed from nfc", above=0, auto=True)
    decay: str = setting(
        "step",
        "how learning rates fall within a stage; step: once, after 80 % of it; linear: steadily "
        "from 40 % on, and short stages start with lower rates",
        choices=("step", "linear"),
    )
    lr_scale: float = setting(
        0.1,
        "learning rate of a stage, as a multiple of that of the next finer stage; higher values "
        "keep results closer to the picture",
        low=0,
    )
    gamma: float = setting(0.1, "factor for the learning rates at the end of a stage", low=0, high=1)
    beta1: float = setting(0.5, "first beta of the Adam optimiser", low=0, high=0.999)
    train_depth: int = setting(
        3, "number of stages trained together; 1 trains one stage at a time, as SinGAN does", low=1, high=MOST_STAGES
    )
    window: str = setting(
        "auto",
        "part of the picture that an iteration is trained on: the side of a square in pixels; "
        "off: the whole picture; auto: a square for stages of more than 256x256 pixels",
    )
    Gsteps: int = setting(3, "steps of the generator per iteration, all with the same gradient", low=1, high=100)
    Dsteps: int = setting(3, "steps of the critic per iteration, all on the same generated picture", low=1, high=100)


@dataclass(frozen=True)
class Stopping:
    """When a stage has learned enough."""

    stop: str = setting(
        "niter",
        "niter: every stage runs all its iterations; auto: a stage ends early when its figures no longer improve",
        choices=("niter", "auto"),
    )
    stop_tolerance: float = setting(
        0.03, "relative improvement up to which the figures count as no longer improving", low=0, high=1
    )


@dataclass(frozen=True)
class Runtime:
    """Randomness and arithmetic."""

    seed: int = setting(0, "seed of all random numbers", **SEED)
    precision: str = setting(
        "auto", "number format; auto: bf16 on machines where it is faster", choices=("auto", "fp32", "tf32", "bf16")
    )
    graphs: str = setting(
        "off",
        "replay iterations as CUDA graphs, in stages that are trained on the whole picture",
        choices=("off", "on"),
    )
    compile: bool = setting(False, "compile the networks with torch.compile; on a CPU this needs a C++ compiler")


@dataclass(frozen=True)
class Sampling:
    """What previews and samples are like unless sampling says otherwise."""

    finish: str = setting(
        "none",
        "patches: samples are rebuilt from patches of the picture and sharp at any size; none: "
        "samples as the generator makes them",
        choices=("patches", "none"),
    )
    variation: float = setting(
        1.0,
        "how far samples may differ from the photo, from 0, nearly the photo, to 1, any layout; "
        "values below 1 are for models trained with mixed noise",
        low=0,
        high=1,
    )


@dataclass(frozen=True)
class Naive:
    """The naive picture, one with an object pasted in: what the model is applied to, and fine-tuned on."""

    naive_img: str | None = setting(None, "picture with a pasted object; previews show the result for it", file=True)
    fine_tune: bool = setting(False, "fine-tune the run in --model_dir on --naive_img; only its last stage is trained")
    model_dir: str | None = setting(None, "the run to fine-tune", file=True)
    keep_structure: float = setting(
        0.0, "weight of a loss that keeps the structure of the object; fine-tuning uses 1 by default", low=0
    )
    snapshot_every: int = setting(
        0,
        "iterations between snapshots of the result; 0: three per stage; fine-tuning uses 100 by default",
        low=0,
        high=10**9,
    )
    hand: float = setting(
        0.0, "how much of the painting's brushstrokes and grain the pasted object gets, from 0 to 1", low=0, high=1
    )

    @property
    def verb(self) -> str | None:
        """What is done to the --model_dir, as a run folder's name says it; None where the model is a new one."""
        return "fine-tune" if self.fine_tune else None

    @classmethod
    def on(cls, run: str, picture: str) -> Naive:
        """To learn on from a trained run, on a naive picture."""
        return cls(naive_img=picture, fine_tune=True, model_dir=run)

    @staticmethod
    def base(given: Mapping[str, Any]) -> str | None:
        """The run to learn on from, of settings as given; empty where it is not named, None where none is wanted."""
        return (given.get("model_dir") or "") if given.get("fine_tune") else None

    def contradiction(self) -> str | None:
        """A sentence about settings that contradict each other; None where they do not."""
        if self.fine_tune and not (self.model_dir and self.naive_img):
            lacking = "--naive_img" if self.model_dir else "--model_dir"
            return f"--fine_tune is given without {lacking}; name the trained run and the picture to tune it on."
        if self.model_dir and not self.fine_tune:
            return (
                f"--model_dir {self.model_dir} is the run to fine-tune, but --fine_tune is not given; "
                "give both or none."
            )
        if self.keep_structure and not self.fine_tune:
            return (
                f"--keep_structure {self.keep_structure:g} is for fine-tuning, but --fine_tune is not given; "
                "give both or none."
            )
        return None


@dataclass(frozen=True)
class Train:
    """The whole configuration of a training run.

    It goes into files that people share. Where a picture or another run lies is no part of it: it has their names.
    """

    mode: str
    image: str
    pyramid: Pyramid = Pyramid()
    network: Network = Network()
    objective: Objective = field(default_factory=Objective)
    techniques: Techniques = Techniques()
    codes: Codes = Codes()
    optimisation: Optimisation = Optimisation()
    stopping: Stopping = Stopping()
    runtime: Runtime = Runtime()
    sampling: Sampling = Sampling()
    naive: Naive = Naive()
    translation: Translation = Translation()
    album: Album = Album()

    @property
    def whole(self) -> bool:
        """Whether an iteration looks at whole pictures: what the generator, or the history of fakes, needs."""
        return self.network.whole or self.techniques.history > 0


SECTIONS = {
    "pyramid": Pyramid,
    "network": Network,
    "objective": Objective,
    "techniques": Techniques,
    "codes": Codes,
    "optimisation": Optimisation,
    "stopping": Stopping,
    "runtime": Runtime,
    "sampling": Sampling,
    "naive": Naive,
    "translation": Translation,
    "album": Album,
}


@dataclass(frozen=True)
class Declared:
    """A setting with its place: section, field name, type and default; and the entries of a table that have it."""

    section: str
    name: str
    kind: Any
    default: Any
    setting: Setting
    entries: tuple[str, ...] = ()

    @property
    def plain_kind(self) -> Any:
        """The type without ``| None``, which means: decided elsewhere unless it is given."""
        if not isinstance(self.kind, UnionType):
            return self.kind
        return next(kind for kind in get_args(self.kind) if kind is not NoneType)


def declared(cls: type, section: str = "") -> list[Declared]:
    """The settings that a dataclass declares, in order."""
    kinds = get_type_hints(cls)
    named = [f for f in fields(cls) if "setting" in f.metadata]
    return [Declared(section, f.name, kinds[f.name], f.default, f.metadata["setting"]) for f in named]


def settings() -> Iterator[Declared]:
    """Every setting of a training run, those of each entry of a table among them, each name once."""
    for section in SECTIONS:
        for s in own(section):
            yield s
            found: dict[str, Declared] = {}
            for option in (option for entry in TABLES.get(s.name, {}) for option in options(s, entry)):
                before = found.get(option.name, option).entries
                found[option.name] = replace(option, entries=tuple(dict.fromkeys([*before, *option.entries])))
            yield from found.values()


def own(section: str) -> list[Declared]:
    """The settings of a section, without those of entries of a table; the words of a table are its entries."""
    found = declared(SECTIONS[section], section)
    return [replace(s, setting=replace(s.setting, choices=tuple(TABLES.get(s.name, s.setting.choices)))) for s in found]


def options(chooser: Declared, entry: str) -> list[Declared]:
    """The settings of an entry of the table of ``chooser``."""
    return [replace(s, entries=(entry,)) for s in declared(TABLES[chooser.name][entry], chooser.section)]


def values(part: Any) -> dict[str, Any]:
    """A section's values by name, those of its chosen entry behind the setting that chose it."""
    found: dict[str, Any] = {}
    for s in declared(type(part)):
        found[s.name] = getattr(part, s.name)
        if s.name in TABLES:
            found |= {option.name: getattr(part.chosen, option.name) for option in declared(type(part.chosen))}
    return found


def typed(part: Any) -> list[str]:
    """The words of a command line that give a section's values, where they are no defaults."""
    words: list[str] = []
    for s in declared(type(part)):
        value = getattr(part, s.name)
        if value != s.default:
            words += [f"--{s.name}"] if value is True else [f"--{s.name}", str(value)]
    return words


def flat(config: Train) -> dict[str, Any]:
    """Every setting's value by name, without those of entries that were not chosen."""
    return {name: value for section in SECTIONS for name, value in values(getattr(config, section)).items()}
