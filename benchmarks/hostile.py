"""Hostile files through every command: mutated pictures, models, checkpoints, logs, configurations, lists, arrays ...

    python benchmarks/hostile.py --count 2000 --kind pictures
    python benchmarks/hostile.py --count 1000 --kind models --kind checkpoints --kind logs --kind configs
    python benchmarks/hostile.py --count 400 --kind translations --kind albums --kind codes --kind arrays
    python benchmarks/hostile.py --count 400 --kind lists --kind books
    python benchmarks/hostile.py --kind writes --kind connections

Each case is a command in a fork of this process, in a copy of a small run that holds one changed file. It must end with
0, or with 2 and one sentence; without a traceback, within 10 s of computing, and with less than 2 GB of memory. Half of
the changes are of bytes; the others of files that hold JSON are of values, which stay JSON. What breaks a promise is
kept in ``--keep``. ``--seed`` and ``--first`` make the same cases again, and the others of a longer campaign.

``writes``: the training is killed before, within and after each of its writes, one after the other, and gone on with;
the model must be the same to the bit and no half file may stay. ``connections``: idle readers of the live page under a
limit of 40 open files; the training must end as without them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from faults import ROOT, Row, mutated, same, valid_pictures  # sets what torch has to know before it is imported
from PIL import Image

from consingan.batch import page
from consingan.batch.book import Book
from consingan.command import batch as batching
from consingan.command import cli
from consingan.command.flags import one_sentence
from consingan.gan.model import SingleImageModel
from consingan.grid.kinds import Kind
from consingan.pictures import npy, tiff
from consingan.storage.run import Run

SECONDS, MEMORY = 10.0, 2 * 2**30  # of computing, and bytes resident
ADDRESSES = 3 * 2**30  # bytes of address space beyond what the process has already
WALL = 120.0  # seconds after which a case is ended on a busy machine
TINY = ["--min_size", "25", "--max_size", "32", "--train_stages", "2", "--nfc", "4", "--niter", "3", "--finish", "none"]
QUIET = ["--not_cuda", "--quiet"]
CODED = ["--codes", "2", "--code_categories", "3", "--history", "4", "--ema", "0.9", "--historical_averaging", "0.1"]
ODD: list[Any] = [
    "9" * 5000, 10**400, -(10**400), 10**18, 2**31, 65536, -1, 0, 1, 1e308, -1e308, 1e-320, float("nan"),
    float("inf"), True, None, "",
    "x" * 100_000, "../../../../etc/passwd", "/dev/zero", "/etc/passwd", "\0", "\ud800", "NaN", "1e999", [], {},
    [[]], {"": {}}, [0] * 10_000, ["x"], [None, None], "auto", "none",
]  # fmt: skip


# ---- one case


@dataclass
class Ended:
    """How a case ended.

    Args:
        code: of the process, negative for a signal; None where it was ended after ``WALL``.
        said: its stderr.
        seconds: of computing.
        bytes: resident at most.
    """

    code: int | None
    said: str
    seconds: float
    bytes: int

    @property
    def fault(self) -> str | None:
        """The promise that was broken, in words."""
        if self.code is None:
            return f"ran for {WALL:g} s"
        if "Traceback" in self.said or self.code not in (0, 2):
            return f"exit {self.code}: {self.said[-300:]!r}"
        sentences = [line for line in self.said.splitlines() if line.startswith("Error: ")]
        if self.code == 2 and len(sentences) != 1:
            return f"{len(sentences)} sentences: {self.said[-300:]!r}"
        if self.seconds > SECONDS:
            return f"took {self.seconds:.0f} s"
        return f"took {self.bytes / 2**20:.0f} MiB" if self.bytes > MEMORY else None


def forked(work: Callable[[], object], errors: Path) -> Ended:
    """Do something in a fork with bounds on its memory and time."""
    pid = os.fork()
    if not pid:
        os._exit(inside(work, errors))
    until = monotonic() + WALL
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            code: int | None = os.waitstatus_to_exitcode(status)
            break
        if monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            _, _, used = os.wait4(pid, 0)
            code = None
            break
        sleep(0.002)
    said = errors.read_text(errors="replace") if errors.exists() else ""
    return Ended(code, said, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def inside(work: Callable[[], object], errors: Path) -> int:
    """The fork's part: the exit code of what it does."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        work()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


