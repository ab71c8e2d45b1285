"""Everything that can be checked and measured on a CUDA machine, in one command and ten minutes, as a Markdown table.

    python benchmarks/gpu.py --out docs/gpu.md
    python benchmarks/gpu.py --device cpu --small

Agreement with the CPU: one iteration of every stage, samples of the same weights and seed, the finish of the same
layout, all in float32 without TF32. Then the engine beside the plain path, a default training with the figures of its
samples, the finish by size, sampling by the command line, and the tests marked gpu. Each check is on its own: one that
fails is a row that says so, the others go on, and the exit code is 1. It runs from the repository without installation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import click
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

import engine
import finish as sized

import consingan
from consingan import config
from consingan.finish import patches
from consingan.finish.photo import Photo, stored
from consingan.finish.scales import own_size
from consingan.gan.sampling import own_size as own_size_of
from consingan.grid.noise import Draw
from consingan.grid.ranges import unit
from consingan.grid.resize import resize
from consingan.metrics.pictures import match
from consingan.metrics.table import evaluate
from consingan.pictures import arrays, images
from consingan.training.state import Training
from consingan.training.step import Products
from consingan.watch.clock import duration

ROOT = Path(__file__).parent.parent
LOSSES = 1e-3  # tolerance of a loss term, as a share of the larger of it and 1
GRADIENTS = 1e-2  # of the gradients' difference, as a share of their norm
SAMPLES = 1e-3  # of a sample's pixels in [-1, 1]
EQUAL = 0.99  # share of a finished sample's pixels that must be equal in 8 bits: a tie may take another patch


@dataclass(frozen=True)
class Row:
    """A line of the table: what was looked at, what was found, and whether that is as it must be."""

    what: str
    found: str
    good: bool = True


@dataclass
class Setup:
    """How much is done, and where.

    Args:
        device: that is checked.
        small: tiny sizes and few iterations.
        scratch: a folder for the run.
        run: the folder of the training, once there is one.
    """

    device: torch.device
    small: bool
    scratch: Path
    run: Path | None = None
    picture: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.picture = images.load(sized.PICTURE, channels=3).pixels


# ---- what is checked


def machine(setup: Setup) -> Iterator[Row]:
    """What this is."""
    cuda = setup.device.type == "cuda"
    name = torch.cuda.get_device_name(setup.device) if cuda else "no GPU"
    yield Row("device", f"{name}; {os.cpu_count()} CPU cores, of which torch uses {torch.get_num_threads()}")
    python = ".".join(map(str, sys.version_info[:3]))
    yield Row("versions", f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}, Python {python}")


def iterations_agree(setup: Setup) -> Iterator[Row]:
    """One iteration of every stage on both, each from the same networks."""
    small = {"max_size": 40, "train_stages": 2, "nfc": 8} if setup.small else {"max_size": 120, "train_stages": 4}
    values = {**small, "precision": "fp32", "positions": 1.0, "noise": "mixed", "Dsteps": 1}
    settings, _ = config.resolve("generation", "meadow", ("check", values))
    here, there = (Training.start(settings, self_sized(setup), device) for device in (setup.device, "cpu"))
    for stage in range(len(there.reals)):
        steps = [state.enter_stage() for state in (here, there)]
        here.model.amplitudes = list(there.model.amplitudes)
        ours, expected = (
            {name: value.item() for name, value in step(*state.draw(1)).items()}
            for step, state in zip(steps, (here, there), strict=True)
        )
        terms = max(abs(ours[name] - value) / max(1, abs(value)) for name, value in expected.items())
        slopes = [gradients(state) for state in (here, there)]
        apart = ((slopes[0] - slopes[1]).norm() / slopes[1].norm()).item()
        size = there.model.size
        yield Row(
            f"agreement: iteration of stage {stage}, {size[1]}x{size[0]} px",
            f"losses differ by {terms:.1e} (at most {LOSSES:.0e}), gradients by {apart:.1e} (at most {GRADIENTS:.0e})",
            terms <= LOSSES and apart <= GRADIENTS,
        )
        theirs = there.branches[0].learned()
        for name, value in here.branches[0].learned().items():
            value.data.copy_(theirs[name])
        for state in (here, there):
            state.leave_stage()


def self_sized(setup: Setup) -> Tensor:
    """The picture, small enough for a quick start."""
    return resize(setup.picture, own_size((setup.picture.shape[2], setup.picture.shape[3]), 250)).clamp(-1, 1)


def gradients(state: Training) -> Tensor:
    """All gradients of the last iteration in one vector, on the CPU in double precision."""
    parameters = [*state.model.generator.parameters(), *state.critic.parameters()]
    return torch.cat([p.grad.flatten().double().cpu() for p in parameters if p.grad is not None])


def samples_agree(setup: Setup) -> Iterator[Row]:
    """Samples of the same weights and seed on both."""
    values = {"max_size": 60, "train_stages": 3, "nfc": 8 if setup.small else 32}
    settings, _ = config.resolve("generation", "meadow", ("check", values))
    model = Training.start(settings, self_sized(setup)).model
    first = torch.sin(torch.arange(3.0 * model.sizes[0][0] * model.sizes[0][1]) / 40)
    for stage, size in enumerate(model.sizes):
        if stage >= model.stages:
            model.grow(torch.zeros(1, 3, *size), first.view(1, 3, *model.sizes[0]))
    draw = Draw(0, ("weights",))
    with torch.no_grad():
        for number, weight in enumerate(model.generator.parameters()):
            deviation = 1.2 / max(1, weight[0].numel()) ** 0.5 if weight.dim() > 1 else 0.1
            weight.copy_(deviation * draw.at(number).normal(weight.shape))
    model.amplitudes = [1.0, *[0.5] * (model.stages - 1)]
    with Products(tf32=False):
        expected = model.sample(2, seed=1, finish="none")
        made = model.to(setup.device).sample(2, seed=1, finish="none").cpu()
    apart, spread = (made - expected).abs().max().item(), expected.std().item()
    yield Row(
        "agreement: generator's samples",
        f"pixels differ by {apart:.1e} at most (allowed {SAMPLES:.0e}; their deviation is {spread:.2f})",
        apart <= SAMPLES and spread > 0.05,
    )


def finish_agrees(setup: Setup) -> Iterator[Row]:
    """The finish of the same layout on both."""
    longest = 50 if setup.small else 250
    pixels = stored(setup.picture)
    size = own_size((pixels.shape[2], pixels.shape[3]), longest)
    coarse = own_size(size, 40)
    layout = resize(setup.picture, coarse) + 0.8 * Draw(0, ("layout",)).normal((1, 3, *coarse))
    made = []
    for device in (setup.device, torch.device("cpu")):
        finished = patches.finish(Photo(pixels, device), layout, size, [Draw(0, ("finish",), device)]).picture
        made.append(torch.from_numpy(arrays.to_uint8(finished)).int())
    apart = (made[0] - made[1]).abs()
    equal = (apart == 0).double().mean().item()
    yield Row(
        f"agreement: finish at {size[1]}x{size[0]} px",
        f"{100 * equal:.2f} % of the values are equal in 8 bits (at least {100 * EQUAL:.0f} %), largest difference "
        f"{apart.max().item()}",
        equal >= EQUAL and made[1].double().std().item() > 1,
    )


def engine_is_timed(setup: Setup) -> Iterator[Row]:
    """Seconds per iteration by stage, ours and plain."""
    common = {"max_size": 30, "train_stages": 2, "nfc": 4} if setup.small else {"max_size": 250, "train_stages": 6}
    kinds = {
        "float32": {"precision": "fp32"},
        "tf32": {"precision": "tf32"},
        "bfloat16": {"precision": "bf16"},
        "auto, graphs on": {"graphs": "on"},
        "float32, graphs on": {"precision": "fp32", "graphs": "on"},
    }
    rounds = 1 if setup.small else 10
    for name, values in kinds.items():
        with Products(tf32=values.get("precision") != "fp32"):  # what the plain path computes in
            stages = list(engine.measured(rounds, str(setup.device), **common, **values))
        ours, plain = (sum(getattr(stage, which) for stage in stages) for which in ("ours", "plain"))
        each = " ".join(f"{1000 * stage.ours:.1f}" for stage in stages)
        theirs = " ".join(f"{1000 * stage.plain:.1f}" for stage in stages)
        yield Row(
            f"engine, {name}: ms per iteration by stage",
            f"{each}, sum {1000 * ours:.1f}; plain {theirs}, sum {1000 * plain:.1f}; plain / ours {plain / ours:.2f}",
        )


def training(setup: Setup) -> Iterator[Row]:
    """The default training, and figures of its samples."""
    small = {"niter": (2,), "max_size": 30, "train_stages": 1, "nfc": 4} if setup.small else {}
    image = sized.PICTURE
    if setup.small:
        image = setup.scratch / "small.png"
        images.save(image, resize(setup.picture, own_size(tuple(setup.picture.shape[2:]), 40)).clamp(-1, 1))
    begin = perf_counter()
    model = consingan.train(image, device=str(setup.device), outdir=setup.scratch / "runs", **small)
    seconds = perf_counter() - begin
    setup.run = next((setup.scratch / "runs").glob("*/*/model.safetensors")).parent
    yield Row("default training of meadow.png, with its previews", f"{seconds:.1f} s")
    size = own_size_of(model, longest=40 if setup.small else 250)
    begin = perf_counter()
    made = unit(model.sample(2 if setup.small else 5, size, seed=0).cpu()).clamp(0, 1)
    seconds = perf_counter() - begin
    real = match(unit(setup.picture), size)
    figures = evaluate(real, made)
    told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    yield Row(f"its samples ({len(made)}) at {size[1]}x{size[0]} px", f"{seconds:.1f} s; {told}")


def finish_is_timed(setup: Setup) -> Iterator[Row]:
    """Seconds a sample and memory, by size."""
    for longest in (40, 44, 48) if setup.small else (250, 1024, 4096):
        row = sized.timed(setup.picture, longest, setup.device, 1 if setup.small else 2)
        beside = ""
        if setup.device.type == "cuda" and longest <= 1024:
            cpu = sized.timed(setup.picture, longest, torch.device("cpu"), 1)
            beside = f"; CPU: {cpu.first:.2f} s, {cpu.following:.2f} s"
        yield Row(
            f"finish at {row.width}x{row.height} px",
            f"first sample {row.first:.2f} s, each following {row.following:.2f} s, peak {row.peak_mb:.0f} MB "
            f"({row.peak_of}){beside}",
        )


def sampling(setup: Setup) -> Iterator[Row]:
    """The command line, from start to last file."""
    if setup.run is None:
        raise RuntimeError("There is no trained run to sample.")
    number = 2 if setup.small else 50
    words = ["-m", "consingan", "sample", "--model_dir", str(setup.run), "--num_samples", str(number), "--quiet"]
    begin = perf_counter()
    told = command([*words, *(["--longest", "40"] if setup.small else []), "--device", str(setup.device)])
    seconds = perf_counter() - begin
    files = list(Path(told.out).glob("samples_*/seed_*.png"))
    yield Row(f"{number} samples by the command line", f"{seconds:.1f} s, {len(files)} files", len(files) == number)


def tests(setup: Setup) -> Iterator[Row]:
    """The tests marked gpu; on the CPU only that they are found."""
    words = ["-m", "pytest", "tests/test_gpu.py", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    told = command([*words, *(["--collect-only"] if setup.small else [])], check=False)
    yield Row(
        f"tests marked gpu{', found' if setup.small else ''}",
        told.out.splitlines()[-1].strip("= ") if told.out else told.error[-200:],
        told.code == 0,
    )


CHECKS: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "machine": machine,
    "agreement of iterations": iterations_agree,
    "agreement of samples": samples_agree,
    "agreement of the finish": finish_agrees,
    "engine": engine_is_timed,
    "training": training,
    "finish": finish_is_timed,
    "sampling": sampling,
    "tests": tests,
}


# ---- how it is run and told


@dataclass(frozen=True)
class Told:
    """Exit code and words of a command."""

    code: int
    out: str
    error: str


def command(words: Sequence[str], check: bool = True) -> Told:
    """Run Python in the repository."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return Told(done.returncode, done.stdout.strip(), done.stderr.strip())


