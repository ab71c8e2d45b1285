"""Whole files or none: failures in the middle of a write, kill -9, damaged and foreign files."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consingan.errors import UserError
from consingan.storage import checkpoints, files
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.files import StorageError, load_tensors, read_json, save_tensors, write_bytes

ROOT = Path(files.__file__).parents[2]
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(7)}
HEADER = {"task": "generation", "sizes": [[25, 33], [30, 40]]}


def parts(folder: Path) -> list[str]:
    """Names of half files that were left behind."""
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


# ---- whole files


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_half_file(tmp_path, monkeypatch, call, error):
    target = tmp_path / "config.json"
    write_bytes(target, b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_bytes(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert parts(tmp_path) == []
    if isinstance(error, OSError):
        assert str(target) in str(caught.value)
        assert "No space left on device" in str(caught.value)
        assert "free some disk space" in str(caught.value)


def test_the_data_reaches_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    write_bytes(tmp_path / "x", b"data")
    assert calls == ["fsync", "replace", "fsync"]  # file, name, folder


def test_a_folder_that_is_gone_or_a_file_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="there is no such folder: create it"):
        write_bytes(tmp_path / "no" / "x", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        write_bytes(tmp_path / "file" / "x", b"")


def test_a_storage_error_passes_between_processes():
    error = StorageError.of(Path("x"), OSError(errno.EROFS, "Read-only file system"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_written_files_have_ordinary_rights(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_round_trip_and_refusals(tmp_path):
    path = tmp_path / "value.json"
    value = {"name": "k\u00e4se \udcff", "list": [1, 2.5, None, True]}  # \udcff: a byte that is no UTF-8
    files.write_json(path, value)
    assert read_json(path) == value
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(path, {"loss": float("nan")})
    assert read_json(path) == value
    for damaged in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"value\.json is damaged"):
            read_json(path)
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "none.json")


# ---- named tensors


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        torch.tensor([float("nan"), float("inf"), -0.0]),
        torch.tensor(5, dtype=torch.int64),
        torch.tensor([True, False]),
        torch.arange(3, dtype=torch.float64),
        torch.ones(2, dtype=torch.bfloat16),
        torch.empty(0, 3),
        torch.arange(6).reshape(2, 3).T,  # not contiguous
        torch.arange(3.0).expand(4, 3),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=["float", "nan", "scalar", "bool", "double", "bf16", "empty", "transposed", "expanded", "parameter"],
)
def test_tensors_come_back_bit_for_bit(tmp_path, tensor):
    save_tensors(tmp_path / "x.safetensors", {"t": tensor}, HEADER)
    tensors, header = load_tensors(tmp_path / "x.safetensors")
    assert header == HEADER
    assert tensors["t"].dtype == tensor.dtype
    assert tensors["t"].shape == tensor.shape
    assert not tensors["t"].requires_grad
    expected = tensor.detach().contiguous().view(-1).view(torch.uint8)
    assert torch.equal(tensors["t"].view(-1).view(torch.uint8), expected)


def test_shared_storage_comes_back_as_independent_tensors(tmp_path):
    base = torch.arange(4.0)
    save_tensors(tmp_path / "x", {"a": base, "b": base, "head": base[:2], "tail": base[2:]}, {})
    tensors, _ = load_tensors(tmp_path / "x")
    tensors["a"].zero_()
    assert tensors["b"].tolist() == [0, 1, 2, 3]
    assert tensors["head"].tolist() == [0, 1]
    assert tensors["tail"].tolist() == [2, 3]


def test_loaded_tensors_do_not_change_with_the_file(tmp_path):
    save_tensors(tmp_path / "x", {"a": torch.ones(1000)}, {})
    tensors, _ = load_tensors(tmp_path / "x")
    with open(tmp_path / "x", "r+b") as file:  # a mapped file would pass this on, or kill the process
        file.truncate(0)
    assert tensors["a"].sum() == 1000


def test_no_tensors_is_a_file_too(tmp_path):
    save_tensors(tmp_path / "x", {}, HEADER)
    assert load_tensors(tmp_path / "x") == ({}, HEADER)


@pytest.mark.parametrize("header", [{"schema": 3}, {"x": float("nan")}])
def test_headers_that_cannot_be_stored_are_refused_before_writing(tmp_path, header):
    with pytest.raises(ValueError, match=r"reserved|Out of range"):
        save_tensors(tmp_path / "x", TENSORS, header)
    assert list(tmp_path.iterdir()) == []


def header_of(schema: object) -> bytes:
    return safetensors.torch.save(TENSORS, metadata={"consingan": json.dumps({"schema": schema})})


GOOD = header_of(1)
FOREIGN = {
    "empty": (b"", "is empty"),
    "short": (GOOD[:5], "is cut short"),
    "header cut": (GOOD[:40], "is cut short"),
    "data cut": (GOOD[:-3], "is cut short or damaged"),
    "data added": (GOOD + b"x", "is cut short or damaged"),
    "huge header": (b"\xff" * 7 + b"\x7f" + GOOD[8:], "no safetensors file"),
    "no json": (len(b"not json").to_bytes(8, "little") + b"not json", "no readable safetensors header"),
    "json list": (len(b"[1]").to_bytes(8, "little") + b"[1]", "no readable safetensors header"),
    "deep json": ((90_000).to_bytes(8, "little") + b"[" * 90_000, "no readable safetensors header"),
    "pickle": (pickle.dumps({"a": [1, 2, 3]}, protocol=0) * 40, "no safetensors file"),
    "other program": (safetensors.torch.save(TENSORS), "was written by another program"),
    "other metadata": (safetensors.torch.save(TENSORS, metadata={"format": "pt"}), "by another program"),
    "our key, no json": (safetensors.torch.save(TENSORS, metadata={"consingan": "yes"}), "damaged consingan"),
    "our key, a list": (safetensors.torch.save(TENSORS, metadata={"consingan": "[1]"}), "damaged consingan"),
    "no schema": (safetensors.torch.save(TENSORS, metadata={"consingan": "{}"}), "damaged consingan"),
    "schema true": (header_of(True), "schema True"),
    "schema 0": (header_of(0), "schema 0"),
    "newer": (header_of(2), "schema 2, this one reads 1.; update consingan"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_every_foreign_file_is_refused_in_one_sentence(tmp_path, name):
    data, sentence = FOREIGN[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match=sentence) as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_tensors(tmp_path / "none")
    with pytest.raises(UserError, match="is a folder"):
        load_tensors(tmp_path)
    with pytest.raises(UserError, match="is no path"):
        load_tensors(Path("a\0b"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_load_or_are_refused_and_nothing_else(tmp_path, data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged))
    try:
        tensors, header = load_tensors(path)
    except UserError:
        return
    assert isinstance(header, dict)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), true_length=st.booleans())
def test_random_bytes_are_refused(tmp_path, data, true_length):
    path = tmp_path / "random"
    path.write_bytes((len(data).to_bytes(8, "little") if true_length else b"") + data)
    with pytest.raises(UserError):
        load_tensors(path)


SHAPES = st.lists(st.integers(-1, 2**63), max_size=3)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, end=st.integers(0, 64), dtype=st.sampled_from(["F32", "F4", "F8_E8M0", "BOOL", "I64", "?"]))
def test_a_header_that_lies_about_its_tensors_is_refused_or_true(tmp_path, shape, end, dtype):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}
    text = json.dumps({"__metadata__": {"consingan": '{"schema": 1}'}, "t": entry}).encode()
    path = tmp_path / "liar"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    try:
        tensors, _ = load_tensors(path)
    except UserError:
        return
    assert list(tensors["t"].shape) == shape
    assert tensors["t"].numel() * tensors["t"].element_size() == end == 16


# ---- the checkpoints of a run


@pytest.fixture
def three(tmp_path):
    """A folder into which the checkpoints 10, 20 and 30 were saved."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for number in (10, 20, 30):
        checkpoints.save(number, {"n": torch.tensor(number)}, {"number": number})
    return checkpoints


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_the_newest_comes_back_and_two_are_kept(three):
    warnings: list[str] = []
    tensors, header = three.newest(warnings.append)
    assert (tensors["n"].item(), header, warnings) == (30, {"number": 30}, [])
    assert names(three) == ["00000020.safetensors", "00000030.safetensors", "newest.json"]


