"""Pictures inside a page: as data URIs, no larger than they are shown."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.grid.sizes import at_most

if TYPE_CHECKING:
    from PIL import Image

LOSSLESS_PIXELS = 100 * 100  # small pictures cost little; every pixel of a coarse stage is worth seeing
QUALITY = 88
MOVING_QUALITY = 70
FRAMES = 40  # of an animation
MOST_PIXELS = 50_000_000  # of a picture, or of all frames of an animation: some two seconds' work


@dataclass(frozen=True)
class Embedded:
    """A picture as a page takes it: ``data:`` URI and its own size in pixels."""

    uri: str
    width: int
    height: int


def embedded(path: Path, side: int) -> Embedded | None:
    """A picture file for a page; animations move. None where the file is gone, broken, or too large to be shown.

    Args:
        path: any picture that we write.
        side: the longer side at most, in pixels.
    """
    try:
        stamp = path.stat()
        return _embedded(path, stamp.st_mtime_ns, stamp.st_size, side)
    except Exception:  # a broken file may raise nearly anything
        return None


@lru_cache(maxsize=1024)  # a page that renews itself shows most of its pictures again
def _embedded(path: Path, changed: int, size: int, side: int) -> Embedded:
    from PIL import Image

    with Image.open(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{path} is too large for a page")
        if getattr(image, "is_animated", False):
            return _moving(image, side)
        return still(looked_at(image), side)


def looked_at(image: Image.Image) -> Image.Image:
    """A picture in colour of 8 bits, transparent parts on white."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return image.point(lambda value: value / 257, "L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def still(image: Image.Image, side: int) -> Embedded:
    """A picture as WebP: exact where it is small."""
    image = _shrunk(image, side)
    exact = image.width * image.height <= LOSSLESS_PIXELS
    data = BytesIO()
    image.save(data, "WEBP", lossless=exact, quality=100 if exact else QUALITY, method=4)
    return _as_uri(data, image)


def _moving(image: Image.Image, side: int) -> Embedded:
    frames, times = [], []
    for number in range(max(1, min(FRAMES, MOST_PIXELS // (image.width * image.height)))):
        try:
            image.seek(number)
        except EOFError:
            break
        frames.append(_shrunk(looked_at(image), side))
        times.append(int(image.info.get("duration", 100)) or 100)
    data = BytesIO()
    frames[0].save(
        data,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        quality=MOVING_QUALITY,
        method=2,
    )
    return _as_uri(data, frames[0])


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    from PIL import Image

    height, width = at_most((image.height, image.width), side)
    return image if (width, height) == image.size else image.resize((width, height), Image.Resampling.LANCZOS)


def _as_uri(data: BytesIO, image: Image.Image) -> Embedded:
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return Embedded(f"data:image/webp;base64,{text}", image.width, image.height)
