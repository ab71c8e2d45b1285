"""The picture enlarged, with detail of its own patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told
from consingan.applications.instant import photo_of
from consingan.config import setting
from consingan.errors import UserError
from consingan.finish.scales import LARGEST_PIXELS
from consingan.grid.ranges import signed, unit
from consingan.grid.sizes import Size, rescaled, size_of
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.grid.kinds import Kind

SECONDS_PER_PIXEL = 20e-6  # of the result on one core, measured at 256x384 px
METHOD = "patches"  # in names and facts
SHOWN = 240  # px of the part in the middle that the view shows


@dataclass(frozen=True)
class EnlargeOptions:
    """Enlarging the picture."""

    factor: float = setting(4.0, "how many times as wide and as high the result is, from 1.1 to 8", low=1.1, high=8)
    truth: str | None = setting(
        None, "the picture as it should be, if you have it: tells PSNR, SSIM and patch distance beside bicubic's"
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
        size = size_for(photo_of(material).size, options.factor)
        return Expected(1, [size], finished=False, before=SECONDS_PER_PIXEL * size[0] * size[1])

    def apply(self, material: Material, options: EnlargeOptions, told: Told) -> Iterator[Result]:
        from consingan.finish.across import enlarge
        from consingan.grid.resize import resize

        photo = photo_of(material)
        size, format = size_for(photo.size, options.factor), for_kind(options.format, photo.kind)
        truth = None if options.truth is None else read_truth(Path(options.truth), photo.kind, size)
        size = size if truth is None else size_of(truth)
        small = photo.at(photo.size)
        made = enlarge(small, size, told).cpu()
        plain = resize(small.cpu(), size).clamp(0, 1)
        judged = {} if truth is None else against(truth, plain, made)
        facts = {"factor": f"{options.factor:g}", "method": METHOD}
        if truth is not None:
            facts |= {"truth": Path(str(options.truth)).name} | {n: f"{own:.6g}" for n, (_, own) in judged.items()}
        notes = [sentence(judged)] if judged else []
        name = f"enlarged_{size[1]}x{size[0]}_{METHOD}"
        yield Result(name, Role.ENLARGED, [signed(made)], facts, format, notes=tuple(notes), kind=photo.kind)
        yield Result(f"{name}_view", Role.VIEW, [view(photo.kind, plain, made, truth)], facts)


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


def view(kind: Kind, plain: Tensor, made: Tensor, truth: Tensor | None) -> Tensor:
    """The middle of bicubic | result | truth, pixel by pixel, as ``[1, C, H, W]`` in [-1, 1]; all in [0, 1]."""
    from consingan.pictures.sheets import labelled_row, on_checks

    def middle(x: Tensor) -> Tensor:
        top, left = (max(0, side - SHOWN) // 2 for side in size_of(x))
        return on_checks(signed(x[:, :, top : top + SHOWN, left : left + SHOWN]), kind)

    items = [("bicubic", plain), (METHOD, made), *([] if truth is None else [("truth", truth)])]
    return labelled_row([(text, middle(x)) for text, x in items])


ENLARGE: Application[EnlargeOptions] = Enlarge()
