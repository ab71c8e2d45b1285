"""From a model to pictures: which steps its settings and the options name, and the way through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.finish import scales as finished
from consingan.finish.atlas import Atlas
from consingan.finish.patches import Told
from consingan.finish.photo import Photo
from consingan.gan import album, codes, guides
from consingan.gan.after import Chain, FrameStep, Moved, Patches, Steadied
from consingan.gan.sources import channels_last, expanded, stacked
from consingan.gan.steering import Toward, shaped
from consingan.gan.stills import Stills, output_sizes
from consingan.gan.tiling import tiling, wraps_with
from consingan.grid.noise import Draw, Source, as_source, mixed, walk
from consingan.grid.sizes import Size, size_of
from consingan.grid.torus import going_on
from consingan.grid.windows import Window, tiles

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

Tally = Callable[[list[tuple[float, ...]]], None]
TOGETHER = 8 * 1024**2  # pixels that go through the steps together


def photo_for(model: SingleImageModel, finish: str | None = None) -> Photo | None:
    """The picture that finishes samples; None where they are as the generator made them.

    Args:
        model: holds the picture.
        finish: a name of a finish, or none; the configuration's if None.

    Raises:
        UserError: a finish is wanted of a model that holds no picture.
    """
    wanted = finish or model.settings.sampling.finish
    if wanted == "none":
        return None
    if model.photo is None:
        raise UserError(
            f"--finish {wanted} needs the training picture, which this model does not hold; give --finish none, "
            "or train it anew."
        )
    return model.photo


def store_for(model: SingleImageModel, finish: str | None, of: int = 0) -> Photo | Atlas | None:
    """As ``photo_for``, with the patches of all pictures of a model of several; number ``of`` sets the size."""
    photo = photo_for(model, finish)
    return album.atlas(model, of) if photo and model.pages else photo


def own_size(
    model: SingleImageModel,
    finish: str | None = None,
    longest: int = finished.BOUND,
    toward: Toward | None = None,
    of: int = 0,
) -> Size:
    """``(H, W)`` of samples where none is asked for: finished, the picture's up to a longer side; else the trained.

    Args:
        model, finish: as for ``photo_for``.
        longest: px.
        toward: what they follow, whose proportions they have.
        of: the number of the picture, from 0, of a model of several.
    """
    photo = store_for(model, finish, of)
    own = finished.own_size(photo.size, longest) if photo else album.pages_of(model)[of].size
    return own if toward is None else shaped(own, size_of(toward.sketch.picture))


def chain(
    model: SingleImageModel, options: Stills, told: Told = lambda share: None, tally: Tally | None = None
) -> Chain:
    """The steps that the options name; this is where an option becomes a step.

    Args:
        model: whose samples go through them.
        options: what the samples are to be like.
        told: hears how far each finished batch has come, from 0 to 1.
        tally: as for ``Patches``.

    Raises:
        UserError: as ``photo_for``.
    """
    of, wraps = album.number_of(model, options.of) or 0, wraps_with(model, options.tileable)
    store, trained = store_for(model, options.finish, of), album.pages_of(model)[of].size
    return Chain([Patches(store, trained, options.finish_seed, told, wraps, tally)] if store else [])


def stills(
    model: SingleImageModel, options: Stills, size: Size | None, after: Chain | None, toward: Toward | None = None
) -> Iterator[Tensor]:
    """New pictures ``[1, C, H, W]`` in [-1, 1], one at a time; several are computed together where the device gains.

    Args:
        model: makes them.
        options: how many, from which numbers; their sizes do not count.
        size: ``(H, W)`` in pixels; the first that the options name if None.
        after: what they go through; the steps that the options name if None.
        toward: what their layouts follow.

    Raises:
        UserError: a step makes no pictures of the size, or a code does not fit the model.
    """
    given = fixed_codes(model, options)
    wanted = (coded(model, options, number, given) for number in range(options.num_samples))
    return pictures(model, wanted, options, size, after, toward)


def coded(model: SingleImageModel, options: Stills, number: int, given: Mapping[int, float]) -> tuple[Draw, Tensor]:
    """The place of a sample's random numbers, and its codes ``[1, K]``; the given ones from ``fixed_codes``."""
    draw = Draw(options.seed, ("sample", number), model.device)
    return draw, codes_of(model, draw, options.gen_start_scale, given)


