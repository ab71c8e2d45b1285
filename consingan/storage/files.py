"""Files that are either whole or not there: named tensors as safetensors, values as JSON.

Every file is written aside in its own folder, flushed to the disk and then renamed over the old one, so
that a crash, a full disk or a ``kill -9`` leaves the old file or the new one and never half of either.
Nothing here knows a network, and nothing is ever unpickled: a file from a stranger can hold wrong numbers
but cannot run code. torch is imported where it is needed, so that JSON alone stays quick.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from consingan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1  # version of the header; a file with a higher one is refused
METADATA_KEY = "consingan"
MAX_HEADER_BYTES = 16 * 2**20  # ours are a few KiB; a damaged length must not make us read gigabytes
MAX_JSON_BYTES = 16 * 2**20  # ours are a few KiB too
DTYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "U16", "BOOL"}  # what torch can compute with
PART = re.compile(r"\.[0-9a-f]{16}\.part", re.ASCII)  # a file on its way; what a kill leaves of it
OLD_S = 3600.0  # seconds after which one cannot be on its way any more

_ADVICE = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space",
    errno.ENOENT: "there is no such folder: create it or choose another one",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another folder",
    errno.EISDIR: "a folder has that name: choose another one",
    errno.EIO: "the disk reports a fault: choose another disk",
}


class StorageError(UserError):
    """A file could not be written: full disk, no permission, folder gone."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> StorageError:
        """The sentence for one failed write. (No __init__ of its own: it must pickle between processes.)"""
        advice = _ADVICE.get(error.errno or 0, "choose a folder that you may write to")
        return cls(f"Cannot write {path}: {error.strerror or error}; {advice}.")


# ---------------------------------------------------------------------------------------------------------
# whole files


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file: at every moment the old one or the new one stands there, whole.

    Args:
        path: the file.
        data: what it is to hold.

    Raises:
        StorageError: the disk refuses.
        UserError: the path holds a NUL character.
    """
    path = Path(path)
    # a short hidden name beside the target: os.replace is only atomic inside one file system
    aside = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        try:
            with open(aside, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:  # Ctrl-C too must not leave the half file behind
            with suppress(OSError):
                aside.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError.of(path, error) from error
    except ValueError as error:  # a NUL character inside the path
        raise UserError(f"{str(path)!r} is no path ({error}); choose another one.") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut."""
    if os.name == "nt":  # Windows cannot open a folder for this
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
            raise
    finally:
        os.close(handle)


def sweep(folder: Path, apart: Path) -> None:
    """Remove what killed processes left half written below a folder of which this process is the only writer.

    Args:
        folder: with all that is below it.
        apart: a folder below it where others may be writing: there, only files of more than an hour ago go.
    """
    for path in list(folder.rglob(".*.part")):
        with suppress(OSError):
            away = not path.is_relative_to(apart) or time.time() - path.stat().st_mtime > OLD_S
            if away and PART.fullmatch(path.name):
                path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, all or nothing.

    Args:
        path: the file.
        value: what JSON can hold.

    Raises:
        StorageError, UserError: as ``write_bytes``.
        ValueError, TypeError: the value holds NaN or an object.
    """
    # ASCII escapes: a picture's name may hold bytes that are no valid UTF-8
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii"))


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        UserError: it is missing, cannot be read, is not JSON, or is larger than any of ours.
    """
    path = Path(path)
    with _readable(path) as file:
        text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise UserError(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MiB, so it is none of ours; use another one.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); use another copy of it.") from error


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """The file opened for reading; every OSError becomes one sentence."""
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # a pipe would never end
            raise UserError(f"{path} is not an ordinary file; give one.")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the path.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder; give the file in it.") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}; check its rights.") from error
    except ValueError as error:  # a NUL character inside the path
        raise UserError(f"{str(path)!r} is no path ({error}); check it.") from error


