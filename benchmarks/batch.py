"""consingan batch: time beside single runs, kills on the way, the overhead of its schedulers.

    python benchmarks/batch.py models PICTURE...    # single runs, a batch killed twice, a cluster that loses a worker
    python benchmarks/batch.py overhead             # 1,000 jobs of a second that only sleep, on 16 workers

The models of all ways are compared byte by byte. What is a cluster needs the package distributed. Writes a table.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SMALL = "--max_size 40 --train_stages 2 --niter 150 --nfc 8 --not_cuda --checkpoint_every 1 --log_format plain"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
CONSINGAN = [sys.executable, "-m", "consingan"]


def children(pid: int) -> list[int]:
    """The processes that a process has started, as Linux tells."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


def models(folder: Path) -> dict[str, bytes]:
    """The models below a folder by the names of their pictures."""
    return {path.parent.parent.name: path.read_bytes() for path in folder.glob("*/*/model.safetensors")}


def finished(folder: Path) -> int:
    """How many runs below a folder are finished."""
    return len(list(folder.glob("*/*/finished.json")))


def run(words: list[str]) -> float:
    """Seconds of a command."""
    begun = time.monotonic()
    subprocess.run(words, env=ENV, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def singles(pictures: list[Path], flags: list[str], out: Path) -> float:
    """Seconds of single runs, one after the other."""
    return sum(run([*CONSINGAN, "train", str(picture), *flags, "--outdir", str(out)]) for picture in pictures)


def killed(words: list[str], out: Path, after: int, workers: bool) -> None:
    """Begin a batch, and kill it with SIGKILL in the middle of a job.

    Args:
        words: the command.
        out: its folder.
        after: finished runs to wait for.
        workers: whether the workers are killed too; else they find that nobody is there any more.
    """
    process = subprocess.Popen(words, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while finished(out) < after:
        assert process.poll() is None, "the batch ended before it was killed"
        time.sleep(0.1)
    time.sleep(1.5)
    own = children(process.pid) if workers else []
    for pid in [process.pid, *own]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    print(
        f"killed with {finished(out)} finished{', with its workers' if workers else ', without its workers'}",
        flush=True,
    )


def on_cluster(words: list[str], out: Path, after: int) -> float:
    """Seconds of a batch on a cluster of two worker processes, one of which is killed on the way."""
    from distributed import LocalCluster

    how = {"host": "127.0.0.1", "dashboard_address": None, "threads_per_worker": 1}
    with LocalCluster(n_workers=2, **how) as cluster:
        begun = time.monotonic()
        process = subprocess.Popen([*words, "--scheduler", cluster.scheduler_address], env=ENV, stderr=subprocess.PIPE)
        while finished(out) < after:
            assert process.poll() is None, "the batch ended before a worker was killed"
            time.sleep(0.1)
        time.sleep(1.5)
        victim = next(iter(cluster.workers.values())).pid
        os.kill(victim, signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
        print([line for line in said.decode().splitlines() if "lost" in line], flush=True)
        return time.monotonic() - begun


def compare(given: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Rows: way, seconds, equal models."""
    out, flags = Path(given.out), [*SMALL.split(), *given.flags.split()]
    shutil.rmtree(out, ignore_errors=True)
    pictures = out / "pictures"
    pictures.mkdir(parents=True)
    for picture in map(Path, given.pictures):
        shutil.copy(picture, pictures / picture.name)
    files = sorted(pictures.iterdir())
    seconds = singles(files, flags, out / "single")
    wanted = models(out / "single")
    assert len(wanted) == len(files)
    rows = [(f"{len(files)} single runs, one after the other", f"{seconds:.0f} s", "–")]

    def row(name: str, seconds: float, folder: Path) -> None:
        same = sum(wanted[name] == model for name, model in models(folder).items())
        rows.append((name, f"{seconds:.0f} s", f"{same} of {len(wanted)}"))
        print(rows[-1], flush=True)

    def batch(name: str) -> list[str]:
        workers = [] if name == "cluster" else ["--workers", "2"]
        return [*CONSINGAN, "batch", str(pictures), *flags, *workers, "--outdir", str(out / name)]

    print(rows[-1], flush=True)
    row("batch, 2 workers", run(batch("batch")), out / "batch")
    begun = time.monotonic()
    killed(batch("killed"), out / "killed", len(files) // 4, workers=True)
    killed(batch("killed"), out / "killed", len(files) // 2, workers=False)
    run(batch("killed"))
    row("batch, killed twice with SIGKILL", time.monotonic() - begun, out / "killed")
    if not given.no_cluster:
        row(
            "Dask cluster of 2 workers, one killed",
            on_cluster(batch("cluster"), out / "cluster", len(files) // 4),
            out / "cluster",
        )
    return rows


# ---- overhead


def asleep(parcel: dict) -> None:
    """A task whose job sleeps."""
    from sleeping import work

    from consingan.batch import afar

    afar.carry(parcel, work)


def alone(address: str, jobs: int, seconds: float, ideal: float) -> tuple[str, str, str]:
    """The row of Dask with tasks that only sleep, in the same minutes."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        begun, used = time.monotonic(), time.process_time()
        client.gather([client.submit(time.sleep, seconds, pure=False) for _ in range(jobs)])
        whole, used = time.monotonic() - begun, time.process_time() - used
    return "Dask alone", f"{whole:.1f} s, {used:.1f} s of CPU", f"{100 * (whole / ideal - 1):.1f} %"


def overhead(given: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Rows: engine, seconds, share above what the sleep alone takes."""
    from consingan.batch.book import Book, Job
    from consingan.batch.display import display
    from consingan.batch.drive import Driver
    from consingan.batch.processes import Processes
    from consingan.training.order import Order

    ideal = -(-given.jobs // given.workers) * given.seconds
    rows = []

    def measure(name: str, pool: object) -> None:
        folder = Path(given.out) / name.replace(" ", "_")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        jobs = [Job(f"x_{given.seconds + k * 1e-9:.9f}", Order(picture=str(Path(__file__)))) for k in range(given.jobs)]
        book = Book.open(folder, jobs, (), None, 1)
        warm = [Job(f"x_0.{k:05d}", jobs[0].order) for k in range(given.workers)]
        with book.held():
            for job in warm:  # every worker has started
                pool.send(job.errand(folder, (), 1))
            seen = 0
            while seen < len(warm):
                seen += sum(news.outcome is not None for news in pool.news(0.2))
            stream = io.StringIO()
            begun, used = time.monotonic(), time.process_time()
            Driver(book, jobs, pool, display("plain", stream, len(jobs)), 2).run(lambda: False)
            seconds, used = time.monotonic() - begun, time.process_time() - used
        assert all(entry.state == "finished" for entry in book)
        rows.append((name, f"{seconds:.1f} s, {used:.1f} s of CPU", f"{100 * (seconds / ideal - 1):.1f} %"))
        print(rows[-1], flush=True)

    with closing(Processes([sys.executable, str(ROOT / "tests" / "sleeping.py")], given.workers, 1)) as pool:
        measure("worker processes", pool)
    if not given.no_cluster:
        from distributed import LocalCluster

        from consingan.batch.cluster import Cluster

        how = {"host": "127.0.0.1", "dashboard_address": None, "threads_per_worker": 1}
        with (
            LocalCluster(n_workers=given.workers, **how) as cluster,
            closing(Cluster(cluster.scheduler_address, asleep, Path(given.out), False, None)) as pool,
        ):
            measure("Dask cluster", pool)
            rows.append(alone(cluster.scheduler_address, given.jobs, given.seconds, ideal))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["models", "overhead"])
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--out", default="batch_benchmark", help="a folder that is made anew")
    parser.add_argument("--flags", default="", help="further flags of the trainings")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--no_cluster", action="store_true")
    given = parser.parse_args()
    heads = {"models": ("way", "time", "models equal to the bit"), "overhead": ("engine", "time", "above the ideal")}
    rows = {"models": compare, "overhead": overhead}[given.what](given)
    for cells in (heads[given.what], ("---",) * 3, *rows):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
