"""A picture in the manner of another, by a model of two pictures: both ways, and there and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, quiet, without_model
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.gan.stills import check_start
from consingan.grid.sizes import size_of
from consingan.storage.results import Role
from consingan.tasks.translation import TARGET

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.model import SingleImageModel

LONGEST = 1024  # px
PLAIN_SECONDS, SECONDS, SECONDS_PER_PIXEL = 0.2, 0.6, 1.0e-5  # of a translation on one core, without patches and with
# By direction: the branch whose generator makes it, and that whose picture it is made of.
DIRECTIONS = {"forward": (TARGET, ""), "back": ("", TARGET)}


@dataclass(frozen=True)
class TranslateOptions:
    """Making pictures in the manner of another."""

    input_name: str | None = setting(None, "another picture to translate, of the same kind as the first one", file=True)
    direction: str = setting(
        "both",
        "forward: the first picture in the manner of the target; back: the target in the manner of the first",
        choices=("both", "forward", "back"),
    )
    start_stage: int = setting(
        0, "stage from which on the picture is changed; higher stages keep more of it", low=0, high=19
    )
    strength: float = setting(1.0, "how far the picture is changed, from 0, not at all, to 1", low=0, high=1)
    finish: str | None = setting(
        None,
        "patches: the result is made of patches of the picture whose manner it takes; none: its colours alone",
        choices=("patches", "none"),
    )
    num_samples: int = setting(1, "translations of each picture, each with other random numbers", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    longest: int = setting(LONGEST, "longer side of the results at most, in pixels", low=16, high=65536)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> TranslateOptions:
        """The same for one result."""
        if self.num_samples > 1:
            raise UserError(f"--num_samples {self.num_samples} are several results; name one.")
        return replace(self, direction="forward" if self.direction == "both" else self.direction)


@dataclass(frozen=True, eq=False)
class Translated:
    """A picture in the manner of another; pictures are ``[1, C, H, W]`` in [-1, 1], of the picture's size.

    Args:
        whole: the result.
        back: what the way back makes of it.
    """

    whole: Tensor
    back: Tensor


@dataclass(frozen=True)
class Translate:
    """Both pictures of a model in each other's manner, what comes back, and a view of all; or another picture."""

    name: str = "translate"
    summary: str = "a picture in the manner of another"
    options: TranslateOptions = TranslateOptions()

    def unfit(self, material: Material) -> str | None:
        if (reason := without_model(self.name, material)) is not None:
            return reason
        model = material.trained
        if not model.guided:
            return (
                f"--application {self.name} needs a model of two pictures, and this is one of {model.settings.mode}; "
                "train one with --train_mode translation, or leave the flag out."
            )
        if material.run is None and TARGET not in model.others:
            return f"--application {self.name} needs both models of a translation; name the run folder."
        return None

    def announce(self, material: Material, options: TranslateOptions) -> Expected:
        sizes = [size_of(picture) for _, _, picture, _ in sources_of(models_of(material), options)]
        each = SECONDS + sum(prod(size) for size in sizes) / len(sizes) * SECONDS_PER_PIXEL
        if options.finish == "none":
            each = PLAIN_SECONDS
        return Expected(options.num_samples, sizes, finished=False, before=each, what="translation")

    def apply(self, material: Material, options: TranslateOptions, told: Told) -> Iterator[Result]:
        from consingan.pictures.sheets import at_most

        models = models_of(material)
        check_start(options.start_stage, models[""].stages, "--start_stage")
        rows = []
        for way, name, picture, notes in sources_of(models, options):
            by, of = DIRECTIONS[way]
            manner = Path(named(models[by], by)).stem
            for number in range(options.num_samples):
                seed = options.seed + number
                made = translated(models, way, picture, options, seed, told)
                facts = {"picture": name, "manner": manner, "direction": way}
                facts |= {"own": "no"} if options.input_name is not None else {}
                facts |= {
                    "start_stage": f"{options.start_stage}",
                    "strength": f"{options.strength:g}",
                    "seed": f"{seed}",
                }
                stem = f"{Path(name).stem}_as_{manner}{variant(options)}"
                stem += "_back" if Path(named(models[of], of)).stem == manner and way == "back" else ""
                stem += f"_seed_{seed}" if options.num_samples > 1 or seed else ""
                yield Result(stem, Role.TRANSLATED, [made.whole], facts, options.format, notes=notes)
                yield Result(f"{stem}_and_back", Role.BACK, [made.back], facts, options.format)
                notes = ()
                if number == 0:
                    items = (Path(name).stem, picture), (f"as {manner}", made.whole), ("and back", made.back)
                    rows.append(((manner, at_most(original(models[by]), options.longest)), *items))
        yield Result(f"view{variant(options)}", Role.VIEW, [view(rows)], format=options.format)


