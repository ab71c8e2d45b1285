"""Click's machinery for our flags: headings in the help, dashes or underscores, flags from declared settings."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from consingan import __version__, config
from consingan.config import Declared
from consingan.errors import UserError, brief, missing_package, out_of_memory, printable
from consingan.pictures.source import check_there
from consingan.training.plan import shown

# What the terminal, or the file behind stdout, answers where it is gone or full. A closed pipe is click's business.
OUTPUT_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}

# Dashes and underscores are the same in every flag; help shows underscores.
CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda token: token.replace("-", "_"),
}


class IterationList(click.ParamType):
    """``2000`` or ``2000,1000,500``."""

    name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.strip().isascii() and part.strip().isdigit() and len(part) < 10 for part in parts):
            self.fail(f"{value!r} is no whole number nor a list such as 2000,1000,500.", param, ctx)
        return tuple(int(part) for part in parts)


class ShareList(click.ParamType):
    """``1`` or ``2,1,1``."""

    name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no number nor a list such as 2,1,1.", param, ctx)


class Text(click.types.StringParamType):
    """Text that a shell completes as the name of a file, and where a run is meant by the word last."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        word = "last"
        if incomplete and word.startswith(incomplete) and "RUN" in f"{param.metavar} {param.name}".upper():
            return [CompletionItem(word)]
        return [CompletionItem(incomplete, type="file")]


class Words(click.Choice):
    """A choice whose words help shows as they are written; dashes and underscores are the same in them."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self.choices)}]"

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{value!r} is not one of {', '.join(map(repr, self.choices))}."


class OrAuto(click.ParamType):
    """What another type takes, or the word auto.

    Args:
        other: the other type.
    """

    def __init__(self, other: click.ParamType):
        self.other = other
        self.name = f"{'N' if other is click.INT else other.name}|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "auto" else self.other.convert(value, param, ctx)


HELD = "\u2011"  # stands for a hyphen at which no line ends, until the lines are made
HELP = "Help"  # the last heading
ALL = "help_all"


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings.

    Args:
        turned: names of the options that the short help shows, with ``--help_all`` for the rest; all if empty.
        examples: arguments and what they do, shown at the end.
    """

    def __init__(
        self, *args: Any, turned: Sequence[str] = (), examples: Sequence[tuple[str, str]] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.turned, self.examples = turned, examples
        if turned:
            self.params.append(told(f"--{ALL}", "Show all flags and exit.", show_all))
        self.params.append(told("--version", "Show the version and exit.", show_version))
        for param in self.params:
            if param.type is click.STRING:
                param.type = Text()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with readable():
            return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        short = self.turned and ALL not in ctx.meta
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            group = getattr(param, "group", HELP)
            if record is not None and (not short or group == HELP or param.name in self.turned):
                groups.setdefault(group, []).append(record)
        for title, records in sorted(groups.items(), key=lambda group: group[0] == HELP):
            records = [narrow(*record, formatter.width - 2) for record in records]
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)
        formatter.buffer[:] = [part.replace(HELD, "-") for part in formatter.buffer]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for words, what in self.examples:
                    line = folded(f"{ctx.command_path} {words}", "  ", formatter.width, " \\")
                    formatter.write(f"{line}\n{folded(what, '      ', formatter.width)}\n")


def folded(text: str, indent: str, width: int, ends: str = "") -> str:
    """Text in lines of at most so many characters; those that go on end in some."""
    lines = textwrap.wrap(text, width - len(indent) - len(ends), break_long_words=False, break_on_hyphens=False)
    return f"{ends}\n{indent}  ".join([indent + lines[0], *lines[1:]])


def narrow(flag: str, help: str, width: int) -> tuple[str, str]:
    """A flag and its help as they are, or with a list of choices that is too long for a line moved into the help."""
    found = re.fullmatch(r"(--.*) \[(.*\|.*)\]", flag)
    if found is None or len(flag) <= width:
        return flag, help
    names, choices = found[1], found[2].split("|")
    if all(f"{choice}: " in help for choice in choices):  # help says of each what it is
        return f"{names} WORD", help
    text, default, rest = help.rpartition("  [default: ")
    words = ", ".join(choices).replace("-", HELD)
    return f"{names} WORD", f"{text or rest}; one of {words}{default}{rest if text else ''}"


