"""One picture in the manner of another, without training: what ``consingan style`` makes of two pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from consingan import config
from consingan.applications.base import Expected, Result, Told
from consingan.config import SEED, setting
from consingan.errors import UserError
from consingan.finish.scales import LARGEST_PIXELS, SMALLEST_SIDE
from consingan.grid.sizes import Size, at_most, rescaled, size_of
from consingan.storage.results import Role

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from consingan.pictures.images import Picture

SMALLEST_STYLE = 32  # px of its shorter side: four patches
SECONDS, SECONDS_PER_PIXEL = 0.3, 2.0e-5  # of one result on one core, as measured in docs/style.md


@dataclass(frozen=True)
class StyleOptions:
    """How one picture is put into the manner of another."""

    strength: float = setting(
        1.0, "from 0, CONTENT as it is, to 1, made of STYLE's patches alone; between them less changes", low=0, high=1
    )
    stroke: float = setting(
        1.0,
        "size of STYLE's strokes on CONTENT: 1 is as large as they are in STYLE, or as CONTENT has room for; smaller "
        "ones keep more of CONTENT's structure",
        low=0.1,
        high=1,
    )
    keep_colours: bool = setting(False, "keep CONTENT's colours; only light and dark are taken from STYLE")
    longest: int | None = setting(
        None, "longer side of the result in pixels at most; by default it is as large as CONTENT", low=16, high=32768
    )
    num_samples: int = setting(1, "results, each with other choices among patches that fit", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    format: str = setting("png", "file format", choices=("png", "jpg", "webp", "tif"))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures that fit each other.

    Args:
        content: ``[1, C, H, W]`` in [-1, 1], at the result's size.
        style: ``[1, C, h, w]`` in [-1, 1], at the size at which its strokes are laid on.
        names: of the two.
        notes: whole sentences that say what was done to them.
    """

    content: Tensor
    style: Tensor
    names: tuple[str, str]
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> float:
        """Seconds that a result takes on one core."""
        return SECONDS + SECONDS_PER_PIXEL * prod(size_of(self.content))


def chosen(given: Mapping[str, Any]) -> StyleOptions:
    """The options with some given.

    Raises:
        UserError: there is no such option, or a value is of the wrong type or out of range.
    """
    own = {s.name: s for s in config.declared(StyleOptions)}
    for name in given:
        if name not in own:
            raise UserError(f"{name} is no option of style; choose from {', '.join(own)}.")
    return StyleOptions(**{name: config.check(own[name], value) for name, value in given.items()})


def paired(content: Picture, style: Picture, names: tuple[str, str], options: StyleOptions) -> Pair:
    """The two pictures as they are worked on.

    Raises:
        UserError: one of them is too small or too large.
    """
    from consingan.grid.resize import resize
    from consingan.pictures.arrays import with_channels

    notes = (*(f"{names[0]}: {note}" for note in content.notes), *(f"{names[1]}: {note}" for note in style.notes))
    size, shown = sizes_of(size_of(content.pixels), size_of(style.pixels), names, options)
    channels = max(content.pixels.shape[1], style.pixels.shape[1])
    if content.pixels.shape[1] != style.pixels.shape[1] and not options.keep_colours:
        grey, result = (0, "has STYLE's colours") if content.pixels.shape[1] == 1 else (1, "is grey too")
        notes = (*notes, f"{names[grey]} is grey and {names[1 - grey]} is not: the result {result}.")
    pictures = (resize(with_channels(x.pixels, channels, -1), to) for x, to in ((content, size), (style, shown)))
    resized, strokes = (x.clamp(-1, 1) for x in pictures)
    return Pair(resized, strokes, names, notes)


def sizes_of(content: Size, style: Size, names: tuple[str, str], options: StyleOptions) -> tuple[Size, Size]:
    """``(H, W)`` of the result, and that at which the style is shown.

    Raises:
        UserError: one of the two pictures is too small or too large.
    """
    size = content if options.longest is None else at_most(content, options.longest)
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"{names[0]} makes a result of {size[1]}x{size[0]} px, too small to be made of patches; use a picture, or "
            f"a --longest, that leaves {SMALLEST_SIDE} px on the shorter side."
        )
    if prod(size) > LARGEST_PIXELS:
        raise UserError(
            f"{names[0]} has {prod(size) / 1e6:.0f} million pixels; at most {LARGEST_PIXELS / 1e6:.0f} million can be "
            "made, choose a smaller --longest."
        )
    if min(style) < SMALLEST_STYLE:
        raise UserError(
            f"{names[1]} is {style[1]}x{style[0]} px, too small to take patches from; use a picture of at least "
            f"{SMALLEST_STYLE} px on the shorter side."
        )
    share = options.stroke * min(1.0, size[0] / style[0], size[1] / style[1])
    shown = style if options.stroke == 1 else rescaled(style, share, share)
    if min(shown) < SMALLEST_STYLE and options.stroke < 1:
        raise UserError(
            f"--stroke {options.stroke:g} shows {names[1]} at {shown[1]}x{shown[0]} px, too small to take patches "
            f"from; give one that leaves {SMALLEST_STYLE} px on the shorter side."
        )
    return size, shown


def announced(pair: Pair, options: StyleOptions) -> Expected:
    """What will be made."""
    return Expected(options.num_samples, [size_of(pair.content)], finished=False, before=pair.expected)


def styled(pair: Pair, options: StyleOptions, device: torch.device, told: Told) -> Iterator[Result]:
    """The results, and a view of the first beside the two pictures.

    Args:
        pair: see ``paired``.
        options: how.
        device: where to work.
        told: hears how far each has come, from 0 to 1.
    """
    from consingan.finish.photo import Photo, stored
    from consingan.finish.style import restyled
    from consingan.grid.noise import Draw
    from consingan.pictures.arrays import with_channels
    from consingan.pictures.sheets import side_by_side

    content, style = pair.content, pair.style
    if options.keep_colours:
        content, style = with_channels(content.clone(), 1, -1), with_channels(style, 1, -1)
    photo = Photo(stored(style), device)
    content = content.to(device)
    stem = f"{pair.names[1]}{variant(options)}"
    for number in range(options.num_samples):
        draw = Draw(options.seed, ("style", number), device)
        made = restyled(photo, content, draw, strength=options.strength, told=told).cpu()
        if options.keep_colours:
            made = (pair.content + (made - content.cpu())).clamp(-1, 1)
        facts = {"content": pair.names[0], "style": pair.names[1], "strength": f"{options.strength:g}"}
        facts |= {"stroke": f"{options.stroke:g}", "keep_colours": f"{options.keep_colours}".lower()}
        facts |= {"seed": f"{options.seed}", "sample": f"{number}"}
        name = f"{stem}_seed_{options.seed}_sample_{number:03d}"
        yield Result(name, Role.SAMPLE, [made], facts, options.format)
        if number == 0:
            items = [("content", pair.content), ("style", pair.style), ("result", made)]
            yield Result(f"{name}_view", Role.VIEW, [side_by_side(items)], facts, options.format)


def variant(options: StyleOptions) -> str:
    """What the names of results say of options that differ from the defaults, so that trials stand side by side."""
    said = {
        "strength": None if options.strength == 1 else f"{options.strength:g}",
        "stroke": None if options.stroke == 1 else f"{options.stroke:g}",
        "longest": options.longest,
        "keep_colours": "" if options.keep_colours else None,
    }
    return "".join(f"_{name}_{value}".rstrip("_") for name, value in said.items() if value is not None)
