"""From values as they were typed to a checked configuration, and what follows from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from consingan.config.album import Shares, Words
from consingan.config.declarations import (
    SECTIONS,
    TABLES,
    Declared,
    Iterations,
    Setting,
    Train,
    declared,
    flat,
    options,
    own,
    settings,
)
from consingan.errors import UserError, meant, name_of
from consingan.grid.sizes import Size

WINDOW, SMALLEST_WINDOW = 192, 32  # px: of window "auto", and the least that may be asked for
MOST_ITERATIONS = 10**9  # of a stage
LONGEST = 60  # characters of a value in a sentence
WHOLE = 256 * 256  # pixels up to which "auto" takes all


def resolve(mode: str, image: str, *layers: tuple[str, Mapping[str, Any]]) -> tuple[Train, dict[str, str]]:
    """Lay values over the defaults, later layers over earlier ones.

    Args:
        mode: a name in TASKS.
        image: the picture's path or name.
        layers: pairs of an origin in words and the values by setting name.

    Returns:
        The checked configuration, and per setting the origin of its value.

    Raises:
        UserError: a value is unknown, of the wrong type, out of range or in contradiction to another.
    """
    given = _laid(layers)
    values = {name: value for name, (_, _, value) in given.items()}
    config = Train(mode, name_of(image), **{section: _section(section, values) for section in SECTIONS})
    check_together(config)
    known = flat(config)
    _check_options(config, {name: number for name, (number, _, _) in given.items()})
    return config, {name: given[name][1] if name in given else "default" for name in known}


def _laid(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[int, str, Any]]:
    """Of every setting that is given: the number and the origin of the last layer that names it, and its value."""
    known = [s.name for s in settings()]
    given = {}
    for number, (origin, layer) in enumerate(layers):
        for name, value in layer.items():
            if name not in known:
                raise UserError(f"{name} is no setting of a training run; {meant(name, known)}")
            given[name] = (number, origin, value)
    return given


def _section(section: str, values: Mapping[str, Any]) -> Any:
    """A section of checked values, the chosen entries of tables among them; what is not given is as declared."""

    def checked(wanted: Sequence[Declared]) -> dict[str, Any]:
        found = {s.name: check(s, values.get(s.name, s.default)) for s in wanted}
        return {s.name: kept(s, found[s.name]) for s in wanted}

    wanted = own(section)
    found = checked(wanted)
    for s in wanted:
        if s.name in TABLES:
            entry = found[s.name]
            found["chosen"] = TABLES[s.name][entry](**checked(options(s, entry)))
    return SECTIONS[section](**found)


def _check_options(config: Train, layer_of: Mapping[str, int]) -> None:
    """Refuse what is given for an entry of a table that is not the chosen one, but for what an earlier layer said."""
    values = flat(config)
    for chooser, table in TABLES.items():
        for entry, cls in table.items():
            for s in declared(cls):
                if s.name in layer_of and s.name not in values and layer_of[s.name] >= layer_of.get(chooser, -1):
                    raise UserError(
                        f"--{s.name} is an option of --{chooser} {entry}, but this is {values[chooser]}; leave it out."
                    )


def check_same(found: Train, wanted: Train, who: str) -> None:
    """Refuse two configurations that differ, naming the first setting in which they do.

    Args:
        found, wanted: the two.
        who: who has them, as the first words of the message.
    """
    one, other = ({"mode": c.mode, "image": c.image, **flat(c)} for c in (found, wanted))
    for name, value in one.items():
        if value != other[name]:
            raise UserError(
                f"{who} differ in {name}, {value} and {other[name]}; a run goes on with what it began with, "
                "start a new one for other settings."
            )


def iterations(niter: Iterations, stage: int) -> int:
    """Iterations of a stage; a list shorter than the pyramid goes on with its last number."""
    return niter[min(stage, len(niter) - 1)]


def window_side(config: Train, size: Size) -> int | None:
    """Side of the window that an iteration at a stage of ``(H, W)`` looks at, in pixels; None for all of it."""
    window = config.optimisation.window
    if window == "auto":  # batch norm's statistics are of the whole picture
        return None if size[0] * size[1] <= WHOLE or config.whole else WINDOW
    return None if window == "off" else int(window)


def check(declared: Declared, value: Any) -> Any:
    """The value in its declared type, or a UserError that names flag, value and range."""
    flag = f"--{declared.name}"
    if declared.kind == Iterations:
        return _by_stage(value, flag)
    if declared.kind == Words:
        return _words(value, flag)
    if declared.kind == Shares:
        return tuple(_in_range(number, declared.setting, flag) for number in _numbers(value, flag))
    kind = declared.plain_kind
    if value is None and kind is not declared.kind:
        return None
    if kind is float and is_whole(value):
        value = float(value) if abs(value) < 2**1023 else inf
    if type(value) is not kind:
        raise UserError(f"{flag} is {short(repr(value))}; give a value of type {kind.__name__}.")
    if declared.setting.reads is not None:
        declared.setting.reads(value)
    return _in_range(_chosen(value, declared.setting, flag), declared.setting, flag)


def _by_stage(value: Any, flag: str) -> Iterations:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not numbers or not all(is_whole(n) and 1 <= n <= MOST_ITERATIONS for n in numbers):
        seen = short(",".join(map(str, numbers)))
        raise UserError(f"{flag} is {seen!r}; give a whole number of at least 1, or a list of them by stage.")
    return numbers


def _numbers(value: Any, flag: str) -> Shares:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(n, float) or is_whole(n) for n in numbers):
        raise UserError(f"{flag} is {short(','.join(map(str, numbers)))!r}; give numbers, as 2,1,1.")
    return tuple(float(n) if abs(n) < 2**1023 else inf for n in numbers)


def _words(value: Any, flag: str) -> Words:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise UserError(f"{flag} is {value!r}; give a word, or a list of them.")
    return tuple(words)


def _chosen(value: Any, how: Setting, flag: str) -> Any:
    """One of the declared choices, where dashes and underscores are the same."""
    if isinstance(value, str):
        value = next((word for word in how.choices if word.replace("-", "_") == value.replace("-", "_")), value)
    if how.choices and value not in how.choices:
        raise UserError(f"{flag} is {short(repr(value))}; choose one of {', '.join(how.choices)}.")
    return value


def _in_range(value: Any, how: Setting, flag: str) -> Any:
    if isinstance(value, float) and value != value:
        raise UserError(f"{flag} is not a number; {range_of(how)}.")
    below = (how.low is not None and value < how.low) or (how.above is not None and value <= how.above)
    if below or (how.high is not None and value > how.high) or value in (inf, -inf):
        raise UserError(f"{flag} is {short(str(value))}; {range_of(how)}.")
    if how.odd and value % 2 == 0:
        raise UserError(f"{flag} is {value}, an even number; give an odd one, such as {value + 1}.")
    return value


def kept(declared: Declared, value: Any) -> Any:
    """What a configuration keeps of a checked value: of paths the names."""
    if not declared.setting.file or value is None:
        return value
    return tuple(map(name_of, value)) if isinstance(value, tuple) else name_of(value)


def range_of(how: Setting) -> str:
    """The allowed range in words."""
    if how.above is not None:
        return f"give a number above {_short(how.above)}" + (
            f" and at most {_short(how.high)}" if how.high is not None else ""
        )
    if how.low is not None and how.high is not None:
        return f"give a number from {_short(how.low)} to {_short(how.high)}"
    return f"give a number of at least {_short(how.low)}" if how.low is not None else "give a number"


def check_together(config: Train) -> None:
    """Refuse settings that contradict each other."""
    pyramid, network = config.pyramid, config.network
    if network.padd_size > (network.ker_size - 1) // 2:
        half = (network.ker_size - 1) // 2
        raise UserError(
            f"--padd_size {network.padd_size} is more than half of --ker_size {network.ker_size}; give at most {half}."
        )
    if network.batch_norm and network.virtual_batch_norm:
        raise UserError("--batch_norm and --virtual_batch_norm are two ways to normalise a layer; give one of them.")
    if pyramid.min_size > pyramid.max_size:
        raise UserError(
            f"--min_size {pyramid.min_size}, the shorter side of the coarsest stage, is above --max_size "
            f"{pyramid.max_size}, the longer side of the finest; lower the one or raise the other."
        )
    _check_window(config)
    if (contradiction := config.naive.contradiction()) is not None:
        raise UserError(contradiction)
    if pyramid.start_scale >= pyramid.train_stages:
        raise UserError(
            f"--start_scale {pyramid.start_scale} leaves none of the --train_stages {pyramid.train_stages}; "
            f"give at most {pyramid.train_stages - 1}."
        )


def _check_window(config: Train) -> None:
    window, network = config.optimisation.window, config.network
    if window in ("auto", "off"):
        return
    digits = window.isascii() and window.isdigit() and len(window) < 5
    if not (digits and SMALLEST_WINDOW <= int(window) <= 8192):
        raise UserError(f"--window is {short(window)!r}; give auto, off or a side of {SMALLEST_WINDOW} to 8192 pixels.")
    if network.whole:
        norm = "--batch_norm" if network.batch_norm else "--virtual_batch_norm"
        raise UserError(
            f"--window {window} does not go with {norm}, whose statistics are of the whole picture; give --window off."
        )
    if config.techniques.history:
        raise UserError(
            f"--window {window} does not go with --history {config.techniques.history}, which keeps whole samples; "
            "give --window off."
        )


def short(text: str) -> str:
    """A value for a sentence, cut where it is longer than anybody would type."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def _short(bound: float) -> str:
    return f"{bound:d}" if isinstance(bound, int) else f"{bound:g}"


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, and not True or False, which Python counts as such."""
    return isinstance(value, int) and not isinstance(value, bool)