# ---------------------------------------------------------------------------------------------------------
# named tensors


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON header as one safetensors file, all or nothing.

    Args:
        path: the file.
        tensors: of any shape, device and stride; stored as dense CPU copies with their dtype. Two that share storage
            are stored twice and come back independent.
        header: JSON values without NaN; its key "schema" is added here.

    Raises:
        StorageError, UserError: as ``write_bytes``.
        ValueError: the header uses the key "schema", holds NaN or is too long.
    """
    import safetensors.torch

    if "schema" in header:
        raise ValueError('the header key "schema" is reserved')
    text = json.dumps({"schema": SCHEMA, **header}, allow_nan=False)
    if len(text) > MAX_HEADER_BYTES // 2:  # the other half is for the names and shapes
        raise ValueError(f"the header has {len(text)} characters, more than {MAX_HEADER_BYTES // 2}")
    write_bytes(path, safetensors.torch.save(_dense(tensors), metadata={METADATA_KEY: text}))


def _dense(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached, contiguous CPU tensors, no two of which share storage (safetensors refuses those)."""
    dense: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if value.untyped_storage().data_ptr() in seen:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        dense[name] = value
    return dense


def load_tensors(
    path: Path, most: Callable[[dict[str, Any]], int] = lambda header: 2**63
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of ``save_tensors``.

    All of the file is read before anything is made of it, so that later changes of it cannot reach the tensors.

    Args:
        path: the file.
        most: by the header, the bytes that its tensors can have; of a file that has more, no tensor is read.

    Returns:
        CPU tensors by name, and the header without "schema".

    Raises:
        UserError: the file is missing, empty, cut short, damaged, too large, written by another program, or written by
            a newer version of this one.
    """
    path = Path(path)
    with _readable(path) as file:
        return _tensors_in(file, os.fstat(file.fileno()).st_size, str(path), most)


def tensors_of(
    data: bytes, where: str, most: Callable[[dict[str, Any]], int] = lambda header: 2**63
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As ``load_tensors``, of what such a file holds; ``where`` names it in messages."""
    return _tensors_in(io.BytesIO(data), len(data), where, most)


def _tensors_in(
    file: BinaryIO, size: int, where: str, most: Callable[[dict[str, Any]], int]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file of so many bytes."""
    import safetensors.torch

    start = _read_start(where, file, size)
    header = _our_header(where, start[8:])
    if (held := size - len(start)) > most(dict(header)):
        raise UserError(f"{where} holds {held} bytes, more than what its header names; use another copy of it.")
    data = start + file.read()
    try:
        tensors = safetensors.torch.load(data)
    except Exception as error:  # the library and torch raise six kinds for one damaged file or another
        raise UserError(f"{where} is cut short or damaged ({error}); use another copy of it.") from error
    return tensors, header


def _read_start(path: str, file: BinaryIO, size: int) -> bytes:
    """The 8 bytes of header length and the header itself, after a check of that length."""
    length_bytes = file.read(8)
    if size == 0:
        raise UserError(f"{path} is empty; use another copy of it.")
    if len(length_bytes) < 8:
        raise UserError(f"{path} is cut short ({size} bytes); use another copy of it.")
    length = int.from_bytes(length_bytes, "little")
    if length > MAX_HEADER_BYTES:
        raise UserError(f"{path} is no safetensors file (its first bytes are no length); give a file of consingan.")
    if length > size - 8:
        raise UserError(f"{path} is cut short ({size} bytes, its header needs {length + 8}); use another copy of it.")
    return length_bytes + file.read(length)


def _our_header(path: str, raw: bytes) -> dict[str, Any]:
    """The header that ``save_tensors`` put under METADATA_KEY, checked, without its "schema"."""
    try:
        entries = json.loads(raw)
        metadata = entries.pop("__metadata__", None) or {}
        text = metadata.get(METADATA_KEY)
        kinds = {str(entry.get("dtype")) for entry in entries.values()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path} has no readable safetensors header; use another copy of it.") from error
    if text is None:
        raise UserError(f"{path} was written by another program; give a file of consingan.")
    if foreign := sorted(kinds - DTYPES):
        raise UserError(f"{path} holds tensors of type {foreign[0][:20]!r}, which ours never are; use another file.")
    try:
        header = dict(json.loads(text))
        schema = header.pop("schema")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} has a damaged consingan header; use another copy of it.") from error
    if type(schema) is not int or schema < 1:
        raise UserError(f"{path} has a damaged consingan header (schema {schema!r}); use another copy of it.")
    if schema > SCHEMA:
        raise UserError(f"{path} is of a newer consingan (schema {schema}, this one reads {SCHEMA}); update consingan.")
    return header
