"""The portable file of a model: what is in it, and every check before any of it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.errors import UserError
from consingan.finish.photo import LARGEST
from consingan.gan.borders import BORDERS
from consingan.gan.generator import of_settings
from consingan.grid.kinds import Kind
from consingan.grid.noise import draws_alike, fingerprint
from consingan.grid.sizes import Size
from consingan.pictures import images
from consingan.storage import files

PHOTO = "picture"  # the name of the training picture in a file
GENERATOR, ANCHOR = "generator.", "anchor."  # what the names of its other tensors begin with
USE = "use a file that this program wrote"
PageHeader = tuple[tuple[Size, ...], tuple[float, ...], int]  # sizes, amplitudes, seed of the anchors
SMALL = 256  # px: stages of long pictures are longer than max_size, so that they are high enough, but of few pixels
MOST_BYTES = 768 * 2**20  # of a file; some 25 stages of 512 features


@dataclass(frozen=True)
class Header:
    """What a file says beside its tensors.

    Args:
        settings: the configuration that the model was trained with.
        border: its way with borders, a name in ``BORDERS``.
        sizes: ``(H, W)`` of every stage of the pyramid, coarsest first.
        amplitudes: of the stages that it has grown.
        noise_seed: of the anchors that are known by their place; None in files that hold all anchors.
        kind: what the channels of its pictures are.
        pages: of the further pictures that it has learned from.
    """

    settings: Train
    border: str
    sizes: Sequence[Size]
    amplitudes: Sequence[float]
    noise_seed: int | None
    kind: Kind
    pages: tuple[PageHeader, ...] = ()

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "config": config.to_json(self.settings),
            "border": self.border,
            "sizes": [list(size) for size in self.sizes],
            "amplitudes": list(self.amplitudes),
            **({} if self.kind.plain else {"channels": self.kind.values()}),
            **({"pages": [pages_values(page) for page in self.pages]} if self.pages else {}),
            "noise": {"seed": self.noise_seed, "torch": str(torch.__version__), "fingerprint": fingerprint()},
        }

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Header:
        """What ``values`` of a file named ``where`` say.

        Raises:
            UserError: a part is missing or makes no sense; this torch draws other numbers than the one that wrote it.
        """
        try:
            settings = config.from_json(values["config"], where)
            sizes = [(int(h), int(w)) for h, w in values["sizes"][: config.MOST_STAGES + 1]]
            amplitudes = [float(a) for a in values["amplitudes"]]
            border = values["border"]
            kind = Kind.read(values.get("channels"), settings.network.nc_im)
            pages = tuple(read_page(page) for page in values.get("pages", []))
            if border not in BORDERS:
                raise KeyError("border")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{where} lacks a valid {error} in its header; {USE}.") from None
        if (
            not 1 <= len(amplitudes) <= len(sizes) <= config.MOST_STAGES
            or not all(1 <= side <= 65536 for size in sizes for side in size)
            or any(height * width > max(settings.pyramid.max_size, SMALL) ** 2 for height, width in sizes)
            or not all(0 <= amplitude < inf for amplitude in amplitudes)
        ):
            raise UserError(f"{where} has sizes and amplitudes that do not fit; {USE}.")
        most = max(settings.pyramid.max_size, SMALL) ** 2
        if len(pages) != len(settings.album.also) or not all(sound_page(page, most) for page in pages):
            raise UserError(f"{where} has pictures that do not fit its configuration; {USE}.")
        noise = values.get("noise")
        return cls(
            settings, border, sizes, amplitudes, None if noise is None else stored_seed(noise, where), kind, pages
        )


def pages_values(page: PageHeader) -> dict[str, Any]:
    """A page as JSON values."""
    sizes, amplitudes, seed = page
    return {"sizes": [list(size) for size in sizes], "amplitudes": list(amplitudes), "seed": seed}


def read_page(values: Mapping[str, Any]) -> PageHeader:
    """The inverse of ``pages_values``.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    sizes = tuple((int(h), int(w)) for h, w in values["sizes"][: config.MOST_STAGES + 1])
    return sizes, tuple(float(a) for a in values["amplitudes"]), int(values["seed"])


def sound_page(page: PageHeader, most: int) -> bool:
    """Whether a page can be a model's whose stages have ``most`` pixels at most."""
    sizes, amplitudes, seed = page
    sides = all(1 <= side <= 65536 for size in sizes for side in size)
    return (
        sides
        and all(height * width <= most for height, width in sizes)
        and all(0 <= each < inf for each in amplitudes)
        and 0 <= seed < 2**63
    )


