"""What to type next, exactly."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from consingan import config
from consingan.config import Naive, Train
from consingan.storage.run import Run
from consingan.tasks import TASKS


@dataclass(frozen=True)
class Command:
    """A line to type, and what it does."""

    what: str
    line: str


SCRIPTS = {"train": "main_train.py", "sample": "evaluate_model.py"}  # of a checkout


def program(command: str) -> str:
    """How a command is started by whoever started this process: by a script, as a module, or installed."""
    called = Path(sys.argv[0])
    by_script = called.name in SCRIPTS.values()
    if by_script and command in SCRIPTS:
        return f"python {SCRIPTS[command]}"
    as_module = by_script or called.parts[-2:] == ("consingan", "__main__.py")
    return f"{'python -m consingan' if as_module else 'consingan'} {command}"


def sampling(run: Run) -> str:
    """Sample the run's model."""
    return f"{program('sample')} --model_dir {shlex.quote(str(run.folder))}"


def resuming(run: Run) -> str:
    """Go on with the run."""
    return f"{program('train')} --resume {shlex.quote(str(run.folder))}"


def learning_on(run: Run, settings: Train, naive: Naive) -> str:
    """Let a run learn on, on a naive picture; the run has its own training picture, but for those of 0.1.0."""
    words = config.typed(naive)
    if not run.picture.is_file():
        words = ["--input_name", settings.image, *words]
    return f"{program('train')} {' '.join(map(shlex.quote, words))}"


def placed(run: Run) -> tuple[Run, str]:
    """A run by a path that tells nothing of the machine, and where that path begins, as the end of a sentence."""
    folder = run.folder.absolute()
    with suppress(ValueError):
        return Run(folder.relative_to(Path.cwd())), ""
    outdir = folder.parent.parent
    return Run(Path(*folder.parts[-3:])), f" (from the folder above {outdir.name})" if outdir.name else ""


def commands(run: Run, settings: Train, finished: bool) -> list[Command]:
    """What can be done with a run now, most likely first; the page that shows them may go to others."""
    task = TASKS.get(settings.mode)
    early = "" if run.model.is_file() else ", as soon as its first stage is finished"
    whole, (run, start) = run, placed(run)
    found = [] if finished else [Command("continue this run", resuming(run))]
    found.append(Command(f"sample this run{early}", sampling(run)))
    if task and task.takes_naive:
        own = settings.naive.naive_img
        note = f"; {own} is the one that it was begun with" if own else "; NAIVE.png is yours with the pasted object"
        wanted = Naive.on(str(run.folder), own or "NAIVE.png")
        found.append(Command(f"{wanted.verb} it on a naive picture{note}", learning_on(whole, settings, wanted)))
    found.append(Command("rebuild this page", f"{program('report')} {shlex.quote(str(run.folder))}"))
    return [Command(each.what + start, each.line) for each in found]
