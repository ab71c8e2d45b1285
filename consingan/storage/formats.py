"""Which picture files are read and written; no torch here."""

from __future__ import annotations

from typing import Any

# By Pillow's names. A closed list, so that no file can start an outside program (Pillow runs Ghostscript on EPS) and no
# text file is taken for one of the formats that have no signature.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# Their usual extensions, by which pictures are found in a folder.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2", ".ppm", ".pgm")
# What is written, with the encoder's options.
WRITABLE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
    ".tif": {},
    ".tiff": {},
    ".bmp": {},
}
# Animations: milliseconds in which the format counts, and the most frames a second that it can show (viewers slow a GIF
# that asks for more than 50 down to 10).
ANIMATED = {".gif": (10, 50), ".webp": (1, 1000), ".png": (1, 1000)}
SLOWEST = 0.1  # frames a second; the 16 bits of a GIF's frame time end at eleven minutes
