"""What several commands share: flags of device, messages and watching, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from consingan.command.flags import (
    option,
    options,
    say,
    typed,
)
from consingan.errors import UserError, check_packages, printable
from consingan.training.plan import check_mode as check_mode
from consingan.watch import displays
from consingan.watch.displays import DisplayName
from consingan.watch.log import Observer
from consingan.watch.monitor import Monitor

if TYPE_CHECKING:
    import torch

DEVICE = options(
    [
        option(
            "Machine", "--gpu", type=int, default=0, help="number of the GPU to use, if there is one", shown_default="0"
        ),
        option("Machine", "--not_cuda", is_flag=True, help="do not use a GPU"),
        option("Machine", "--device", default="auto", help="auto, cpu, cuda:N or mps", shown_default="auto"),
        option(
            "Machine",
            "--deterministic",
            is_flag=True,
            help="use only algorithms that give the same bits again on this machine; refuse if the device has none",
        ),
    ]
)

TALK = options(
    [
        option("Messages", "--quiet", is_flag=True, help="print only the folder of the results"),
        option(
            "Messages",
            "--log_format",
            type=click.Choice(["rich", "plain", "json"]),
            default="rich",
            help="how progress is shown on stderr",
            shown_default="rich",
        ),
    ]
)

WATCH = options(
    [
        option("Watching", "--live", is_flag=True, help="show the run in a browser on this machine while it trains"),
        option("Watching", "--port", type=int, help="port for --live; by default a free one"),
        option("Watching", "--tensorboard", is_flag=True, help="also write TensorBoard event files to RUN/tensorboard"),
    ]
)


def chosen_device(ctx: click.Context, flags: dict[str, Any]) -> tuple[torch.device, list[str]]:
    """The device of the flags, and a sentence where a GPU was asked for and there is none."""
    from consingan import devices

    gpu = flags["gpu"] if typed(ctx, "gpu") else None
    return devices.choose(flags["device"], gpu, flags["not_cuda"], flags["deterministic"])


def monitor(flags: dict[str, Any]) -> Monitor:
    """What says how sampling goes, as the flags say."""
    return Monitor(None, shown_by(flags))


def shown_by(flags: dict[str, Any]) -> DisplayName:
    """The name of the display that the flags ask for."""
    return "quiet" if flags["quiet"] else flags["log_format"]


def loading(flags: dict[str, Any] | None = None) -> None:
    """Look whether all packages are there, and say that something is on its way: torch takes seconds to import.

    Args:
        flags: of a command that shows progress: said where that is in words. A command without them says it to a
            terminal only.

    Raises:
        UserError: a package is missing.
    """
    check_packages()
    if sys.stderr.isatty() if flags is None else shown_by(flags) in ("rich", "plain"):
        note("Loading ...")


@contextmanager
def watching(flags: dict[str, Any]) -> Iterator[tuple[list[Observer], list[str]]]:
    """Who looks on at a training as the flags say, and what is to be said of it first.

    Raises:
        UserError: a package is missing, or a port cannot be had.
    """
    if flags["port"] is not None and not flags["live"]:
        raise UserError(f"--port {flags['port']} is where --live listens; give --live too, or leave the port out.")
    observers: list[Observer] = []
    notes = []
    with ExitStack() as stack:
        if flags["tensorboard"]:
            from consingan.watch.tensorboard import EventFiles

            observers.append(stack.enter_context(closing(EventFiles())))
        if flags["live"]:
            from consingan.watch.live import Live

            live = stack.enter_context(closing(Live(flags["port"])))
            observers.append(live)
            notes.append(f"Watch it at {live.address}")
        shown = stack.enter_context(closing(displays.display(shown_by(flags), sys.stderr)))
        yield [shown, *observers], notes


def note(text: str) -> None:
    """Say something beside the results."""
    say(printable(text))
