"""How a setting is declared: a field of a dataclass that carries what it means and its range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """How a field is offered and checked.

    Args:
        help: one line for ``--help``.
        low, high: inclusive range of a number.
        choices: allowed words.
        odd: whether the number must be odd.
        above: an exclusive lower bound.
        names: further flag names.
        auto: whether the word auto may be given, which becomes a number when picture and other settings are known.
        file: whether it is the path of a file; a configuration keeps its name only.
        folder: whether it may be that of a folder of such files as well.
        reads: what a text is read by, which refuses it where that cannot be done.
    """

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    odd: bool = False
    above: float | None = None
    names: tuple[str, ...] = ()
    auto: bool = False
    file: bool = False
    folder: bool = False
    reads: Callable[[str], Any] | None = None


def setting(default: Any, help: str, **how: Any) -> Any:
    """A dataclass field that carries its ``Setting``."""
    return field(default=default, metadata={"setting": Setting(help, **how)})
