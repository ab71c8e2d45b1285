"""The picture enlarged, with detail of its own patches or by a trained generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from consingan.applications.base import Application, Expected, Material, Result, Told
from consingan.applications.instant import photo_of
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import LARGEST_PIXELS
from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import Size, rescaled, size_of
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.kinds import Kind

SHOWN = 240  # px of the part in the middle that the view shows


class Method(Protocol):
    """Where the detail of an enlarged picture comes from.

    Attributes:
        seconds: per pixel of the result on one core, measured at 256x384 px.
    """

    seconds: ClassVar[float]

    def check(self, material: Material) -> None:
        """Refuse what it cannot work on.

        Raises:
            UserError: says what to do.
        """

    def make(self, material: Material, size: Size, seed: int, told: Told) -> Tensor:
        """The material's picture with more pixels: ``[1, C, *size]`` in [0, 1]."""

    def facts(self, seed: int) -> Mapping[str, str]:
        """What else is needed to make it again."""


class ByPatches:
    """The picture's own patches (``finish.across``)."""

    seconds: ClassVar[float] = 20e-6

    def check(self, material: Material) -> None:
        pass

    def make(self, material: Material, size: Size, seed: int, told: Told) -> Tensor:
        from consingan.finish.across import enlarge

        photo = photo_of(material)
        return enlarge(photo.at(photo.size), size, told)

    def facts(self, seed: int) -> Mapping[str, str]:
        return {}


class ByGenerator:
    """The finest stage of a model of the picture (``gan.finest``)."""

    seconds: ClassVar[float] = 20e-6

    def check(self, material: Material) -> None:
        from consingan.gan.guides import guided

        if material.model is None:
            raise UserError(
                "--method singan needs a model of the picture; train one with consingan enlarge PHOTO --method singan, "
                "or name its run folder."
            )
        mode = material.model.settings.mode
        if guided(material.model.settings):
            raise UserError(f"--method singan enlarges no picture with a model of {mode}; give --method patches.")

    def make(self, material: Material, size: Size, seed: int, told: Told) -> Tensor:
        from consingan.gan.finest import enlarged

        photo = photo_of(material)
        return enlarged(material.trained, photo.at(photo.size), size, seed, told)

    def facts(self, seed: int) -> Mapping[str, str]:
        return {"seed": f"{seed}"}


METHODS: Mapping[str, Method] = {"patches": ByPatches(), "singan": ByGenerator()}


@dataclass(frozen=True)
class EnlargeOptions:
    """Enlarging the picture."""

    factor: float = setting(4.0, "how many times as wide and as high the result is, from 1.1 to 8", low=1.1, high=8)
    method: str = setting(
        "patches",
        "where the detail comes from; patches: from the picture's own patches, in seconds; singan: from a generator "
        "that is trained on the picture first, in a minute or two",
        choices=tuple(METHODS),
    )
    seed: int = setting(0, "with --method singan: seed of the noise, and of the training", **SEED)
    truth: str | None = setting(
        None,
        "the picture as it should be, if you have it: tells PSNR, SSIM and patch distance beside bicubic's",
        file=True,
    )
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))

    def single(self) -> EnlargeOptions:
        """The same: the result is one."""
        return self


@dataclass(frozen=True)
class Enlarge:
    """One picture of more pixels, and the middle of it beside what bicubic interpolation makes."""

    name: str = "enlarge"
    summary: str = "the picture with more pixels"
    options: EnlargeOptions = EnlargeOptions()

    def unfit(self, material: Material) -> str | None:
        if material.photo is not None:
            return None
        return f"--application {self.name} needs the training picture, which this model does not hold; name its file."

    def announce(self, material: Material, options: EnlargeOptions) -> Expected:
        method = METHODS[options.method]
        method.check(material)
        size = size_for(photo_of(material).size, options.factor)
        return Expected(1, [size], finished=False, before=method.seconds * size[0] * size[1])

    def apply(self, material: Material, options: EnlargeOptions, told: Told) -> Iterator[Result]:
        from consingan.grid.resize import resize

        photo, method = photo_of(material), METHODS[options.method]
        method.check(material)
        size, format = size_for(photo.size, options.factor), for_kind(options.format, photo.kind)
        truth = None if options.truth is None else read_truth(Path(options.truth), photo.kind, size)
        size = size if truth is None else size_of(truth)
        small = photo.at(photo.size)
        made = method.make(material, size, options.seed, told).cpu()
        plain = resize(small.cpu(), size).clamp(0, 1)
        judged = {} if truth is None else against(truth, plain, made)
        facts = {"factor": f"{options.factor:g}", "method": options.method, **method.facts(options.seed)}
        if truth is not None:
            facts |= {"truth": Path(str(options.truth)).name} | {n: f"{own:.6g}" for n, (_, own) in judged.items()}
        notes = [sentence(judged)] if judged else []
        name = f"enlarged_{size[1]}x{size[0]}_{options.method}"
        yield Result(name, Role.ENLARGED, [signed(made)], facts, format, notes=tuple(notes), kind=photo.kind)
        yield Result(f"{name}_view", Role.VIEW, [view(photo.kind, options.method, plain, made, truth)], facts)


