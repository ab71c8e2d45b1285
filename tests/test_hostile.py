"""What a stranger's file, a closed terminal or a broken folder may not do: end a training, open a path, fill memory."""

import io
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from time import process_time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import TINY, serving, stripes, trained
from PIL import Image

from consingan.command import cli
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.pictures import images
from consingan.storage import files, results
from consingan.storage.machine import shared_text, without_folders
from consingan.storage.run import Run
from consingan.training import checkpoint, finetune, watchdog
from consingan.training.state import Training
from consingan.watch import live, report
from consingan.watch.displays import Rich
from consingan.watch.log import last_time, read_log

HUGE = 10**400
QUIET = ("--not_cuda", "--quiet")


@pytest.fixture
def copy(trained_run, tmp_path) -> Run:
    """A copy of a finished run."""
    return Run(Path(shutil.copytree(trained_run, tmp_path / "runs" / "a" / "run")))


@pytest.fixture
def stopped(copy) -> Run:
    """The same without the word that it is finished: its newest checkpoint is the end of its last stage."""
    copy.finished.unlink()
    return copy


@pytest.fixture(scope="session")
def applied_run(picture_file, tmp_path_factory) -> Path:
    """A harmonization run with a naive picture and its mask, in a folder whose name nobody else is to know."""
    folder = tmp_path_factory.mktemp("ann_secret")
    naive = stripes()
    naive[10:24, 20:40] = (255, 0, 0)
    mask = np.zeros(naive.shape[:2], np.uint8)
    mask[10:24, 20:40] = 255
    shutil.copy(picture_file, folder / "stripes.png")
    Image.fromarray(naive).save(folder / "pasted.png")
    Image.fromarray(mask).save(folder / "pasted_mask.png")
    flags = ("--train_mode", "harmonization", "--naive_img", str(folder / "pasted.png"))
    return trained(folder / "stripes.png", folder / "runs", *flags)


def typed(*words: object):
    return CliRunner().invoke(cli.main, list(map(str, words)))


def done(*words: object):
    """A command that ends with 0."""
    ended = typed(*words)
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended


def said_of(run: Run) -> str:
    return "\n".join(str(record.get("text")) for record in read_log(run.log))


def rewritten(file: Path, change) -> Path:
    """A safetensors file of ours with another header or other tensors."""
    tensors, header = files.load_tensors(file)
    change(tensors, header)
    files.save_tensors(file, tensors, header)
    return file


