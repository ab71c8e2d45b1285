"""From a picture file to colour and alpha: what Pillow hands out, put right.

Files are read with Pillow itself, because imageio hands back bare arrays: CMYK then looks like RGBA, palette
transparency and the colour profile are gone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, BinaryIO, cast

import numpy as np
import torch
from PIL import Image, ImageChops, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.kinds import FULL
from consingan.pictures import deep, npy, tiff
from consingan.pictures.source import AnyPath, is_input, opened, reason
from consingan.storage.formats import READABLE

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
MOST_READS, BYTES_PER_READ = 100_000, 256  # of a file: so many, and one more for so many bytes
READS_FOR_FRAMES = 20_000  # to count the frames
MANY = 2**31  # frames: more than were counted
_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF tags


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file holds, nothing chosen yet.

    Args:
        colour: float32 ``[1, C, H, W]`` in [0, 1]: 1 is grey, 3 are red, green and blue, others mean what they mean.
        alpha: float32 ``[1, 1, H, W]`` in [0, 1], 1 is opaque; None if the file stores none.
        notes: whole sentences on what was done to the content.
        depth: of a value, a key of ``kinds.FULL``.
    """

    colour: Tensor
    alpha: Tensor | None
    notes: tuple[str, ...]
    depth: str = "uint8"


@dataclass(frozen=True)
class _Header:
    """What must be asked before Pillow decodes, because decoding forgets it."""

    turn: int  # EXIF orientation of a TIFF, which Pillow applies by itself
    sixteen_bit_colour: bool  # which Pillow cuts down to 8
    sixteen_bit_grey: bool  # also where Pillow puts it into 32 bits
    grey_pair: bool  # 16-bit grey + alpha, which Pillow hands out as RGBA
    packing: str  # what Pillow is told to unpack
    key: tuple[int, ...] | None  # the transparent colour, of as many bits as the pixels
    full_scale: int  # of 16-bit grey
    inverted: bool  # 0 is white
    unsigned: bool  # 32-bit integers that Pillow shows as signed ones


def decoded(path: AnyPath | Image.Image, max_pixels: int, *, smallest: int = 1, as_mask: bool = False) -> Decoded:
    """What a picture file holds.

    Args:
        path: the file, - for standard input, or a picture of Pillow's, of which the frame that is shown counts.
        max_pixels: more are refused before they are decoded.
        smallest: pixels that the shorter side must have.
        as_mask: numbers are a mask's: no colour profile, and 32 bits are not stretched but divided by their largest.

    Raises:
        UserError: the file is missing, unreadable, damaged, no picture, too large or too small.
    """
    if isinstance(path, Image.Image):
        name = name_of(path)
        with _decoding(name):
            _check_size(name, path.size, max_pixels, smallest)
            return _decode(name, path.copy(), 1, as_mask, None)
    source, path = path, "The picture from standard input" if is_input(path) else path
    with _decoding(path), opened(source) as stream:
        if (found := _unknown_to_pillow(path, stream, max_pixels)) is not None:
            _check_size(path, (found.colour.shape[3], found.colour.shape[2]), max_pixels, smallest)
            return found
        counted = _Counted(stream)
        image = Image.open(cast(IO[bytes], counted), formats=_installed_formats())
        _check_size(path, image.size, max_pixels, smallest)
        frames = _frames(image, counted)

        def again() -> ImageFile:
            return Image.open(cast(IO[bytes], _Counted(stream)), formats=_installed_formats())

        return _decode(path, image, frames, as_mask, None if as_mask else again)


def _unknown_to_pillow(path: AnyPath, stream: BinaryIO, max_pixels: int) -> Decoded | None:
    """What a numpy file holds, or a TIFF file of many channels; None for any other."""
    if npy.is_npy(stream):
        values = npy.read(path, stream, max_pixels)
        notes = "" if values.shape[2] not in (2, 4) else ", of which the last is the alpha"
        note = f"The array has {values.shape[2]} channels of {values.dtype}{notes}."
        return _of_array(values, int(values.shape[2] in (2, 4)) * tiff.STRAIGHT, note)
    layout = tiff.layout(stream)
    if layout is None or not layout.ours:
        return None
    values = tiff.read(path, stream, layout, max_pixels)
    note = f"The file has {values.shape[2]} channels of {8 * values.itemsize} bits."
    return _of_array(values, layout.alpha, note)


def _of_array(values: np.ndarray, alpha: int, note: str) -> Decoded:
    """Channels ``[H, W, C]`` of a depth; ``alpha`` says how the last of them is one, as ``tiff.Layout.alpha``."""
    full = FULL[str(values.dtype)]
    planes = torch.from_numpy(values.astype(np.float32).transpose(2, 0, 1)[None]).contiguous().div_(full)
    if not alpha:
        return Decoded(planes, None, (note,), str(values.dtype))
    colour, opaque = planes[:, :-1], planes[:, -1:]
    if alpha == tiff.ASSOCIATED:
        colour = torch.where(opaque > 0, colour / opaque.clamp_min(1 / full), 0.0).clamp(0, 1)
    return Decoded(colour, opaque, (note,), str(values.dtype))


