"""16 bits of a channel where Pillow has 8: read by decoding twice, high bytes and low ones; PNG files written."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile, _Tile
from PIL.PngImagePlugin import PngInfo

# By what Pillow is told to unpack, with which it takes the high byte: what takes the byte that comes first, and that
# which comes second, in a pixel's 16 bits. A grey pixel and its alpha are four bytes, as many as RGBA has.
BYTES = {"RGB": ("RGB;16B", "RGB;16L"), "RGBA": ("RGBA;16B", "RGBA;16L"), "LA": ("RGBA",)}
LITTLE = {"L": True, "B": False, "N": sys.byteorder == "little"}


def unpacking(packing: str) -> tuple[tuple[str, ...], bool] | None:
    """How to unpack all 16 bits of what Pillow would unpack to 8, and whether low bytes come first; None if unknown."""
    mode, _, order = packing.partition(";16")
    return (BYTES[mode], LITTLE[order]) if mode in BYTES and order in LITTLE else None


def sixteen(opened: Callable[[], ImageFile], packing: str, upright: Image.Transpose | None) -> np.ndarray:
    """All bits of a picture, ``[H, W, 2, 3 or 4]`` of uint16.

    Args:
        opened: opens the picture anew, not yet decoded.
        packing: what Pillow is told to unpack; known to ``unpacking``.
        upright: how it is turned after decoding, if it is.
    """
    found = unpacking(packing)
    assert found is not None
    ways, low_first = found
    halves = []
    for way in ways:
        image = opened()
        image.tile = [told(tile, way) for tile in image.tile]
        image.load()
        turned = image if upright is None else image.transpose(upright)
        halves.append(np.asarray(turned).astype(np.uint16))
    first, second = halves if len(halves) == 2 else (halves[0][..., 0::2], halves[0][..., 1::2])
    high, low = (second, first) if low_first else (first, second)
    return high << 8 | low


def told(tile: _Tile, way: str) -> _Tile:
    """A tile that is unpacked in another way."""
    args = tile.args
    return tile._replace(args=way if isinstance(args, str) else (way, *args[1:]) if isinstance(args, tuple) else way)


COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG (ISO 15948, table 11.1), by channels
UP = 2  # the filter that tells each byte's difference to that above it


def png(pixels: np.ndarray, text: Mapping[str, str]) -> bytes:
    """A PNG file of 16 bits.

    Args:
        pixels: uint16 ``[H, W, 1 to 4]``; of 2 and 4 channels the last is a straight alpha.
        text: goes into text chunks.
    """
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), UP, np.uint8), rows - above], axis=1)
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), *((chunk[0], chunk[1]) for chunk in info.chunks)]
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
