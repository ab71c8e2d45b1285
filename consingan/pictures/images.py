"""Picture files to tensors and back: the only module that knows about file formats.

Inside the program a picture is a float32 tensor [1, C, H, W] with values in [-1, 1], where -1 is black, 1 is
full intensity and C is 1 (grey) or 3 (red, green, blue, sRGB encoded). A mask or an alpha is [1, 1, H, W]
with values in [0, 1].

Files are read with Pillow itself, because imageio hands back bare arrays: CMYK then looks like RGBA, palette
transparency and the colour profile are gone. Files are written through imageio, except GIF, whose palette is
chosen here.
"""

import math
import os
import secrets
import stat
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageCms, ImageColor, ImageDraw, ImageFont, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from consingan.errors import UserError

MAX_PIXELS = 100_000_000  # what load decodes unless told otherwise
MIN_SIDE = 8  # pixels; on less, no patch statistics can be learned

AnyPath = str | os.PathLike[str]

# A closed list, so that no file can start an outside program (Pillow runs Ghostscript on EPS) and no text
# file is taken for one of the formats that have no signature.
_READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
_WRITABLE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
    ".tif": {},
    ".tiff": {},
    ".bmp": {},
}
# Milliseconds in which the format counts, and the most frames a second that it can show (viewers slow a GIF
# that asks for more than 50 down to 10).
_ANIMATED = {".gif": (10, 50), ".webp": (1, 1000), ".png": (1, 1000)}
_SLOWEST = 0.1  # frames a second; the 16 bits of a GIF's frame time end at eleven minutes

_ORIENTATION = 0x0112  # EXIF and TIFF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF tags


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the program uses it.

    `pixels`: float32 [1, C, H, W] in [-1, 1], C = 1 or 3. `notes`: whole sentences that tell what was done to
    the file's content on the way (transparency filled, turned upright, converted to grey ...); empty when
    nothing was.
    """

    pixels: Tensor
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _File:
    """What a file holds: colour [1, 1 or 3, H, W] and alpha [1, 1, H, W] in [0, 1], nothing chosen yet."""

    colour: Tensor
    alpha: Tensor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    """What must be asked before Pillow decodes, because decoding forgets it."""

    frames: int
    turn: int  # EXIF orientation of a TIFF, which Pillow applies by itself
    sixteen_bit_colour: bool  # which Pillow cuts down to 8
    sixteen_bit_grey: bool  # also where Pillow puts it into 32 bits
    grey_pair: bool  # 16-bit grey + alpha, which Pillow hands out as RGBA
    full_scale: int  # of 16-bit grey
    inverted: bool  # 0 is white
    unsigned: bool  # 32-bit integers that Pillow shows as signed ones


# ---------------------------------------------------------------------------------------------- reading


def load(
    path: AnyPath, *, channels: int | None = None, background: str = "white", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a picture file.

    `channels`: 1 converts colour to grey (luma 0.299 R + 0.587 G + 0.114 B), 3 repeats grey; None keeps what
    the file is: grey modes (1, 8, 16 or 32 bits, with or without alpha) give C = 1, everything else 3, even
    where red, green and blue happen to agree.

    `background`: the colour that transparent parts are laid on, a name or #rrggbb; or "keep-out", which lays
    them on the mean colour of the opaque pixels (of all pixels weighted by alpha where none is opaque), so
    that the fill brings in no foreign colour.

    16-bit grey keeps its precision (0..65535 -> [-1, 1]). 32-bit and float grey, which have no agreed full
    scale, are stretched from their own minimum and maximum. Of several frames or pages the first is used.

    Raises UserError, one sentence, for a file that is missing, unreadable, damaged, no picture, above
    `max_pixels` (checked before decoding) or below 8 pixels on the shorter side, and for a bad colour.
    """
    if channels not in (None, 1, 3):
        raise UserError(f"channels is {channels}: use 1 for grey or 3 for colour")
    paper = None if background == "keep-out" else parse_colour(background)
    file = _read(path, max_pixels, smallest=MIN_SIDE)
    notes = list(file.notes)
    stored = file.colour.shape[1]
    colour = _with_channels(file.colour, channels or stored)
    if colour.shape[1] < stored:
        notes.append("Colour was converted to grey.")
    elif colour.shape[1] > stored:
        notes.append("Grey was repeated into three equal channels.")
    elif stored == 1:
        notes.append("The picture is grey and is used as one channel.")
    if file.alpha is not None and bool((file.alpha < 1).any()):
        fill = _mean_colour(path, colour, file.alpha) if paper is None else _constant(paper, colour)
        colour = colour * file.alpha + fill * (1 - file.alpha)
        laid = "the mean colour of the opaque pixels" if paper is None else background
        notes.append(f"Transparent parts were laid on {laid}.")
    return Picture(colour.mul_(2).sub_(1), tuple(notes))


