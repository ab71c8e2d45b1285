"""Animations: a smooth random walk in the noise around the picture's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consingan.applications.base import Application, Expected, Material, Result, Told, without_model
from consingan.applications.progress import finishing
from consingan.applications.samples import check_noise, first_noise, no_stage_for_noise
from consingan.config import MOST_STAGES, SEED, setting
from consingan.finish.scales import FRAME_BOUND, own_size
from consingan.gan.stills import OF, check_start
from consingan.grid.sizes import Size
from consingan.storage.formats import for_kind
from consingan.storage.results import Role

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel
    from consingan.grid.kinds import Kind

PUBLISHED_BETAS = (0.80, 0.85, 0.90, 0.95)
PUBLISHED_STARTS = (0, 1, 2)
BETA = 0.9
FRAME, MOVED, MOVED_PER_PIXEL = 0.004, 0.025, 5e-8  # seconds of a frame of the generator's, of moving and writing it


@dataclass(frozen=True)
class WalkOptions:
    """Sampling animations. Without --alpha, --beta and --start_scale the published twelve are made."""

    num_samples: int = setting(1, "animations per setting, each with its own random walk", low=1, high=100_000)
    alpha: float | None = setting(
        None, "how strongly the walk is pulled back to the picture; 0.1 by default", low=0, high=1
    )
    beta: float | None = setting(None, "smoothness of the motion; 0.9 by default", low=0, high=1)
    start_scale: int | None = setting(None, "first stage that moves; 0 by default", low=0, high=MOST_STAGES)
    frames: int = setting(100, "number of frames", low=1, high=10_000)
    finish: str | None = setting(
        None,
        "animations: moved lets the picture move as the generator's frames do; patches rebuilds "
        "each frame from patches of the picture; none leaves the generator's frames as they are",
        choices=("moved", "patches", "none"),
    )
    longest: int = setting(FRAME_BOUND, "animations: longer side of finished frames in pixels", low=16, high=2048)
    fps: float = setting(10.0, "frames per second", low=0.1, high=50)
    seed: int = setting(0, "seed of all random numbers; result k is the same for any num_samples", **SEED)
    of: str | None = OF
    reconstruction: bool = setting(False, "also write the reconstruction of the training picture")
    format: str = setting("gif", "file format", choices=("gif", "webp", "png"))

    def single(self) -> WalkOptions:
        """The same for one animation."""
        return replace(self, num_samples=1, beta=BETA if self.beta is None else self.beta)


@dataclass(frozen=True)
class WalkAround:
    """Animations of a trained model."""

    name: str = "walk"
    summary: str = "the picture set in motion"
    options: WalkOptions = WalkOptions()

    def unfit(self, material: Material) -> str | None:
        return without_model(self.name, material) or no_stage_for_noise(self.name, material.trained)

    def announce(self, material: Material, options: WalkOptions) -> Expected:
        from consingan.gan import album
        from consingan.gan.sampling import frame_finish

        model = album.named(material.trained, options.of)
        finish = frame_finish(model, options.finish)
        photo = None if finish == "none" else model.photo
        size = own_size(photo.size, options.longest) if photo else model.size
        many = len(walks(options, model)) * options.num_samples
        return Expected(many, [size], False, options.frames * seconds(finish, size), "animation")

    def apply(self, material: Material, options: WalkOptions, told: Told) -> Iterator[Result]:
        from consingan.gan import album
        from consingan.gan.sampling import frame_finish

        model, near = album.named(material.trained, options.of), album.beside(material.trained, options.of)
        wanted = walks(options, model)
        finish = frame_finish(model, options.finish)
        if options.reconstruction:
            png = for_kind("png", model.kind)
            made = [model.reconstruct()]
            yield Result("reconstruction", Role.RECONSTRUCTION, made, near, png, kind=model.kind)
        for start, alpha, beta in wanted:
            for seed in range(options.seed, options.seed + options.num_samples):
                frames = []
                for frame in model.animate(options.frames, alpha, beta, start, seed, finish, options.longest):
                    frames.append(frame)
                    told(len(frames) / options.frames)
                name = f"animation_start_{start}_alpha_{alpha:g}_beta_{beta:g}_seed_{seed}"
                name += "" if finish == "none" else f"_{finish}"
                name += album.folder(material.trained, options.of)
                facts = {"start_scale": f"{start}", "alpha": f"{alpha}", "beta": f"{beta}", "seed": f"{seed}"}
                facts |= {"finish": finish, "frames": f"{options.frames}", "fps": f"{options.fps:g}"}
                facts |= {"longest": f"{options.longest}", **near}
                how, notes = options.format, in_frames(model.kind, options.format)
                yield Result(name, Role.SAMPLE, frames, facts, how, options.fps, notes, model.kind)


def seconds(finish: str, size: Size) -> float:
    """What a frame of ``(H, W)`` takes, as ``progress.Progress`` counts."""
    if finish == "none":
        return FRAME
    return FRAME + (finishing(size) if finish == "patches" else MOVED + MOVED_PER_PIXEL * size[0] * size[1])


def in_frames(kind: Kind, format: str) -> tuple[str, ...]:
    """What of its pictures an animation has not."""
    lacks = []
    if kind.alpha and format == "gif":
        lacks.append("transparency, which is laid on white; --format webp and png keep it")
    if kind.depth != "uint8":
        lacks.append("more than 8 bits")
    if kind.colours not in (1, 3):
        lacks.append("more than three channels, of which the first are shown")
    return (f"The animation does not have {', nor '.join(lacks)}.",) if lacks else ()


def walks(options: WalkOptions, model: SingleImageModel) -> list[tuple[int, float, float]]:
    """(start stage, alpha, beta) of each animation: as the options say, or the published twelve without any.

    Raises:
        UserError: the model has no such stage, or none that takes noise.
    """
    alpha = 0.1 if options.alpha is None else options.alpha
    lowest = first_noise(model)
    if (options.alpha, options.beta, options.start_scale) == (None, None, None):
        starts = [start for start in PUBLISHED_STARTS if lowest <= start < model.stages]
        return [(start, alpha, beta) for start in starts for beta in PUBLISHED_BETAS]
    start = lowest if options.start_scale is None else options.start_scale
    check_start(start, model.stages, "--start_scale")
    check_noise(start, model, "--start_scale")
    return [(start, alpha, BETA if options.beta is None else options.beta)]


WALK: Application[WalkOptions] = WalkAround()
