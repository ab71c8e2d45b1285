"""consingan help: the pages of the documentation in the terminal, and a man page of all commands."""

from __future__ import annotations

import re

import click

from consingan import __version__
from consingan.command import topics
from consingan.command.flags import command, one_sentence


@command(
    "read about a topic",
    name="help",
    examples=[
        ("", "the topics"),
        ("batch", "the beginning of a page, and its parts"),
        ("batch lists", "one of the parts"),
        ("--man > consingan.1", "a page for man"),
    ],
)
@click.argument("topic", required=False)
@click.argument("part", nargs=-1)
@click.option("--man", is_flag=True, help="print a man page of all commands")
@click.pass_context
def help_(ctx: click.Context, topic: str | None, part: tuple[str, ...], man: bool) -> None:
    """Show the documentation of a TOPIC, or of a PART of it; the list of topics without one.

    A command that is no topic shows its flags, as consingan COMMAND --help does.
    """
    with one_sentence():
        if man:
            click.echo(manual(ctx), nl=False)
        elif topic is None:
            show_topics()
        elif topic not in topics.TOPICS and (named := group_of(ctx).commands.get(topic)):
            click.echo(named.get_help(click.Context(named, ctx.parent, topic)))
        else:
            show_page(topic, " ".join(part))


def group_of(ctx: click.Context) -> click.Group:
    """The program's commands."""
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    return group


def show_topics() -> None:
    """The list of topics."""
    rows = topics.listed()
    wide = max(len(name) for name, _ in rows)
    click.echo("Topics of consingan help TOPIC:\n")
    for name, about in rows:
        click.echo(f"  {name:<{wide}}  {about}")


def show_page(topic: str, part: str) -> None:
    """A page as far as its first part, or a part."""
    from rich.console import Console
    from rich.markdown import Markdown

    text, parts = topics.page(topic, part)
    console = Console()
    console.print(Markdown(text, hyperlinks=False, code_theme="ansi_light"))
    if parts:
        console.print(f"\nMore: consingan help {topic} PART, where PART is one of", highlight=False)
        for head in parts:
            console.print(f"  {head}", markup=False, highlight=False)


# ---- man


def manual(ctx: click.Context) -> str:
    """A man page (roff) of the program and all of its commands, with all of their flags."""
    group = group_of(ctx)
    lines = [
        f'.TH CONSINGAN 1 "" "consingan {__version__}"',
        *(".SH NAME", r"consingan \- learn a generative model from one picture"),
        *(".SH SYNOPSIS", r".B consingan", r"COMMAND [FLAGS]", ".SH COMMANDS"),
    ]
    for name in group.list_commands(ctx):
        each = group.commands[name]
        inner = click.Context(each, info_name=f"consingan {name}")
        usage = " ".join(each.collect_usage_pieces(inner))
        lines += [".SS " + roff(f"consingan {name} {usage}"), roff(paragraph(each.help or ""))]
        for param in each.get_params(inner):
            record = param.get_help_record(inner) if isinstance(param, click.Option) else None
            if record is not None:
                lines += [".TP", f".B {roff(record[0])}", roff(record[1])]
    lines += [".SH TOPICS", "Read them with consingan help TOPIC."]
    for name, about in topics.listed():
        lines += [".TP", f".B {roff(name)}", roff(about)]
    return "\n".join(line for line in lines if line) + "\n"


def paragraph(text: str) -> str:
    """A docstring as one paragraph."""
    return " ".join(text.split())


def roff(text: str) -> str:
    """Text that roff shows as it is."""
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", r"\e").replace("-", r"\-"), flags=re.MULTILINE)