def alpha_of(path: AnyPath, *, max_pixels: int = MAX_PIXELS) -> Tensor | None:
    """Read the transparency of a picture: [1, 1, H, W] in [0, 1], 1 = opaque; None if the file stores none.

    A file with an alpha channel that is opaque everywhere gives ones. Raises UserError like `load`, but takes
    pictures of any size up to `max_pixels`.
    """
    return _read(path, max_pixels).alpha


def load_mask(path: AnyPath, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read a mask: [1, 1, H, W] in [0, 1], soft values kept; `size` = (height, width) resizes it.

    Colour counts by its luma. Full scale is that of the file's type, not of its content: 255 of 8 bits,
    65535 of 16 bits, true of 1 bit. Only 32-bit files, which have no agreed full scale, are divided by their
    largest value where that is above 1. Transparent parts count as 0; where all visible pixels have one
    colour the shape is in the alpha alone, and the alpha is the mask. An all-zero mask is returned as such.

    Resizing is bilinear and antialiased. Raises UserError like `load`, but takes masks of any size up to
    `max_pixels`.
    """
    file = _read(path, max_pixels, as_mask=True)
    mask = _with_channels(file.colour, 1)
    if file.alpha is not None:
        visible = mask[file.alpha > 0]
        one_colour = visible.numel() == 0 or bool(visible.min() == visible.max())
        mask = file.alpha if one_colour and bool((file.alpha < 1).any()) else mask * file.alpha
    if size is not None and tuple(mask.shape[2:]) != tuple(size):
        mask = F.interpolate(mask, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return mask.clamp(0, 1)


def parse_colour(text: str, flag: str = "--background") -> tuple[float, float, float]:
    """Turn a colour name or #rrggbb into (red, green, blue), each in [0, 1].

    Raises UserError that names `flag` when the text is no colour.
    """
    wanted = "use a name such as white or a code such as #ffffff"
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UserError(f"{flag} is {text!r}, which is no colour: {wanted}") from error
    if max(red, green, blue) > 255:
        raise UserError(f"{flag} is {text!r}, which has a part above 255: {wanted}")
    return red / 255, green / 255, blue / 255


def _read(path: AnyPath, max_pixels: int, *, smallest: int = 1, as_mask: bool = False) -> _File:
    _check_file(path)
    with _decoding(path), open(path, "rb") as stream:
        image = Image.open(stream, formats=_installed_formats())
        _check_size(path, image.size, max_pixels, smallest)
        return _decode(path, image, as_mask)


def _check_file(path: AnyPath) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} does not exist: check the spelling of the path") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be opened ({_reason(error)}): check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a folder: name one picture file")
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block or never end
        raise UserError(f"{path} is not an ordinary file: name a picture file")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): save or fetch it again")


def _check_size(path: AnyPath, size: tuple[int, int], max_pixels: int, smallest: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UserError(
            f"{path} has {width}x{height} pixels, above the limit of {max_pixels}: "
            "make it smaller or raise --max-pixels"
        )
    if min(width, height) < smallest:
        raise UserError(
            f"{path} has only {width}x{height} pixels: "
            f"use a picture with at least {smallest} pixels on the shorter side"
        )


@contextmanager
def _decoding(path: AnyPath) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence, and lift Pillow's own size limit for the while.

    Decoders of damaged files raise nearly anything (OSError, SyntaxError, struct.error, IndexError ...), so
    every Exception is caught. The limit is a global of Pillow that would overrule --max-pixels.
    """
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files; what matters of them is in our notes
            yield
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{path} may not be read (permission denied): change its permissions") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path} is no picture that can be read: use an 8-bit PNG, JPEG, WebP, TIFF, BMP or GIF"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path} needs more memory than there is: make the picture smaller") from error
    except Exception as error:
        raise UserError(f"{path} is damaged or unusual ({_reason(error)}): export it again as PNG") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _reason(error: BaseException) -> str:
    """The library's own words, cut down to a clause that fits into our sentence."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    first = words.strip().splitlines()[0].split(". ")[0].strip(" .")
    return first[:100] or type(error).__name__


def _installed_formats() -> list[str]:
    Image.init()
    return [name for name in _READABLE if name in Image.OPEN]


def _decode(path: AnyPath, stored: ImageFile, as_mask: bool) -> _File:
    header = _read_header(path, stored)
    stored.load()
    turn = _orientation(stored)
    image = stored.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else stored
    notes = []
    if header.frames > 1:
        notes.append(f"The first of {header.frames} frames or pages is used.")
    if turn in _UPRIGHT or header.turn in _UPRIGHT:
        notes.append("The picture was turned upright by its EXIF orientation.")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        colour = _deep_grey(path, image, header, as_mask, notes)
    else:
        colour = _shallow(image, header, as_mask, notes)
    return _File(colour, _alpha(image), tuple(notes))


def _read_header(path: AnyPath, image: ImageFile) -> _Header:
    packing = str(image.tile[0][3]) if image.tile else ""
    _repair_key_colour(image, packing)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    bits = max(tags.get(_BITS, (8,)))
    if bits == 16 and tags.get(_PLANAR) == 2 and image.tile[0][0] == "raw":
        raise UserError(f"{path} stores 16-bit colour plane by plane, which cannot be read: save it as PNG")
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame is damaged; the first one is what counts
        frames = 1
    return _Header(
        frames=frames,
        turn=_orientation(image) if tags else 1,
        sixteen_bit_colour=image.format in ("PNG", "TIFF") and ";16" in packing and "I;16" not in packing,
        sixteen_bit_grey=image.mode.startswith("I;16") or image.format in ("PNG", "PPM"),
        grey_pair=packing.startswith("LA;16"),
        full_scale=2**bits - 1 if 8 < bits < 16 else 65535,
        inverted=tags.get(_PHOTOMETRIC) == 0,
        unsigned=image.mode == "I" and bits == 32 and max(tags.get(_SAMPLE_FORMAT, (1,))) == 1,
    )


def _repair_key_colour(image: Image.Image, packing: str) -> None:
    """Bring a PNG's transparent colour to the 8-bit scale of the pixels, which Pillow does for 1 bit only."""
    key = image.info.get("transparency")
    if isinstance(key, int) and packing in ("L;2", "L;4"):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[packing]
    elif isinstance(key, tuple) and packing.startswith("RGB;16"):
        image.info["transparency"] = tuple(part >> 8 for part in key)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block must not make a good picture unreadable
        return 1


