"""Which picture files are read and written; no torch here."""

from __future__ import annotations

from typing import Any

from consingan.errors import UserError
from consingan.grid.kinds import SHORT, Kind

# By Pillow's names. A closed list, so that no file can start an outside program (Pillow runs Ghostscript on EPS) and no
# text file is taken for one of the formats that have no signature.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# Their usual extensions, by which pictures are found in a folder.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".npy")
# What is written, with the encoder's options.
WRITABLE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
    ".tif": {},
    ".tiff": {},
    ".bmp": {},
    ".npy": {},
}
# Of these, which hold more than 8-bit grey and colour.
CLEAR = (".png", ".webp", ".tif", ".tiff", ".npy")  # with alpha
DEEP = {"uint8": tuple(WRITABLE), "uint16": (".png", ".tif", ".tiff", ".npy")}
MANY = (".tif", ".tiff", ".npy")  # other channels than grey or colour
# Animations: milliseconds in which the format counts, and the most frames a second that it can show (viewers slow a GIF
# that asks for more than 50 down to 10).
ANIMATED = {".gif": (10, 50), ".webp": (1, 1000), ".png": (1, 1000)}
SLOWEST = 0.1  # frames a second; the 16 bits of a GIF's frame time end at eleven minutes


def holds(suffix: str, kind: Kind) -> bool:
    """Whether files of an extension hold pictures of a kind."""
    many = kind.colours in (1, 3) or suffix in MANY
    return many and suffix in DEEP[kind.depth] and (not kind.alpha or suffix in CLEAR)


def check_holds(what: str, suffix: str, kind: Kind) -> None:
    """Refuse a format that does not hold pictures of a kind.

    Args:
        what: the flag or the file, as the first words of the sentence.
        suffix: a key of ``WRITABLE``.
        kind: of the pictures.

    Raises:
        UserError: says why, and what does.
    """
    if holds(suffix, kind):
        return
    fitting = " ".join(each for each in WRITABLE if holds(each, kind))
    if kind.colours not in (1, 3):
        lacks = f"{kind.channels} channels"
    elif kind.alpha and suffix not in CLEAR:
        lacks = "transparency"
    else:
        lacks = f"{SHORT[kind.depth]} values"
    raise UserError(f"{what}: {suffix} does not hold {lacks}, which the pictures have; use one of {fitting}.")


def for_kind(format: str, kind: Kind) -> str:
    """The format of pictures of a kind where one is asked for; png stands for the first of png and npy that holds them.

    Raises:
        UserError: it does not hold them.
    """
    if format == "png":
        format = next(each for each in ("png", "tif", "npy") if holds(f".{each}", kind))
    check_holds(f"--format {format}", f".{format}", kind)
    return format
