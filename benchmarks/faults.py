"""A fault campaign: kills at random moments, a full disk, broken files. Prints a markdown table of what happened.

    python benchmarks/faults.py --kills 100 --mutations 10000 --json faults.json

Kills: a short training of each mode is killed with SIGKILL at random moments and gone on with by the command line
until it is finished; the model must equal that of an uninterrupted run to the bit. The first of a mode (``--fresh``)
run in fresh processes, ``python main_train.py``; the others in forks of this one, which call the same command and save
the seconds of importing torch.

Full disk: the run folder lies on a file system of so many KiB (tmpfs; where that cannot be mounted, no file may grow
beyond a size), which is widened afterwards.

Broken files: random bytes and valid files with changes are read as picture, as model and as checkpoint in this process,
with an alarm per case and a bound on memory.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # a fork must not share a pool of threads; before torch

import argparse
import contextlib
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also where it is not installed

from consingan.command import cli
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.pictures import images
from consingan.storage import files
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import state

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--min_size", "25", "--max_size", "32", "--train_stages", "2", "--nfc", "4", "--niter", "12"]
WORDS = [*TINY, "--checkpoint-every", "1", "--not_cuda", "--quiet"]
ALARM_S = 20
MEMORY = 4 * 2**30  # bytes that reading a broken file may add


@dataclass
class Row:
    """One line of the table.

    Args:
        fault: what was done.
        rounds: how often.
        outcomes: how it ended, in words, and how often each.
        bad: rounds that broke a promise.
        seconds: for all of it.
    """

    fault: str
    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    seconds: float = 0.0

    def note(self, outcome: str, bad: bool = False) -> None:
        self.outcomes[outcome] += 1
        self.bad += bad

    def line(self) -> str:
        ended = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        return f"| {self.fault} | {self.rounds} | {ended} | {self.bad} | {self.seconds:.0f} |"


# ---- processes of the command line


@dataclass
class Child:
    """A process that runs the training command; ``errors`` is what it wrote to stderr."""

    pid: int
    errors: Path

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None where it still runs after so many seconds."""
        until = None if seconds is None else monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if until is not None and monotonic() > until:
                return None
            sleep(0.005)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def start(words: list[str], errors: Path, fresh: bool = False, prepare: Callable[[], None] = lambda: None) -> Child:
    """Run the training command in a fresh process or in a fork; ``prepare`` runs in it first."""
    pid = os.fork()
    if pid:
        return Child(pid, errors)
    handle = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    prepare()
    if fresh:
        os.execv(sys.executable, [sys.executable, str(ROOT / "main_train.py"), *words])
    try:
        cli.train.main(words, prog_name="main_train.py")
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
        os._exit(code if isinstance(code, int) else 1)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def unfinished(folder: Path) -> Run | None:
    """The run below a folder that has a checkpoint."""
    files = sorted(folder.glob("*/*/checkpoints/*.safetensors"))
    return Run(files[-1].parents[1]) if files else None


def same(run: Run, wanted: dict[str, torch.Tensor]) -> bool:
    """Whether a run's model holds the wanted bits."""
    had = SingleImageModel.load(run.folder).tensors()
    return had.keys() == wanted.keys() and all(torch.equal(had[name], wanted[name]) for name in had)


def reference(mode: str, picture: Path, folder: Path) -> tuple[dict[str, torch.Tensor], float]:
    """The uninterrupted model of a mode, and the seconds of its training."""
    begin = monotonic()
    code = start(command(mode, picture, folder), folder.with_suffix(".err")).wait()
    assert code == 0, folder.with_suffix(".err").read_text()
    (run,) = map(Run, folder.glob("*/*"))
    return SingleImageModel.load(run.folder).tensors(), monotonic() - begin


def command(mode: str, picture: Path, folder: Path) -> list[str]:
    return [str(picture), "--train_mode", mode, "--outdir", str(folder), *WORDS]


# ---- kills