def _alpha(image: Image.Image) -> Tensor | None:
    if not image.has_transparency_data:
        return None
    if image.mode == "I" or image.mode.startswith("I;16"):
        opaque = np.asarray(image) != image.info["transparency"]
        return torch.from_numpy(opaque.astype(np.float32))[None, None]
    return _tensor(image.convert("RGBA").getchannel("A"))


def _deep_grey(path: AnyPath, image: Image.Image, header: _Header, as_mask: bool, notes: list[str]) -> Tensor:
    """Grey of more than 8 bits -> [1, 1, H, W] in [0, 1]. Pillow's own conversion would clip it to white."""
    values = np.array(image)
    if image.info.get("icc_profile"):  # applied to no more than 8 bits by Pillow
        notes.append("The ICC colour profile of grey above 8 bits was not applied.")
    if header.sixteen_bit_grey:
        notes.append("16-bit grey was read at full precision.")
        grey = values.astype(np.float32) / header.full_scale
        return torch.from_numpy(1 - grey if header.inverted else grey)[None, None]
    wide = (values.view(np.uint32) if header.unsigned else values).astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError(f"{path} holds NaN or infinite values: replace them by numbers and save it again")
    low, high = float(wide.min()), float(wide.max())
    if as_mask:
        wide = wide.clip(0, None) / max(high, 1.0)
    else:
        notes.append(f"32-bit values {low:g} to {high:g} were stretched to black to white.")
        wide = (wide - low) / (high - low) if high > low else np.full_like(wide, 0.5)
    return torch.from_numpy(wide.astype(np.float32))[None, None]


