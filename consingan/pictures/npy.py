"""Pictures as numpy files (NEP 1): read without unpickling, and no byte before the header is known to fit the file."""

from __future__ import annotations

import os
from io import BytesIO
from math import prod
from typing import BinaryIO

import numpy as np
from numpy.lib import format as numpy_format

from consingan.errors import UserError
from consingan.grid.kinds import MOST
from consingan.pictures.source import AnyPath

MAGIC = b"\x93NUMPY"
MOST_HEADER = 10_000  # bytes; numpy's own bound for what it parses


def is_npy(stream: BinaryIO) -> bool:
    """Whether a file begins as numpy's do; the stream stands at its beginning before and after."""
    begins = stream.read(len(MAGIC)) == MAGIC
    stream.seek(0)
    return begins


def read(path: AnyPath, stream: BinaryIO, max_pixels: int) -> np.ndarray:
    """The array of a file, ``[H, W, C]`` of uint8 or uint16; floats from 0 to 1 become uint16.

    Args:
        path: names it in messages.
        stream: the file at its beginning.
        max_pixels: more are refused before they are read.

    Raises:
        UserError: objects, another type or shape, too many pixels, a file of another length than its header says, or
            values that are not from 0 to 1.
    """
    shape, fortran, dtype = header(path, stream)
    if dtype.hasobject:
        raise UserError(f"{path} holds Python objects, which are never loaded: save an array of numbers")
    kinds = {("u", 1): np.uint8, ("u", 2): np.uint16, ("f", 2): np.uint16, ("f", 4): np.uint16, ("f", 8): np.uint16}
    kept = kinds.get((dtype.kind, dtype.itemsize))
    if kept is None:
        raise UserError(f"{path} holds {dtype}: save uint8, uint16, or float from 0 to 1")
    if len(shape) not in (2, 3) or not all(shape) or (len(shape) == 3 and shape[2] > MOST):
        raise UserError(f"{path} has the shape {shape}: save [H, W] or [H, W, C] with at most {MOST} channels")
    if shape[0] * shape[1] > max_pixels:
        raise UserError(
            f"{path} has {shape[1]}x{shape[0]} pixels, above the limit of {max_pixels}: "
            "make it smaller or raise --max_pixels"
        )
    start = stream.tell()
    length = stream.seek(0, os.SEEK_END) - start
    if length != (wanted := prod(shape) * dtype.itemsize):
        raise UserError(f"{path} has {length} bytes of values, where its header says {wanted}: save it again")
    stream.seek(start)
    values = np.frombuffer(stream.read(wanted), dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not (values.min() >= 0 and values.max() <= 1):  # so written, it refuses NaN as well
        raise UserError(f"{path} has values from {values.min():g} to {values.max():g}: scale floats to 0 to 1")
    if dtype.kind == "f":
        values = np.rint(values.astype(np.float32) * 65535)
    return np.ascontiguousarray(values.reshape(*shape[:2], -1), dtype=kept)


def header(path: AnyPath, stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the columns come first, and type; the stream then stands at the values.

    Raises:
        UserError: there is no sound header.
    """
    try:
        version = numpy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        wide = 2 if version == (1, 0) else 4
        length = int.from_bytes(stream.read(wide), "little")
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        stream.seek(-wide, os.SEEK_CUR)
        read_header = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
        return read_header(stream, max_header_size=MOST_HEADER)
    except Exception as error:  # the parser raises nearly anything
        first = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise UserError(f"{path} has no sound numpy header ({first}): save it again with numpy.save") from error


def written(pixels: np.ndarray) -> bytes:
    """The bytes of a file that holds an array, ``[H, W]`` or ``[H, W, C]``."""
    stream = BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(pixels), version=(1, 0), allow_pickle=False)
    return stream.getvalue()
