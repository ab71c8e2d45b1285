"""The topics of ``consingan help``: pages of docs/ and parts of the README, which lie in the package as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from consingan.errors import UserError

PAGES = Path(__file__).parent.parent / "pages"
README = "README.md"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)")  # one that leads from page to page
HEADING = re.compile(r"#{1,2} +(.+)")


@dataclass(frozen=True)
class Topic:
    """A page, or a part of one.

    Args:
        file: below ``PAGES``.
        part: the heading that it begins with; None for the page.
        about: what it is, where the page's own title does not say it.
    """

    file: str
    part: str | None = None
    about: str | None = None


TOPICS: Mapping[str, Topic] = {
    "training": Topic(README, "Train", "Training, presets, settings from a file"),
    "presets": Topic(README, "Train", "the same: what fast, quick, best and paper are for"),
    "sampling": Topic(README, "Sample", "New pictures of a model, their size and variation"),
    "sizes": Topic(README, "Sample", "the same: --size and how large results can be"),
    "disk": Topic(README, "The run folder", "What a run folder holds"),
    "python": Topic(README, "From Python", "Training and sampling from Python"),
    "applications": Topic("docs/applications.md"),
    "harmonization": Topic("docs/harmonization.md"),
    "masks": Topic("docs/harmonization.md", "Masks", "Masks of pasted objects"),
    "animation": Topic("docs/animation.md"),
    "translation": Topic("docs/translation.md"),
    "style": Topic("docs/style.md"),
    "fill": Topic("docs/fill.md"),
    "several": Topic("docs/several.md"),
    "enlarge": Topic("docs/enlarge.md"),
    "tileable": Topic("docs/tileable.md"),
    "paint": Topic("docs/paint.md"),
    "steering": Topic("docs/steering.md"),
    "codes": Topic("docs/codes.md"),
    "channels": Topic("docs/channels.md"),
    "devices": Topic("docs/performance.md", "On a GPU", "Graphics processors"),
    "performance": Topic("docs/performance.md", None, "Time, memory, sizes, and how they were measured"),
    "resuming": Topic("docs/reliability.md", "Resuming a run", "Going on with a run that was stopped"),
    "reliability": Topic("docs/reliability.md", None, "Stopped runs, failing trainings, broken files"),
    "batch": Topic("docs/batch.md"),
    "cluster": Topic("docs/cluster.md"),
    "export": Topic("docs/export.md"),
    "report": Topic("docs/report.md"),
    "figures": Topic("docs/quality.md", "The figures", "Reading the figures of quality"),
    "quality": Topic("docs/quality.md", None, "How good the pictures are, in figures"),
    "objectives": Topic("docs/objectives.md"),
    "techniques": Topic("docs/techniques.md"),
}


def listed() -> list[tuple[str, str]]:
    """Every topic with what it is about.

    Raises:
        UserError: the pages are not installed.
    """
    return [(name, topic.about or next(iter(_parts(topic.file)))) for name, topic in TOPICS.items()]


def page(name: str, wanted: str = "") -> tuple[str, list[str]]:
    """A topic's text in Markdown without its pictures, and the headings of the parts that it has besides.

    Args:
        name: of the topic.
        wanted: one of these headings, or how one begins; the opening of the page where it is empty.

    Raises:
        UserError: there is no such topic or part, or the pages are not installed.
    """
    if name not in TOPICS:
        raise UserError(f"There is no topic {name!r}; {_nearest(name, TOPICS)}consingan help lists them.")
    topic = TOPICS[name]
    parts = _parts(topic.file)
    first = topic.part or next(iter(parts))
    others = [] if topic.part else [head for head in parts if head != first]
    if not parts[first] and others:  # a page that begins with its first part
        first, *others = others
    if wanted:
        first = _part(name, wanted, parts if topic.part is None else [])
    return bare(f"# {first}\n\n{parts[first]}"), ([] if wanted else others)


def bare(text: str) -> str:
    """Markdown without its pictures and the captions under them; links between pages are their words."""
    kept: list[str] = []
    below = False  # a picture
    for paragraph in text.split("\n\n"):
        picture = paragraph.lstrip().startswith("![")
        caption = below and re.match(r"\*\w", paragraph) is not None
        below = picture
        if not picture and not caption:
            kept.append(LINK.sub(r"\1", paragraph))
    return "\n\n".join(kept).strip("\n") + "\n"


def _part(name: str, wanted: str, heads: Iterable[str]) -> str:
    """The heading that is meant.

    Raises:
        UserError: none, or several.
    """
    known = {head.casefold(): head for head in heads}
    found = [head for folded, head in known.items() if folded.startswith(wanted.casefold())]
    if len(found) != 1 and wanted.casefold() not in known:
        raise UserError(
            f"The topic {name} has no part {wanted!r}; {_nearest(wanted.casefold(), known)}"
            f"consingan help {name} lists them."
        )
    return known.get(wanted.casefold(), found[0] if found else "")


def _nearest(word: str, words: Iterable[str]) -> str:
    """The beginning of an answer to a word that is not known."""
    near = get_close_matches(word, list(words), 1)
    return f"did you mean {near[0]}? " if near else ""


def _parts(file: str) -> dict[str, str]:
    """The text below each heading of a page, the title first. A # in a block of code is no heading.

    Raises:
        UserError: the page is not there.
    """
    try:
        text = (PAGES / file).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The page {file} is not installed with this program ({error.strerror}); install consingan again, or read "
            "it in the repository."
        ) from error
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if not fenced and (found := HEADING.fullmatch(line)):
            lines = parts.setdefault(found[1].strip(), [])
        else:
            lines.append(line)
    return {head: "\n".join(below).strip("\n") for head, below in parts.items()}