def _shallow(image: Image.Image, header: _Header, as_mask: bool, notes: list[str]) -> Tensor:
    """Any mode of 8 bits or fewer -> [1, 1 or 3, H, W] in [0, 1], sRGB, alpha left aside."""
    profile = None if as_mask else image.info.get("icc_profile")
    if header.sixteen_bit_colour:
        notes.append("16 bits per channel were read at 8 bits.")
    if header.grey_pair:
        plain = image.getchannel("R")
    elif image.mode in ("1", "L", "LA"):
        plain = image.convert("L")
    elif image.mode == "CMYK":
        plain = image
        notes.append("CMYK colours were converted to RGB.")
    else:
        plain = image.convert("RGB")
    if profile:
        plain = _to_srgb(plain, profile, notes)
    return _tensor(plain.convert("RGB") if plain.mode == "CMYK" else plain)


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert L, RGB or CMYK from the file's ICC profile; L and RGB keep their mode, CMYK becomes RGB."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
        converted = None
    if converted is None:
        notes.append("The ICC colour profile does not fit the picture and was ignored.")
        return image
    if image.mode == "L":
        converted = converted.getchannel("G")
    if image.mode == converted.mode:
        # Most files carry sRGB itself; then the conversion only adds rounding, and the original is kept.
        bands = np.ravel(ImageChops.difference(image, converted).getextrema())
        if bands.max() <= 2:
            return image
    notes.append("Colours were converted from the ICC profile of the file to sRGB.")
    return converted


def _tensor(image: Image.Image) -> Tensor:
    """An L or RGB image -> float32 [1, C, H, W] in [0, 1]."""
    values = torch.from_numpy(np.array(image))
    values = values[None] if values.ndim == 2 else values.permute(2, 0, 1)
    return values[None].to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _with_channels(colour: Tensor, count: int) -> Tensor:
    if colour.shape[1] == count:
        return colour
    if count == 3:
        return colour.repeat(1, 3, 1, 1)
    red, green, blue = colour.split(1, dim=1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).clamp_(0, 1)


def _constant(rgb: tuple[float, float, float], like: Tensor) -> Tensor:
    return _with_channels(torch.tensor(rgb).view(1, 3, 1, 1), like.shape[1])


def _mean_colour(path: AnyPath, colour: Tensor, alpha: Tensor) -> Tensor:
    opaque = (alpha == 1).float()
    weight = opaque if bool(opaque.any()) else alpha
    if not bool(weight.any()):
        raise UserError(f"{path} is transparent everywhere: give --background a colour instead of keep-out")
    total = (colour * weight).sum((2, 3), keepdim=True, dtype=torch.float64)
    return (total / weight.sum(dtype=torch.float64)).float()


# ------------------------------------------------------------------------------------ arrays and tensors


