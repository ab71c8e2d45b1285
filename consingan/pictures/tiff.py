"""TIFF files of what Pillow does not know: many channels, 16 bits of several.

Source: TIFF Revision 6.0 (Adobe, 1992), sections 2, 14 (differencing), 15 (tiles), 18 (ExtraSamples), and Technical
Note 2 of 2002 for Deflate. Read are strips and tiles, of all channels together or plane by plane, as they are or
deflated; written is one strip as it is.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from consingan.errors import UserError
from consingan.grid.kinds import MOST, Kind
from consingan.pictures.source import AnyPath

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS, COUNTS, PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 278, 279, 284, 317, 322, 323
TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 324, 325, 338, 339
TYPES = {1: "B", 3: "H", 4: "I"}  # of a tag's values that are looked at
MOST_TAGS, MOST_VALUES = 200, 2**20  # of a file, of a tag
ASSOCIATED, STRAIGHT = 1, 2  # alpha among the extra samples
DEFLATED = (8, 32946)
READ = "save it uncompressed or deflated, or as .npy"


@dataclass(frozen=True)
class Layout:
    """What a file says of its pixels.

    Args:
        order: of the bytes, < or >.
        tags: values by number.
    """

    order: str
    tags: dict[int, tuple[int, ...]]

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def alpha(self) -> int:
        """How the last channel is an alpha: associated, straight, or 0 for not at all."""
        extra, samples = self.tags.get(EXTRA, ()), self.one(SAMPLES, 1)
        plain = 3 if self.one(PHOTOMETRIC, 1) == 2 else 1
        return extra[0] if len(extra) == 1 == samples - plain and extra[0] in (ASSOCIATED, STRAIGHT) else 0

    @property
    def ours(self) -> bool:
        """Whether Pillow would refuse it, or leave channels out."""
        samples, bits = self.one(SAMPLES, 1), self.tags.get(BITS, (1,))
        if self.one(PHOTOMETRIC, 1) not in (1, 2) or samples < 2 or not set(bits) <= {8, 16}:
            return False
        plain = 3 if self.one(PHOTOMETRIC, 1) == 2 else 1
        return (
            samples > 4
            or (samples > plain and EXTRA in self.tags and not self.alpha)
            or (samples == 2 and (16 in bits or not self.alpha))
        )


def layout(stream: BinaryIO) -> Layout | None:
    """What a file says of its first picture, or None where it is no TIFF that can be looked at; rewinds the stream."""
    try:
        stream.seek(0)
        begins = stream.read(8)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(begins[:4])
        return None if order is None else Layout(order, tags_of(stream, order, begins))
    except (struct.error, OSError, ValueError):
        return None  # Pillow has the words for it
    finally:
        stream.seek(0)


def tags_of(stream: BinaryIO, order: str, begins: bytes) -> dict[int, tuple[int, ...]]:
    """The whole numbers of the first directory by tag; those of other types, and of too many values, are left out."""
    stream.seek(struct.unpack(order + "I", begins[4:])[0])
    (count,) = struct.unpack(order + "H", stream.read(2))
    entries = stream.read(12 * min(count, MOST_TAGS))
    found = {}
    for place in range(0, len(entries) - 11, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", entries, place)
        if kind not in TYPES or not 1 <= number <= MOST_VALUES:
            continue
        form = f"{order}{number}{TYPES[kind]}"
        data = entries[place + 8 : place + 12]
        if (size := struct.calcsize(form)) > 4:
            stream.seek(struct.unpack(order + "I", data)[0])
            data = stream.read(size)
        found[tag] = struct.unpack_from(form, data)
    return found


def read(path: AnyPath, stream: BinaryIO, layout: Layout, max_pixels: int) -> np.ndarray:
    """The pixels of a file, ``[H, W, C]`` of uint8 or uint16 as they are stored.

    Args:
        path: names it in messages.
        stream: the file.
        layout: of ``layout``, ours.
        max_pixels: more are refused before they are read.

    Raises:
        UserError: too many pixels or channels, a compression that is not read, or a damaged file.
    """
    height, width, samples = layout.one(HEIGHT, 0), layout.one(WIDTH, 0), layout.one(SAMPLES, 1)
    if samples > MOST:
        raise UserError(f"{path} has {samples} channels: save at most {MOST}")
    if width * height > max_pixels:
        raise UserError(
            f"{path} has {width}x{height} pixels, above the limit of {max_pixels}: "
            "make it smaller or raise --max_pixels"
        )
    compression, predictor = layout.one(COMPRESSION, 1), layout.one(PREDICTOR, 1)
    if compression not in (1, *DEFLATED) or predictor not in (1, 2):
        raise UserError(f"{path} is a TIFF of {samples} channels in compression {compression}: {READ}")
    if len(set(layout.tags[BITS])) > 1 or set(layout.tags.get(FORMAT, (1,))) != {1}:
        raise UserError(f"{path} is a TIFF whose channels differ or are no whole numbers: {READ}")
    if TILE_OFFSETS in layout.tags:
        block = (layout.one(TILE_HEIGHT, 0), layout.one(TILE_WIDTH, 0))
        offsets, counts = layout.tags[TILE_OFFSETS], layout.tags.get(TILE_COUNTS, ())
    else:
        block = (min(layout.one(ROWS, height), height), width)
        offsets, counts = layout.tags.get(OFFSETS, ()), layout.tags.get(COUNTS, ())
    planes = samples if layout.one(PLANAR, 1) == 2 else 1
    rows, columns = (-(-side // step) if step else 0 for side, step in zip((height, width), block, strict=True))
    small = 0 < block[0] * block[1] <= 2 * max_pixels
    if not small or not rows or len(offsets) != planes * rows * columns or len(counts) != len(offsets):
        raise UserError(f"{path} is damaged (its strips do not fit its size): export it again")
    type_ = np.dtype(f"{layout.order}u{layout.one(BITS, 8) // 8}")
    together = samples // planes
    if compression == 1 and sum(counts) > stream.seek(0, os.SEEK_END):  # before memory is taken
        raise UserError(f"{path} is cut short: export it again")
    pixels = np.zeros((height, width, samples), type_.newbyteorder("="))
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        plane, place = divmod(number, rows * columns)
        top, left = place // columns * block[0], place % columns * block[1]
        high = block[0] if TILE_OFFSETS in layout.tags else min(block[0], height - top)
        stream.seek(offset)
        data = part(path, stream.read(count), high * block[1] * together * type_.itemsize, compression)
        values = np.frombuffer(data, type_).reshape(high, block[1], together).astype(pixels.dtype)
        if predictor == 2:
            values = np.cumsum(values, axis=1, dtype=pixels.dtype)
        shown = values[: height - top, : width - left]
        channels = slice(plane, plane + 1) if planes > 1 else slice(None)
        pixels[top : top + block[0], left : left + block[1], channels] = shown
    return pixels


def part(path: AnyPath, data: bytes, size: int, compression: int) -> bytes:
    """The bytes of a strip or tile, so many and no more.

    Raises:
        UserError: there are others.
    """
    try:
        found = data if compression == 1 else zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise UserError(f"{path} is damaged ({error}): export it again") from error
    if len(found) < size:
        raise UserError(f"{path} is cut short: export it again")
    return found[:size]


def written(pixels: np.ndarray, kind: Kind) -> bytes:
    """A file of a picture ``[H, W, C]`` of uint8 or uint16."""
    height, width, samples = pixels.shape
    colour = samples - kind.alpha >= 3
    extra = (0,) * (samples - (3 if colour else 1) - kind.alpha) + (STRAIGHT,) * kind.alpha
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    entries: list[tuple[int, int, tuple[int, ...]]] = [
        (WIDTH, 4, (width,)),
        (HEIGHT, 4, (height,)),
        (BITS, 3, (8 * pixels.itemsize,) * samples),
        (COMPRESSION, 3, (1,)),
        (PHOTOMETRIC, 3, (2 if colour else 1,)),
        (OFFSETS, 4, (8,)),
        (SAMPLES, 3, (samples,)),
        (ROWS, 4, (height,)),
        (COUNTS, 4, (len(data),)),
        (PLANAR, 3, (1,)),
        *([(EXTRA, 3, extra)] if extra else []),
        (FORMAT, 3, (1,) * samples),
    ]
    place = 8 + len(data) + len(data) % 2
    after = place + 2 + 12 * len(entries) + 4
    directory, longer = struct.pack("<H", len(entries)), b""
    for tag, type_, values in entries:
        value = struct.pack(f"<{len(values)}{TYPES[type_]}", *values)
        if len(value) > 4:
            value, longer = struct.pack("<I", after + len(longer)), longer + value
        directory += struct.pack("<HHI", tag, type_, len(values)) + value.ljust(4, b"\0")
    padding = b"\0" * (len(data) % 2)
    return struct.pack("<2sHI", b"II", 42, place) + data + padding + directory + b"\0" * 4 + longer