def kills(mode: str, number: int, fresh: int, picture: Path, scratch: Path, seed: int) -> Row:
    """Kill a mode's training so often, at random moments, and go on with it; the first ones in fresh processes."""
    row, begin, chance = Row(f"SIGKILL, {mode}"), monotonic(), random.Random(f"{seed} {mode}")
    wanted, seconds = reference(mode, picture, scratch / f"{mode}_whole")
    trainings = 0
    while row.rounds < number:
        folder, before, since = scratch / f"{mode}_{trainings}", row.rounds, monotonic()
        trainings += 1
        killed_until_finished(row, number, folder, command(mode, picture, folder), seconds, chance, trainings <= fresh)
        if row.rounds == before:  # it ran through: the machine is less busy than it was
            seconds = min(seconds, monotonic() - since)
        run = unfinished(folder)
        whole = run is not None and run.finished.exists() and same(run, wanted)
        row.note("finished models equal" if whole else "models lost or different", bad=not whole)
    row.seconds = monotonic() - begin
    return row


def killed_until_finished(
    row: Row, number: int, folder: Path, first: list[str], seconds: float, chance: random.Random, fresh: bool
) -> None:
    """Start a training, kill it, go on with it, and so on, until it is finished; count the kills in ``row``."""
    errors = folder.with_suffix(".err")
    for _ in range(50):
        run = unfinished(folder)
        words = ["--resume", str(run.folder), *WORDS] if run else first
        child = start(words, errors, fresh)
        # a fresh process spends its first seconds on imports
        moment = chance.uniform(0, 1.1 * seconds + (6 if fresh else 0)) if row.rounds < number else None
        code = child.wait(moment)
        if code is None:
            child.kill()
            child.wait()
            row.rounds += 1
            continue
        if code:
            row.note(f"exit {code}: {errors.read_text()[-300:]!r}", bad=True)
        return
    row.note("not finished after 50 kills", bad=True)


# ---- full disk