# ---- what is changed


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """Foreign bytes, one time in ten; nothing, one in fifty; else a few changes."""
    draw = chance.random()
    return b"" if draw < 0.02 else chance.randbytes(chance.randrange(600)) if draw < 0.12 else mutated(data, chance)


def odd(chance: random.Random) -> Any:
    """One of the odd values, a copy of its own."""
    return copy.deepcopy(chance.choice(ODD))


def changed_json(value: Any, chance: random.Random) -> Any:
    """A JSON value with one to three odd values, missing entries or foreign ones in it."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, 3)):
        place, key = value, None
        while isinstance(place, dict | list) and place and (key is None or chance.random() < 0.8):
            holder, key = place, chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = holder[key]
        if key is None:
            return odd(chance)
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(["", "schema", "x" * 300, "event"])] = odd(chance)
            case _:
                holder[key] = odd(chance)
    return value


def changed_header(data: bytes, chance: random.Random) -> bytes:
    """A safetensors file with a changed entry in its own header or in ours."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if chance.random() < 0.7:
        ours = changed_json(json.loads(header["__metadata__"]["consingan"]), chance)
        header["__metadata__"]["consingan"] = json.dumps(ours)
    else:
        header = changed_json(header, chance)
    text = json.dumps(header).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def changed_text(data: bytes, chance: random.Random) -> bytes:
    """A JSON file with changed values, or a log with changed lines, more of them, or none."""
    try:
        return json.dumps(changed_json(json.loads(data), chance)).encode()
    except ValueError:
        lines = data.splitlines()
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[at:]
            case 1:
                lines.insert(at, chance.choice(lines))
            case _:
                lines[at] = json.dumps(changed_json(json.loads(lines[at]), chance)).encode()
        if not lines:
            return b""
    return b"\n".join(lines) + b"\n"


# ---- through what


@dataclass
class World:
    """What the cases are made of.

    Args:
        scratch: a folder for everything.
        picture, naive: files.
        finished, stopped, harmonized: run folders.
        translated, album, coded: of a translation, of several pictures, of codes with techniques that remember.
        batch: the folder of a finished batch of two pictures in ``photos``.
        pictures: the picture in several formats.
        arrays: the same as numpy's files, and as TIFF files of many channels.
    """

    scratch: Path
    picture: Path
    naive: Path
    finished: Path
    stopped: Path
    harmonized: Path
    translated: Path
    album: Path
    coded: Path
    photos: Path
    batch: Path
    pictures: list[bytes] = field(default_factory=list)
    arrays: list[bytes] = field(default_factory=list)

    @classmethod
    def made(cls, scratch: Path) -> World:
        """A picture and small runs of it."""
        rows, columns = np.mgrid[:48, :64]
        waves = [np.sin((rows + columns) / 2), np.sin((rows - columns) / 3), np.cos(columns / 4)]
        pixels = ((np.stack(waves, axis=-1) + 1) * 127.5).astype(np.uint8)
        picture, naive = scratch / "picture.png", scratch / "naive.png"
        Image.fromarray(pixels).save(picture)
        pixels[10:24, 20:40] = (255, 0, 0)
        Image.fromarray(pixels).save(naive)
        applied = ["--train_mode", "harmonization", "--naive_img", str(naive)]
        finished = trained(scratch / "finished", picture)
        sample = ["sample", str(finished), "--num_samples", "2", "--finish", "none", *QUIET]
        assert CliRunner().invoke(cli.main, sample).exit_code == 0
        stopped, harmonized = trained(scratch / "stopped", picture), trained(scratch / "harmonized", picture, *applied)
        translated = trained(scratch / "t", picture, "--train_mode", "translation", "--target_name", str(naive))
        album, coded = trained(scratch / "album", picture, str(naive)), trained(scratch / "coded", picture, *CODED)
        for run in (stopped, harmonized, translated, album, coded):
            stop_early(run)
        photos = scratch / "photos"
        photos.mkdir()
        for file in (picture, naive):
            shutil.copy(file, photos)
        batch = finished_batch(photos, scratch / "batch", finished)
        return cls(
            *(scratch, picture, naive, finished, stopped, harmonized, translated, album, coded, photos, batch),
            valid_pictures(picture),
            valid_arrays(pixels),
        )


