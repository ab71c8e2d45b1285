"""A code turns and the noise stays: what a code does, as a strip or an animation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.config import SEED, Words, setting
from consingan.errors import UserError
from consingan.gan.stills import Stills
from consingan.storage.results import Role

if TYPE_CHECKING:
    from consingan.config import Codes

MOVING = ("gif",)  # formats of animations


@dataclass(frozen=True)
class TurnOptions:
    """One code at a time. Without a range each code that is not given turns over all of its values."""

    code: Words = setting(
        (),
        "or the range that it turns through, as 0=-1..1",
    )
    frames: int = setting(9, "number of frames", low=2, high=10_000)
    num_samples: int = setting(1, "samples in which a code turns, each of its own noise", low=1, high=100_000)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    variation: float | None = setting(
        None, "how far samples may differ from the picture, from 0, nearly the picture, to 1, any layout", low=0, high=1
    )
    finish: str | None = setting(
        None,
        "stills: patches rebuilds samples from patches of the picture, sharp at any size; none "
        "leaves them as the generator makes them",
        choices=("patches", "none"),
    )
    longest: int = setting(250, "codes: longer side of a frame in pixels", low=16, high=2048)
    fps: float = setting(10.0, "frames per second", low=0.1, high=50)
    format: str = setting(
        "png",
        "codes: png, jpg or webp is a strip of all frames, gif an animation",
        choices=("png", "jpg", "webp", "gif"),
    )

    def single(self) -> TurnOptions:
        """The same for one strip.

        Raises:
            UserError: not exactly one code turns.
        """
        if sum(map(is_range, self.code)) != 1:
            given = " ".join(f"--code {word}" for word in self.code) or "No --code"
            raise UserError(
                f"{given} asks for no single strip, which one file holds; give one range, as --code 0=-1..1."
            )
        return replace(self, num_samples=1)


@dataclass(frozen=True)
class Turn:
    """Strips and animations of a model with codes."""

    name: str = "turn"
    summary: str = "a sample in which one code turns, for models with --codes"
    options: TurnOptions = TurnOptions()

    def asked(self, given: Mapping[str, Any]) -> bool:
        """By the range of a code."""
        return any(map(is_range, given.get("code", ())))

    def unfit(self, material: Material) -> str | None:
        if (reason := without_model(self.name, material)) is not None:
            return reason
        if material.trained.settings.codes.channels:
            return None
        return f"--application {self.name} needs a model with codes, and this one has none; train one with --codes 2."

    def announce(self, material: Material, options: TurnOptions) -> Expected:
        return Expected()

    def apply(self, material: Material, options: TurnOptions, told: Told) -> Iterator[Result]:
        from consingan.gan import codes, sampling

        model = material.trained
        known, found = model.settings.codes, codes.parsed(options.code, model.settings.codes)
        given = codes.fixed(found)
        ranges = {index: ends for index, ends in found.items() if index not in given} or whole_ranges(known, given)
        how = Stills(seed=options.seed, variation=options.variation, finish=options.finish)
        after = sampling.chain(model, how, told)
        size = sampling.own_size(model, options.finish, options.longest)
        for index, ends in ranges.items():
            values = steps(ends, options.frames, index == known.codes)
            for number in range(options.num_samples):
                draw, own = sampling.coded(model, how, number, given)
                wanted = ((draw, codes.changed(known, own, {index: value})) for value in values)
                pictures = list(sampling.pictures(model, wanted, how, size, after))
                place = {"seed": f"{options.seed}", "sample": f"{number}", **codes.facts(known, own)}
                facts = {**place, "turning": f"{index}={ends[0]:g}..{ends[1]:g}", "frames": f"{options.frames}"}
                facts |= {"variation": f"{options.variation}", "finish": f"{options.finish}"}
                name = f"code_{index}_seed_{options.seed}_sample_{number:03d}"
                made = Result(name, Role.SAMPLE, pictures, facts, options.format, options.fps, kind=model.kind)
                yield shown(made, values)


def is_range(word: str) -> bool:
    """Whether a --code says from where to where a code turns."""
    return ".." in word


def whole_ranges(known: Codes, given: Collection[int]) -> dict[int, tuple[float, float]]:
    """All values of each code that is not given, by its number.

    Raises:
        UserError: all are given.
    """
    found = dict.fromkeys(range(known.codes), (-1.0, 1.0))
    found |= {known.codes: (0.0, known.code_categories - 1.0)} if known.code_categories else {}
    left = {index: ends for index, ends in found.items() if index not in given}
    if not left:
        raise UserError("--code gives every code one value, so that none turns; give one a range, as 0=-1..1.")
    return left


def steps(ends: tuple[float, float], frames: int, whole: bool) -> list[float]:
    """As many values from one end to the other, as whole numbers where they are of a category."""
    low, high = ends
    values = [low + (high - low) * frame / (frames - 1) for frame in range(frames)]
    return [float(round(value)) for value in values] if whole else values


def shown(animation: Result, values: Sequence[float]) -> Result:
    """An animation as it is, or in the format of a still as a strip with the values below its frames."""
    from consingan.pictures.sheets import labelled_row, on_checks

    if animation.format in MOVING:
        return animation
    frames = [on_checks(frame, animation.kind) for frame in animation.frames]
    row = labelled_row([(f"{value:.2g}", frame) for value, frame in zip(values, frames, strict=True)])
    return replace(animation, role=Role.VIEW, frames=[row], fps=0.0, kind=None)


TURN: Application[TurnOptions] = Turn()
