"""From pixels to the bytes of a picture file: stills and animations.

Files are encoded through imageio, except GIF, whose palette is chosen here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from consingan.errors import UserError
from consingan.grid.kinds import Kind
from consingan.pictures import deep, npy, tiff
from consingan.pictures.arrays import coloured
from consingan.pictures.source import AnyPath, reason
from consingan.storage.formats import WRITABLE


def still(pixels: np.ndarray, suffix: str, text: Mapping[str, str] | None = None, kind: Kind | None = None) -> bytes:
    """A picture file.

    Args:
        pixels: uint8 ``[H, W]`` or ``[H, W, 3]``, or what their kind says.
        suffix: a key of ``WRITABLE``.
        text: goes into PNG text chunks; the other formats do not carry it.
        kind: of the pixels, which the format holds; 8-bit grey or colour if None.
    """
    if suffix == ".npy":
        return npy.written(pixels)
    if kind is not None and not kind.plain:
        return rich(pixels.reshape(*pixels.shape[:2], -1), suffix, text or {}, kind)
    options = dict(WRITABLE[suffix])
    if suffix == ".png" and text:
        options["pnginfo"] = PngInfo()
        for key, value in text.items():
            options["pnginfo"].add_text(key, value)
    return iio.imwrite("<bytes>", pixels, plugin="pillow", extension=suffix, **options)


def rich(pixels: np.ndarray, suffix: str, text: Mapping[str, str], kind: Kind) -> bytes:
    """A picture with alpha, of 16 bits or of many channels, ``[H, W, C]``; other arguments as ``still``."""
    if suffix in (".tif", ".tiff"):
        return tiff.written(pixels, kind)
    if kind.depth == "uint16":
        return deep.png(pixels, text)
    stream, info = BytesIO(), PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    if suffix == ".png":
        Image.fromarray(pixels).save(stream, "PNG", pnginfo=info)
    else:
        Image.fromarray(coloured(pixels)).save(stream, suffix[1:].upper(), **WRITABLE[suffix])
    return stream.getvalue()


def animation(frames: Sequence[np.ndarray], times: Sequence[int], suffix: str) -> bytes:
    """An endless animation.

    Args:
        frames: uint8 ``[H, W]``, ``[H, W, 3]``, or with alpha ``[H, W, 4]``, all of one shape.
        times: milliseconds that each is shown.
        suffix: a key of ``ANIMATED``.
    """
    if suffix == ".gif":
        return _gif(frames, times)
    if frames[0].shape[2:] == (4,):
        return _clear(frames, times, suffix)
    options: dict[str, Any] = {"duration": list(times), "loop": 0, "is_batch": True}
    if suffix == ".webp":
        options["lossless"] = True
    return iio.imwrite("<bytes>", frames, plugin="pillow", extension=suffix, **options)


def suffix_of(path: AnyPath, known: Iterable[str]) -> str:
    """A path's extension in lower case.

    Raises:
        UserError: it is none of the known.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        seen = f"the extension {suffix}" if suffix else "no extension"
        raise UserError(f"{path} has {seen}: use one of {' '.join(known)}")
    return suffix


@contextmanager
def refused(path: AnyPath) -> Iterator[None]:
    """Turn an encoder's refusal (WebP and JPEG have a largest size) into one sentence.

    Raises:
        UserError: instead of what the encoder raised.
    """
    try:
        yield
    except (OSError, ValueError, struct.error) as error:
        raise UserError(f"cannot encode {path} ({reason(error)}): try .png or a smaller picture") from error


def _clear(pixels: Sequence[np.ndarray], times: Sequence[int], suffix: str) -> bytes:
    """Encode frames with alpha, each whole in place of the one before."""
    first, *more = (Image.fromarray(frame) for frame in pixels)
    stream, how = BytesIO(), {"save_all": True, "append_images": more, "duration": list(times), "loop": 0}
    first.save(stream, suffix[1:].upper(), **how, **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
    return stream.getvalue()


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
