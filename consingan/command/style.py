"""consingan style: one picture in the manner of another, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from consingan import config
from consingan.applications.style import StyleOptions, announced, chosen, paired, styled
from consingan.command.common import DEVICE, TALK, chosen_device, loading, monitor
from consingan.command.flags import check_argument, command, declared_option, one_sentence, option, options, typed
from consingan.command.outputs import FILES, one_file
from consingan.errors import UserError
from consingan.pictures.source import NAME, is_input
from consingan.storage.runs import home
from consingan.watch.clock import counted

SETTINGS = {setting.name: setting for setting in config.declared(StyleOptions)}


@command(
    "put one picture into the manner of another, without training",
    examples=[
        ("photo.jpg painting.jpg", "the photo as if it were painted so"),
        ("photo.jpg painting.jpg --out new.png --stroke 0.5", "with finer strokes, to one file"),
    ],
)
@click.argument("content", metavar="CONTENT")
@click.argument("style_file", metavar="STYLE")
@option(
    "Task",
    "--out",
    metavar="FOLDER|FILE",
    help="folder for the results, by default trained_models/CONTENT/style. With a file's name, such as new.png: one "
    "picture, to this file",
)
@options([declared_option("Style", setting) for setting in SETTINGS.values()])
@DEVICE
@TALK
@click.pass_context
def style(ctx: click.Context, **flags: Any) -> None:
    """Make CONTENT anew of patches of STYLE: in its colours and strokes, with the structure kept.

    It takes seconds and needs no training. CONTENT or STYLE may be - for standard input.
    """
    with one_sentence():
        files = (flags["content"], flags["style_file"])
        check_argument(ctx, "content")
        check_argument(ctx, "style_file")
        check_files(*files)
        out = Path(flags["out"]) if flags["out"] else Path(home()) / stem_of(files[0]) / "style"
        given = {name: flags[name] for name in SETTINGS if typed(ctx, name)}
        single = one_file(flags["out"], given)
        if single:
            given["format"] = FILES[out.suffix.lower()]
        wanted = chosen(given)
        loading(flags)
        make(ctx, files, wanted, out, single, flags)
    click.echo(out)


def check_files(content: str, style: str) -> None:
    """Refuse one picture that is given twice, before torch is imported.

    Raises:
        UserError: says which and what to do.
    """
    if content == style or (not is_input(content) and not is_input(style) and Path(content).samefile(style)):
        raise UserError(f"CONTENT and STYLE are the same picture, {content}; name another one as STYLE.")


def stem_of(file: str) -> str:
    """The name of a picture without its ending."""
    return Path(NAME if is_input(file) else file).stem


def make(
    ctx: click.Context, files: tuple[str, str], wanted: StyleOptions, out: Path, single: bool, flags: dict[str, Any]
) -> None:
    """Make and write the results."""
    from consingan.applications.progress import Progress
    from consingan.applications.writing import write, write_one
    from consingan.devices import describe
    from consingan.pictures import images

    content, painting = (images.load(file) for file in files)
    names = (stem_of(files[0]), stem_of(files[1]))
    pair = paired(content, painting, names, wanted)
    device, notes = chosen_device(ctx, flags)
    with monitor(flags) as talk:
        for note in (*notes, *pair.notes, f"{names[0]} in the manner of {names[1]}, on {describe(device)}."):
            talk.message(note)
        expected = announced(pair, wanted)
        progress = Progress(talk.message, expected.number, expected.sizes, expected.finished, expected.before)
        made = progress.seen(styled(pair, wanted, device, progress.told))
        facts = {"picture": Path(files[0]).name}
        if single:
            write_one(made, out, facts, talk.message)
        else:
            count = sum(1 for _ in write(made, out, facts, talk.message))
            talk.message(f"Wrote {counted(count, 'file')}.")