def small(call) -> UserError:
    """The refusal of a call that takes neither time nor memory."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB
    return caught.value


def chunk(name: bytes, data: bytes) -> bytes:
    """A piece of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(inner: bytes, size: tuple[int, int]) -> bytes:
    """A grey PNG that says it has so many pixels, with further chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + inner + pixels


# ---- what shows a training is no part of it

LOGS = {
    "emptied": [],
    "a stage that never began": [{"event": "stage", "stage": 0, "iterations": 3, "complete": True}],
    "numbers without end": [
        {"event": "begin_stage", "stage": 0, "start_iteration": HUGE, "time_s": HUGE},
        {"event": "iteration", "stage": 0, "iteration": HUGE, "loss": HUGE, "time_s": -HUGE},
        {"event": "iteration", "stage": 0, "iteration": 1, "loss": 1e308, "time_s": 1.0},
        {"event": "iteration", "stage": 0, "iteration": 2, "loss": -1e308, "time_s": float("nan")},
        {"event": "stage", "stage": 0, "iterations": HUGE, "complete": True, "peak_memory_mb": HUGE},
    ],
    "no words": [{"event": {}}, {"event": None, "stage": []}, {"event": "message"}, {"event": "figures", "stage": {}}],
}


@pytest.mark.parametrize("name", LOGS)
def test_a_crafted_log_ends_no_training(stopped, name):
    stopped.log.write_text("".join(json.dumps(record) + "\n" for record in LOGS[name]))
    assert 0 <= last_time(stopped.log) < 1e6
    done("train", "--resume", stopped.folder, *QUIET)
    assert stopped.finished.exists()
    assert "There is no new report" not in said_of(stopped)


def test_junk_among_the_pictures_ends_no_training(stopped):
    for folder in (stopped.samples / "stage_0", stopped.samples / "stage_1", stopped.evaluation):
        folder.mkdir(exist_ok=True)
        (folder / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\njunk")
    (stopped.evaluation / "bomb.png").write_bytes(png(b"", (30_000, 30_000)))
    (stopped.pyramid / "0.png").write_bytes(b"junk")
    done("train", "--resume", stopped.folder, *QUIET)
    assert stopped.finished.exists()
    assert "There is no new report" not in said_of(stopped)
    assert "its reconstruction" in stopped.report.read_text()


@pytest.mark.parametrize("fault", [ZeroDivisionError("plots"), RecursionError("deep"), OSError(5, "AVIF")])
def test_no_fault_of_the_report_ends_a_training(stopped, monkeypatch, fault):
    def broken(run):
        raise fault

    monkeypatch.setattr(report, "write", broken)
    done("train", "--resume", stopped.folder, *QUIET)
    assert f"There is no new report: {fault}" in said_of(stopped)


def test_a_terminal_that_is_gone_ends_no_training():
    class Gone(io.StringIO):
        encoding = "utf-8"

        def write(self, text):
            raise OSError(5, "Input/output error")

        def isatty(self):
            return True

    shown = Rich(Gone())
    shown({"event": "message", "text": "hello"})
    values = {"values": {}, "memory_mb": None, "left_s": None, "stage_left_s": None, "share": 0.5, "rate": 1.0}
    shown({"event": "progress", "stage": 0, "stages": 1, "iteration": 1, "iterations": 2, "ended": False, **values})
    shown.close()


# ---- what can be made again blocks no resume


def test_an_empty_snapshot_does_not_block_a_resume(stopped):
    (first, *_) = sorted(stopped.samples.glob("stage_1/snapshots/*.png"))
    first.write_bytes(b"")
    done("train", "--resume", stopped.folder, *QUIET)
    assert "There is no picture" not in said_of(stopped)


@pytest.mark.parametrize("model", [True, False], ids=["of the model", "of the pyramid"])
def test_a_broken_picture_is_made_again(stopped, model):
    before = images.load(stopped.picture).pixels
    stopped.picture.write_bytes(b"junk")
    if not model:
        stopped.model.unlink()
    done("train", "--resume", stopped.folder, *QUIET)
    after = images.load(stopped.picture).pixels
    assert torch.equal(after, before) if model else after.shape[2:] == (30, 40)
    assert "replaces it" in said_of(stopped)


@pytest.mark.parametrize("text", ["", "[", "[]", "x" * 100])
def test_a_broken_environment_does_not_block_a_resume(stopped, text):
    stopped.environment.write_text(text)
    done("train", "--resume", stopped.folder, *QUIET)


def test_half_files_go_and_changed_versions_are_told(stopped):
    half = [stopped.folder / ".0123456789abcdef.part", stopped.samples / "stage_0" / ".0123456789abcdee.part"]
    foreign = stopped.folder / ".mine.part"
    stopped.evaluation.mkdir(exist_ok=True)
    theirs, old = stopped.evaluation / ".0123456789abcdea.part", stopped.evaluation / ".0123456789abcdeb.part"
    for file in (*half, foreign, theirs, old):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    found = json.loads(stopped.environment.read_text())
    stopped.environment.write_text(json.dumps({**found, "python": "3.9.1", "consingan": "0.0.7"}))
    done("train", "--resume", stopped.folder, *QUIET)
    assert not any(file.exists() for file in (*half, old))
    assert foreign.exists()
    assert theirs.exists()  # somebody may be sampling
    assert "began with python 3.9.1 and goes on with 3." in said_of(stopped)
    assert "began with consingan 0.0.7 and goes on with " in said_of(stopped)


def test_half_files_of_a_kill_while_the_last_report_was_written_go(copy):
    half = copy.folder / ".0123456789abcdef.part"
    half.write_bytes(b"half")
    done("train", "--resume", copy.folder, *QUIET)
    assert not half.exists()


# ---- nothing in a file becomes a path


def test_a_model_names_no_file_that_is_opened(applied_run, tmp_path):
    run = Run(Path(shutil.copytree(applied_run, tmp_path / "run")))
    shutil.rmtree(run.naive)
    Image.fromarray(stripes()).save(tmp_path / "private.png")
    os.mkfifo(tmp_path / "pipe")

    for own in (tmp_path / "private.png", tmp_path / "pipe"):  # the pipe would hang

        def paths(tensors, header, own=own):
            header["config"]["naive"] |= {"naive_img": str(own), "model_dir": str(tmp_path / "pipe"), "fine_tune": True}

        rewritten(run.model, paths)
        ended = done("sample", run.folder, "--out", tmp_path / "out", "--not_cuda")
        assert "No --naive_img is given" in ended.stderr
        assert SingleImageModel.load(run.folder).settings.naive.naive_img == own.name  # kept for display


@pytest.mark.parametrize("file", ["../x.png", "/x.png", "a//x.png", "./x.png", "a\\x.png", "C:x.png", "\0"])
def test_an_index_names_nothing_outside_of_its_folder(file, tmp_path):
    entry = {"file": file, "role": "sample", "moving": False, "facts": {}}
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "results": [entry]}))
    assert results.read(tmp_path) == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/home/ann/a.png", "a.png"),
        ("--mask=/home/ann/a.png", "--mask=a.png"),
        ("~/a.png", "a.png"),
        ("../../ann/a.png", "a.png"),
        ("./../ann/a.png", "a.png"),
        ("C:\\ann\\a.png", "a.png"),
        ("..\\ann\\a.png", "a.png"),
        ("images/a.png", "images/a.png"),
        ("..a.png", "..a.png"),
        ("--max_size", "--max_size"),
    ],
)
def test_words_of_a_command_name_no_folder_outside_of_where_it_was_typed(typed, kept):
    assert without_folders(typed) == kept


def test_what_people_share_holds_names_only(applied_run, tmp_path):
    """Nothing but local.json knows where the pictures and the run lie; fine-tuning and its resume work without that."""
    secret = applied_run.parents[2]
    tuning = ("--train_mode", "harmonization", "--fine_tune", "--naive_img", secret / "pasted.png", "--niter", 3)
    ended = done("train", *tuning, "--model_dir", applied_run, "--outdir", secret / "tuned", *QUIET)
    tuned = Run(Path(ended.stdout.strip()))
    done("report", tuned.folder)
    for run in (Run(applied_run), tuned):
        shown = [file for file in run.folder.rglob("*") if file.is_file() and file != run.local]
        assert {run.model, run.report, run.log, run.config, run.environment} <= set(shown)
        assert not [file for file in shown if secret.name.encode() in file.read_bytes()]
        assert json.loads(run.local.read_text())["naive_img"] == str(secret / "pasted.png")
        assert SingleImageModel.load(run.folder).settings.image == "stripes.png"
    moved = Run(Path(shutil.copytree(tuned.folder, tmp_path / "moved")))
    shutil.move(secret / "pasted.png", tmp_path / "away.png")
    try:
        moved.finished.unlink()
        done("train", "--resume", moved.folder, *QUIET)
        done("sample", moved.folder, *QUIET)
    finally:
        shutil.move(tmp_path / "away.png", secret / "pasted.png")
    views = [each.path for each in results.kept(moved.evaluation) if each.role is results.Role.VIEW]
    assert [view.name for view in views] == ["pasted_hand_1_view.png"] or len(views) == 1
    assert images.load(views[0]).pixels.shape[3] > 4 * 64  # naive, mask, what the base made of it, what this made
    page = tuned.report.read_text()
    assert "--naive_img pasted.png --fine_tune --model_dir tuned/stripes/" in page
    assert "--input_name" not in page.partition('id="commands"')[2]  # the run has its own, wherever the page is read
    assert sorted(file.name for file in moved.naive.iterdir()) == ["pasted.png", "pasted_mask.png"]


@pytest.mark.parametrize("further", ["{}", "--train_mode translation --target_name {}"], ids=["album", "translation"])
def test_a_run_of_two_pictures_holds_names_only(further, picture_file, tmp_path):
    secret = tmp_path / "ann_secret"
    secret.mkdir()
    shutil.copy(picture_file, secret / "one.png")
    Image.fromarray(stripes()[::-1].copy()).save(secret / "other.png")
    run = Run(trained(secret / "one.png", secret / "runs", *further.format(secret / "other.png").split()))
    shown = [file for file in run.folder.rglob("*") if file.is_file() and file != run.local]
    assert {run.model, run.report, run.log, run.config, run.environment} <= set(shown)
    assert not [file for file in shown if secret.name.encode() in file.read_bytes()]
    assert secret.name in run.local.read_text()


def test_paths_in_sentences_begin_at_the_folder_of_the_runs(tmp_path, monkeypatch):
    run = tmp_path / "out" / "photo" / "2026"
    assert shared_text(f"Done; look at {run}/report.html", run) == "Done; look at out/photo/2026/report.html"
    monkeypatch.setenv("HOME", "/srv/people/me")
    assert shared_text("Cannot read /srv/people/me/a.png; check it.", run) == "Cannot read ~/a.png; check it."
    assert shared_text("Watch it at http://127.0.0.1:80/", Path("/runs/a/b")) == "Watch it at http://127.0.0.1:80/"


# ---- no raw errors, and no memory before a refusal


def of_model(change):
    return lambda run: SingleImageModel.load(rewritten(run.model, change))


def of_checkpoint(change):
    def work(run):
        file = sorted(run.checkpoints.glob("*.safetensors"))[-1]
        Training.restore(*files.load_tensors(rewritten(file, change)), str(file))

    return work


def float8(tensors, header):
    name = next(name for name in tensors if name.startswith("generator"))
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)


def last_size(side):
    return lambda tensors, header: header["sizes"].__setitem__(-1, [side, side])


def figures(*row):
    return lambda tensors, header: header.update(figures=[row])


def many_iterations(tensors, header):
    header["config"]["optimisation"]["niter"] = [HUGE]


def sparse(run):
    """A model whose file has room for a tensor of 3 GiB, which takes nothing on the disk."""
    with open(run.model, "r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        header["zeros"] = {"dtype": "F32", "shape": [3 * 2**28], "data_offsets": [end, end + 3 * 2**30]}
        text = json.dumps(header).encode()
        file.seek(0)
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end + 3 * 2**30)
    SingleImageModel.load(run.model)


def long_json(run):
    with open(run.config, "wb") as file:
        file.write(b'"')
        file.truncate(2**30)
    files.read_json(run.config)


BROKEN = {
    "float8": (of_model(float8), "'F8_E4M3'"),
    "a last stage of 16384 px": (of_model(last_size(16384)), "sizes and amplitudes that do not fit"),
    "a sparse tensor": (sparse, "more than what its header names"),
    "a string of a GiB": (long_json, "is larger than 16 MiB"),
    "figures": (of_checkpoint(figures(1, 0.1, 0.1, HUGE, 0.1)), "stands at no place"),
    "figures of no kind": (of_checkpoint(figures(1, None, "x", 0.1, 0.1)), "stands at no place"),
    "spread": (of_checkpoint(lambda t, h: h["good"].update(spread=HUGE)), "stands at no place"),
    "iterations": (of_checkpoint(many_iterations), "--niter is '1000"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_is_refused_in_a_sentence_at_once(copy, name):
    work, words = BROKEN[name]
    assert words in str(small(lambda: work(copy)))


@pytest.mark.parametrize("means", [(), ("--ema", 0.9, "--historical_averaging", 0.1)], ids=["plain", "means"])
def test_the_bound_of_a_checkpoint_is_above_what_a_wide_network_takes(picture_file, tmp_path, means):
    flags = ("--max_size", 32, "--nfc", 96, "--niter", 2, *means)
    run = Run(trained(picture_file, tmp_path, *map(str, flags)))
    file = sorted(run.checkpoints.glob("*.safetensors"))[-1]
    tensors, header = files.load_tensors(file)
    held = sum(value.numel() * value.element_size() for value in tensors.values())
    assert held > 10e6
    assert held < checkpoint.most_bytes(header, str(file)) - 2**20 < 1.5 * held


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--window", "9" * 5000), "--window is '999"),
        (("--nfc", 1024, "--train_stages", 20, "--niter", 1), "makes a model of 2"),
    ],
)
def test_flags_without_measure_are_refused(picture_file, flags, words, tmp_path):
    begin = process_time()
    ended = typed("train", picture_file, "--preset", "paper", *flags, "--outdir", tmp_path / "runs", *QUIET)
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert words in ended.stderr
    assert len(ended.stderr) < 500
    assert not (tmp_path / "runs").exists()
    assert process_time() - begin < 10


def test_an_absurd_alpha_is_named_in_the_advice(picture_file, tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "STARTS", 1)
    monkeypatch.setattr(watchdog, "ATTEMPTS", 0)
    flags = ("--alpha", 1e30, "--niter", 50, "--train_stages", 1, "--max_size", 25)
    ended = typed("train", picture_file, *TINY, *flags, "--outdir", tmp_path, *QUIET)
    assert ended.exit_code == 2
    assert "lower --alpha, which is 1e+30" in ended.stderr


def spoiled(critic, how):
    name = next(iter(critic))
    if how == "missing":
        del critic[name]
    elif how == "unknown":
        critic["odd"] = torch.zeros(1)
    else:
        critic[name] = {"misshapen": critic[name][:1], "half": critic[name].half(), "nan": critic[name] * torch.nan}[
            how
        ]


@pytest.mark.parametrize("how", ["missing", "unknown", "misshapen", "half", "nan", "unreadable"])
def test_a_base_with_a_broken_critic_is_tuned_with_a_new_one(applied_run, how, monkeypatch):
    base, critic = Run(applied_run), finetune.newest_critic(Run(applied_run))
    assert critic
    if how == "unreadable":
        monkeypatch.setattr(finetune.Checkpoints, "newest", lambda *_: files.read_json(Path("gone")))
        critic = finetune.newest_critic(base)
    else:
        spoiled(critic, how)
    kept = json.loads(base.local.read_text())
    trained_base = finetune.Base(SingleImageModel.load(base.model), critic)
    given = {"fine_tune": True, "model_dir": "m", "naive_img": "n"}
    settings, _ = finetune.resolve(trained_base.model.settings, "harmonization", "stripes.png", given)
    pictures = (images.load(kept[name]).pixels for name in ("picture", "naive_img"))
    state = finetune.start(settings, *pictures, trained_base, "cpu")
    assert all(value.isfinite().all() for value in state.critic.state_dict().values())


def tiff(pages: int) -> bytes:
    """A grey picture of 8x8 px that names itself as so many pages, each with a directory of its own."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64)]
    size = 2 + 12 * len(tags) + 4
    out = bytearray(struct.pack("<2sHI", b"II", 42, 72) + bytes(range(64)))
    for page in range(pages):
        after = 72 + (page + 1) * size if page + 1 < pages else 0
        out += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
        out += struct.pack("<I", after)
    return bytes(out)