def read(source: str | Path | bytes | BinaryIO) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Tensors, header and name of a model file, or that of a run folder. Nothing in it is executed.

    Args:
        source: its path, what is in it, or what it can be read from.

    Raises:
        UserError: the file is missing, broken, foreign, or holds numbers that are not finite.
    """
    if isinstance(source, str | Path):
        path = Path(source) / "model.safetensors" if Path(source).is_dir() else Path(source)
        where = str(path)
        tensors, header = files.load_tensors(path, lambda header: most_bytes(Header.read(header, where)))
    else:
        where = str(getattr(source, "name", "the model that was given"))
        data = bytes_of(source, where)
        tensors, header = files.tensors_of(data, where, lambda header: most_bytes(Header.read(header, where)))
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise UserError(f"{where} holds numbers that are not finite in {name!r}; use another copy of it.")
    return tensors, header, where


def bytes_of(source: bytes | BinaryIO, where: str) -> bytes:
    """All that is in a source, which is no larger than a model.

    Raises:
        UserError: it is larger, or holds text.
    """
    data = source if isinstance(source, bytes) else source.read(MOST_BYTES + 1)
    if not isinstance(data, bytes):
        raise UserError(f"{where} gives {type(data).__name__}, not bytes; open the model file with mode 'rb'.")
    if len(data) > MOST_BYTES:
        raise UserError(f"{where} is larger than any model, {MOST_BYTES // 2**20} MiB; give a file of consingan.")
    return data


def write(path: Path, tensors: dict[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a model file, all or nothing."""
    files.save_tensors(path, tensors, {"kind": "model", **header})


def network_bytes(header: Header) -> int:
    """What the generator of a header takes with all its stages, and its anchors if they are tensors."""
    with torch.device("meta"):  # shapes without memory
        generator = of_settings(header.settings, header.border)
    anchors = (prod(generator.input_shape(stage, size)) for stage, size in enumerate(header.sizes))
    numbers = sum(value.numel() for value in generator.state_dict().values()) * len(header.sizes)
    of_pages = sum(header.settings.network.nc_im * h * w for sizes, *_ in header.pages for h, w in sizes)
    return 4 * (numbers + sum(anchors) + of_pages)


def most_bytes(header: Header) -> int:
    """The bytes that the tensors of a model file can have, with its picture."""
    picture = header.settings.network.nc_im * LARGEST**2 * getattr(torch, header.kind.depth).itemsize
    return min(MOST_BYTES, network_bytes(header) + picture * (1 + len(header.pages)))


def anchors_held(tensors: Mapping[str, Tensor], header: Header) -> int:
    """How many anchors the file must hold as tensors: stage 0's, and where they are not known by their place all."""
    stages = len(header.amplitudes)
    held = sum(name.startswith(ANCHOR) for name in tensors)
    return stages if header.noise_seed is None else min(max(1, held), stages)


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]], where: str) -> None:
    """Refuse tensors that are not exactly those of a model.

    Args:
        tensors: of the file, without the photo.
        shapes: of the model that its header names, all float32.
        where: the file.

    Raises:
        UserError: one is missing, unknown or of another shape or type.
    """
    for name in sorted(shapes.keys() | tensors.keys()):
        known = name in tensors and name in shapes
        if not known or tuple(tensors[name].shape) != tuple(shapes[name]) or tensors[name].dtype != torch.float32:
            raise UserError(
                f"{where} does not hold the model that its header names: {name!r} is missing, unknown or unfit."
            )


def checked_photo(pixels: Tensor, kind: Kind, where: str) -> Tensor:
    """The training picture of a file, ``[1, C, H, W]`` of its kind's depth.

    Raises:
        UserError: it is of another kind or shape.
    """
    fits = pixels.dtype == getattr(torch, kind.depth) and pixels.dim() == 4 and pixels.shape[:2] == (1, kind.channels)
    if not fits or min(pixels.shape[2:]) < images.MIN_SIDE:
        raise UserError(f"{where} holds a damaged {PHOTO!r}; {USE}.")
    return pixels


def stored_seed(noise: Any, where: str) -> int:
    """The seed of the anchors that a file holds by their place only.

    Raises:
        UserError: the entry is damaged, or this torch draws other numbers than the one that wrote the file.
    """
    try:
        seed, numbers = noise["seed"], [float(number) for number in noise["fingerprint"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        seed, numbers = None, []
    if type(seed) is not int or not numbers:
        raise UserError(f"{where} has a damaged 'noise' in its header; {USE}.")
    if not draws_alike(numbers):
        raise UserError(
            f"{where} was written with torch {noise.get('torch')}, whose random numbers torch {torch.__version__} does "
            "not draw; install that version."
        )
    return seed
