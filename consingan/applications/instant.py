"""Stills without a model: what sampling a picture instead of a run makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from consingan.errors import UserError
from consingan.finish.scales import own_size
from consingan.tasks.base import Result
from consingan.tasks.generation import StillOptions, output_sizes

if TYPE_CHECKING:
    from consingan.finish.patches import Told
    from consingan.finish.photo import Photo

VARIATION = 0.6
FIRST_LOOK = StillOptions(num_samples=3, longest=250)  # of a run, before it has trained anything


def results(photo: Photo, options: StillOptions, told: Told = lambda share: None) -> Iterator[Result]:
    """New pictures of a picture at the sizes of the options; ``told`` hears how far each has come.

    Raises:
        UserError: an option needs a model, or a size is out of bounds.
    """
    from consingan.finish.instant import instant

    needing = {
        "--finish none": options.finish == "none",
        f"--gen_start_scale {options.gen_start_scale}": options.gen_start_scale > 0,
        f"--finish_seed {options.finish_seed}": options.finish_seed is not None,
    }
    for flag in (name for name, given in needing.items() if given):
        raise UserError(f"{flag} needs a trained model; name a run folder, or leave the flag out.")
    variation = VARIATION if options.variation is None else options.variation
    for size in output_sizes(options, own_size(photo.size, options.longest), finished=True):
        folder = f"samples_{size[1]}x{size[0]}_variation_{variation:g}_instant"
        pictures = instant(photo, options.num_samples, size, variation, options.seed, told)
        for number, picture in enumerate(pictures):
            facts = {"seed": f"{options.seed}", "sample": f"{number}", "variation": f"{variation:g}", "model": "none"}
            yield Result(f"{folder}/seed_{options.seed}_sample_{number:03d}", [picture], facts, options.format)