def valid_arrays(pixels: np.ndarray) -> list[bytes]:
    """Pixels as numpy's files of several kinds, and as TIFF files of many channels."""
    eight = np.concatenate([pixels, pixels, pixels[:, :, :2]], axis=-1)
    deep = eight.astype(np.uint16) * 257
    kinds = [pixels, eight, deep, pixels[:, :, 0], (pixels / 255).astype(np.float32), (pixels / 255)[:, ::-1]]
    return [*map(npy.written, kinds), tiff.written(eight, Kind(8)), tiff.written(deep, Kind(8, depth="uint16"))]


def finished_batch(photos: Path, folder: Path, run: Path) -> Path:
    """The folder of a batch whose jobs are finished, each with a copy of a run."""
    book, entries = opened_book(photos, folder), {}
    for name, entry in book.entries.items():
        place = f"{name}/{run.name}"
        shutil.copytree(run, folder / place)
        samples = [f"{place}/{file.relative_to(run).as_posix()}" for file in sorted(run.glob("Evaluation/*/*.png"))]
        entries[name] = replace(entry, state="finished", run=place, seconds=1.0, figures={"ssim": 0.5}, samples=samples)
    book.entries = entries
    with book.held():
        page.write(book)
    return folder


def opened_book(source: Path, folder: Path) -> Book:
    """The book of a batch, as the command opens it."""
    words = [str(source), "--outdir", str(folder), *TINY, *QUIET]
    with batching.batch.make_context("batch", words) as context:
        jobs, then = batching.asked(context, context.params)
    return Book.open(folder, jobs, then, None, 1)


def shown_book(source: Path, folder: Path) -> None:
    """What a batch does with its list and its book beside training: both are read, written again and shown."""
    with one_sentence():
        book = opened_book(source, folder)
        with book.held():
            page.write(book)


def trained(folder: Path, picture: Path, *flags: str) -> Path:
    """The folder of a small run."""
    done = CliRunner().invoke(cli.train, [str(picture), *TINY, *flags, "--outdir", str(folder), *QUIET])
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip())


def stop_early(run: Path) -> None:
    """Make a finished run one that was stopped after its last stage: the last checkpoint is the end of it."""
    (run / "finished.json").unlink()


def command(*words: object) -> Callable[[], object]:
    """A line of the command line."""
    return lambda: cli.main.main([*map(str, words)], prog_name="consingan")