def pictures(
    model: SingleImageModel,
    wanted: Iterable[tuple[Draw, Tensor]],
    options: Stills,
    size: Size | None = None,
    after: Chain | None = None,
    toward: Toward | None = None,
) -> Iterator[Tensor]:
    """Pictures ``[1, C, H, W]`` in [-1, 1] of places of random numbers, each with its codes ``[1, K]``.

    Args:
        model, options, size, after, toward: as for ``stills``; neither number nor seed nor codes of the options count.
        wanted: in order.
    """
    model = tiling(model, options.tileable)
    after = after or chain(model, options)
    if size is None:
        own = own_size(model, options.finish, options.longest, toward, album.number_of(model, options.of) or 0)
        size = output_sizes(options, own, bool(after.steps))[0]
    layout, *_ = after.sizes(size)
    together = batch_size(model.device)
    if after.steps:  # a large one fills memory by itself
        together = max(1, min(together, TOGETHER // (size[0] * size[1])))
    waiting = iter(wanted)
    while batch := list(islice(waiting, together)):
        draws, values = [draw for draw, _ in batch], torch.cat([values for _, values in batch])
        how = (layout, options.gen_start_scale, options.variation, values)
        if model.pages:
            made = album.laid_out(model, draws, album.number_of(model, options.of), *how, toward)
        else:
            made = model.layouts(draws, *how, toward)
        yield from after.apply(made, size, draws).split(1)


def sources(
    model: SingleImageModel,
    draws: Sequence[Draw],
    sizes: Sequence[Size],
    start: int = 0,
    variation: float | None = None,
    values: Tensor | None = None,
) -> list[Source]:
    """By stage, what the generator makes pictures of.

    Args:
        model: its own.
        draws, start, variation, values: as for ``SingleImageModel.layouts``.
        sizes: ``(H, W)`` of the stages.

    Raises:
        UserError: the model takes no noise.
    """
    guides.check_takes_noise(model.settings)
    variation = model.settings.sampling.variation if variation is None else variation
    found = [expanded(anchor, len(draws)) for anchor in model.anchors_for(sizes, start)]
    for stage in range(start, model.stages):
        found.append(stacked([model.noise(draw, stage) for draw in draws]))
    if start == 0 and variation < 1:
        (anchor,) = model.anchors_for(sizes, 1)
        everything = Window.whole(sizes[0])
        noise = found[0](everything)
        found[0] = as_source(channels_last(mixed(anchor(everything), noise, variation)))
    values = torch.cat([codes_of(model, draw, start) for draw in draws]) if values is None else values
    found[0] = codes.replacing(found[0], values)
    return found


def fixed_codes(model: SingleImageModel, options: Stills) -> dict[int, float]:
    """The codes that the options give, by number.

    Raises:
        UserError: one does not fit the model, or is a range.
    """
    found = codes.parsed(options.code, model.settings.codes)
    given = codes.fixed(found)
    for word in (word for word, index in zip(options.code, found, strict=True) if index not in given):
        raise UserError(f"--code {word} is a range; give one value here, or --application turn for a strip.")
    return given


def codes_of(model: SingleImageModel, draw: Draw, start: int = 0, given: Mapping[int, float] | None = None) -> Tensor:
    """The codes of a sample, ``[1, K]``: those that are given; the others drawn, or with stage 0 fixed none.

    Args:
        model: its own.
        draw: the place of its random numbers.
        start: first stage that draws noise.
        given: by number.
    """
    known = model.settings.codes
    return codes.changed(known, model.no_code if start else codes.drawn(known, draw), given or {})


def batch_size(device: torch.device) -> int:
    """Samples to compute together: a CPU is busy with one, an accelerator with several."""
    return 1 if device.type == "cpu" else 8


# ---------------------------------------------------------------------------------------------------------
# animations


@dataclass(frozen=True)
class Walk:
    """A random walk in the noise around the anchors (see ``noise.walk``).

    Args:
        frames: how many.
        alpha: pull back to the anchor, 0 to 1.
        beta: smoothness of the motion, 0 to 1.
        start: first stage that moves.
        seed: of the walk.
    """

    frames: int
    alpha: float
    beta: float
    start: int
    seed: int

    @classmethod
    def checked(cls, stages: int, frames: int, alpha: float, beta: float, start: int, seed: int) -> Walk:
        """A walk of a model of so many stages.

        Raises:
            UserError: a number is out of range.
        """
        ranges = {"frames": (frames, 1, 10_000), "alpha": (alpha, 0, 1), "beta": (beta, 0, 1)}
        for name, (value, low, high) in {**ranges, "start": (start, 0, stages - 1)}.items():
            if not low <= value <= high:  # so written, it refuses nan as well
                raise UserError(f"{name} is {value}; give a number from {low} to {high}.")
        return cls(frames, alpha, beta, start, seed)


FRAME_FINISHES: Mapping[str, Callable[[SingleImageModel, Photo, Size], FrameStep]] = {
    "moved": lambda model, photo, size: Moved(photo, size, model.reconstruct()),
    "patches": lambda model, photo, size: Steadied(photo, size),
}
MOVED = "moved"  # where the configuration finishes samples and nothing else is said


def frame_finish(model: SingleImageModel, finish: str | None) -> str:
    """The name of how frames are finished: as given; else moved, where the configuration finishes samples, or none.

    Raises:
        UserError: as ``photo_for``.
    """
    photo = photo_for(model, finish)
    return finish or (MOVED if photo else "none")


def frame_steps(model: SingleImageModel, finish: str | None, longest: int) -> list[FrameStep]:
    """The steps that an animation's frames go through, the first next to the generator.

    Args:
        model: whose frames.
        finish: as for ``SingleImageModel.animate``.
        longest: px of the frames' longer side at most.

    Raises:
        UserError: as ``photo_for``.
    """
    photo = photo_for(model, finish)
    if photo is None:
        return []
    size = finished.own_size(photo.size, longest)
    finished.check_size(size)
    return [FRAME_FINISHES[frame_finish(model, finish)](model, photo, size)]


def frames(model: SingleImageModel, way: Walk, steps: Sequence[FrameStep]) -> Iterator[Tensor]:
    """A walk's frames through steps, one at a time."""
    made = model.walk(way.frames, way.alpha, way.beta, way.start, way.seed)
    for step in steps:
        made = step.frames(made, Draw(way.seed, ("walk",), model.device))
    return made


def layouts_of(model: SingleImageModel, way: Walk) -> Iterator[Tensor]:
    """A walk's frames as the generator makes them, see ``SingleImageModel.walk``."""
    guides.check_takes_noise(model.settings)
    places = [Window.whole(model.size)]
    if not model.settings.network.whole:
        places = list(tiles(model.size, model.tile))
    if len(places) == 1:
        yield from in_window(model, places[0], way)
        return
    made = [model.fixed[0].new_empty(1, model.generator.channels, *model.size) for _ in range(way.frames)]
    for window in places:
        for frame, part in zip(made, in_window(model, window, way), strict=True):
            window.cut(frame).copy_(part)
    yield from made


def in_window(model: SingleImageModel, window: Window, way: Walk) -> Iterator[Tensor]:
    """A walk's frames in a window."""
    sizes = model.sizes[: model.stages]
    parts = model.generator.parts(sizes, window)
    anchors = [anchor(part.noise) for anchor, part in zip(model.anchors, parts, strict=True)]
    draw = Draw(way.seed, ("walk",), model.device)

    def moving(stage: int) -> Iterator[Tensor]:
        def fresh(time: str | int) -> Tensor:
            source = going_on(model.noise(draw.at(time), stage), model.generator.plane(stage, sizes[stage]))
            return source(parts[stage].noise)

        return walk(anchors[stage], way.frames, way.alpha, way.beta, fresh)

    for noise in zip(*map(moving, range(way.start, model.stages)), strict=True):
        yield model.generate([*anchors[: way.start], *noise], sizes, window)