def size_for(photo: Size, factor: float) -> Size:
    """``(H, W)`` of a picture of ``(H, W)`` enlarged, rounded to whole pixels.

    Raises:
        UserError: that is too large for a machine.
    """
    size = rescaled(photo, factor, factor)
    if size[0] * size[1] > LARGEST_PIXELS:
        raise UserError(
            f"--factor {factor:g} makes {size[1]}x{size[0]} px of {photo[1]}x{photo[0]} px, "
            f"{size[0] * size[1] / 1e6:.0f} million pixels; at most {LARGEST_PIXELS / 1e6:.0f} million can be made, "
            "choose a smaller factor."
        )
    return size


def read_truth(file: Path, kind: Kind, size: Size) -> Tensor:
    """The picture as it should be, ``[1, C, H, W]`` in [0, 1].

    Args:
        file: where it is.
        kind: that it should have.
        size: that it should have. A few pixels more or less, as shrinking rounds them, become those of the result.

    Raises:
        UserError: it cannot be read, or shows something else.
    """
    from consingan.pictures import images

    truth = unit(images.of_kind(file, kind))
    found = size_of(truth)
    if any(abs(a - b) > max(1, b // 50) for a, b in zip(found, size, strict=True)):
        raise UserError(
            f"--truth {file} has {found[1]}x{found[0]} px, and the enlarged picture {size[1]}x{size[0]}; give the "
            "picture that was shrunk, or another --factor."
        )
    return truth


def against(truth: Tensor, plain: Tensor, made: Tensor) -> dict[str, tuple[float, float]]:
    """PSNR, SSIM and patch distance by name, each of bicubic interpolation and of the result."""
    from consingan.metrics.fidelity import psnr, ssim
    from consingan.metrics.figures import swd

    figures = {"psnr": psnr, "ssim": ssim, "swd": swd}
    return {name: (figure(truth, plain), figure(truth, made)) for name, figure in figures.items()}


def sentence(judged: dict[str, tuple[float, float]]) -> str:
    """The figures in a sentence."""
    (psnr, own_psnr), (ssim, own_ssim), (swd, own_swd) = (judged[name] for name in ("psnr", "ssim", "swd"))
    return (
        f"Against the truth: PSNR {own_psnr:.2f} dB (bicubic {psnr:.2f}), SSIM {own_ssim:.3f} ({ssim:.3f}), patch "
        f"distance {own_swd:.2g} ({swd:.2g}, lower is better)."
    )


def view(kind: Kind, method: str, plain: Tensor, made: Tensor, truth: Tensor | None) -> Tensor:
    """The middle of bicubic | result | truth, pixel by pixel, as ``[1, C, H, W]`` in [-1, 1]; all in [0, 1]."""
    from consingan.pictures.sheets import labelled_row, on_checks

    def middle(x: Tensor) -> Tensor:
        top, left = (max(0, side - SHOWN) // 2 for side in size_of(x))
        return on_checks(signed(x[:, :, top : top + SHOWN, left : left + SHOWN]), kind)

    items = [("bicubic", plain), (method, made), *([] if truth is None else [("truth", truth)])]
    return labelled_row([(text, middle(x)) for text, x in items])


ENLARGE: Application[EnlargeOptions] = Enlarge()