def checked(name: str, setup: Setup) -> Iterator[tuple[Row, float]]:
    """The rows of a check with their seconds; what it could not do is one of them."""
    begin = perf_counter()
    rows = CHECKS[name](setup)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # the others go on
            words = " ".join(str(error).split())[-300:].replace("|", "/")
            yield Row(name, f"{type(error).__name__}: {words}", False), perf_counter() - begin
            return
        yield row, perf_counter() - begin
        begin = perf_counter()


@click.command(help=__doc__)
@click.option("--device", default="cuda", show_default=True)
@click.option("--small", is_flag=True, help="tiny sizes and few iterations: whether the command itself works")
@click.option("--out", type=click.Path(path_type=Path), help="write the table here")
def main(device: str, small: bool, out: Path | None) -> None:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise click.ClickException(
            "There is no CUDA device here; python benchmarks/gpu.py --device cpu --small runs the small form."
        )
    if small:
        torch.set_num_threads(1)
    begin = perf_counter()
    lines = ["| what | found | as it must be | s |", "|---|---|---|---|"]
    click.echo("\n".join(lines))
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(torch.device(device), small, Path(scratch))
        for name in CHECKS:
            for row, seconds in checked(name, setup):
                failed += not row.good
                lines.append(f"| {row.what} | {row.found} | {'yes' if row.good else '**no**'} | {seconds:.1f} |")
                click.echo(lines[-1])
    end = f"{failed} of {len(lines) - 2} rows are not as they must be" if failed else "All is as it must be"
    lines += ["", f"{end}; it took {duration(perf_counter() - begin)}."]
    click.echo("\n".join(lines[-2:]))
    if out:
        title = "# On a GPU" if device.startswith("cuda") else "# The small form"
        made = f"`python benchmarks/gpu.py --device {device}{' --small' if small else ''}` made this table."
        out.write_text("\n".join([title, "", made, "", *lines]) + "\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
