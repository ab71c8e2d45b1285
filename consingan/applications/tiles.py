"""Stills that repeat without a seam: the tile, how well it closes, and what it looks like laid three by three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consingan.applications.base import Result
from consingan.errors import UserError
from consingan.gan.stills import Stills
from consingan.grid.sizes import NOWHERE, WRAPS, Wraps, at_most, size_of
from consingan.storage.results import Role
from consingan.tasks import TASKS

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

TIMES = 3  # tiles along an axis of the view
SIDE = 1024  # px, the longer side of a tile of the view


@dataclass(frozen=True)
class Tiles:
    """What is said and shown of samples that may repeat.

    Args:
        wraps: along which axes they do.
        seam: whether the person wants to hear how well they close.
        moved: whether a tile may be moved to where its cut shows least, or has to lie where it was made.
    """

    wraps: Wraps
    seam: bool = False
    moved: bool = True

    @classmethod
    def wanted(cls, options: Stills, model: SingleImageModel | None = None) -> Tiles:
        """As the options say, or else as the model was trained.

        Raises:
            UserError: the model has learned to change pictures that are given, which do not repeat.
        """
        wraps = WRAPS[options.tileable] if options.tileable else model.wraps if model else NOWHERE
        if wraps != NOWHERE and model is not None and TASKS[model.settings.mode].first_noise:
            raise UserError(
                f"--tileable {options.tileable} needs a model that makes new pictures, and this one, of "
                f"{model.settings.mode}, changes given ones; name a run of generation, or the picture alone."
            )
        return cls(wraps, options.seam, moved=options.like is None)

    @property
    def word(self) -> str:
        """x, y, xy or off."""
        return next(word for word, wraps in WRAPS.items() if wraps == self.wraps)

    @property
    def folder(self) -> str:
        """What it adds to a folder's name."""
        return "" if self.wraps == NOWHERE else f"_tileable_{self.word}"

    def shown(self, result: Result) -> Iterator[Result]:
        """A sample with its seams' figures among its facts; behind a tile how it repeats.

        A tile closes everywhere, so it is cut where that shows little (``torus.quiet``), unless it follows a sketch.
        The figures of the cut are ``seam_x`` and ``seam_y``; those of the place where it was made to close, which no
        choice has improved, ``made_x`` and ``made_y``.
        """
        from consingan.grid.torus import quiet, repeated, resized, seams

        wraps = self.wraps
        if wraps == NOWHERE and not self.seam:
            yield result
            return
        (picture,) = result.frames
        made = picture
        if self.moved:
            picture = quiet(made, wraps)
        figures = self._figures("seam", seams(picture))
        if wraps != NOWHERE:
            figures |= self._figures("made", seams(made))
        said = ", ".join(f"{name} {value}" for name, value in figures.items())
        notes = (f"{result.name}: {said}.",) if self.seam else ()
        facts = {**result.facts, **({} if wraps == NOWHERE else {"tileable": self.word}), **figures}
        yield replace(result, frames=[picture], facts=facts, notes=(*result.notes, *notes))
        if wraps != NOWHERE:
            tile = resized(picture, at_most(size_of(picture), SIDE), wraps).clamp(-1, 1)
            folder, _, name = result.name.rpartition("/")
            laid = "x".join(str(TIMES if wrap else 1) for wrap in reversed(wraps))
            view = f"{folder}/repeated/{name}_{laid}"
            yield replace(result, name=view, role=Role.REPEATED, frames=[repeated(tile, TIMES, wraps)], facts=facts)

    def _figures(self, name: str, found: Mapping[str, float]) -> dict[str, str]:
        """Figures of the axes that are of interest: of ordinary samples both are, to compare with."""
        told = [axis for axis in found if self.wraps == NOWHERE or axis in self.word]
        return {f"{name}_{axis}": f"{found[axis]:.3f}" for axis in told}