def models_of(material: Material) -> dict[str, SingleImageModel]:
    """The models of all branches by name."""
    from consingan.gan.model import SingleImageModel
    from consingan.gan.sharing import tie

    first = material.trained
    others = dict(first.others)
    if TARGET not in others:
        assert material.run is not None
        others[TARGET] = SingleImageModel.load(material.run.model_of(TARGET), first.device)
    models = {"": first, **others}
    tie(first.settings, [model.generator for model in models.values()])
    return models


def named(model: SingleImageModel, branch: str) -> str:
    """The name of a branch's picture."""
    return (model.settings.translation.target_name or "") if branch == TARGET else model.settings.image


def original(model: SingleImageModel) -> Tensor:
    """A model's own picture as large as it is known, ``[1, C, H, W]`` in [-1, 1]."""
    return model.photo.picture if model.photo else model.fixed[-1].cpu()


def sources_of(
    models: dict[str, SingleImageModel], options: TranslateOptions
) -> list[tuple[str, str, Tensor, tuple[str, ...]]]:
    """Of each direction that is wanted its word, and what ``source_of`` says; another picture goes forward only."""
    wanted = options.direction
    if options.input_name is not None and wanted == "both":
        wanted = "forward"
    return [(way, *source_of(models, way, options)) for way in DIRECTIONS if wanted in ("both", way)]


def source_of(
    models: dict[str, SingleImageModel], way: str, options: TranslateOptions
) -> tuple[str, Tensor, tuple[str, ...]]:
    """The name of the picture that a direction translates, the picture ``[1, C, H, W]`` in [-1, 1], and notes on it."""
    from consingan.pictures import images, sheets

    _, of = DIRECTIONS[way]
    if options.input_name is None:
        return named(models[of], of), sheets.at_most(original(models[of]), options.longest), ()
    loaded = images.load(options.input_name, channels=models[""].settings.network.nc_im)
    return Path(options.input_name).name, sheets.at_most(loaded.pixels, options.longest), loaded.notes


def translated(
    models: dict[str, SingleImageModel],
    way: str,
    picture: Tensor,
    options: TranslateOptions,
    seed: int,
    told: Told = quiet,
) -> Translated:
    """A picture in the manner of a direction: colours by the generator, detail by patches of the other picture.

    Args:
        models: by branch.
        way: in ``DIRECTIONS``.
        picture: ``[1, C, H, W]`` in [-1, 1].
        options: how.
        seed: of noise and patches.
        told: hears how far the patches are, from 0 to 1.
    """
    from consingan.finish.manner import in_manner, toward_palette
    from consingan.gan.sampling import photo_for
    from consingan.grid.noise import Draw

    forth, back = (models[branch] for branch in DIRECTIONS[way])
    whole = coloured(forth, picture, options.start_stage, seed)
    returned = coloured(back, whole, options.start_stage, seed)
    photo = photo_for(forth, options.finish)
    if photo is not None:
        whole = toward_palette(whole, photo.picture)
        whole = in_manner(photo, whole, Draw(seed, ("translation",), forth.device), told=told).cpu()
    return Translated(picture.lerp(whole, options.strength), returned)


def coloured(model: SingleImageModel, picture: Tensor, start: int, seed: int) -> Tensor:
    """A picture ``[1, C, H, W]`` in [-1, 1] with the change that a model makes at its own size carried to it."""
    from consingan.grid.resize import resize
    from consingan.pictures import transfer

    native = model.transform(picture, start, seed=seed).cpu().clamp(-1, 1)
    before = resize(picture, size_of(native)).clamp(-1, 1)
    return transfer.carried(picture, before, transfer.without_frame(before, native))


def variant(options: TranslateOptions) -> str:
    """What the names of results say of options that differ from the defaults, so that trials stand side by side."""
    said = {
        "start": options.start_stage or None,
        "strength": None if options.strength == 1 else f"{options.strength:g}",
        "finish": options.finish,
    }
    return "".join(f"_{name}_{value}" for name, value in said.items() if value is not None)


def view(rows: Sequence[Sequence[tuple[str, Tensor]]]) -> Tensor:
    """The rows of a sheet: manner, picture, result, what came back; one row for each direction."""
    import torch
    import torch.nn.functional as F

    from consingan.pictures.sheets import side_by_side

    made = [side_by_side(list(row)) for row in rows]
    wide = max(row.shape[3] for row in made)
    return torch.cat([F.pad(row, (0, wide - row.shape[3]), value=1.0) for row in made], dim=2)


TRANSLATE: Application[TranslateOptions] = Translate()
