"""What a page says of a model of several pictures: which they are, and which one a sample is near."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from consingan.storage.results import Kept
from consingan.watch.report.reading import Facts


def portraits(facts: Facts) -> list[tuple[Path | None, str]]:
    """The picture that a run learns from, or those of a model of several by their names."""
    if len(facts.pictures) == 1:
        return [(facts.picture, "the picture")]
    return [(path, name) for name, path in facts.pictures]


def beside(facts: Facts, number: int) -> str:
    """A picture of a run in words."""
    return "the picture" if len(facts.pictures) == 1 else facts.pictures[number][0]


def near(result: Kept) -> str:
    """Which of several pictures a sample is near, and the shares of its patches, for its caption."""
    if "near" not in result.facts:
        return ""
    shares: list[float] = []
    with suppress(ValueError):  # a file that others have written
        shares = [float(word) for word in result.facts.get("shares", "").split(",") if word]
    return f", near {result.facts['near']}" + (f" ({' : '.join(f'{share:.0%}' for share in shares)})" if shares else "")
