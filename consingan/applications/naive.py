"""Naive pictures, those with an object pasted in or parts moved: what a model makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.gan.stills import OF, check_start
from consingan.grid.ranges import signed
from consingan.storage.formats import for_kind
from consingan.storage.results import Role
from consingan.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.applications.cases import Applied, Case
    from consingan.gan.model import SingleImageModel
    from consingan.grid.kinds import Kind


@dataclass(frozen=True)
class NaiveOptions:
    """Applying a model to naive pictures."""

    naive_img: str | None = setting(None, "picture with a pasted object, or a folder of them", file=True, folder=True)
    mask: str | None = setting(
        None, "mask, white where the object is; by default NAME_mask.EXT in the picture's folder", file=True
    )
    invert_mask: bool = setting(False, "the mask is black where the object is")
    injection_stage: int | None = setting(
        None,
        "stage at which the picture enters; higher stages keep more of the object; by default 0, or where seams are "
        "made anew the first at which the moved parts can be seen",
        low=0,
        high=19,
    )
    noise_scale: float = setting(1.0, "factor for the noise of the later stages; 0: no noise", low=0, high=100)
    hand: float | None = setting(
        None,
        "how much of the painting's brushstrokes and grain the pasted object gets, from 0 to 1; "
        "by default as in training",
        low=0,
        high=1,
    )
    finish: str | None = setting(
        None,
        "edit: patches makes the seams anew of the picture's patches, and what was moved stays sharp; none leaves them "
        "as the model makes them",
        choices=("patches", "none"),
    )
    of: str | None = OF
    native: bool = setting(False, "also write the network's output at its own size")
    num_samples: int = setting(1, "results per picture, each with different noise", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> NaiveOptions:
        """The same for one result."""
        if self.naive_img is not None and Path(self.naive_img).is_dir():
            raise UserError(f"--naive_img {self.naive_img} is a folder, whose results are several; name one picture.")
        return replace(self, num_samples=1)


EXAMPLES = 3  # augmented pictures, where there is no naive one


@dataclass(frozen=True)
class Naive:
    """Results for every naive picture; without one, what the model makes of its training's inputs.

    Args:
        name, summary, options: as the contract says.
        dilation: of the mask, px at 250 px.
        keep_edges: of the naive picture, where the change is carried to its size (see ``transfer``).
    """

    name: str
    summary: str
    dilation: float
    keep_edges: bool
    options: NaiveOptions = NaiveOptions()

    def unfit(self, material: Material) -> str | None:
        return without_model(self.name, material) or not_of_colours(self.name, material.trained.kind)

    def announce(self, material: Material, options: NaiveOptions) -> Expected:
        return Expected()

    def apply(self, material: Material, options: NaiveOptions, told: Told) -> Iterator[Result]:
        from consingan.gan import album

        near = album.beside(material.trained, options.of)
        if options.of is not None:
            material = Material.of(album.named(material.trained, options.of), material.run)
        for result in self._of_material(material, options):
            yield replace(result, facts={**result.facts, **near})

    def _of_material(self, material: Material, options: NaiveOptions) -> Iterator[Result]:
        """The results for the naive pictures that are named, or that there are."""
        model = material.trained
        check_start(options.injection_stage or 0, model.stages, "--injection_stage")
        options = replace(options, finish=self._finish(model, options))
        own = material.run.naive if material.run else None
        if options.naive_img is None and own is not None and own.is_dir():
            options = replace(options, naive_img=str(own))
        if options.naive_img is not None:
            yield from self._of_pictures(material, options, Path(options.naive_img))
            return
        if options.mask is not None or options.invert_mask:
            raise UserError("--mask or --invert_mask is given without --naive_img; name the picture that it is for.")
        if not TASKS[model.settings.mode].takes_naive:
            raise UserError(
                f"--application {self.name} on a model of {model.settings.mode} needs a picture to work on; "
                "give --naive_img."
            )
        yield from examples(model, options)

    def _finish(self, model: SingleImageModel, options: NaiveOptions) -> str:
        """The name of how seams are made: as given; else none for objects and with --hand; else the configuration's.

        Raises:
            UserError: the seams of objects, or of strokes, are to be made anew.
        """
        if options.finish == "patches" and self.keep_edges:
            raise UserError(
                f"--finish patches makes seams anew, and --application {self.name} keeps an object's edges; "
                "leave it out, or take --application edit."
            )
        if options.finish == "patches" and options.hand:
            raise UserError(
                f"--hand {options.hand:g} is for parts as the model makes them; give --finish none too, or no --hand."
            )
        return options.finish or ("none" if self.keep_edges or options.hand else model.settings.sampling.finish)

    def _of_pictures(self, material: Material, options: NaiveOptions, naive: Path) -> Iterator[Result]:
        """The results for the naive pictures behind a path."""
        from consingan.applications import cases

        model = material.trained
        files = cases.files_of(naive)
        if options.mask is not None and len(files) > 1:
            raise UserError(
                f"--mask {options.mask} is one mask, but --naive_img {options.naive_img} is a folder; "
                "put NAME_mask.png beside each picture instead."
            )
        painting = material.photo.picture if material.photo else cases.training_picture(model, material.run)
        base = cache(lambda: began_as(material))  # read for the view alone, which pictures on the way do not have
        suffix = variant(options)
        hand = model.settings.naive.hand if options.hand is None else options.hand
        options = replace(options, hand=hand)

        def applied(by: SingleImageModel, case: Case, seed: int) -> Applied:
            stage, anew = options.injection_stage, options.finish == "patches"
            if stage is None:
                stage = cases.stage_for(by, case) if anew else 0
            made = cases.apply(by, case, self.dilation, self.keep_edges, stage, options.noise_scale, seed)
            return (
                cases.without_seams(made, case, seed)
                if anew
                else cases.with_hand(made, case, painting, hand, self.keep_edges)
            )

        def case_of(file: Path) -> Case:
            mask = Path(options.mask) if options.mask is not None else None
            return cases.read(file, model.settings.network.nc_im, mask, options.invert_mask, painting)

        if len(files) > 1:
            for file in files:  # all of them are looked at before the first is worked on
                case_of(file)
        stems = Counter(file.stem for file in files)
        for file in files:
            name = file.stem if stems[file.stem] == 1 else file.name.replace(".", "_")
            yield from one(model, base, case_of(file), options, applied, name + suffix)


def not_of_colours(application: str, kind: Kind) -> str | None:
    """The sentence for models whose pictures are no colours alone."""
    if kind.channels in (1, 3):
        return None
    has = "alpha" if kind.alpha else f"{kind.channels} channels"
    return (
        f"--application {application} carries changes between colours, and this model has {has}; train one with "
        "--background white, or on a picture of colours."
    )


def variant(options: NaiveOptions) -> str:
    """What the names of results say of options that differ from the defaults, so that trials stand side by side."""
    said = {
        "of": options.of,
        "mask": options.mask and Path(options.mask).stem,
        "inverted": "" if options.invert_mask else None,
        "stage": options.injection_stage or None,
        "noise": None if options.noise_scale == 1 else f"{options.noise_scale:g}",
        "hand": None if options.hand is None else f"{options.hand:g}",
        "seed": options.seed if options.seed and options.num_samples == 1 else None,
    }
    return "".join(f"_{name}_{value}".rstrip("_") for name, value in said.items() if value is not None)


def one(
    model: SingleImageModel,
    base: Callable[[], SingleImageModel | None],
    case: Case,
    options: NaiveOptions,
    applied: Callable[[SingleImageModel, Case, int], Applied],
    name: str,
) -> Iterator[Result]:
    """The results for one naive picture: masked, whole, native if wanted, the masks, the view to judge by."""
    notes = tuple(f"{case.file}: {note}" for note in case.notes)
    kind, format = model.kind, for_kind(options.format, model.kind)
    for sample in range(options.num_samples):
        seed = options.seed + sample
        made = applied(model, case, seed)
        facts = {"naive": case.file.name, "injection_stage": f"{made.stage}", "noise_scale": f"{options.noise_scale}"}
        facts |= {"seed": f"{seed}", "hand": f"{options.hand}", "finish": f"{options.finish}"}
        stem = name if options.num_samples == 1 else f"{name}_seed_{seed}"
        if made.masked is not None:
            yield Result(f"{stem}_masked", Role.MASKED, [made.masked], facts, format, notes=notes, kind=kind)
            notes = ()
        yield Result(f"{stem}_harmonized", Role.NAIVE, [made.whole], facts, format, notes=notes, kind=kind)
        notes = ()
        if sample == 0:
            yield Result(f"{name}_naive", Role.PASTED, [case.picture], kind=kind)
        if options.native:
            yield Result(f"{stem}_native", Role.NATIVE, [made.native], facts, format, kind=kind)
        before = applied(known, case, seed) if (known := base()) else None
        view = beside(case, made, before, model.settings.naive.verb)
        yield Result(f"{stem}_view", Role.VIEW, [view], facts)
    if made.mask is not None:
        yield Result(f"{name}_soft_mask", Role.MASK, [signed(made.mask)])
    if case.derived and case.mask is not None:
        yield Result(f"{name}_derived_mask", Role.MASK, [signed(case.mask)])


def beside(case: Case, made: Applied, before: Applied | None, verb: str | None) -> Tensor:
    """naive | mask | harmonized | masked | what a model made that learned on; the two before are then its base's.

    ``verb`` is what was done to it, None for a new model.
    """
    from consingan.pictures.sheets import side_by_side

    first = before if verb else made
    items = [("naive", case.picture), ("mask", None if made.mask is None else signed(made.mask))]
    if first is not None:
        items += [("harmonized", first.whole), ("masked", first.masked)]
    if verb:
        items.append((f"{verb}d", made.whole if made.masked is None else made.masked))
    return side_by_side(items)


def began_as(material: Material) -> SingleImageModel | None:
    """The model that one which learned on began as, where its run has kept it."""
    from consingan.gan.model import SingleImageModel

    if material.run is None or not material.run.base.is_file():
        return None
    try:
        return SingleImageModel.load(material.run.base, material.trained.device)
    except UserError:
        return None


def examples(model: SingleImageModel, options: NaiveOptions) -> Iterator[Result]:
    """The reconstruction, and what the model makes of inputs like those of its training, each beside its input."""
    from consingan.grid.noise import Draw
    from consingan.pictures.sheets import side_by_side

    note = "No --naive_img is given: what was made is the training picture and augmented ones, put right."
    found, format = [model.reconstruct()], for_kind(options.format, model.kind)
    yield Result("reconstruction", Role.RECONSTRUCTION, found, format=format, notes=(note,), kind=model.kind)
    coarsest, task = model.fixed[0], TASKS[model.settings.mode]
    for number in range(max(EXAMPLES, options.num_samples)):
        entering = task.first_input(coarsest, Draw(options.seed, ("example", number), model.device))
        made = model.transform(entering, 0, options.noise_scale, options.seed + number)
        row = side_by_side([("input", entering), ("output", made)])
        name = f"examples/seed_{options.seed}_sample_{number:03d}"
        yield Result(name, Role.EXAMPLE, [row], {"seed": f"{options.seed}"})


HARMONIZE: Application[NaiveOptions] = Naive(
    "harmonize", "a pasted object, repainted in the painting's style", 7.0, True
)
EDIT: Application[NaiveOptions] = Naive("edit", "parts that you moved or copied, blended into the picture", 20.0, False)
