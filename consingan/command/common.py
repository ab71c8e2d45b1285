"""What several commands share: flags of device, messages and watching, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan.command.flags import (
    option,
    options,
    typed,
)
from consingan.errors import UserError, printable
from consingan.storage.run import Run
from consingan.tasks import TASKS

if TYPE_CHECKING:
    import torch

    from consingan.watch.monitor import Monitor, Watcher

DEVICE = options(
    [
        option("Machine", "--gpu", type=int, default=0, help="which GPU, where there is one", shown_default="0"),
        option("Machine", "--not_cuda", is_flag=True, help="do not use a GPU"),
        option("Machine", "--device", default="auto", help="auto, cpu, cuda:N or mps", shown_default="auto"),
        option("Machine", "--deterministic", is_flag=True, help="the same bits again on this machine, or refuse"),
    ]
)

TALK = options(
    [
        option("Messages", "--quiet", is_flag=True, help="say nothing but the folder of the results"),
        option(
            "Messages",
            "--log-format",
            type=click.Choice(["rich", "plain", "json"]),
            default="rich",
            help="how progress is shown on stderr",
            shown_default="rich",
        ),
    ]
)

WATCH = options(
    [
        option("Watching", "--live", is_flag=True, help="show the run in the browser while it trains, on this machine"),
        option("Watching", "--port", type=int, help="where --live listens; a free port unless given"),
        option("Watching", "--tensorboard", is_flag=True, help="also write event files, into RUN/tensorboard"),
    ]
)


def chosen_device(ctx: click.Context, flags: dict[str, Any]) -> tuple[torch.device, list[str]]:
    """The device of the flags, and a sentence where a GPU was asked for and there is none."""
    from consingan import devices

    if flags["gpu"] < 0:
        raise UserError(f"--gpu is {flags['gpu']}; give the number of a GPU, 0 for the first, or --not_cuda.")
    device = devices.pick(flags["device"], flags["gpu"], flags["not_cuda"])
    if flags["deterministic"]:
        devices.make_deterministic(device)
    asked = typed(ctx, "gpu") and not flags["not_cuda"] and flags["device"] == "auto"
    if asked and device.type != "cuda":
        return device, [f"No CUDA GPU was found for --gpu {flags['gpu']}: this runs on {devices.describe(device)}."]
    return device, []


def monitor(flags: dict[str, Any], run: Run | None = None, watchers: Sequence[Watcher] = ()) -> Monitor:
    """What shows progress, as the flags say."""
    from consingan.watch.monitor import Monitor

    return Monitor(run.log if run else None, "quiet" if flags["quiet"] else flags["log_format"], watchers=watchers)


@contextmanager
def watched(flags: dict[str, Any], run: Run) -> Iterator[Monitor]:
    """The monitor of a training, with all that looks on as the flags say: event files, the live page."""
    with ExitStack() as stack:
        watchers: list[Watcher] = []
        if flags["tensorboard"]:
            from consingan.watch.tensorboard import EventFiles

            watchers.append(events := EventFiles(run))
            stack.callback(events.close)
        talk = stack.enter_context(monitor(flags, run, watchers))
        if flags["live"]:
            from consingan.watch import live

            address = stack.enter_context(live.serving(run, flags["port"]))
            talk.message(f"Watch it at {address}")
            live.show(address)
        yield talk


def note(text: str) -> None:
    """Say something beside the results."""
    click.echo(printable(text), err=True)


def check_mode(mode: str, file: Path) -> None:
    """Refuse a file of a task that this version does not have."""
    if mode not in TASKS:
        raise UserError(f"{file} is of the task {mode!r}, unlike {', '.join(TASKS)}; install a newer version.")
