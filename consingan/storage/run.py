"""The run folder: every path in it has a name here.

    OUTDIR/<image>/<yyyy_mm_dd_hh_mm_ss>_<label>/
      config.json environment.json local.json log.jsonl  picture.png  naive/  base.safetensors  pyramid/  samples/
      checkpoints/  model.safetensors  report.html  Evaluation/  tensorboard/

It needs nothing from outside of it, and nothing in a file becomes a path that is opened. Where the pictures came from
on this machine is in local.json alone, which no other file is made of.

One process at a time works in a run folder (``Run.lock``). torch is not imported with this module: ``--help`` and
``--dry_run`` need none.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice, takewhile
from pathlib import Path

from consingan.errors import UserError
from consingan.storage import runs
from consingan.storage.files import StorageError

MAX_IMAGE_BYTES = 80  # of UTF-8; whole paths stay below the 260 characters of Windows in usual places
MAX_LABEL_BYTES = 160  # a folder name may have 255 bytes on most file systems
MAX_SAME_SECOND = 1000

# Windows keeps these for devices, with any suffix; it reads the raised digits as digits too
_RESERVED = {"con", "prn", "aux", "nul"} | {port + digit for port in ("com", "lpt") for digit in "0123456789¹²³"}


@dataclass(frozen=True)
class Run:
    """One training run on the disk. Make one with ``Run.create`` or ``Run.open``."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def picture(self) -> Path:
        return self.folder / "picture.png"

    @property
    def local(self) -> Path:
        """Where its pictures came from on this machine."""
        return self.folder / "local.json"

    @property
    def naive(self) -> Path:
        """The folder of the naive picture that it was begun with, and of its mask."""
        return self.folder / "naive"

    @property
    def hole(self) -> Path:
        """The mask of what of its picture it has not learned from; only runs of filling have one."""
        return self.folder / "hole.png"

    @property
    def base(self) -> Path:
        """The model that it learned on from."""
        return self.folder / "base.safetensors"

    @property
    def pyramid(self) -> Path:
        return self.folder / "pyramid"

    @property
    def first_look(self) -> Path:
        return self.samples / "without_training"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model.safetensors"

    def picture_of(self, branch: str) -> Path:
        """The picture of a branch of the training; the first is called ''."""
        return self.folder / f"picture_{branch}.png" if branch else self.picture

    @property
    def further(self) -> list[Path]:
        """The further pictures of a model of several, in order; none in other runs."""
        found = (self.picture_of(str(number)) for number in count(2))
        return list(takewhile(Path.is_file, found))

    def model_of(self, branch: str) -> Path:
        """The model of a branch, as `picture_of`."""
        return self.folder / f"model_{branch}.safetensors" if branch else self.model

    @property
    def finished(self) -> Path:
        """Written last of all: a run without it can be gone on with."""
        return self.folder / "finished.json"

    @property
    def evaluation(self) -> Path:
        return self.folder / "Evaluation"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @staticmethod
    def create(outdir: Path | str, image_name: str, label: str, now: datetime | None = None) -> Run:
        """Make a new run folder with pyramid/, samples/ and checkpoints/ in it, and never reuse one.

        A second run in the same second gets the suffix _2, then _3.

        Args:
            outdir: where the pictures' folders lie; made where it is missing.
            image_name: the picture's, any text; its folder is called so as far as systems allow.
            label: what follows the time, see ``label``.
            now: the time; that of the clock if None.

        Raises:
            UserError: no folder can be made there.
        """
        try:
            for folder in _candidates(outdir, image_name, label, now or datetime.now()):
                folder.parent.mkdir(parents=True, exist_ok=True)
                try:
                    folder.mkdir()  # exclusive: of two processes in one second only one gets the name
                except FileExistsError:
                    continue
                run = Run(folder)
                for inner in (run.pyramid, run.samples, run.checkpoints):
                    inner.mkdir()
                return run
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(
                f"--outdir {outdir}: a file stands in the way of {error.filename}; choose another folder."
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a NUL character inside the path
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"--outdir {str(outdir)!r}: no folder can be made ({reason}); choose one you may write to."
            ) from error
        raise _full(outdir)

    @staticmethod
    def open(path: Path | str, flag: str = "--model_dir", needs_model: bool = True) -> Run:
        """The run behind a path.

        Args:
            path: its folder, or the model.safetensors in it; a folder above runs, for the newest in it; or a word for
                the newest below trained_models: last, or the name of its picture.
            flag: the option that the path came from, for the message.
            needs_model: whether it must have a model; a run that was stopped early has none, and can be resumed.

        Raises:
            UserError: there is no run.
        """
        wanted = "model.safetensors" if needs_model else "config.json"
        folder = Path(path)
        if not folder.exists():
            folder = runs.by_word(str(path), wanted) or folder
        if folder.is_file():
            if folder.name != "model.safetensors":
                raise UserError(f"{flag} {path} is a file; give the run folder or its model.safetensors.")
            folder = folder.parent
        if not folder.is_dir():
            known = runs.hint(folder.parent, wanted)
            wrong = "is no folder" if folder.exists() else "does not exist"
            raise UserError(f"{flag} {path} {wrong}{known}; give the folder of a trained run.")
        if not (folder / "config.json").exists():
            folder = runs.newest(folder, wanted) or folder
        run = Run(folder)
        missing = [name for name in dict.fromkeys(("config.json", wanted)) if not (folder / name).is_file()]
        if not missing:
            return run
        if run.config.is_file():
            raise UserError(f"{flag} {path} has no model.safetensors yet; resume or repeat the training.")
        lacking = ", no ".join(missing)
        other = ", or a picture's file" if {"PHOTO", "PICTURE"} & {*flag.split("|")} else ""
        raise UserError(f"{flag} {path} is no run (no {lacking} in it); give the folder of a trained run{other}.")

    def locked(self) -> bool:
        """Whether a process works in it now."""
        if not (self.folder / ".lock").exists():
            return False
        try:
            with self.lock():
                return False
        except StorageError:  # a folder that may only be read
            return False
        except UserError:
            return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run folder for this process alone.

        Released at the end of the block, and by the operating system when the process dies. On the few network file
        systems without locks the block runs unlocked.

        Raises:
            UserError: another process, or another block of this one, holds it.
            StorageError: the lock cannot be made.
        """
        path = self.folder / ".lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StorageError.of(path, error) from error
        try:
            if not _try_lock(handle):
                raise UserError(f"Another process is at work in {self.folder}; wait for it or stop it.")
            yield
        finally:
            _unlock(handle)
            os.close(handle)  # the file itself stays: to remove it would let two processes lock two files


# ---------------------------------------------------------------------------------------------------------
# names


def label(
    mode: str,
    verb: str | None,
    train_depth: int,
    lr_scale: float,
    batch_norm: bool,
    activation: str,
    lrelu_alpha: float,
) -> str:
    """The part of the folder name after the time, as the published code writes it.

    Args:
        mode: the task.
        verb: what is done to a trained model; None for a new one.
        train_depth, lr_scale, batch_norm, activation, lrelu_alpha: the settings of these names.

    >>> label("generation", None, 3, 0.1, False, "lrelu", 0.05)
    'generation_train_depth_3_lr_scale_0.1_act_lrelu_0.05'
    """
    parts = [mode, verb] if verb else [mode]
    parts += ["train_depth", str(train_depth), "lr_scale", str(float(lr_scale))]
    if batch_norm:
        parts.append("BN")
    parts += ["act", activation]
    if activation == "lrelu":  # the only one with a slope
        parts.append(str(float(lrelu_alpha)))
    return "_".join(parts)


def folder_for(outdir: Path | str, image_name: str, label: str, now: datetime | None = None) -> Path:
    """The folder that ``Run.create`` would make now; nothing is written (for --dry_run).

    Args:
        outdir, image_name, label, now: as for ``Run.create``.

    Raises:
        UserError: as many runs of this second stand there as may.
    """
    candidates = _candidates(outdir, image_name, label, now or datetime.now())
    for folder in candidates:
        if not os.path.lexists(folder):
            return folder
    raise _full(outdir)


def _full(outdir: Path | str) -> UserError:
    return UserError(f"--outdir {outdir}: {MAX_SAME_SECOND} runs of this second stand there; wait a moment.")


def _candidates(outdir: Path | str, image_name: str, label: str, now: datetime) -> Iterator[Path]:
    """<outdir>/<image>/<time>_<label>, then the same with _2, _3 ..."""
    image = safe_name(re.split(r"[/\\]", image_name)[-1], MAX_IMAGE_BYTES)
    name = f"{now:%Y_%m_%d_%H_%M_%S}_{safe_name(label, MAX_LABEL_BYTES)}"
    parent = Path(outdir) / image
    for number in islice(count(1), MAX_SAME_SECOND):
        yield parent / (name if number == 1 else f"{name}_{number}")


def safe_name(text: str, max_bytes: int = MAX_IMAGE_BYTES) -> str:
    """One folder or file name made of any text: good on Linux, macOS and Windows, and never a path.

    Separators, wildcards and invisible characters become "_"; dots and spaces at the ends go; a leading "-",
    which commands would read as an option, becomes "_"; at most so many bytes of UTF-8; "picture" if empty.

    Args:
        text: any.
        max_bytes: of UTF-8.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join("_" if _unsafe(character) else character for character in text)
    text = text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore").strip(" .")
    text = re.sub(r"^-+", "_", text) or "picture"
    if text.split(".")[0].strip().lower() in _RESERVED:  # Windows refuses "con" and "con.txt" alike
        text = f"_{text}"
    return text


def _unsafe(character: str) -> bool:
    """Separators and wildcards; control, format, surrogate and unassigned characters; odd white space."""
    return (
        character in '<>:"/\\|?*'
        or unicodedata.category(character).startswith("C")
        or (character.isspace() and character != " ")
    )


# ---------------------------------------------------------------------------------------------------------
# locks: the two systems' calls under one name each

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        """True when the lock is ours."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        return True

    def _unlock(handle: int) -> None:
        """Closing the handle gives the lock back on Windows."""

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        """True when the lock is ours, or where the file system has no locks."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True

    def _unlock(handle: int) -> None:
        """Give the lock back even where a forked child still holds a copy of the handle."""
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_UN)