class _Counted:
    """A file that refuses to be read in too many pieces: decoders walk through millions of tiny chunks in Python.

    Args:
        file: open for reading, of any size.

    Attributes:
        left: how often it may still be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = MOST_READS + file.seek(0, os.SEEK_END) // BYTES_PER_READ
        file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        self.left -= 1
        if self.left < 0:
            raise OSError("it is cut into far more pieces than a picture needs")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def name_of(image: Image.Image) -> str:
    """What a picture of Pillow's is called: its file's name where it came from one."""
    return os.path.basename(str(getattr(image, "filename", ""))) or "picture"


def _check_size(path: AnyPath, size: tuple[int, int], max_pixels: int, smallest: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UserError(
            f"{path} has {width}x{height} pixels, above the limit of {max_pixels}: "
            "make it smaller or raise --max_pixels"
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
    every Exception is caught. The limit is a global of Pillow that would overrule --max_pixels.
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
            f"{path} is no picture that can be read: use PNG, JPEG, WebP, TIFF, BMP, GIF or .npy"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path} needs more memory than there is: make the picture smaller") from error
    except Exception as error:
        raise UserError(f"{path} is damaged or unusual ({reason(error)}): export it again as PNG") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _installed_formats() -> list[str]:
    Image.init()
    return [name for name in READABLE if name in Image.OPEN]


def _frames(image: Image.Image, counted: _Counted) -> int:
    """How many frames or pages there are, as far as a little reading tells: files may hold a million of them."""
    left, counted.left = counted.left, READS_FOR_FRAMES
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame is damaged, or there are too many; the first one is what counts
        many = counted.left < 0
        counted.left = left
        image.seek(0)
        return MANY if many else 1
    finally:
        counted.left = left


def _decode(
    path: AnyPath, stored: Image.Image, frames: int, as_mask: bool, again: Callable[[], ImageFile] | None
) -> Decoded:
    """What a picture holds; ``again`` opens it anew, so that all of its bits can be read."""
    header = _read_header(path, stored)
    stored.load()
    turn = _orientation(stored)
    image = stored.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else stored
    notes = []
    if frames > 1:
        notes.append(f"The first of {'many' if frames == MANY else frames} frames or pages is used.")
    if turn in _UPRIGHT or header.turn in _UPRIGHT:
        notes.append("The picture was turned upright by its EXIF orientation.")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        colour = _deep_grey(path, image, header, as_mask, notes)
        return Decoded(colour, _alpha(image), tuple(notes), "uint16")
    if header.sixteen_bit_colour and again is not None and deep.unpacking(header.packing) is not None:
        if _is_srgb(image):
            notes.append("16 bits per channel were read at full precision.")
            values = deep.sixteen(again, header.packing, _UPRIGHT.get(turn))
            return _keyed(_of_array(values, int(values.shape[2] in (2, 4)) * tiff.STRAIGHT, ""), header, notes)
        notes.append("The ICC colour profile is not sRGB, and was applied to 8 of 16 bits.")
    colour = _shallow(image, header, as_mask, notes)
    return Decoded(colour, _alpha(image), tuple(notes))


def _keyed(found: Decoded, header: _Header, notes: list[str]) -> Decoded:
    """Colour of 16 bits with the notes, transparent where it has a PNG's transparent colour."""
    alpha = found.alpha
    if header.key is not None and alpha is None:
        key = torch.tensor(header.key).view(1, -1, 1, 1)
        alpha = (found.colour.mul(65535).round() != key).any(1, keepdim=True).float()
    return Decoded(found.colour, alpha, tuple(notes), found.depth)


def _is_srgb(image: Image.Image) -> bool:
    """Whether a picture's values are sRGB, as far as its profile tells."""
    profile = image.info.get("icc_profile")
    if not profile:
        return True
    plain = image.convert("RGB")
    return _to_srgb(plain, profile, []) is plain


def _read_header(path: AnyPath, image: Image.Image) -> _Header:
    tile = getattr(image, "tile", None)
    packing = first_word(tile[0][3]) if tile else ""
    key = image.info.get("transparency")
    _repair_key_colour(image, packing)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    bits = max(tags.get(_BITS, (8,)))
    if bits == 16 and tags.get(_PLANAR) == 2 and tile and tile[0][0] == "raw":
        raise UserError(f"{path} stores 16-bit colour plane by plane, which cannot be read: save it as PNG")
    return _Header(
        turn=_orientation(image) if tags else 1,
        sixteen_bit_colour=image.format in ("PNG", "TIFF") and ";16" in packing and "I;16" not in packing,
        sixteen_bit_grey=image.mode.startswith("I;16") or image.format in ("PNG", "PPM"),
        grey_pair=packing.startswith("LA;16"),
        packing=packing,
        key=key if isinstance(key, tuple) else None,
        full_scale=2**bits - 1 if 8 < bits < 16 else 65535,
        inverted=tags.get(_PHOTOMETRIC) == 0,
        unsigned=image.mode == "I" and bits == 32 and max(tags.get(_SAMPLE_FORMAT, (1,))) == 1,
    )


def first_word(args: object) -> str:
    """What a decoder is told to unpack."""
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


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
    return in_unit(image.convert("RGBA").getchannel("A"))


def _deep_grey(path: AnyPath, image: Image.Image, header: _Header, as_mask: bool, notes: list[str]) -> Tensor:
    """Grey of more than 8 bits -> ``[1, 1, H, W]`` in [0, 1]. Pillow's own conversion would clip it to white."""
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
    """Any mode of 8 bits or fewer -> ``[1, 1 or 3, H, W]`` in [0, 1], sRGB, alpha left aside."""
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
    return in_unit(plain.convert("RGB") if plain.mode == "CMYK" else plain)


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


def in_unit(image: Image.Image) -> Tensor:
    """An L or RGB image as float32 ``[1, C, H, W]`` in [0, 1]."""
    values = torch.from_numpy(np.array(image))
    values = values[None] if values.ndim == 2 else values.permute(2, 0, 1)
    return values[None].to(torch.float32, memory_format=torch.contiguous_format).div_(255)
