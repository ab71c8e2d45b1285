"""What a run is begun with, and the copies of it that the run keeps, so that it needs nothing outside of its folder.

``local.json`` says where they came from on this machine: it is looked at to find a person's own run again, nothing is
opened by it, and no other file is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consingan.errors import UserError
from consingan.pictures.source import is_input
from consingan.storage.files import read_json, write_json
from consingan.storage.run import Run, safe_name

SCHEMA = 1


@dataclass(frozen=True)
class Belongings:
    """The files that a training is begun with, by their whole paths.

    Args:
        picture: None where it is no file.
        naive_img: the naive picture, if there is one.
        model_dir: the run that is learned on from, if there is one.
        target_name: the second picture, if there is one.
        also: further pictures that the same model learns from.
    """

    picture: str | None = None
    naive_img: str | None = None
    model_dir: str | None = None
    target_name: str | None = None
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, picture: str | None, settings: Mapping[str, Any]) -> Belongings:
        """As they are typed; standard input is no file.

        Raises:
            UserError: there is no such run.
        """
        base = settings.get("model_dir")
        run = None if base is None else Run.open(str(base)).folder
        own = None if picture is None or is_input(picture) else picture
        typed = (own, settings.get("naive_img"), run, settings.get("target_name"))
        also = tuple(str(Path(path).absolute()) for path in settings.get("also") or ())
        picture, naive, base, target = (None if path is None else str(Path(path).absolute()) for path in typed)
        return cls(picture, naive, base, target, also)

    def may_be_of(self, run: Run) -> bool:
        """Whether a run may have been begun with the same; yes where it does not say, as in runs of 0.1.0."""
        with suppress(UserError):
            found = read_json(run.local)
            if isinstance(found, dict):
                own = {**asdict(self), "also": list(self.also)}
                return {name: found.get(name, []) if name == "also" else found.get(name) for name in own} == own
        return True

    def keep(self, run: Run, channels: int) -> None:
        """Copy into a run folder what the run will need again, and note where it came from.

        Args:
            run: new.
            channels: 1 or 3, the model's.

        Raises:
            UserError: a file cannot be read or written.
        """
        write_json(run.local, {"schema": SCHEMA, **asdict(self)})
        if self.naive_img is not None:
            keep_naive(Path(self.naive_img), run, channels)
        if self.model_dir is not None:
            from consingan.gan.model import SingleImageModel

            SingleImageModel.load(Run.open(self.model_dir).model).save(run.base, picture=False)


def keep_naive(file: Path, run: Run, channels: int) -> None:
    """Write a naive picture and the mask beside it into a run, as they are read: pixels alone, without EXIF."""
    from consingan.applications.writing import make_folder
    from consingan.grid.ranges import signed
    from consingan.pictures import images, masks

    stem = safe_name(file.stem)
    stem += "_" if stem.endswith("_mask") else ""  # which would be that of another picture
    make_folder(run.naive)
    images.save(run.naive / f"{stem}.png", images.load(file, channels=channels).pixels)
    if (mask := masks.find(file)) is not None:
        images.save(run.naive / f"{stem}_mask.png", signed(images.load_mask(mask)))
