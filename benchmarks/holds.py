"""Whether the default training holds on every picture: seconds, new starts and quality of each, in one command.

    python benchmarks/holds.py FOLDER/*.jpg --json holds.json --sheet holds.png
    python benchmarks/holds.py FOLDER/*.jpg --json holds.json --beside "published=FOLDER/samples/{stem}[_.]*"
    python benchmarks/holds.py photo.jpg --preset quick -- --niter 300 --seed 1

Every picture is trained and sampled by the command line in processes of their own, of one thread each, --jobs at once;
what follows ``--`` are flags of the training. A picture holds where both commands end well; where one does not, its
last words are told and the next picture goes on. With --json every picture is written as soon as it is done, with its
samples in a folder beside, and pictures that the file has already (of the same preset and flags) are not done again.

Quality is measured as in benchmarks/recipes.py, at --longest pixels, from --measured samples; the closing table has the
means over the pictures and, for samples of others, their ratio over the pictures that have both. The exit code is 1
where a picture did not hold.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import fmean, median
from time import monotonic

import click
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from quality import files
from recipes import ROOT, figures_of

from consingan.errors import UserError
from consingan.metrics.table import METRICS
from consingan.pictures import images, sheets
from consingan.watch.clock import duration
from consingan.watch.log import read_log

STOPPED = (-2, -15, 130, 143)  # exit codes of a command that somebody stopped: no result
FIGURES = [name for name, metric in METRICS.items() if not metric.network]
CELL = 160  # px, the longer side of a picture on the sheet


@dataclass(frozen=True)
class Command:
    """What a command did: exit code, seconds, CPU seconds, MB at the peak, its last words on either stream."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    out: str
    error: str


@dataclass
class Outcome:
    """One picture.

    Args:
        picture: its file, as it was given.
        recipe: preset and flags.
        held: whether training and sampling ended well.
        seconds, cpu_seconds, peak_mb: of the training command, from start to end.
        sampling_seconds: of the sampling command.
        messages: what the training told of its stages: going back, new starts.
        error: the last words of the command that failed.
        samples: files.
        figures: of these.
        beside: figures of others' samples, by name.
    """

    picture: str
    recipe: str
    held: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    sampling_seconds: float = 0.0
    messages: list[str] = field(default_factory=list)
    error: str = ""
    samples: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    beside: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def starts(self) -> int:
        """How often a stage was begun anew."""
        return sum("Beginning stage" in text for text in self.messages)

    @property
    def returns(self) -> int:
        """How often a stage went back to its last good state."""
        return sum("Going back to" in text for text in self.messages)

    @property
    def line(self) -> str:
        """In words."""
        name = Path(self.picture).name
        if not self.held:
            return f"{name}: did not hold: {self.error}"
        trouble = f", {self.returns} times back, {self.starts} new starts" if self.returns or self.starts else ""
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self.figures.items())
        return f"{name}: held, {self.seconds:.0f} s ({self.cpu_seconds:.0f} s of CPU time){trouble}; {figures}"


