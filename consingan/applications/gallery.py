"""What an application made, for Python and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from consingan.applications.base import Result
from consingan.applications.writing import write
from consingan.errors import UserError
from consingan.pictures import shown
from consingan.storage.results import Role

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Gallery:
    """Results in the order in which they were made; a notebook shows them as a grid.

    Args:
        results: of an application.
        facts: written into every file beside the results' own.
    """

    results: Sequence[Result]
    facts: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Gallery of {len(self)}: {', '.join(result.name for result in self)}>"

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __getitem__(self, number: int) -> Result:
        return self.results[number]

    def of(self, role: str) -> list[Image.Image]:
        """The pictures of a role, Pillow's, in order; of animations all frames.

        Args:
            role: sample, reconstruction, masked, naive ... (``storage.results.Role``).

        Raises:
            UserError: there is no such role.
        """
        if role not in set(Role):
            raise UserError(f"role is {role!r}; choose one of {', '.join(Role)}.")
        return [picture for result in self.results if result.role == role for picture in result.pictures]

    def save(self, folder: str | Path) -> list[Path]:
        """Write all as ``consingan sample`` does, with their index; give the paths back.

        Raises:
            UserError: the folder or a file cannot be written.
        """
        return list(write(self.results, Path(folder), self.facts))

    def _repr_png_(self) -> bytes | None:
        """The first frames: the samples where there are any, or else everything."""
        samples = [result for result in self.results if result.role is Role.SAMPLE]
        return shown.as_png([result.seen for result in samples or self.results]) if self.results else None
