"""Sizes of the finish: how large a sample is, what part of the picture's detail it shows, and the way there.

No torch here: the command line refuses a size before it imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

from consingan.errors import UserError
from consingan.grid.sizes import Size, at_most

BOUND = 1024  # px, the longer side of a sample where no size is asked for
FRAME_BOUND = 512  # px, the same of the frames of an animation
TRUST = 40  # px, the longer side of the picture at which a layout is believed, and nothing finer in it
SHORTEST = 14  # px that the shorter side has there at least: two patches
RATIO = 4 / 3  # between two scales, up to SEARCHED
SEARCHED = 512  # px of the picture's longer side up to which every place is searched; above, only seams are
LARGEST_PIXELS = 64_000_000  # of a sample
SMALLEST_SIDE = 16  # px of a sample


@dataclass(frozen=True)
class Plan:
    """How a sample of a size is made of a picture.

    Args:
        size: ``(H, W)`` of the sample.
        canvas: its height and width as shares of the picture's, both shown at the same scale.
        photo: by scale, coarse to fine, ``(h, w)`` that the picture is shown at.
        sample: by scale, ``(h, w)`` of the sample; the last is ``size`` but where that is smaller than the first.
    """

    size: Size
    canvas: tuple[float, float]
    photo: tuple[Size, ...]
    sample: tuple[Size, ...]

    @classmethod
    def of(cls, size: Size, photo: Size, trust: float = TRUST) -> Plan:
        """The plan for a sample of ``(H, W)`` from a picture of ``(H, W)``, whose layout is believed at ``trust`` px.

        The picture is shown as large as the sample allows along both axes, and never enlarged: what is left of the
        sample is more of the same place.
        """
        shown = min(1.0, size[0] / photo[0], size[1] / photo[1])
        canvas = (size[0] / (shown * photo[0]), size[1] / (shown * photo[1]))
        sides = way_to(shown * max(photo), max(trust, SHORTEST * max(photo) / min(photo)))
        of_photo = tuple(
            (max(1, round(photo[0] * side / max(photo))), max(1, round(photo[1] * side / max(photo)))) for side in sides
        )
        of_sample = [(max(1, round(h * canvas[0])), max(1, round(w * canvas[1]))) for h, w in of_photo]
        if sides[-1] <= shown * max(photo):
            of_sample[-1] = size
        return cls(size, canvas, of_photo, tuple(of_sample))

    @property
    def pixels(self) -> int:
        """Pixels of all scales together, which the time goes with."""
        return sum(height * width for height, width in self.sample)


def way_to(side: float, trust: float) -> list[float]:
    """Longer sides of the picture from where a layout is trusted to the one wanted, both included.

    Doubling above ``SEARCHED``, equal steps of about ``RATIO`` below; where less is wanted than is trusted, that alone.
    """
    if side <= trust:
        return [trust]
    fine: list[float] = []
    while side > max(SEARCHED, trust):
        fine.insert(0, side)
        side /= 2
    if side <= trust:
        return [trust, *fine]
    steps = max(1, ceil(log(side / trust) / log(RATIO) - 1e-9))
    return [trust * (side / trust) ** (step / steps) for step in range(steps)] + [side, *fine]


def own_size(photo: Size, longest: int = BOUND) -> Size:
    """The size ``(H, W)`` of samples where none is asked for: the picture's, up to a longer side in px.

    A side that would be too small for a sample is as long as it must be.
    """
    height, width = at_most(photo, longest)
    return max(SMALLEST_SIDE, height), max(SMALLEST_SIDE, width)


def check_size(size: Size) -> None:
    """Refuse a sample that is too small for a patch, or too large for a machine.

    Raises:
        UserError: names the size and what can be made.
    """
    height, width = size
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"--size {width}x{height} has a side below {SMALLEST_SIDE} px, too small to be made of patches; "
            "choose a larger one, or --finish none."
        )
    if height * width > LARGEST_PIXELS:
        raise UserError(
            f"--size {width}x{height} has {height * width / 1e6:.0f} million pixels; at most "
            f"{LARGEST_PIXELS / 1e6:.0f} million can be made, choose a smaller one."
        )