def to_uint8(x: Tensor) -> np.ndarray:
    """Turn a picture tensor [1, C, H, W] or [C, H, W] in [-1, 1] into bytes: [H, W, 3], or [H, W] for C = 1.

    Values are rounded to the nearest of 0..255; what lies outside [-1, 1] is clamped. Raises UserError for
    NaN, which only a diverged model produces, and ValueError for another shape.
    """
    planes = _one_picture(x)[0].float()
    if bool(planes.isnan().any()):
        raise UserError("the picture holds NaN values, the model that made it has diverged: train it again")
    levels = planes.add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return levels[0].numpy() if len(levels) == 1 else levels.permute(1, 2, 0).contiguous().numpy()


def from_array(array: np.ndarray | Tensor) -> Tensor:
    """Turn pixel values into a picture tensor [1, C, H, W], float32 in [-1, 1].

    Arrays are [H, W], [H, W, 1] or [H, W, 3], of uint8 (0..255), uint16 (0..65535) or float, which is taken
    as [0, 1]. Tensors are [C, H, W] or [1, C, H, W], float, already in [-1, 1], and are passed on. Raises
    UserError for other shapes, types or ranges, and for an alpha channel.
    """
    if isinstance(array, Tensor):
        return _from_tensor(array)
    if not isinstance(array, np.ndarray):
        raise UserError(f"a picture came as {type(array).__name__}: pass a numpy array or a torch tensor")
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim == 3 and planes.shape[2] in (2, 4):
        raise UserError(f"a picture array has shape {array.shape} with alpha: drop or composite it first")
    if planes.ndim != 3 or planes.shape[2] not in (1, 3) or planes.size == 0:
        raise UserError(f"a picture array has shape {array.shape}: pass [H, W] or [H, W, 3]")
    kind, size = array.dtype.kind, array.dtype.itemsize  # whatever the byte order
    full_scale = {("u", 1): 255, ("u", 2): 65535}.get((kind, size), 1 if kind == "f" else 0)
    if not full_scale:
        raise UserError(f"a picture array has type {array.dtype}: pass uint8, uint16 or float in [0, 1]")
    values = torch.from_numpy(np.array(planes.transpose(2, 0, 1), dtype=np.float32, order="C"))[None]
    values /= full_scale
    _check_range(values, 0, "float array")
    return values.clamp_(0, 1).mul_(2).sub_(1)