class OrderedGroup(click.Group):
    """Commands whose help lists them in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        with readable():
            return super().resolve_command(ctx, args)


@contextmanager
def readable() -> Iterator[None]:
    """Cut words of click's errors that nobody would read to their end."""
    try:
        yield
    except click.UsageError as error:
        error.message = brief(error.message)  # type: ignore[misc]  # final for subclasses; here it is told anew
        raise


def told(flag: str, help: str, callback: Callable) -> click.Option:
    """A flag that says something and ends the command."""
    return click.Option([flag], is_flag=True, expose_value=False, is_eager=True, help=help, callback=callback)


def show_all(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """``--help_all``."""
    if wanted:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def show_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """``--version``."""
    if wanted:
        click.echo(f"consingan {__version__}")
        ctx.exit()


def command(short_help: str, name: str | None = None, cls: type = GroupedCommand, **how: Any) -> Callable:
    """A click command with our help, ``--version`` and dashes that mean underscores."""
    return click.command(name, cls=cls, context_settings=CONTEXT, short_help=short_help, **how)


class GroupedOption(click.Option):
    """An option that knows its heading."""

    def __init__(self, *args: Any, group: str = HELP, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.group = group


def option(group: str, *names: str, shown_default: str | None = None, help: str = "", **how: Any) -> Callable:
    """A click option under a heading; ``shown_default`` is what help names as the default."""
    if shown_default is not None:
        help = f"{help}  [default: {shown_default}]"
    return click.option(*names, cls=GroupedOption, group=group, help=help, **how)


def declared_option(group: str, setting: Declared, **changes: Any) -> Callable:
    """The flag of a declared setting."""
    names = [f"--{name}" for name in (setting.name, *setting.setting.names)]
    how: dict[str, Any] = {
        "help": setting.setting.help,
        "default": setting.default,
        "type": setting.plain_kind,
    }
    if how["type"] is bool:
        how |= {"is_flag": True}
    elif setting.default is not None:
        how["shown_default"] = shown(setting.default)
    if how["type"] == config.Iterations:
        how["type"] = IterationList()
    if how["type"] == config.Shares:
        how["type"] = ShareList()
    if how["type"] == config.Words:
        how |= {"type": click.STRING, "multiple": True}
    if setting.setting.auto:
        how["type"] = OrAuto(click.types.convert_type(how["type"]))
    if setting.setting.choices:
        how["type"] = Words(setting.setting.choices)
    return option(group, *names, setting.name, **(how | changes))


def options(decorators: list[Callable]) -> Callable:
    """Several decorators as one, in the order in which help shows them."""

    def decorate(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a UserError, or memory that ran out, into a sentence on one line and exit code 2.

    Ctrl-C where nothing has to be kept, or pressed again while something is, ends with exit code 130.
    """
    try:
        yield
    except UserError as error:
        sentence = str(error)
    except OSError as error:
        if error.filename is not None:  # a name that is too long, a folder that may not be looked into
            sentence = f"Cannot use {error.filename}: {error.strerror}; check the path and its rights."
        elif error.errno in OUTPUT_FAULTS:
            hang_up()
            sentence = f"Cannot write the output: {error.strerror or error}; free some space, or send it elsewhere."
        else:
            raise
    except KeyboardInterrupt as error:
        say("Stopped at once.")
        sys.exit(128 + (error.args[0] if error.args else signal.SIGINT))
    except ModuleNotFoundError as error:
        if (found := missing_package(error)) is None:
            raise
        sentence = found
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sentence = "There is not enough memory for this; choose a smaller size, fewer features or another device."
    else:
        return
    say(f"Error: {printable(brief(sentence))}")
    sys.exit(2)


def say(text: str) -> None:
    """A line on stderr, if somebody still reads it."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def hang_up() -> None:
    """Let stdout end in nothing, where it could not be written to: Python would try once more at its end."""
    with suppress(OSError, ValueError, AttributeError):  # it may be closed, or one that a test made
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_argument(ctx: click.Context, name: str) -> None:
    """Refuse a file that does not exist, by the word that help has for the argument.

    Raises:
        UserError: names the argument and the path.
    """
    called = next(param.make_metavar(ctx) for param in ctx.command.params if param.name == name)
    check_there(ctx.params[name], called)


def typed(ctx: click.Context, name: str) -> bool:
    """Whether the person gave the flag."""
    return ctx.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)
