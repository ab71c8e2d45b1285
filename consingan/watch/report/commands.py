"""What to type next, exactly."""

from __future__ import annotations

import shlex
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


def sampling(run: Run) -> str:
    """Sample the run's model."""
    return f"python evaluate_model.py --model_dir {shlex.quote(str(run.folder))}"


def resuming(run: Run) -> str:
    """Go on with the run."""
    return f"python main_train.py --resume {shlex.quote(str(run.folder))}"


def learning_on(settings: Train, naive: Naive) -> str:
    """Let a run learn on, on a naive picture."""
    flags = " ".join(map(shlex.quote, config.typed(naive)))
    return f"python main_train.py --train_mode {settings.mode} --input_name {shlex.quote(settings.image)} {flags}"


def commands(run: Run, settings: Train, finished: bool) -> list[Command]:
    """What can be done with a run now, most likely first."""
    task = TASKS.get(settings.mode)
    again = Command("continue this run", resuming(run))
    found = [] if finished else [again]
    early = "" if run.model.is_file() else ", as soon as its first stage is finished"
    found.append(Command(f"sample this run{early}", sampling(run)))
    if task and task.takes_naive:
        own = settings.naive.naive_img
        naive = own or str(Path(settings.image).with_name("NAIVE.png"))
        note = "" if own else "; replace NAIVE.png by your picture with the pasted object"
        wanted = Naive.on(str(run.folder), naive)
        found.append(Command(f"{wanted.verb} it on a naive picture{note}", learning_on(settings, wanted)))
    if finished:
        found.append(Command("resume this run (it is finished, so this trains nothing)", resuming(run)))
    found.append(Command("rebuild this page", f"consingan report {shlex.quote(str(run.folder))}"))
    return found