@click.command(help=__doc__)
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE... [-- FLAGS]")
@click.option("--preset", default="fast", show_default=True, help="of the training")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="write all outcomes here, and go on from it")
@click.option("--samples", default=3, show_default=True, help="samples of a row of the sheet")
@click.option("--measured", default=5, show_default=True, help="samples that quality is measured from")
@click.option("--longest", default=250, show_default=True, help="longer side of the samples, px")
@click.option("--sheet", type=click.Path(path_type=Path), help="a picture of all: a row is photo and samples")
@click.option("--beside", multiple=True, metavar="NAME=PATTERN", help="samples of others; {stem} is the picture's name")
@click.option("--jobs", default=2, show_default=True, help="pictures at once")
@click.option("--outdir", type=click.Path(path_type=Path), help="keep the runs here")
def main(
    pictures: Sequence[str],
    preset: str,
    json_file: Path | None,
    samples: int,
    measured: int,
    longest: int,
    sheet: Path | None,
    beside: Sequence[str],
    jobs: int,
    outdir: Path | None,
) -> None:
    torch.set_num_threads(1)
    first = next((place for place, word in enumerate(pictures) if word.startswith("-")), len(pictures))
    pictures, flags = list(dict.fromkeys(pictures[:first])), list(pictures[first:])
    missing = [picture for picture in pictures if not Path(picture).is_file()]
    if missing or not pictures:
        raise click.UsageError(f"{', '.join(missing) or 'No picture'}: no such file.")
    recipe = shlex.join([preset, *flags])
    known = [Outcome(**each) for each in json.loads(json_file.read_text())] if json_file and json_file.is_file() else []
    done = {each.picture: each for each in known if each.recipe == recipe}
    with tempfile.TemporaryDirectory() as scratch:
        kept = (json_file.with_suffix(".samples") if json_file else Path(scratch) / "samples").absolute()
        runs = (outdir or Path(scratch) / "runs").absolute()

        def one(picture: str) -> Outcome | None:
            return outcome(picture, preset, flags, runs, kept, max(samples, measured), measured, longest, beside)

        with ThreadPoolExecutor(max(1, jobs)) as workers:
            begun = [workers.submit(one, picture) for picture in pictures if picture not in done]
            try:
                for each in as_completed(begun):
                    found = each.result()
                    if found is None:
                        raise KeyboardInterrupt
                    done[found.picture] = found
                    click.echo(found.line)
                    if json_file:
                        write([*(x for x in known if x.recipe != recipe), *done.values()], json_file)
            except BaseException:
                workers.shutdown(wait=False, cancel_futures=True)
                raise
        outcomes = [done[picture] for picture in pictures]
        if sheet:
            images.save(sheet, contact_sheet(outcomes, samples, beside))
    for line in table(outcomes):
        click.echo(line)
    held = sum(each.held for each in outcomes)
    click.echo(f"\n{held} of {len(outcomes)} held")
    sys.exit(held < len(outcomes))


def outcome(
    picture: str,
    preset: str,
    flags: Sequence[str],
    runs: Path,
    kept: Path,
    most: int,
    measured: int,
    longest: int,
    beside: Sequence[str],
) -> Outcome | None:
    """Train on a picture, sample and measure; None where somebody stopped it."""
    found = Outcome(picture, shlex.join([preset, *flags]))
    name = safe(picture)
    trained = run("train", picture, "--preset", preset, *flags, "--outdir", str(runs / name), "--quiet")
    logs = sorted((runs / name).glob("**/log.jsonl"), key=lambda file: file.stat().st_mtime)
    if logs:
        told = [str(line["text"]) for line in read_log(logs[-1]) if line["event"] == "message"]
        found.messages = [text for text in told if text.startswith("Stage ")]
    found.seconds, found.cpu_seconds, found.peak_mb = trained.seconds, trained.cpu_seconds, trained.peak_mb
    sampled = trained
    if trained.code == 0:
        shape = ("--num_samples", str(most), "--longest", str(longest), "--quiet")
        sampled = run("sample", "--model_dir", trained.out, *shape)
        found.sampling_seconds = sampled.seconds
    if sampled.code in STOPPED:
        return None
    try:
        if sampled.code:
            raise click.ClickException(sampled.error or f"exit code {sampled.code}")
        made = files(str(next(Path(sampled.out).glob("samples_*"))))
        shutil.rmtree(kept / name, ignore_errors=True)
        (kept / name).mkdir(parents=True)
        found.samples = [shutil.copy(file, kept / name) for file in made[:most]]
        found.figures = figures_of(picture, None, kept / name, measured)
        found.held = True
        for other, pattern in patterns(picture, beside):
            if others(pattern):
                found.beside[other] = figures_of(picture, None, pattern, measured, longest)
    except Exception as error:  # whatever it is, the other pictures go on
        found.error = error.message if isinstance(error, click.ClickException) else repr(error)
    return found


def patterns(picture: str, beside: Sequence[str]) -> list[tuple[str, str]]:
    """Names of others, and the pattern of their samples of a picture."""
    pairs = [named.partition("=")[::2] for named in beside]
    return [(name, pattern.format(stem=Path(picture).stem)) for name, pattern in pairs]


def others(pattern: str) -> list[str]:
    """The files of others' samples; none where there are none."""
    try:
        return files(pattern)
    except click.UsageError:
        return []


def safe(picture: str) -> str:
    """A folder's name that no other picture has."""
    path = Path(picture).absolute()
    return f"{path.stem[:100]}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"


