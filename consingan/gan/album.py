"""Several pictures of one model: each has sizes, anchors and amplitudes of its own, and all have one generator.

The first picture's model is the one that people hold; its ``pages`` are the models of the others. In a file the tensors
of page k have the prefix ``page.k.``, and the header has their sizes, amplitudes and seeds.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.finish.atlas import Atlas
from consingan.finish.photo import Photo
from consingan.gan.generator import GrowingGenerator
from consingan.gan.model_file import ANCHOR, PHOTO, USE, PageHeader, check_tensors, checked_photo
from consingan.grid.noise import Draw
from consingan.grid.sizes import Size

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel
    from consingan.gan.steering import Toward
    from consingan.gan.stills import Stills

PAGE = "page."


def pages_of(model: SingleImageModel) -> list[SingleImageModel]:
    """The models of all pictures, in order, the first among them."""
    return [model, *model.pages]


def page_of(model: SingleImageModel, sizes: Sequence[Size], seed: int) -> SingleImageModel:
    """A model with this one's generator, of another picture: with its sizes, and without a stage yet.

    Args:
        model: the first picture's.
        sizes: ``(H, W)`` of its stages, as many as the first has.
        seed: of its anchors' noise.
    """
    made = copy.copy(model)
    made.sizes, made.noise_seed, made.photo, made.pages = list(sizes), seed, None, []
    made.fixed, made.anchors, made.amplitudes = [], [], []
    return made


def tensors(pages: Sequence[SingleImageModel], photos: bool = True) -> dict[str, Tensor]:
    """What of pages has to be stored beside the generator, by name; where it is wanted with their photos."""
    found: dict[str, Tensor] = {}
    for number, page in enumerate(pages, 1):
        own = {f"{ANCHOR}{stage}": anchor for stage, anchor in enumerate(page.fixed)}
        own |= {PHOTO: page.photo.pixels} if page.photo and photos else {}
        found |= {f"{PAGE}{number}.{name}": value for name, value in own.items()}
    return found


def split(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of pages, which are taken out of those of a file."""
    return {name: found.pop(name) for name in [name for name in found if name.startswith(PAGE)]}


def restored(
    model: SingleImageModel, headers: Sequence[PageHeader], found: Mapping[str, Tensor], where: str
) -> list[SingleImageModel]:
    """The pages of a model of a file.

    Raises:
        UserError: a tensor is missing, unknown or unfit, or a page has other stages than the first.
    """
    rest, pages = dict(found), []
    for number, (sizes, amplitudes, seed) in enumerate(headers, 1):
        if len(sizes) != len(model.sizes) or len(amplitudes) != model.stages:
            raise UserError(f"{where} holds pictures of different stages; {USE}.")
        page, prefix = page_of(model, sizes, seed), f"{PAGE}{number}."
        own = {name.removeprefix(prefix): rest.pop(name) for name in list(rest) if name.startswith(prefix)}
        if (pixels := own.pop(PHOTO, None)) is not None:
            page.photo = Photo(checked_photo(pixels, model.kind, where), model.device, model.kind)
        check_tensors(own, {f"{ANCHOR}0": (1, model.settings.network.nc_im, *sizes[0])}, where)
        page.amplitudes, page.fixed = list(amplitudes), [own[f"{ANCHOR}0"]]
        pages.append(page)
    check_tensors(rest, {}, where)
    return pages


def sharing(page: SingleImageModel, generator: GrowingGenerator) -> SingleImageModel:
    """A page of another generator; the same page where it has that one."""
    if page.generator is generator:
        return page
    made = copy.copy(page)
    made.generator = generator
    return made


def seed_of(seed: int, number: int) -> int:
    """The seed of a page's anchors."""
    return Draw(seed, ("page", number)).generator().initial_seed()


def atlas(model: SingleImageModel, reference: int = 0) -> Atlas:
    """The patches of all pictures of a model that holds them; number ``reference`` sets the size of samples."""
    photos = [page.photo for page in pages_of(model) if page.photo is not None]
    return Atlas.of(photos, [page.size for page in pages_of(model)], reference)


def names(model: SingleImageModel) -> list[str]:
    """What the pictures of a model are called, in order."""
    return [model.settings.image, *model.settings.album.also]


def number_of(model: SingleImageModel, word: str | None) -> int | None:
    """The picture that ``--of`` names, from 0; None without the flag.

    Raises:
        UserError: there is no such picture, or one only.
    """
    if word is None:
        return None
    known = names(model)
    if len(known) == 1:
        raise UserError(
            f"--of {word} is for models of several pictures, and this one has {known[0]} alone; leave it out."
        )
    if word.isascii() and word.isdigit() and len(word) < 5 and 1 <= int(word) <= len(known):
        return int(word) - 1
    fitting = [number for number, name in enumerate(known) if word in (name, name.rpartition(".")[0])]
    if len(fitting) != 1:
        raise UserError(f"--of is {word!r}; give a number from 1 to {len(known)}, or one of {', '.join(known)}.")
    return fitting[0]


def named(model: SingleImageModel, word: str | None) -> SingleImageModel:
    """The model of the picture that ``--of`` names, with that picture's sizes and photo; the first one's without.

    Raises:
        UserError: see ``number_of``.
    """
    return pages_of(model)[number_of(model, word) or 0]


def beside(model: SingleImageModel, word: str | None) -> dict[str, str]:
    """What a result that is made from one picture tells of it, where the model has several."""
    return {"near": names(model)[number_of(model, word) or 0]} if model.pages else {}


def folder(model: SingleImageModel, word: str | None) -> str:
    """What the names of results have of ``--of``."""
    return "" if word is None else f"_of_{(number_of(model, word) or 0) + 1}"


def laid_out(
    model: SingleImageModel,
    draws: Sequence[Draw],
    of: int | None,
    size: Size,
    start: int,
    variation: float | None,
    values: Tensor,
    toward: Toward | None = None,
) -> Tensor:
    """Layouts ``[B, C, H, W]`` in [-1, 1] of a model of several pictures, each near one of them.

    Args:
        of: the number of that picture; drawn by the weights if None.
        toward: what they follow; the colours of a sketch stand for those of the picture that a layout is near.
        model, draws, size, start, variation, values: as for ``SingleImageModel.layouts``.
    """
    made = []
    for draw, value in zip(draws, values.split(1), strict=True):
        page = pages_of(model)[chosen(model, draw) if of is None else of]
        own = None if toward is None else toward.beside(page)
        made.append(page.layouts([draw], size, start, variation, value, own))
    return torch.cat(made)


def chosen(model: SingleImageModel, draw: Draw) -> int:
    """The picture whose layout a sample is near, from 0."""
    return model.settings.album.chosen(draw.at("page").numbers(1)[0])


def facts(model: SingleImageModel, options: Stills, number: int, shares: Sequence[float]) -> dict[str, str]:
    """What a sample of a model of several pictures tells: the picture that its layout is near, and its patches' origin.

    Args:
        model, options: of the sample.
        number: of the sample.
        shares: of its patches, by picture; empty where it is not finished.
    """
    if not model.pages:
        return {}
    of = number_of(model, options.of)
    near = chosen(model, Draw(options.seed, ("sample", number))) if of is None else of
    shown = {"shares": ",".join(f"{share:.3f}" for share in shares)} if shares else {}
    return {"near": names(model)[near], **shown}
