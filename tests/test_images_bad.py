"""images.py against files that are broken, hostile or cannot be written: one sentence and no leftovers."""

import io
import os
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from consingan.errors import UserError
from consingan.pictures import decoding, images

READERS = [images.load, images.alpha_of, images.load_mask]


def message(path, *parts: str, reader=images.load, **options) -> str:
    """The refusal of `path`: checked to be one sentence that names the file and holds `parts`."""
    with pytest.raises(UserError) as caught:
        reader(path, **options)
    text = str(caught.value)
    check_sentence(text, path)
    for part in parts:
        assert part in text
    return text


def check_sentence(text: str, path) -> None:
    rest = text.replace(str(path), "FILE")
    assert "FILE" in rest
    assert "\n" not in rest
    rest = rest.removesuffix(".")
    assert not re.search(r"\. |Traceback|<_io|at 0x|Error\b(?!\))", rest)
    assert len(rest) < 250


def encoded(kind: str, size: tuple[int, int] = (64, 48), **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def bomb(width: int = 60000, height: int = 60000) -> bytes:
    """A PNG whose header promises far more than the file holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# ----------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("reader", READERS)
def test_missing_folder_and_empty(tmp_path, reader):
    message(tmp_path / "no such.png", "does not exist", reader=reader)
    message(tmp_path, "is a folder", reader=reader)
    (tmp_path / "empty.png").touch()
    message(tmp_path / "empty.png", "is empty", reader=reader)
    message(tmp_path / "empty.png" / "x.png", "does not exist", reader=reader)


@pytest.mark.parametrize(
    "content",
    [b"hello, this is a note\n" * 20, b"<!doctype html><html>not found</html>", b"%!PS-Adobe-3.0 EPSF\n"],
)
def test_something_else_named_png(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    message(tmp_path / "a.png", "is no picture", "PNG")


def test_a_pipe_or_an_impossible_name(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    message(tmp_path / "pipe.png", "not an ordinary file")
    message("a\0b.png", "cannot be opened")
    message("x" * 300 + ".png", "cannot be opened")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied", str(path))

    # The tests may run as root, for whom every file is readable.
    monkeypatch.setattr("builtins.open", refuse)
    message(path, "permission")


@pytest.mark.parametrize(
    ("error", "words"),
    [(OSError("one thing. Another.\nThird"), "(one thing)"), (KeyError(), "(KeyError)"), (ValueError("x." * 99), "x")],
)
def test_the_words_of_a_library_are_cut_to_a_clause(tmp_path, monkeypatch, error, words):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))

    def fail(*_args):
        raise error

    monkeypatch.setattr(decoding, "_decode", fail)
    message(path, "damaged", words)


def test_too_little_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))

    def exhaust(*_args):
        raise MemoryError

    monkeypatch.setattr(decoding, "_decode", exhaust)
    message(path, "memory", "smaller")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_file_cut_in_the_middle(tmp_path, kind):
    data = encoded(kind)
    (tmp_path / "a.pic").write_bytes(data[: len(data) // 2])
    message(tmp_path / "a.pic")


def test_a_jpeg_cut_in_the_middle_is_called_damaged(tmp_path):
    for options in ({}, {"progressive": True}):
        data = encoded("JPEG", **options)
        (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
        message(tmp_path / "a.jpg", "damaged", "truncated")


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    (tmp_path / "a.png").write_bytes(bomb())
    tracemalloc.start()
    for reader in READERS:
        message(tmp_path / "a.png", "60000x60000", "100000000", "--max_pixels", reader=reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_the_pixel_limit_is_ours_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG", (20, 10)))
    message(path, "20x10", "199", "--max_pixels", max_pixels=199)
    assert images.load(path, max_pixels=200).pixels.shape == (1, 3, 10, 20)
    # Far above Pillow's own limit the header passes too, and the missing pixels are what is wrong.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path.write_bytes(bomb(20000, 10000))
    message(path, "damaged", max_pixels=10**9)
    assert Image.MAX_IMAGE_PIXELS == 1000  # what other code has set comes back


def test_pillow_warnings_stay_inside(tmp_path, recwarn, capfd):
    (tmp_path / "a.png").write_bytes(bomb(20000, 10000))
    message(tmp_path / "a.png", "damaged", max_pixels=10**9)
    image = Image.new("P", (9, 9))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.save(tmp_path / "p.png", transparency=bytes([0, 9]))
    images.load(tmp_path / "p.png")
    assert len(recwarn) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_small_pictures(tmp_path, size):
    path = tmp_path / "a.png"
    Image.new("RGB", size).save(path)
    message(path, f"{size[0]}x{size[1]}", "8 pixels")
    assert images.load_mask(path).shape[2:] == (size[1], size[0])
    Image.new("RGB", (8, 8)).save(path)
    assert images.load(path).pixels.unique().tolist() == [-1]  # one colour is not refused here


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(tmp_path, value):
    values = np.zeros((8, 8), np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "a.tif")
    message(tmp_path / "a.tif", "NaN or infinite")
    message(tmp_path / "a.tif", "NaN or infinite", reader=images.load_mask)


def test_huge_floats_do_not_overflow(tmp_path):
    values = np.zeros((8, 8), np.float32)
    values[0, :2] = 3e38, -3e38
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert images.load(tmp_path / "a.tif").pixels[0, 0, 0, :3].tolist() == pytest.approx([1, -1, 0])


def test_nothing_to_keep_out(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (8, 8)).save(path)
    message(path, "--background", background="keep-out")
    assert images.load(path).pixels.unique().tolist() == [1]


def test_bad_options(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    with pytest.raises(UserError, match=r"^--background is 'no colour'"):
        images.load(path, background="no colour")
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        images.load(path, channels=4)


# One folder for all examples: hypothesis and function-scoped fixtures do not go together.
@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "a.png"


SIGNATURES = [encoded(kind)[:40] for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load_or_refuse(path: Path, data: bytes) -> None:
    """Every reader gives a finite picture in range or one sentence; nothing else comes out."""
    path.write_bytes(data)
    for reader in READERS:
        try:
            result = reader(path, max_pixels=10**6)
        except UserError as error:
            check_sentence(str(error), path)
        else:
            pixels = result.pixels if isinstance(result, images.Picture) else result
            assert pixels is None or bool((pixels.abs() <= 1).all())


@QUICK
@given(head=st.sampled_from([b"", *SIGNATURES]), tail=st.binary(max_size=300))
def test_random_bytes(scratch, head, tail):
    load_or_refuse(scratch, head + tail)


WHOLE = {kind: encoded(kind, (24, 17)) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")}


@QUICK
@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1))
def test_cut_anywhere(scratch, kind, share):
    load_or_refuse(scratch, WHOLE[kind][: int(share * len(WHOLE[kind]))])


@QUICK
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_anywhere(scratch, kind, places):
    data = bytearray(WHOLE[kind])
    for share, value in places:
        data[int(share**2 * len(data))] = value  # the square: headers are hit more often
    load_or_refuse(scratch, bytes(data))


# ----------------------------------------------------------------------------------------------- writing

GREY = torch.zeros(1, 3, 8, 8)


def refused(write, path, *parts: str) -> None:
    with pytest.raises(UserError) as caught:
        write()
    check_sentence(str(caught.value), path)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.mp4", ".png"])
def test_unknown_extensions(tmp_path, name):
    path = tmp_path / name
    refused(lambda: images.save(path, GREY), path, ".png")
    refused(lambda: images.save_animation(path, [GREY], 10), path, ".gif")
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dir.png").mkdir()
    for path in (tmp_path / "none" / "a.png", tmp_path / "file" / "a.png", tmp_path / "dir.png"):
        refused(lambda path=path: images.save(path, GREY), path, "Cannot write", "folder")
        refused(lambda path=path: images.save_animation(path, [GREY], 10), path, "Cannot write")
    assert sorted(os.listdir(tmp_path)) == ["dir.png", "file"]
    assert os.listdir(tmp_path / "dir.png") == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    images.save(path, GREY)
    old = path.read_bytes()

    def refuse(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    refused(lambda: images.save(path, GREY + 1), path, "No space left on device")
    refused(lambda: images.save_animation(path, [GREY + 1], 10), path, "No space left on device")
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("write", [lambda path: images.save(path, GREY), lambda p: images.save_animation(p, [GREY], 5)])
def test_a_picture_is_on_the_disk_before_it_has_its_name(write, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("flushed"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("named"), replace(*names)))
    write(tmp_path / "a.png")
    assert done[:2] == ["flushed", "named"]


def test_a_path_that_is_none_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="is no path"):
        images.save("a\0.png", GREY)


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.save(tmp_path / "a.png", GREY)
    assert os.listdir(tmp_path) == []


def test_a_picture_too_large_for_its_format(tmp_path):
    path = tmp_path / "a.webp"
    refused(lambda: images.save(path, torch.zeros(1, 1, 8, 16400)), path, "cannot encode", ".png")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fps", [0, -1, 51, float("nan"), float("inf"), 0.001])
def test_a_speed_that_no_gif_has(tmp_path, fps):
    path = tmp_path / "a.gif"
    refused(lambda: images.save_animation(path, [GREY], fps), path, "0.1 to 50")
    assert os.listdir(tmp_path) == []


def test_frames_that_do_not_fit_together(tmp_path):
    for frames in ([], [GREY, torch.zeros(1, 3, 8, 9)], [GREY, torch.zeros(1, 1, 8, 8)]):
        with pytest.raises(ValueError, match="one shape"):
            images.save_animation(tmp_path / "a.gif", frames, 10)
    assert os.listdir(tmp_path) == []


def test_a_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").touch()
    images.save(tmp_path / "a.png", GREY)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode
