"""One job as a worker carries it out: plain data in, plain data out. JSON holds both."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from consingan.errors import UserError, out_of_memory
from consingan.storage.run import Run, safe_name
from consingan.training.job import Job
from consingan.training.order import Order
from consingan.watch.log import Observer

BEST = 3  # samples that are named, best first
LOCKED_S = 120.0  # seconds to wait for a worker of an earlier batch, which is saving
OF_RUN = re.compile(r"\d{4}(_\d\d){5}_.+", re.ASCII)

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Errand:
    """What a worker is to do.

    Args:
        name: of the job.
        order: the fields of an ``Order`` but for ``outdir`` and ``name``.
        outdir: the batch's folder, as the worker sees it.
        then: words of ``consingan sample`` without the run, one list for each time; done when the training is.
        threads: of the CPU that the training has, 1 or more.
        verb: what to do: a name in ``VERBS``.
    """

    name: str
    order: Mapping[str, Any]
    outdir: str
    then: Sequence[Sequence[str]] = ()
    threads: int = 1
    verb: str = "train"

    def wanted(self) -> Order:
        """The order, of a new run."""
        return Order(**{**self.order, "name": self.name, "outdir": self.outdir})


@dataclass(frozen=True)
class Outcome:
    """What became of an errand.

    Args:
        how: finished, stopped (saved, to be gone on with) or failed.
        error: why it failed, a sentence.
        run: the run folder below the batch's, with /.
        seconds: that it took here.
        figures: of its samples, by their names in ``metrics.METRICS``.
        samples: files below the batch's folder: an animation where one was asked for, then stills, the best first.
        cost: of the verb plan: ``seconds``, ``peak_mb``, and ``gpus``, how many the worker sees.
    """

    how: str
    error: str | None = None
    run: str | None = None
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    samples: Sequence[str] = ()
    cost: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


Then = Callable[[Run, Sequence[str]], None]
Verb = Callable[[Errand, Observer, Stop, Then], Outcome]
Work = Callable[[Errand, Observer, Stop], Outcome]


def carry_out(errand: Errand, tell: Observer, stop: Stop, then: Then) -> Outcome:
    """Do an errand; whatever goes wrong becomes a sentence of the outcome.

    Args:
        errand: what to do.
        tell: is given the records of the training.
        stop: asked after every iteration.
        then: samples a run as the words say.
    """
    begun = monotonic()
    try:
        with pinned(errand.threads):
            done = VERBS[errand.verb](errand, tell, stop, then)
    except UserError as error:
        done = Outcome("failed", str(error))
    except Exception as error:  # whatever it is, the other jobs go on
        if out_of_memory(error):
            done = Outcome("failed", "Memory ran out; give fewer --workers, or a smaller --max_size or --nfc.")
        else:
            done = Outcome("failed", f"{type(error).__name__}: {error}")
    found = run_of(errand.outdir, errand.name)
    place = None if found is None else found.folder.relative_to(errand.outdir).as_posix()
    return Outcome(**{**done.plain(), "run": place, "seconds": monotonic() - begun})


def train(errand: Errand, tell: Observer, stop: Stop, then: Then) -> Outcome:
    """Train, or go on with what is there; then sample; then judge."""
    before = run_of(errand.outdir, errand.name)
    if before is not None:
        wait(before)
    order = errand.wanted()
    if before is None:
        job = Job(order)
    else:
        resuming = Order(resume=str(before.folder), device=order.device, gpu=order.gpu, not_cuda=order.not_cuda)
        kept = {"deterministic": order.deterministic, "checkpoint_every": order.checkpoint_every}
        job = Job(Order(**{**asdict(resuming), **kept}))
    ended = job.run([tell], stop)
    assert ended.run is not None  # the batch has a folder
    if ended.how == "stopped":
        return Outcome("stopped")
    for words in errand.then:
        then(ended.run, words)
    return judged(ended.run, Path(errand.outdir))


def plan(errand: Errand, tell: Observer, stop: Stop, then: Then) -> Outcome:
    """What the training would cost on this worker; writes nothing."""
    planned = Job(errand.wanted()).plan()
    return Outcome("finished", cost={"seconds": planned.seconds, "peak_mb": planned.peak_mb, "gpus": gpus(planned)})


VERBS: dict[str, Verb] = {"train": train, "plan": plan}


def judged(run: Run, outdir: Path) -> Outcome:
    """Figures of a finished run, and its best samples."""
    from consingan.storage import results
    from consingan.watch.report import judged, reading

    facts = reading.read(run)
    found = judged.find(facts)
    asked = [each for each in results.kept(run.evaluation) if each.role is results.Role.SAMPLE]
    later, moving = [each for each in asked if not each.moving], [each.path for each in asked if each.moving]
    wanted = {each.path for each in later}
    best = sorted(judged.best(facts, later), key=lambda file: file not in wanted)  # what was asked for comes first
    files = [file.relative_to(outdir).as_posix() for file in (*moving[:1], *best)[:BEST]]
    return Outcome("finished", figures=dict(found.figures), samples=files)


def run_of(outdir: str | Path, name: str) -> Run | None:
    """The newest run of a job; what is left of one that was killed before anything was saved is removed.

    A batch's folder holds the runs of its jobs and no others.
    """
    folder = Path(outdir, safe_name(name))
    found = sorted(each for each in folder.glob("*") if OF_RUN.fullmatch(each.name) and each.is_dir())
    for each in reversed(found):
        run = Run(each)
        if run.finished.is_file() or any(run.checkpoints.glob("*.safetensors")) or run.locked():
            return run
        shutil.rmtree(each, ignore_errors=True)
    return None


def wait(run: Run) -> None:
    """Wait while a worker whose batch was killed is still saving; not for ever."""
    until = monotonic() + LOCKED_S
    while run.locked() and monotonic() < until:
        sleep(0.2)


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """So many CPU threads for torch: another number rounds otherwise in stages above 64x64 px."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gpus(planned: Any) -> int:
    """How many CUDA devices this process sees, if the plan is for one of them; else 0."""
    import torch

    with suppress(RuntimeError):
        if "(cuda" in planned.device:
            return torch.cuda.device_count()
    return 0