def watched(run: Path) -> None:
    """The live page of a run and some of its files, as a browser asks for them."""
    from http.client import HTTPConnection

    from consingan.watch.live import Live

    live = Live(shown=False)
    live.serve(Run(run))
    for path in ("/", "/version", "/log.jsonl", "/picture.png", "/config.json"):
        connection = HTTPConnection("127.0.0.1", int(live.address.rstrip("/").rpartition(":")[2]), timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (200, 404, 503), answer.status
        answer.read()
        connection.close()
    live.close()


def ways(world: World, run: Path, other: Path) -> dict[str, Callable[[], object]]:
    """What is done with a run that holds a changed file, by name."""
    out = run.parent / "out"
    tiny = ["--num_samples", 1, "--longest", 48, "--out", out, *QUIET]
    tuning = ["--train_mode", "harmonization", "--fine_tune", "--naive_img", world.naive, "--niter", 2]
    return {
        "sample": command("sample", run, *tiny),
        "apply": command("sample", run, "--out", out, *QUIET),
        "naive": command("sample", run, "--naive_img", world.naive, "--out", out, *QUIET),
        "resume": command("train", "--resume", run, *QUIET),
        "tune": command("train", *tuning, "--model_dir", run, "--outdir", out, *QUIET),
        "report": command("report", run),
        "compare": command("compare", run, other, "--out", out.with_suffix(".html")),
        "list": command("list", run.parent),
        "live": partial(watched, run),
    }


# ---- campaigns: (what is said of it, the file that is changed, the work)


def picture_case(world: World, place: Path, chance: random.Random) -> tuple[str, Callable[[], object]]:
    data = changed_bytes(chance.choice(world.pictures), chance)
    file = place / chance.choice(["a.png", "a.jpg", "a.tif"])
    way = chance.choice(["train", "alone", "paste", "naive", "score", "resume", "report", "compare", "live"])
    out = place / "out"
    if way in ("train", "alone", "paste", "naive", "score"):
        file.write_bytes(data)
        flat = [
            "--object",
            file,
            "--onto",
            world.picture,
            "--at",
            "2,2",
            "--rectangle",
            "0,0,9,9",
            "--out",
            out / "p.png",
        ]
        return way, {
            "train": command("train", file, *TINY, "--max_pixels", 10**7, "--outdir", out, *QUIET),
            "alone": command("sample", file, "--num_samples", 1, "--longest", 48, "--out", out, *QUIET),
            "paste": command("paste", *flat),
            "naive": command("sample", world.harmonized, "--naive_img", file, "--out", out, *QUIET),
            "score": command("score", world.picture, file),
        }[way]
    source = world.stopped if way == "resume" else world.finished
    run = Path(shutil.copytree(source, place / "run"))
    files = sorted(each for each in run.rglob("*.png"))
    for each in chance.sample(files, 3):
        each.write_bytes(changed_bytes(chance.choice(world.pictures), chance))
    return way, ways(world, run, world.stopped)[way]


def file_case(
    kinds: Mapping[str, list[str]], patterns: tuple[str, ...], world: World, place: Path, chance: random.Random
) -> tuple[str, Callable[[], object]]:
    """A case of a run with a changed file: ``kinds`` are the ways by the run that they go with."""
    of, way = chance.choice([(of, way) for of, each in kinds.items() for way in each])
    run = Path(shutil.copytree(getattr(world, of), place / "run"))
    files = sorted(file for pattern in patterns for file in run.rglob(pattern))
    chosen = chance.choice(files)
    for file in files if chosen.parent.name == "checkpoints" and chosen.suffix == ".safetensors" else [chosen]:
        data = file.read_bytes()
        change = changed_header if file.suffix == ".safetensors" else changed_text
        file.write_bytes(change(data, chance) if chance.random() < 0.6 else changed_bytes(data, chance))
    return f"{way}", ways(world, run, world.finished)[way]


def changed_array(data: bytes, chance: random.Random) -> bytes:
    """A numpy file with odd values in its header; any other with changed bytes."""
    if not data.startswith(npy.MAGIC) or chance.random() < 0.4:
        return changed_bytes(data, chance)
    length = int.from_bytes(data[8:10], "little")
    header: dict[Any, Any] = ast.literal_eval(data[10 : 10 + length].decode())
    sizes = [0, 1, -1, 3, 64, 2**31, 2**63, 10**400]
    match chance.randrange(4):
        case 0:
            header["shape"] = tuple(chance.choice(sizes) for _ in range(chance.randrange(5)))
        case 1:
            header["descr"] = chance.choice(["|O", "<f8", ">u2", "<M8[s]", "|V9", "<U7", "|b1", "<c8", [("a", "|O")]])
        case 2:
            header[chance.choice([*header, "x"])] = odd(chance)
        case _:
            header["fortran_order"] = not header["fortran_order"]
    text = repr(header).encode("utf-8", "replace") + b"\n"
    values = data[10 + length :]
    if chance.random() < 0.3:
        values = np.full(len(values) // 4, chance.choice([np.nan, np.inf, -1, 1e38]), np.float32).tobytes()
    if len(text) < 2**16:
        return npy.MAGIC + b"\1\0" + struct.pack("<H", len(text)) + text + values
    return npy.MAGIC + b"\2\0" + struct.pack("<I", len(text)) + text + values


def array_case(world: World, place: Path, chance: random.Random) -> tuple[str, Callable[[], object]]:
    file, out = place / chance.choice(["a.npy", "a.tif", "a.png"]), place / "out"
    file.write_bytes(changed_array(chance.choice(world.arrays), chance))
    one = ["--out", out, *QUIET]
    tiny = ["--num_samples", 1, "--longest", 48, *one]
    way, words = chance.choice(
        [
            ("train", ["train", file, *TINY, "--outdir", out, *QUIET]),
            ("as one", ["train", world.picture, file, *TINY, "--outdir", out, *QUIET]),
            ("target", ["train", world.picture, "--train_mode", "translation", "--target_name", file, *TINY,
                        "--outdir", out, *QUIET]),
            ("alone", ["sample", file, *tiny]),
            ("like", ["sample", world.finished, "--like", file, *tiny]),
            ("mask", ["fill", world.picture, "--mask", file, *tiny]),
            ("uncrop", ["uncrop", file, "--left", 5, *tiny]),
            ("style", ["style", world.picture, file, *one]),
            ("truth", ["enlarge", world.picture, "--factor", 2, "--truth", file, *one]),
            ("paint", ["paint", world.finished, file, *one]),
            ("score", ["score", world.picture, file]),
        ]
    )  # fmt: skip
    return way, command(*words)


LISTED: list[Any] = [
    "naive.png", "../photos/picture.png", "/dev/zero", "pipe.png", "photos", "-", "list.csv", "https://a.b/c.png",
    "NUL", "con.png", "../../x", "<script>", "\x1b[31m", "a\nb", "1,2", "\ufeff", "=1+1", "\U0001f600",
]  # fmt: skip


def list_case(world: World, place: Path, chance: random.Random) -> tuple[str, Callable[[], object]]:
    photos = Path(shutil.copytree(world.photos, place / "photos"))
    os.mkfifo(photos / "pipe.png")
    names = ["picture", "name", "seed", "max_size", "niter", "train_mode", "preset", "naive_img", "target_name", "also"]
    names += ["weights", "max_pixels", "background", "outdir", "resume", "model_dir", "fine_tune", "x", ""]
    lines = chance.random() < 0.5
    heads = ["picture", *chance.sample(names, chance.randrange(4))]
    rows = [["picture.png", *(usual(chance) for _ in heads[1:])] for _ in range(chance.randint(1, 4))]
    for _ in range(chance.randrange(4)):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice([odd, lambda chance: chance.choice(LISTED)])(chance)
    if lines:
        text = "\n".join(json.dumps(dict(zip(heads, row, strict=True))) for row in rows)
    else:
        text = "\n".join(",".join(map(shown, row)) for row in [heads, *rows])
    file = photos / ("list.jsonl" if lines else "list.csv")
    data = text.encode("utf-8", "surrogatepass")
    file.write_bytes(changed_bytes(data, chance) if chance.random() < 0.3 else data)
    return file.suffix[1:], partial(shown_book, file, place / "batch")


def usual(chance: random.Random) -> Any:
    """A cell that may be right."""
    return chance.choice(["", "x", 1, 0.5, 30, "generation", "fast", "naive.png", True])


def shown(cell: Any) -> str:
    """A cell of CSV; a number of 400 digits has them all."""
    return str(cell)


def book_case(world: World, place: Path, chance: random.Random) -> tuple[str, Callable[[], object]]:
    batch = Path(shutil.copytree(world.batch, place / "batch"))
    book = batch / "batch.json"
    data = book.read_bytes()
    book.write_bytes(changed_text(data, chance) if chance.random() < 0.7 else changed_bytes(data, chance))
    return "book", partial(shown_book, world.photos, batch)


Case = Callable[[World, Path, random.Random], tuple[str, Callable[[], object]]]
SEEN = ["report", "compare", "live", "list"]
CAMPAIGNS: dict[str, Case] = {
    "pictures": picture_case,
    "models": partial(
        file_case, {"finished": ["sample"], "harmonized": ["naive", "tune", "resume"]}, ("model.safetensors",)
    ),
    "checkpoints": partial(
        file_case, {"stopped": ["resume"], "harmonized": ["resume", "tune"]}, ("checkpoints/*.safetensors",)
    ),
    "logs": partial(file_case, {"stopped": ["resume", *SEEN], "finished": SEEN}, ("log.jsonl",)),
    "configs": partial(
        file_case,
        {"stopped": ["resume", "sample", *SEEN], "harmonized": ["resume", "tune", "naive"]},
        ("config.json", "environment.json", "results.json", "local.json", "newest.json"),
    ),
    "translations": partial(
        file_case,
        {"translated": ["apply", "resume", "report"]},
        ("model*.safetensors", "checkpoints/*.safetensors", "config.json", "results.json"),
    ),
    "albums": partial(
        file_case,
        {"album": ["sample", "resume", "report"]},
        ("model.safetensors", "checkpoints/*.safetensors", "config.json", "local.json"),
    ),
    "codes": partial(
        file_case, {"coded": ["sample", "resume"]}, ("model.safetensors", "checkpoints/*.safetensors", "config.json")
    ),
    "arrays": array_case,
    "lists": list_case,
    "books": book_case,
}


def campaign(kind: str, numbers: Iterable[int], seed: int, world: World, keep: Path | None) -> Row:
    """The cases of a kind that have these numbers, each with random numbers of its own."""
    row, begin, worst, largest = Row(f"mutated {kind}"), monotonic(), 0.0, 0
    for number in numbers:
        place = world.scratch / "case"
        shutil.rmtree(place, ignore_errors=True)
        (place / "out").mkdir(parents=True)
        way, work = CAMPAIGNS[kind](world, place, random.Random(f"{seed} {kind} {number}"))
        ended = forked(work, place / "errors")
        row.rounds += 1
        worst, largest = max(worst, ended.seconds), max(largest, ended.bytes)
        row.note(f"{way} {'done' if ended.code == 0 else 'refused'}" if not ended.fault else f"{way} {ended.fault}",
                 bad=ended.fault is not None)  # fmt: skip
        if ended.fault:
            print(f"{kind} {number}, {way}: {ended.fault}", file=sys.stderr, flush=True)
            if keep:
                shutil.copytree(place, keep / f"{kind}_{number}", dirs_exist_ok=True)
    row.fault += f", at most {worst:.1f} s and {largest / 2**20:.0f} MiB"
    row.seconds = monotonic() - begin
    return row


# ---- kills at every write


def counted(at: int) -> list[int]:
    """Kill this process at its write number ``at``; a write has three moments: half done, done aside, in place."""
    seen = [0]
    fsync, replace = os.fsync, os.replace

    def moment() -> None:
        seen[0] += 1
        if seen[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def half(handle: int) -> None:
        moment()
        fsync(handle)

    def moved(*names: Any, **how: Any) -> None:
        moment()
        replace(*names, **how)
        moment()

    os.fsync, os.replace = half, moved  # type: ignore[assignment]
    return seen


def killed_at_writes(numbers: Iterable[int], world: World) -> Row:
    """Kill a training at each of its writes that has one of these numbers, and go on with it."""
    row, begin = Row("SIGKILL at a write"), monotonic()
    wanted = SingleImageModel.load(world.finished).tensors()
    words = ["train", world.picture, *TINY, "--checkpoint_every", 1, *QUIET]
    for at in (number + 1 for number in numbers):
        place = world.scratch / f"write_{at}"
        place.mkdir()

        def work(at: int = at, place: Path = place) -> None:
            counted(at)
            command(*words, "--outdir", place / "runs")()

        ended = forked(work, place / "errors")
        if ended.code == 0:
            break  # it has no further writes
        row.rounds += 1
        runs = [file.parent for file in (place / "runs").glob("*/*/config.json")]
        started = [run for run in runs if any((run / "checkpoints").glob("*.safetensors"))]
        if not started:
            row.note("killed before the first checkpoint")
            continue
        again = forked(command("train", "--resume", started[0], *QUIET), place / "again")
        parts = list((place / "runs").rglob("*.part"))
        whole = again.code == 0 and same(Run(started[0]), wanted) and not parts
        row.note("gone on with, equal" if whole else f"lost or different: {again.said[-200:]!r} {parts}", bad=not whole)
        shutil.rmtree(place)
    row.seconds = monotonic() - begin
    return row


# ---- idle readers


def idle_readers(world: World) -> Row:
    """Train under a limit of 40 open files while 60 readers of the live page hold their connections and say nothing."""
    row, begin = Row("60 idle connections, ulimit -n 40"), monotonic()
    place = world.scratch / "idle"
    place.mkdir()

    def readers(port: int) -> None:
        held = []
        for _ in range(30):
            connection = socket.socket()
            connection.settimeout(5)
            connection.connect(("127.0.0.1", port))
            held.append(connection)
        sleep(60)

    def work() -> None:
        from consingan.training.job import Job
        from consingan.training.order import Order
        from consingan.watch.live import Live

        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        live = Live(shown=False)
        port = int(live.address.rstrip("/").rpartition(":")[2])
        reader = os.fork()
        if not reader:
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
            os.closerange(3, 40)
            readers_in_parts(readers, port)
        settings = {"min_size": 25, "max_size": 32, "train_stages": 2, "nfc": 4, "niter": (3,), "finish": "none"}
        try:
            ended = Job(Order(str(world.picture), settings=settings, outdir=str(place), not_cuda=True)).run([live])
        finally:
            os.kill(reader, signal.SIGKILL)
            os.waitpid(reader, 0)
        live.close()
        assert ended.how == "finished"
        assert ended.run is not None
        assert same(ended.run, SingleImageModel.load(world.finished).tensors())

    ended = forked(work, place / "errors")
    row.rounds += 1
    row.note("finished, equal" if not ended.fault else ended.fault, bad=ended.fault is not None)
    row.seconds = monotonic() - begin
    return row


def readers_in_parts(readers: Callable[[int], None], port: int) -> None:
    """Two processes of 30 readers each, which are under the limit too."""
    for _ in range(2):
        if not os.fork():
            signal.alarm(100)
            try:
                readers(port)
            finally:
                os._exit(0)
    signal.alarm(100)
    signal.pause()


def within(seconds: float, numbers: Iterable[int]) -> Iterator[int]:
    """The numbers until so much time has gone by."""
    until = monotonic() + seconds
    return takewhile(lambda number: monotonic() < until, iter(numbers))


def main() -> None:
    kinds = [*CAMPAIGNS, "writes", "connections"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=kinds, action="append", help="several may be given; all by default")
    parser.add_argument("--count", type=int, default=200, help="cases of each kind; moments of writes at most")
    parser.add_argument("--seconds", type=float, default=1e9, help="of each kind; what was done by then is told")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the cases that break a promise")
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    print("| fault | rounds | how they ended | promises broken | seconds |\n|---|---|---|---|---|", flush=True)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        world = World.made(Path(folder))
        for kind in asked.kind or kinds:
            numbers = within(asked.seconds, range(asked.first, asked.first + asked.count))
            if kind == "writes":
                rows.append(killed_at_writes(numbers, world))
            elif kind == "connections":
                rows.append(idle_readers(world))
            else:
                rows.append(campaign(kind, numbers, asked.seed, world, asked.keep))
            print(rows[-1].line(), flush=True)
            if asked.json:
                asked.json.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")
    sys.exit(1 if any(row.bad for row in rows) else 0)


if __name__ == "__main__":
    main()
