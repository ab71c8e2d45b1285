"""The numbered checkpoints of a run: the newest that can be read, and one to fall back to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan.errors import UserError
from consingan.storage.files import SCHEMA, StorageError, load_tensors, read_json, save_tensors, write_json

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoints:
    """The numbered checkpoints in one folder and the pointer to the newest.

    One process at a time may save into a folder (``run.Run.lock`` sees to that).

    Args:
        folder: where they lie; made when the first is saved.
        keep: how many stay: the newest, and those to fall back to.
    """

    folder: Path
    keep: int = 2  # the newest, and one to fall back to

    POINTER = "newest.json"
    _NAME = re.compile(r"\d{8,20}\.safetensors", re.ASCII)

    def save(self, number: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then the pointer, then remove what is no longer kept.

        The pointer goes last: until it stands, a reader sees the checkpoint before.

        Args:
            number: 0 or more, the iterations done; the file's name.
            tensors, header: as for ``files.save_tensors``.

        Returns:
            The file.

        Raises:
            StorageError: the disk refuses.
        """
        if number < 0:
            raise ValueError(f"a checkpoint's number is 0 or more, not {number}")
        try:
            self.folder.mkdir(exist_ok=True)  # and not those above it: a run folder that is gone stays gone
        except OSError as error:
            raise StorageError.of(self.folder, error) from error
        path = self.folder / f"{number:08d}.safetensors"
        save_tensors(path, tensors, header)
        write_json(self.folder / self.POINTER, {"schema": SCHEMA, "file": path.name})
        self._tidy(path.name)
        return path

    def newest(
        self, warn: Callable[[str], None] = warnings.warn, most: Callable[[dict[str, Any]], int] = lambda header: 2**63
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest checkpoint that can be read.

        Args:
            warn: is told of each one that cannot be read; the one before it is then tried.
            most: as for ``files.load_tensors``.

        Returns:
            Tensors by name and header, as ``files.load_tensors``; None where none was ever saved.

        Raises:
            UserError: there are checkpoints and none can be read: to start anew is the person's choice, not ours.
        """
        names = self._newest_first(warn)
        for name in names:
            try:
                return load_tensors(self.folder / name, most)
            except UserError as error:
                warn(f"{error} Trying the checkpoint before it.")
        if names:
            raise UserError(f"No checkpoint in {self.folder} can be read ({len(names)} tried); start a new run.")
        return None

    def _names(self) -> list[str]:
        """File names of the checkpoints, highest number first."""
        if not self.folder.is_dir():
            return []
        try:
            names = [entry.name for entry in self.folder.iterdir() if self._NAME.fullmatch(entry.name)]
        except OSError as error:
            raise UserError(f"Cannot read {self.folder}: {error.strerror}; check its rights.") from error
        return sorted(names, key=_number, reverse=True)

    def _newest_first(self, warn: Callable[[str], None]) -> list[str]:
        """The pointer's checkpoint, then the others by falling number (a torn pointer: all by number)."""
        names = self._names()
        pointer = self.folder / self.POINTER
        if not pointer.exists():
            return names
        try:
            value = read_json(pointer)
        except UserError as error:
            warn(f"{error} Looking through the checkpoints by number.")
            return names
        name = value.get("file") if isinstance(value, dict) else None
        if not isinstance(name, str) or not self._NAME.fullmatch(name):  # it must not lead out of the folder
            warn(f"{pointer} names no checkpoint. Looking through the checkpoints by number.")
            return names
        return [name, *(other for other in names if other != name)]

    def _tidy(self, newest: str) -> None:
        """Remove checkpoints that are not kept, and half files of processes that were killed.

        A higher number than the newest is left from before a fall-back: its training was taken back.
        """
        ours = [name for name in self._names() if _number(name) <= _number(newest)]
        kept = set(ours[: self.keep])
        for entry in list(self.folder.iterdir()):
            dropped = self._NAME.fullmatch(entry.name) and entry.name not in kept
            if dropped or (entry.name.startswith(".") and entry.name.endswith(".part")):
                with suppress(OSError):  # a virus scanner may hold it; the next save tries again
                    entry.unlink()


def _number(name: str) -> int:
    """The number in a checkpoint's file name."""
    return int(name.split(".")[0])