def test_nothing_saved_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nothing").newest() is None
    assert Checkpoints(tmp_path).newest() is None


@pytest.mark.parametrize("damage", [b"", b"half", None], ids=["empty", "torn", "gone"])
def test_a_torn_newest_falls_back_with_a_message(three, damage):
    newest = three.folder / "00000030.safetensors"
    newest.unlink()
    if damage is not None:
        newest.write_bytes(damage)
    warnings: list[str] = []
    _, header = three.newest(warnings.append)
    assert header == {"number": 20}
    assert len(warnings) == 1
    assert str(newest) in warnings[0]


@pytest.mark.parametrize("pointer", ["", "{", "[]", '{"file": 3}', '{"file": "../../x.safetensors"}'])
def test_a_torn_pointer_falls_back_to_the_numbers(three, pointer):
    (three.folder / "newest.json").write_text(pointer)
    warnings: list[str] = []
    _, header = three.newest(warnings.append)
    assert header == {"number": 30}
    assert len(warnings) == 1
    assert "by number" in warnings[0]


def test_when_nothing_can_be_read_the_training_does_not_silently_start_anew(three):
    for name in ("00000020.safetensors", "00000030.safetensors"):
        (three.folder / name).write_bytes(b"torn")
    warnings: list[str] = []
    with pytest.raises(UserError, match=r"No checkpoint in .* can be read"):
        three.newest(warnings.append)
    assert len(warnings) == 2