def test_pages_without_end_are_not_counted(tmp_path):
    (tmp_path / "few.tif").write_bytes(tiff(3))
    (tmp_path / "many.tif").write_bytes(tiff(30_000))
    few = images.load(tmp_path / "few.tif")
    assert "The first of 3 frames or pages is used." in few.notes
    begin = process_time()
    many = images.load(tmp_path / "many.tif")
    assert process_time() - begin < 5
    assert "The first of many frames or pages is used." in many.notes
    assert torch.equal(many.pixels, few.pixels)


def test_a_file_in_a_million_pieces_is_refused(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5\n#" + b"x" * 30_000_000 + b"\n8 8\n255\n" + bytes(64))
    (tmp_path / "a.png").write_bytes(png(chunk(b"teSt", b"") * 300_000, (64, 48)))
    for name in ("a.pgm", "a.png"):
        assert "far more pieces" in str(small(lambda name=name: images.load(tmp_path / name)))


@pytest.mark.parametrize("words", [("list", "runs"), ("--help",), ("sample", "nowhere")], ids=lambda words: words[0])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_output_is_no_traceback(words, copy, tmp_path):
    with open("/dev/full", "w") as full:
        where = {"stdout": full, "stderr": full if words[0] == "sample" else subprocess.PIPE}
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        line = [sys.executable, "-m", "consingan", *words]
        ended = subprocess.run(line, cwd=tmp_path, env=environment, text=True, **where)
    assert ended.returncode == 2
    if words[0] != "sample":
        assert ended.stderr == "Error: Cannot write the output: No space left on device; free some space, or send it " \
            "elsewhere.\n"  # fmt: skip


# ---- the live page


def test_idle_readers_take_no_more_than_their_share(copy, monkeypatch):
    monkeypatch.setattr(live, "most_connections", lambda: 2)
    with serving(copy) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(2)]
        late = socket.create_connection(("127.0.0.1", port), timeout=5)
        assert late.recv(1) == b""  # closed at once
        for each in (*idle, late):
            each.close()
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as again:
                again.sendall(f"GET /version HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                if again.recv(12) == b"HTTP/1.0 200":
                    return
    pytest.fail("no place was given back")


@pytest.mark.parametrize(("files_allowed", "connections"), [(40, 5), (1024, 16), (4, 1)])
def test_the_page_takes_an_eighth_of_the_files_that_may_be_open(files_allowed, connections, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files_allowed, files_allowed))
    assert live.most_connections() == connections
