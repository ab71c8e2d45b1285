"""What new pictures are to be like: one declaration for the model, the previews, the flags and the Python API.

torch is not imported: the command line makes its flags of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from consingan import config
from consingan.config import MOST_STAGES, SEED, Words, setting
from consingan.errors import UserError
from consingan.finish.scales import BOUND, check_size
from consingan.grid.sizes import Size, rescaled

PUBLISHED_SCALES = ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0))
SMALLEST_SIDE, LARGEST_SIDE = 8, 32768
OF: str | None = setting(
    None,
    "of a model of several pictures the name or the number, from 1, of the one whose size and layout results have",
)


def parse_size(text: str) -> Size:
    """``(H, W)`` from ``WIDTHxHEIGHT``.

    Raises:
        UserError: it is none, or a side is out of bounds.
    """
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 7 for side in sides):
        raise UserError(f"--size is {text!r}; give WIDTHxHEIGHT in pixels, as 600x400.")
    width, height = map(int, sides)
    if max(width, height) > LARGEST_SIDE or min(width, height) < 1:
        raise UserError(f"--size is {width}x{height} px; give sides from 1 to {LARGEST_SIDE} px.")
    return height, width


@dataclass(frozen=True)
class Stills:
    """New pictures of a picture."""

    num_samples: int = setting(50, "pictures per size", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    size: str | None = setting(None, "WIDTHxHEIGHT of the pictures in pixels, such as 600x400", reads=parse_size)
    scale_h: float | None = setting(None, "height, as a multiple of the default height", above=0, high=100)
    scale_w: float | None = setting(None, "width, as a multiple of the default width", above=0, high=100)
    gen_start_scale: int = setting(
        0,
        "first stage that gets random noise; higher stages give samples closer to the picture",
        low=0,
        high=MOST_STAGES,
    )
    finish: str | None = setting(
        None,
        "stills: patches rebuilds samples from patches of the picture, sharp at any size; none "
        "leaves them as the generator makes them",
        choices=("patches", "none"),
    )
    variation: float | None = setting(
        None, "how far samples may differ from the picture, from 0, nearly the picture, to 1, any layout", low=0, high=1
    )
    code: Words = setting(
        (), "code and its value, as 0=0.5; several flags give several codes, and the seed draws the others"
    )
    finish_seed: int | None = setting(None, "seed of the finish only: the same layouts, finished differently", low=0)
    longest: int = setting(
        BOUND, "stills: longer side of finished samples in pixels, if no size is given", low=16, high=8000
    )
    of: str | None = OF
    like: str | None = setting(None, "a painted colour map, of any size, whose layout samples follow", file=True)
    mask: str | None = setting(None, "mask of --like, white where it counts; by default where it is opaque", file=True)
    follow: float = setting(0.5, "how closely samples follow --like, from 0, not at all, to 1", low=0, high=1)
    colours: str = setting(
        "photo",
        "colours of --like; photo: each stands for the nearest that the picture has; exact: as they are painted",
        choices=("photo", "exact"),
    )
    tileable: str | None = setting(
        None,
        "stills that repeat without a seam: to the right (x), downwards (y) or both (xy); off: not; by default as the "
        "model was trained",
        choices=("off", "x", "y", "xy"),
    )
    seam: bool = setting(
        False, "stills: say how well each closes with its other side; 1 is a seam like any other place"
    )
    reconstruction: bool = setting(False, "also write the reconstruction of the training picture")
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif", "npy"))

    def single(self) -> Stills:
        """The same for one picture, of the default size where none is asked for."""
        own = 1.0 if (self.size, self.scale_h, self.scale_w) == (None, None, None) else None
        return replace(self, num_samples=1, scale_h=own or self.scale_h)


def output_sizes(options: Stills, own: Size, finished: bool = False) -> list[Size]:
    """Sizes ``(H, W)`` to draw: as the options say; without any the model's own, or those of the published evaluation.

    Args:
        options: what was asked for.
        own: the size of the samples where none is asked for; the first of the result then.
        finished: whether they are made anew of patches, which has bounds of its own.

    Raises:
        UserError: ``--size`` is no size, stands beside a scale, or a side is out of bounds.
    """
    scales = (options.scale_h, options.scale_w)
    if options.size is not None:
        if scales != (None, None):
            raise UserError(f"--size {options.size} and --scale_h or --scale_w contradict each other; give one.")
        wanted = [parse_size(options.size)]
    elif scales == (None, None):
        wanted = [own] if finished or options.like else [rescaled(own, h, w) for h, w in PUBLISHED_SCALES]
    else:
        wanted = [rescaled(own, options.scale_h or 1.0, options.scale_w or 1.0)]
    for size in wanted if finished else ():
        check_size(size)
    for height, width in wanted:
        if max(height, width) > LARGEST_SIDE or min(height, width) < SMALLEST_SIDE:
            raise UserError(
                f"The output size {width}x{height} has a side outside {SMALLEST_SIDE} to {LARGEST_SIDE} px; "
                "choose another --size or --scale_h, --scale_w."
            )
    return wanted


def checked(options: Stills, stages: int) -> Stills:
    """The options, each in its range, for a model of so many stages.

    Raises:
        UserError: one is of the wrong type or out of range.
    """
    for declared in config.declared(Stills):
        config.check(declared, getattr(options, declared.name))
    check_start(options.gen_start_scale, stages, "--gen_start_scale")
    return options


def as_size(size: object) -> Size:
    """``(H, W)`` from itself, or from ``"WIDTHxHEIGHT"``.

    Raises:
        UserError: it is neither, or a side is out of bounds.
    """
    sides = parse_size(size) if isinstance(size, str) else size
    if not isinstance(sides, tuple | list) or len(sides) != 2 or not all(config.is_whole(side) for side in sides):
        raise UserError(f"size is {size!r}; give (HEIGHT, WIDTH) in pixels, or a text such as '600x400'.")
    height, width = sides
    if max(sides) > LARGEST_SIDE or min(sides) < 1:
        raise UserError(f"size is {width}x{height} px; give sides from 1 to {LARGEST_SIDE} px.")
    return height, width


def check_start(start: int, stages: int, flag: str) -> None:
    """Refuse a start stage that the model does not have."""
    if start >= stages:
        raise UserError(f"{flag} is {start}, but this model has stages 0 to {stages - 1}; give one of them.")
