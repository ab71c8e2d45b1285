"""What harmonization and editing share: sampling is to apply the model to naive pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.grid.ranges import signed
from consingan.tasks.base import Result
from consingan.tasks.generation import check_start

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.applications.cases import Applied, Case
    from consingan.gan.model import SingleImageModel
    from consingan.grid.noise import Draw
    from consingan.storage.run import Run


@dataclass(frozen=True)
class NaiveOptions:
    """Applying a model to naive pictures."""

    naive_img: str | None = setting(None, "picture with a pasted object, or a folder of them")
    mask: str | None = setting(None, "where the object is, white; NAME_mask.EXT beside the picture unless given")
    invert_mask: bool = setting(False, "the mask is black where the object is")
    injection_stage: int = setting(0, "stage that the picture enters at; more keeps more of the object", low=0, high=19)
    noise_scale: float = setting(1.0, "times the noise of the later stages; 0 is without", low=0, high=100)
    hand: float | None = setting(
        None,
        "how much of the painting's strokes and grain the object takes over; as in training unless given",
        low=0,
        high=1,
    )
    native: bool = setting(False, "also write the model's output at its own resolution")
    num_samples: int = setting(1, "results per picture, each with noise of its own", low=1, high=100_000)
    seed: int = setting(0, "seed of the noise", **SEED)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))


PREVIEW = NaiveOptions()
EXAMPLES = 3  # augmented pictures, where there is no naive one


def results(
    model: SingleImageModel,
    options: NaiveOptions,
    run: Run | None,
    dilation: float,
    keep_edges: bool,
    first_input: Callable[[Tensor, Draw], Tensor],
) -> Iterator[Result]:
    """Results for every naive picture; without one, what the model makes of its training's inputs.

    Args:
        model: trained for harmonization or editing.
        options: the naive picture is that of the training where none is named.
        run: where the model was trained.
        dilation: of the mask, px at 250 px.
        keep_edges: whether the naive picture's edges stay where they are (see ``carry``).
        first_input: the task's.
    """
    from consingan.applications import cases

    check_start(options.injection_stage, model.stages, "--injection_stage")
    own = model.settings.naive.naive_img
    if options.naive_img is None and own is not None and Path(own).is_file():
        options = replace(options, naive_img=own)
    if options.naive_img is None:
        if options.mask is not None or options.invert_mask:
            raise UserError("--mask or --invert-mask is given without --naive_img; name the picture that it is for.")
        yield from examples(model, options, first_input)
        return
    files = cases.files_of(Path(options.naive_img))
    if options.mask is not None and len(files) > 1:
        raise UserError(
            f"--mask {options.mask} is one mask, but --naive_img {options.naive_img} is a folder; "
            "put NAME_mask.png beside each picture instead."
        )
    training = cases.training_picture(model, run)
    painting = model.photo.picture if model.photo else training
    base = tuned_from(model)
    hand = model.settings.naive.hand if options.hand is None else options.hand
    options = replace(options, hand=hand)

    def applied(by: SingleImageModel, case: Case, seed: int) -> Applied:
        made = cases.apply(by, case, dilation, keep_edges, options.injection_stage, options.noise_scale, seed)
        return cases.with_hand(made, case, painting, hand, keep_edges)

    def case_of(file: Path) -> Case:
        mask = Path(options.mask) if options.mask is not None else None
        return cases.read(file, model.settings.network.nc_im, mask, options.invert_mask, training)

    if len(files) > 1:
        for file in files:  # all of them are looked at before the first is worked on
            case_of(file)
    stems = Counter(file.stem for file in files)
    for file in files:
        name = file.stem if stems[file.stem] == 1 else file.name.replace(".", "_")
        yield from one(model, base, case_of(file), options, applied, name)


def one(
    model: SingleImageModel,
    base: SingleImageModel | None,
    case: Case,
    options: NaiveOptions,
    applied: Callable[[SingleImageModel, Case, int], Applied],
    name: str,
) -> Iterator[Result]:
    """The results for one naive picture: masked, whole, native if wanted, the masks, the view to judge by."""
    notes = tuple(f"{case.file}: {note}" for note in case.notes)
    for sample in range(options.num_samples):
        seed = options.seed + sample
        stage, scale = options.injection_stage, options.noise_scale
        made = applied(model, case, seed)
        facts = {"naive": case.file.name, "injection_stage": f"{stage}", "noise_scale": f"{scale}", "seed": f"{seed}"}
        facts["hand"] = f"{options.hand}"
        stem = name if options.num_samples == 1 else f"{name}_seed_{seed}"
        if made.masked is not None:
            yield Result(f"{stem}_masked", [made.masked], facts, options.format, notes=notes)
            notes = ()
        yield Result(f"{stem}_harmonized", [made.whole], facts, options.format, notes=notes)
        notes = ()
        if options.native:
            yield Result(f"{stem}_native", [made.native], facts, options.format)
        before = applied(base, case, seed) if base else None
        yield Result(f"{stem}_view", [side_by_side(case, made, before, model.settings.naive.fine_tune)], facts)
    if made.mask is not None:
        yield Result(f"{name}_soft_mask", [signed(made.mask)], {})
    if case.derived and case.mask is not None:
        yield Result(f"{name}_derived_mask", [signed(case.mask)], {})


def side_by_side(case: Case, made: Applied, before: Applied | None, tuned: bool) -> Tensor:
    """naive | mask | harmonized | masked | fine-tuned; the last of a fine-tuned model, the two before of its base."""
    from consingan.applications import cases

    first = before if tuned else made
    items = [("naive", case.picture), ("mask", None if made.mask is None else signed(made.mask))]
    if first is not None:
        items += [("harmonized", first.whole), ("masked", first.masked)]
    if tuned:
        items.append(("fine-tuned", made.whole if made.masked is None else made.masked))
    return cases.view(items)


def tuned_from(model: SingleImageModel) -> SingleImageModel | None:
    """The model that a fine-tuned one began as, where its run is still in place."""
    from consingan.gan.model import SingleImageModel

    folder = model.settings.naive.model_dir
    if folder is None or not Path(folder).exists():
        return None
    try:
        return SingleImageModel.load(folder, model.device)
    except UserError:
        return None


def examples(
    model: SingleImageModel, options: NaiveOptions, first_input: Callable[[Tensor, Draw], Tensor]
) -> Iterator[Result]:
    """The reconstruction, and what the model makes of inputs like those of its training, each beside its input."""
    from consingan.applications import cases
    from consingan.grid.noise import Draw

    note = "No --naive_img is given: what was made is the training picture and augmented ones, put right."
    yield Result("reconstruction", [model.reconstruct()], {}, options.format, notes=(note,))
    coarsest = model.fixed[0]
    for number in range(max(EXAMPLES, options.num_samples)):
        entering = first_input(coarsest, Draw(options.seed, ("example", number), model.device))
        made = model.transform(entering, 0, options.noise_scale, options.seed + number)
        row = cases.view([("input", entering), ("output", made)])
        yield Result(f"examples/seed_{options.seed}_sample_{number:03d}", [row], {"seed": f"{options.seed}"})