@pytest.mark.parametrize("step", ["save_tensors", "write_json"])
def test_the_pointer_is_written_last(three, monkeypatch, step):
    """A fault in the file, or between it and the pointer, leaves the old checkpoint as the newest."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, step, fail)
    with pytest.raises(OSError, match="No space"):
        three.save(40, {"n": torch.tensor(40)}, {"number": 40})
    assert three.newest(pytest.fail)[1] == {"number": 30}


def test_after_a_fall_back_the_taken_back_checkpoint_goes(three):
    (three.folder / "00000030.safetensors").write_bytes(b"torn")
    three.save(25, {"n": torch.tensor(25)}, {"number": 25})  # went on from 20
    assert names(three) == ["00000020.safetensors", "00000025.safetensors", "newest.json"]
    assert three.newest()[1] == {"number": 25}


def test_half_files_of_killed_processes_are_swept(three):
    (three.folder / ".0123.part").write_bytes(b"half")
    three.save(40, TENSORS, {})
    assert parts(three.folder) == []


def test_negative_numbers_and_files_in_the_way_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not -1"):
        Checkpoints(tmp_path).save(-1, TENSORS, {})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        Checkpoints(tmp_path / "file").save(1, TENSORS, {})


KILLER = """
import os, signal, sys, time, torch
from pathlib import Path
from consingan.storage.checkpoints import Checkpoints

torch.set_num_threads(1)
checkpoints = Checkpoints(Path(sys.argv[1]))


def torn(message):
    sys.exit(message)


def save_for_ever(number, reports):
    while True:
        number += 1
        checkpoints.save(number, {"n": torch.full((100_000,), float(number))}, {"number": number})
        os.write(reports, b"%d " % number)


number = 0
for round in range(8):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        save_for_ever(number, writes)
    os.close(writes)
    time.sleep(0.01 + 0.0137 * round)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    reported = int((b"%d " % number + os.read(reads, 65536)).split()[-1])
    found = checkpoints.newest(torn)
    number = 0 if found is None else found[1]["number"]
    assert number >= reported, (number, reported)
    assert found is None or torch.equal(found[0]["n"], torch.full((100_000,), float(number)))
print(number)
"""


def test_kill_9_at_random_moments_never_loses_a_finished_checkpoint(tmp_path):
    """The oracle: after a kill the newest is whole and not older than the last save that was reported."""
    rounds = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert rounds.returncode == 0, rounds.stderr
    assert int(rounds.stdout) > 0