def run(*words: str) -> Command:
    """Run the command line on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    begin = monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        command = [sys.executable, "-m", "consingan", *words]
        child = subprocess.Popen(command, stdout=out, stderr=error, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = monotonic() - begin
        texts = []
        for stream in (out, error):
            stream.seek(0)
            texts.append(stream.read().strip())
    unit = 1e6 if sys.platform == "darwin" else 1e3
    last = texts[1].splitlines()[-1] if texts[1] else ""
    cpu = used.ru_utime + used.ru_stime
    return Command(child.returncode, seconds, cpu, used.ru_maxrss / unit, texts[0], last)


def write(outcomes: Sequence[Outcome], file: Path) -> None:
    """All of it, in one step."""
    aside = file.with_name(file.name + ".new")
    aside.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    aside.replace(file)


def contact_sheet(outcomes: Sequence[Outcome], samples: int, beside: Sequence[str]) -> torch.Tensor:
    """A row a picture: photo, its samples, those of others; ``[1, 3, H, W]`` in [-1, 1]."""
    rows = []
    for each in outcomes:
        shown = [(Path(each.picture).stem, each.picture)]
        shown += [(f"sample {k}", file) for k, file in enumerate(each.samples[:samples])]
        for other, pattern in patterns(each.picture, beside):
            shown += [(other, file) for file in others(pattern)[:samples]]
        rows.append(sheets.labelled_row([(text, cell(file)) for text, file in shown]))
    width = max(row.shape[3] for row in rows)
    return torch.cat([F.pad(row.expand(-1, 3, -1, -1), (0, width - row.shape[3], 0, 4), value=1.0) for row in rows], 2)


def cell(file: str) -> torch.Tensor:
    """A file's picture for the sheet, ``[1, 3, h, w]``; grey where it cannot be read."""
    try:
        return sheets.at_most(images.load(file, channels=3).pixels, CELL)
    except UserError:
        return torch.zeros(1, 3, CELL // 2, CELL)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Markdown: means over the pictures that held, means of others' samples, and ratios where a picture has both."""
    held = [each for each in outcomes if each.held]
    yield f"\n| samples (pictures) | s, median | s, largest | CPU s | {' | '.join(FIGURES)} |"
    yield "|" + "---|" * (4 + len(FIGURES))
    if held:
        walls = [each.seconds for each in held]
        times = [f"{median(walls):.0f}", f"{max(walls):.0f}", f"{fmean(each.cpu_seconds for each in held):.0f}"]
        yield row(f"{held[0].recipe} ({len(held)})", times, [each.figures for each in held])
    for name in dict.fromkeys(name for each in outcomes for name in each.beside):
        theirs = [each.beside[name] for each in outcomes if name in each.beside]
        yield row(f"{name} ({len(theirs)})", ["", "", ""], theirs)
        both = [(each.figures, each.beside[name]) for each in held if name in each.beside]
        cells = [ratio([(a[figure], b[figure]) for a, b in both if figure in a and figure in b]) for figure in FIGURES]
        yield f"| ratio to {name}, of means; lower on ({len(both)}) | | | | {' | '.join(cells)} |"
    if held:
        troubled = sum(bool(each.returns or each.starts) for each in held)
        anew, longest = sum(each.starts for each in held), max(held, key=lambda each: each.seconds)
        yield f"\n{troubled} went back, {anew} new starts; the longest took {duration(longest.seconds)}"
    for each in outcomes:
        if not each.held:
            yield f"\n{each.line}"


def row(name: str, times: Sequence[str], figures: Sequence[dict[str, float]]) -> str:
    """A line of means."""
    columns = [[each[figure] for each in figures if figure in each] for figure in FIGURES]
    return f"| {' | '.join([name, *times, *(f'{fmean(column):.4f}' if column else '' for column in columns)])} |"


def ratio(pairs: Sequence[tuple[float, float]]) -> str:
    """Ours to theirs, and on how many pictures ours is lower."""
    theirs = sum(b for _, b in pairs)
    return f"{sum(a for a, _ in pairs) / theirs:.2f}; {sum(a < b for a, b in pairs)}" if theirs else ""


if __name__ == "__main__":
    main()
