"""A file of settings for training: ``--config FILE`` reads it, ``--dry_run --save FILE`` writes it.

TOML, one flag a line by its name. What a file holds counts as given by the person: over the preset, under the flags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from consingan import config
from consingan.command.flags import typed
from consingan.errors import UserError, meant, printable
from consingan.pictures.source import check_there
from consingan.storage.files import write_bytes
from consingan.training import plan
from consingan.training.plan import Plan

OF_ONE_COMMAND = {
    "config",
    "save",
    "dry_run",
    "resume",
    "input_name",
    "picture",
    "as_one",
    "also",
}  # no settings: typed, not kept
MOST_BYTES = 20_000  # dotted keys take time by the square of their number


def read(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """The callback of ``--config``: the file's values become the defaults of the command's flags.

    Raises:
        click.UsageError: the file cannot be read, or holds what is no setting or out of range.
    """
    if file is not None and not ctx.resilient_parsing:
        try:
            ctx.default_map = values(ctx, file)
        except UserError as error:
            raise click.UsageError(printable(str(error)), ctx) from None
    return file


def values(ctx: click.Context, file: str) -> dict[str, Any]:
    """The file's values by the names of the command's flags.

    Raises:
        UserError: names the file, the key and the value.
    """
    known = flags_of(ctx)
    found = {}
    for key, value in parsed(file).items():
        flag = known.get(key.replace("-", "_"))
        if flag is None or flag.name is None:
            raise UserError(f"--config {file}: {key!r} is no setting; {meant(key, known)}")
        found[flag.name] = checked(ctx, flag, value, f"--config {file}: {key}")
    return found


def checked(ctx: click.Context, flag: click.Option, value: Any, where: str) -> Any:
    """A value of the file, in the type of its flag.

    Raises:
        UserError: of another type, or out of range; begins with ``where``.
    """
    assert flag.name is not None
    try:
        if flag.name in {s.name for s in config.settings()}:
            return plan.checked({flag.name: value})[flag.name]
        if not isinstance(value, str | int | float) or isinstance(value, bool) != flag.is_flag:
            raise UserError(f"{value!r} is none of its values.")
        return flag.type.convert(value, flag, ctx)
    except click.BadParameter as error:
        raise UserError(f"{where}: {error.message}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def parsed(file: str) -> Mapping[str, Any]:
    """A TOML file's values.

    Raises:
        UserError: there is none, or it is none.
    """
    import tomllib  # here: it is slow to load, and few commands need it

    check_there(file, "--config")
    try:
        with open(file, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"--config {file} has more than {MOST_BYTES} bytes; name a file of settings.")
        return tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8, a NUL in the path
        reason = str(getattr(error, "strerror", None) or error)
        raise UserError(
            f"--config {file} cannot be read as settings ({reason}); write lines such as: max_size = 250"
        ) from None


def flags_of(ctx: click.Context) -> dict[str, click.Option]:
    """The flags that a file may hold, by each of their names."""
    return {
        name.lstrip("-"): param
        for param in ctx.command.params
        if isinstance(param, click.Option) and param.expose_value and param.name not in OF_ONE_COMMAND
        for name in param.opts
    }


def save(ctx: click.Context, planned: Plan, preset: str, file: Path) -> None:
    """Write a file that gives these settings again: what was given, and the rest as remarks.

    Args:
        ctx: of the command that was typed.
        planned: what it would do.
        preset: its preset.
        file: ends in ``.toml``; an older one is replaced.

    Raises:
        UserError: it has another ending, or cannot be written.
    """
    given = {flag.name: ctx.params[flag.name] for flag in flags_of(ctx).values() if flag.name and typed(ctx, flag.name)}
    given = {"train_mode": planned.settings.mode, "preset": preset} | given
    values = config.flat(planned.settings)
    follows = {name: value for name, value in values.items() if name not in given and value is not None}
    lines = [
        f"# {ctx.command_path} --config {file.name}",
        *(f"{name} = {in_toml(value)}" for name, value in given.items()),
        "",
        "# What follows from these and the picture; without its mark, a line holds for every picture.",
        *(
            f"# {name} = {in_toml(value)}  # {planned.origins[name]}"
            for name, value in follows.items()
            if value is not None
        ),
    ]
    write_bytes(file, ("\n".join(lines) + "\n").encode("utf-8", "replace"))


def check_place(file: str, dry_run: bool) -> None:
    """Refuse a ``--save`` that has nothing to save, or would replace what is no file of settings.

    Raises:
        UserError: the one or the other.
    """
    if not dry_run:
        raise UserError(f"--save {file} goes with --dry_run, which shows what is saved; give both or none.")
    if not file.endswith(".toml") or Path(file).is_dir():
        raise UserError(f"--save {file} is no file of settings; give a name that ends in .toml.")


def in_toml(value: Any) -> str:
    """A setting's value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