@contextlib.contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """A folder that can hold so many KiB: (what its processes do first, what ends the limit)."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True)
    if mounted.returncode:
        limits = [kib * 256]  # bytes of one file: a checkpoint is a part of what a run holds

        def limit() -> None:
            if limits:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limits[0], limits[0]))

        yield limit, limits.clear
        return
    try:
        yield lambda: None, lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(number: int, picture: Path, scratch: Path, seed: int) -> Row:
    """Train where the disk fills up at a random size, then go on with more room."""
    row, begin, chance = Row("disk full, generation"), monotonic(), random.Random(seed)
    wanted, _ = reference("generation", picture, scratch / "full_whole")
    held = sum(file.stat().st_size for file in (scratch / "full_whole").rglob("*") if file.is_file()) // 1024
    for index in range(number):
        row.rounds += 1
        folder, errors = scratch / f"full_{index}", scratch / f"full_{index}.err"
        with small_disk(folder, chance.randrange(8, held)) as (prepare, widen):
            code = start(command("generation", picture, folder), errors, prepare=prepare).wait()
            said = errors.read_text()
            sentence = code == 2 and said.count("\n") == 1 and said.startswith("Error: ")
            ended = "finished" if code == 0 else f"exit {code}: {said[-300:]!r}"
            row.note("refused in a sentence" if sentence else ended, bad=code != 0 and not sentence)
            run = unfinished(folder)
            if run is None:
                row.note("full before the first checkpoint")
                continue
            widen()
            again = start(["--resume", str(run.folder), *WORDS], errors).wait()
            whole = again == 0 and same(run, wanted)
            row.note("gone on with, equal" if whole else "lost or different", bad=not whole)
    row.seconds = monotonic() - begin
    return row


# ---- broken files


class HungError(BaseException):
    """A case took longer than the alarm."""


def ring(number: int, frame: object) -> None:
    raise HungError


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Valid bytes with one to four changes: flips, cuts, repeats, zeros, large numbers, foreign bytes."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = min(int(chance.expovariate(4 / max(1, len(out)))), max(0, len(out) - 1))  # the head is hit most
        size = chance.choice([1, 2, 4, 8, 64, len(out) // 8])
        kept = bytes([out[at] ^ 1 << chance.randrange(8)]) if out else b"x"
        digits = str(10 ** chance.randrange(1, 12)).encode()
        patch = chance.choice([kept, chance.randbytes(size), bytes(size), b"\xff" * size, digits])
        match chance.randrange(5):
            case 0:
                del out[at:]
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = patch
            case 3:
                out[at:at] = out[at : at + size]
            case _:
                out[at : at + len(patch)] = patch
    return bytes(out)


def valid_pictures(picture: Path) -> list[bytes]:
    """The picture in every format that is read, in some of its kinds."""
    image, files = Image.open(picture).convert("RGB"), []
    kinds = [("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "I;16"), ("JPEG", "RGB"), ("JPEG", "CMYK")]
    kinds += [("GIF", "P"), ("WEBP", "RGBA"), ("BMP", "RGB"), ("TIFF", "RGB")]
    for name, kind in kinds:
        target = BytesIO()
        wanted = Image.new("I;16", image.size, 700) if kind == "I;16" else image.convert(kind)
        wanted.save(target, name)
        files.append(target.getvalue())
    return files


def read_checkpoint(file: Path) -> None:
    state.Training.restore(*files.load_tensors(file), str(file))


def broken_files(
    what: str, read: Callable[[Path], object], valid: list[bytes], number: int, scratch: Path, seed: int
) -> Row:
    """Read random bytes (one in five) and changed files; each must be read or refused in a sentence."""
    row, begin, chance = Row(f"broken {what}"), monotonic(), random.Random(f"{seed} {what}")
    file = scratch / f"broken_{what}"
    signal.signal(signal.SIGALRM, ring)
    for _ in range(number):
        row.rounds += 1
        foreign = chance.random() < 0.2
        data = chance.randbytes(chance.randrange(600)) if foreign else mutated(chance.choice(valid), chance)
        file.write_bytes(data)
        signal.alarm(ALARM_S)
        try:
            read(file)
            row.note("read")
        except UserError as error:
            wordy = "\n" not in str(error) and len(str(error)) < 1000
            row.note("refused" if wordy else f"many words: {str(error)[:300]!r}", bad=not wordy)
        except HungError:
            row.note("hung", bad=True)
        except Exception as error:
            row.note(f"{type(error).__name__}: {error}"[:300], bad=True)
            (scratch / f"bad_{what}_{row.bad}").write_bytes(data)
        finally:
            signal.alarm(0)
    row.seconds = monotonic() - begin
    return row


def all_broken_files(number: int, picture: Path, scratch: Path, seed: int) -> list[Row]:
    """Half of the cases as pictures, a third as models, the rest as checkpoints."""
    reference("generation", picture, scratch / "valid")
    (run,) = map(Run, (scratch / "valid").glob("*/*"))
    model = run.model.read_bytes()
    saved = [file.read_bytes() for file in run.checkpoints.glob("*.safetensors")]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = [
        broken_files("pictures", images.load, valid_pictures(picture), number // 2, scratch, seed),
        broken_files("models", SingleImageModel.load, [model], number // 3, scratch, seed),
        broken_files("checkpoints", read_checkpoint, saved, number - number // 2 - number // 3, scratch, seed),
    ]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rows[0].outcomes[f"most memory that all broken files added: {grown:.0f} MiB;"] = len(rows)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="over all modes")
    parser.add_argument("--mode", choices=list(TASKS), action="append", help="kill only trainings of this mode")
    parser.add_argument("--fresh", type=int, default=1, help="trainings of each mode in fresh processes")
    parser.add_argument("--full", type=int, default=10, help="rounds with a full disk")
    parser.add_argument("--mutations", type=int, default=10_000, help="broken files, over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []

    def done(row: Row) -> None:
        rows.append(row)
        print(row.line(), flush=True)
        if asked.json:
            asked.json.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")

    print("| fault | rounds | how they ended | promises broken | seconds |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        picture = scratch / "picture.png"
        rows_of, columns = np.mgrid[:48, :64]
        waves = [np.sin((rows_of + columns) / 2), np.sin((rows_of - columns) / 3), np.cos(columns / 4)]
        Image.fromarray(((np.stack(waves, axis=-1) + 1) * 127.5).astype(np.uint8)).save(picture)
        modes = asked.mode or list(TASKS)
        for index, mode in enumerate(modes):
            share = asked.kills // len(modes) + (index < asked.kills % len(modes))
            if share:
                done(kills(mode, share, asked.fresh, picture, scratch, asked.seed))
        if asked.full:
            done(full_disk(asked.full, picture, scratch, asked.seed))
        if asked.mutations:
            for row in all_broken_files(asked.mutations, picture, scratch, asked.seed):
                done(row)
    sys.exit(1 if any(row.bad for row in rows) else 0)


if __name__ == "__main__":
    main()