def _from_tensor(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise UserError(f"a picture tensor has type {x.dtype}: pass floats in [-1, 1] or a numpy array")
    if x.ndim not in (3, 4) or (x.ndim == 4 and len(x) != 1) or x.shape[-3] not in (1, 3) or x.numel() == 0:
        raise UserError(f"a picture tensor has shape {tuple(x.shape)}: pass [C, H, W] with C = 1 or 3")
    _check_range(x, -1, "tensor")
    return (x if x.ndim == 4 else x[None]).detach().float()


def _check_range(x: Tensor, low: int, what: str) -> None:
    least, most = float(x.min()), float(x.max())
    if not (least >= low - 1e-3 and most <= 1 + 1e-3):  # written so that NaN fails too
        raise UserError(f"a picture {what} has values from {least:g} to {most:g}: scale them to [{low}, 1]")


def _one_picture(x: Tensor) -> Tensor:
    """Any picture tensor as [1, C, H, W] on the CPU."""
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[0] != 1 or x.shape[1] not in (1, 3):
        raise ValueError(f"a picture is [1, C, H, W] or [C, H, W] with C = 1 or 3, not {tuple(x.shape)}")
    return x.detach().cpu()


# ---------------------------------------------------------------------------------------------- writing


def save(path: AnyPath, x: Tensor, *, text: Mapping[str, str] | None = None) -> None:
    """Write a picture tensor [1, C, H, W] or [C, H, W] in [-1, 1]; the extension decides the format.

    .png, .webp, .tif and .bmp are lossless at 8 bits; .jpg has quality 95 and full colour resolution. `text`
    goes into PNG text chunks; the other formats do not carry it. The file appears complete or not at all, and
    replaces an older one. Raises UserError for an unknown extension and when the file cannot be written.
    """
    suffix = _suffix(path, tuple(_WRITABLE))
    options = dict(_WRITABLE[suffix])
    if suffix == ".png" and text:
        options["pnginfo"] = PngInfo()
        for key, value in text.items():
            options["pnginfo"].add_text(key, value)
    pixels = to_uint8(x)
    with _encoding(path):
        data = iio.imwrite("<bytes>", pixels, plugin="pillow", extension=suffix, **options)
    _write(path, data)


def save_animation(path: AnyPath, frames: Sequence[Tensor], fps: float) -> None:
    """Write equally large pictures [1, C, H, W] or [C, H, W] in [-1, 1] as an endless animation.

    .webp and .png (APNG) are lossless; .gif has one palette of 255 colours for all frames (grey is exact).
    `fps` is 0.1 to 50 frames a second for .gif, to 1000 for the others. Frame times are rounded (to 10 ms in
    a GIF) so that their sum stays right; a run of identical frames is stored once, with the summed time. The
    file appears complete or not at all. Raises UserError for an unknown extension, an `fps` that the format
    cannot show, and when the file cannot be written; ValueError for no frames or frames of different shapes.
    """
    suffix = _suffix(path, tuple(_ANIMATED))
    unit, most = _ANIMATED[suffix]
    if not _SLOWEST <= fps <= most:
        raise UserError(f"{path} cannot show {fps:g} frames a second: choose {_SLOWEST} to {most}")
    pixels = [to_uint8(frame) for frame in frames]
    if len({frame.shape for frame in pixels}) != 1:
        raise ValueError(f"an animation needs frames of one shape, not {sorted({f.shape for f in pixels})}")
    ticks = [round(k * 1000 / fps / unit) for k in range(len(pixels) + 1)]
    times = [unit * (after - before) for before, after in pairwise(ticks)]
    with _encoding(path):
        if suffix == ".gif":
            data = _gif(pixels, times)
        else:
            options: dict[str, Any] = {"duration": times, "loop": 0, "is_batch": True}
            if suffix == ".webp":
                options["lossless"] = True
            data = iio.imwrite("<bytes>", pixels, plugin="pillow", extension=suffix, **options)
    _write(path, data)


def _gif(pixels: Sequence[np.ndarray], times: Sequence[int]) -> bytes:
    """Encode with one palette for all frames: a palette for each makes parts flicker that stand still.

    Dither is on. Measured on a bush and a stormy sky of 250 pixels with small movements, 20 frames each:
    after a slight blur, which is about what the eye does, error diffusion lowers the error that remains by 35
    and 45 per cent and the flicker by 18 and 12; without it smooth skies turn into bands that jump.
    """
    frames = [Image.fromarray(frame) for frame in pixels]
    if pixels[0].ndim == 3:
        palette = _shared_palette(pixels)
        frames = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    stream = BytesIO()
    # optimize=False keeps the palette as it is, the same for every frame.
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=list(times), loop=0, optimize=False)
    return stream.getvalue()


def _shared_palette(pixels: Sequence[np.ndarray]) -> Image.Image:
    """255 colours for all frames; the 256th is left to the encoder, which marks unchanged pixels with it."""
    colours = np.stack(pixels).reshape(-1, 3)
    if len(colours) > 2**16:  # enough for a palette, and k-means stays below a second
        colours = np.random.default_rng(0).choice(colours, 2**16, replace=False, shuffle=False)
    sample = Image.fromarray(np.ascontiguousarray(colours[None]))
    return sample.quantize(255, method=Image.Quantize.MEDIANCUT, kmeans=1)


