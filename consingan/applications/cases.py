"""Apply a trained model to a naive picture, one with an object pasted in: harmonization, editing, what learns on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from consingan.applications.seams import mended
from consingan.errors import UserError
from consingan.finish.hand import painted
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.grid.ranges import signed, unit
from consingan.grid.resize import resize
from consingan.pictures import images, masks, transfer
from consingan.pictures.source import check_no_address
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import Run

SEEN = 11  # px that moved parts are to be wide, as the receptive field of a default critic
SAME_PICTURE = 0.06  # of full scale: mean difference below which two pictures show the same


@dataclass(frozen=True, eq=False)
class Case:
    """A naive picture with its mask.

    Args:
        file: where it was read from.
        picture: ``[1, C, H, W]`` in [-1, 1], in the model's channels.
        mask: ``[1, 1, H, W]`` in [0, 1] as it was found, before dilation; None where there is none.
        derived: whether the mask was derived from the training picture.
        notes: whole sentences about how it was read.
    """

    file: Path
    picture: Tensor
    mask: Tensor | None
    derived: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Applied:
    """What a model made of a case; pictures are ``[1, C, H, W]`` in [-1, 1].

    Args:
        native: the model's own output, at its resolution.
        whole: the naive picture with the model's change, at the naive picture's size.
        masked: ``whole`` inside the softened mask, the naive picture to the bit outside; None without a mask.
        mask: ``[1, 1, H, W]`` in [0, 1], dilated and softened; None without a mask.
        stage: at which the picture entered.
    """

    native: Tensor
    whole: Tensor
    masked: Tensor | None
    mask: Tensor | None
    stage: int = 0


def files_of(naive: Path) -> list[Path]:
    """The naive pictures behind ``--naive_img``: the file, or those of a folder that are no masks.

    Raises:
        UserError: there is no such file, or the folder holds no picture.
    """
    if not naive.is_dir():
        check_no_address(naive)
        if not naive.exists():
            raise UserError(f"There is no picture at {naive}; check the path behind --naive_img.")
        return [naive]
    pictures = [path for path in sorted(naive.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]
    found = [path for path in pictures if not path.stem.endswith("_mask")]
    if not found:
        raise UserError(f"--naive_img {naive} is a folder without pictures; give a picture or a folder of them.")
    return found


def read(
    file: Path, channels: int, mask: Path | None = None, inverted: bool = False, training: Tensor | None = None
) -> Case:
    """Read a naive picture and find its mask: the given one, the one beside it, or one derived.

    Args:
        file: the naive picture.
        channels: 1 or 3, the model's.
        mask: its mask, ``NAME_mask.EXT`` beside it if None.
        inverted: whether the mask is white where the naive picture is to stay.
        training: ``[1, C, h, w]``, what a mask is derived from where there is no file; None derives none.

    Raises:
        UserError: a file cannot be read, or the mask is empty, full, or of another shape than the picture.
    """
    loaded = images.load(file, channels=channels)
    if loaded.lost:
        raise UserError(
            f"{file} has transparent parts, and the model has no alpha; lay it on a picture, as consingan paste does, "
            "or on a colour."
        )
    picture, notes = loaded.pixels, loaded.notes
    size = (picture.shape[2], picture.shape[3])
    path = mask or masks.find(file)
    if path is not None:
        return Case(file, picture, masks.read(path, size, inverted), False, notes)
    if inverted:
        raise UserError(f"--invert_mask is given, but {file} has no mask; give --mask or leave the flag out.")
    wanted = f"{file.stem}_mask.png beside {file}"
    if training is None:
        return Case(file, picture, None, False, notes)
    found = masks.derived(picture, training)
    if found is None:
        note = (
            f"There is no {wanted}, and {file.name} is the training picture, or another picture all over, so none "
            "could be derived: no masked result was made."
        )
        return Case(file, picture, None, False, (*notes, note))
    note = f"There is no {wanted}: the mask was derived from the difference to the training picture; look at it."
    return Case(file, picture, found, True, (*notes, note))


def training_picture(model: SingleImageModel, run: Run | None) -> Tensor:
    """The picture that the model was trained on, ``[1, C, h, w]``: the run's own copy, or the reconstruction.

    At its own size, so that what was changed shows to the pixel; runs of 0.1.0 have it at the size of the last stage.
    """
    for kept in (run.picture, run.pyramid / f"{model.stages - 1}.png") if run else ():
        if kept.is_file():
            return images.load(kept, channels=model.settings.network.nc_im).pixels
    return model.reconstruct().cpu()


def apply(
    model: SingleImageModel,
    case: Case,
    dilation: float,
    keep_edges: bool,
    stage: int = 0,
    noise_scale: float = 1.0,
    seed: int = 0,
) -> Applied:
    """What the model makes of a case.

    Args:
        model: of any task.
        case: from ``read``.
        dilation: of the mask, px at 250 px.
        keep_edges: as ``transfer.carried``.
        stage, noise_scale, seed: as ``SingleImageModel.transform``.
    """
    native = model.transform(case.picture, stage, noise_scale, seed).cpu().clamp(-1, 1)
    before = resize(case.picture, (native.shape[2], native.shape[3])).clamp(-1, 1)
    whole = transfer.carried(case.picture, before, transfer.without_frame(before, native), keep_edges)
    if case.mask is None:
        return Applied(native, whole, None, None, stage)
    mask = masks.softened(case.mask, dilation)
    return Applied(native, whole, masks.blend(case.picture, whole, mask), mask, stage)


def stage_for(model: SingleImageModel, case: Case) -> int:
    """The first stage at which the parts of a mask, all together, are ``SEEN`` px wide; 0 without a mask."""
    if case.mask is None:
        return 0
    share = (case.mask > 0.5).float().mean().item()
    sides = [(share * height * width) ** 0.5 for height, width in model.sizes[: model.stages]]
    return next((stage for stage, side in enumerate(sides) if side >= SEEN), model.stages - 1)


def without_seams(made: Applied, case: Case, seed: int) -> Applied:
    """The same with seams made anew of the picture's patches; nothing changes without a mask.

    Args:
        made: from ``apply``, of ``case``.
        case: the naive picture and its mask.
        seed: of the patches' choice.

    Raises:
        UserError: the mask leaves no patches to make them of.
    """
    if case.mask is None:
        return made
    whole, where = mended(unit(case.picture), unit(made.whole), case.mask, Draw(seed, ("edit",)))
    return replace(made, masked=torch.where(where > 0, signed(whole), case.picture), mask=where)


def with_hand(made: Applied, case: Case, training: Tensor, strength: float, keep_edges: bool = True) -> Applied:
    """The same with the painting's hand on the object; nothing changes without a mask.

    Where the object's edges stay, the mask is then the object's own and not a wide one: beyond the object lies the
    painting as it is, so what the model made of it there is dropped, and no glow stands around the object.

    Args:
        made: from ``apply``, of ``case``.
        case: the naive picture and its mask.
        training: ``[1, C, h, w]`` in [-1, 1], the painting, at any size.
        strength: 0 to 1.
        keep_edges: as ``transfer.carried``.
    """
    if case.mask is None or made.mask is None or strength == 0:
        return made
    mask = masks.support(case.mask) if keep_edges else made.mask
    painting, hidden = strokes_of(case.picture, mask, training)
    whole = painted(made.whole, painting, mask, strength, hidden)
    return replace(made, whole=whole, masked=masks.blend(case.picture, whole, mask), mask=mask)


def strokes_of(picture: Tensor, mask: Tensor, training: Tensor) -> tuple[Tensor, Tensor | None]:
    """The painting as large as it can be had, ``[1, C, H, W]``, and where it is hidden, ``[1, 1, H, W]``.

    A training picture that is smaller than the naive one has lost its finest strokes. Where the naive picture shows the
    same painting, it still has them all around the object.

    Args:
        picture: ``[1, C, H, W]``, the naive picture.
        mask: ``[1, 1, H, W]``, above 0 where the object is.
        training: ``[1, C, h, w]``.
    """
    size, small = ((x.shape[2], x.shape[3]) for x in (picture, training))
    if max(small) >= max(size):
        return training, None
    outside = resize((mask == 0).float(), small).clamp(0, 1)
    difference = ((resize(picture, small) - training).abs() * outside).mean(dim=1).sum() / (2 * outside.sum())
    return (picture, mask) if difference < SAME_PICTURE else (training, None)