def _suffix(path: AnyPath, known: tuple[str, ...]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        seen = f"the extension {suffix}" if suffix else "no extension"
        raise UserError(f"{path} has {seen}: use one of {' '.join(known)}")
    return suffix


@contextmanager
def _encoding(path: AnyPath) -> Iterator[None]:
    """Turn an encoder's refusal (WebP and JPEG have a largest size) into one sentence."""
    try:
        yield
    except (OSError, ValueError, struct.error) as error:
        raise UserError(f"cannot encode {path} ({_reason(error)}): try .png or a smaller picture") from error


def _write(path: AnyPath, data: bytes) -> None:
    """Write aside in the same folder, then rename, so that no reader ever sees half a file."""
    aside = Path(path).with_name(f".{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(aside, "xb") as stream:
            stream.write(data)
        os.replace(aside, path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot write {path} ({_reason(error)}): check that its folder exists, is writable and has room"
        ) from error
    finally:
        with suppress(OSError, ValueError):  # after the rename there is nothing left to remove
            aside.unlink()


# ------------------------------------------------------------------------------------------------ views


def grid(pictures: Sequence[Tensor], columns: int | None = None, gap: int = 2) -> Tensor:
    """Put pictures [1, C, H, W] or [C, H, W] in [-1, 1] on a white sheet, row by row: [1, C, H', W'].

    Every cell has the size of the largest picture, smaller ones are centred; `gap` white pixels lie between
    cells, none at the rim. With `columns` None there are about as many columns as rows. If any picture has
    three channels the sheet has three. Raises ValueError for no pictures.
    """
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    cells = [_one_picture(picture).float() for picture in pictures]
    count = max(cell.shape[1] for cell in cells)
    height, width = (max(cell.shape[side] for cell in cells) for side in (2, 3))
    columns = max(1, min(columns or math.ceil(math.sqrt(len(cells))), len(cells)))
    rows = math.ceil(len(cells) / columns)
    sheet = torch.ones(1, count, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, :, top : top + height, left : left + width] = _centred(_with_channels(cell, count), height, width)
    return sheet


def labelled_row(items: Sequence[tuple[str, Tensor]], gap: int = 4) -> Tensor:
    """Put pictures [1, C, H, W] or [C, H, W] in [-1, 1] side by side, captions below: [1, C, H', W'].

    Pictures are centred to the height of the largest, captions stand on one line in black on white; a cell is
    as wide as the wider of picture and caption. Raises ValueError for no pictures.
    """
    pictures = [_one_picture(picture).float() for _, picture in items]
    if not pictures:
        raise ValueError("a row needs at least one picture")
    captions = [_caption(text) for text, _ in items]
    count = max(picture.shape[1] for picture in pictures)
    tallest = max(picture.shape[2] for picture in pictures)
    cells = []
    for picture, caption in zip(pictures, captions, strict=True):
        width = max(picture.shape[3], caption.shape[3])
        above = _centred(_with_channels(picture, count), tallest, width)
        below = _centred(_with_channels(caption, count), caption.shape[2], width)
        cells.append(torch.cat([above, below], dim=2))
    return torch.cat([F.pad(cell, (0, gap), value=1.0) for cell in cells[:-1]] + cells[-1:], dim=3)


def _caption(text: str) -> Tensor:
    """One line of text, black on white, [1, 1, h, w] in [-1, 1]; h is the same for every text."""
    font = ImageFont.load_default()
    line = " ".join(text.split())
    left, _, right, _ = font.getbbox(line)
    tallest = font.getbbox("Agjy|")[3]
    strip = Image.new("L", (math.ceil(right - left) + 4, math.ceil(tallest) + 4), 255)
    ImageDraw.Draw(strip).text((2 - left, 2), line, fill=0, font=font)
    return _tensor(strip).mul_(2).sub_(1)


def _centred(picture: Tensor, height: int, width: int) -> Tensor:
    """The picture in the middle of a white [1, C, height, width]."""
    down, across = height - picture.shape[2], width - picture.shape[3]
    return F.pad(picture, (across // 2, across - across // 2, down // 2, down - down // 2), value=1.0)
