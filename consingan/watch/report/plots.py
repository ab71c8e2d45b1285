"""Curves as SVG: drawn here, coloured by the page's style, read out by its script."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from consingan.watch.report.reading import Curve, Point

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 24, 26  # margins around the curves
POINTS = 360  # drawn per curve; the screen has not many more
SMOOTH_SHARE = 1 / 40  # of a stage's points: the half-life of the running mean
LOG_SPAN = 12.0  # highest over lowest value from which on the axis is logarithmic
COLOURS = 6  # in the page's style


@dataclass(frozen=True)
class Axis:
    """Where a value lies between two pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(max(v, 1e-300)) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def plot(title: str, curves: Sequence[Curve], starts: Sequence[int] = ()) -> Markup:
    """Curves over iterations: as they are, faint, and their running mean.

    Args:
        title: what is drawn.
        curves: with one point at least, in all; the first six have colours of their own.
        starts: the iterations at which stages begin and the last ends; marked where given.
    """
    points = [point for curve in curves for piece in curve.pieces for point in piece]
    last = max([x for x, _ in points] + [float(start) for start in starts[-1:]])
    across = Axis(0.0, last or 1.0, LEFT, WIDTH - RIGHT)
    up = value_axis([y for _, y in points])
    body = Markup("").join(
        [*bands(starts, across), *value_lines(up), *iteration_labels(across), *strokes(curves, across, up)]
    )
    data = {"left": LEFT, "right": WIDTH - RIGHT, "last": across.high, "starts": list(starts)}
    data["curves"] = [readout(curve) for curve in curves]
    return Markup(
        '<svg class="plot" viewBox="0 0 {w} {h}" role="img" aria-label="{title}" data-plot="{data}">'
        '<clipPath id="{name}"><rect x="{l}" y="{t}" width="{iw}" height="{ih}"/></clipPath>{body}'
        '<line class="cursor" x1="-9" x2="-9" y1="{t}" y2="{b}"/></svg>'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        title=title,
        data=json.dumps(data, separators=(",", ":")),
        name=clip_name(curves),
        l=LEFT,
        t=TOP,
        iw=WIDTH - LEFT - RIGHT,
        ih=HEIGHT - TOP - BOTTOM,
        b=HEIGHT - BOTTOM,
        body=body,
    )


def value_axis(values: Sequence[float]) -> Axis:
    """Upwards, over all values but the outermost hundredths: a first iteration must not flatten the rest."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    low, high = ordered[cut], ordered[-1 - cut]
    start, end = HEIGHT - BOTTOM, TOP
    if low > 0 and high / low > LOG_SPAN:
        return Axis(low / 1.15, high * 1.15, start, end, log=True)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Axis(low - margin, high + margin, start, end)


def bands(starts: Sequence[int], across: Axis) -> Iterator[Markup]:
    """Every other stage is shaded; each has its number above."""
    for stage, (begin, end) in enumerate(pairwise(starts)):
        left, right = across(begin), across(end)
        if stage % 2 == 0:
            yield Markup('<rect class="band" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
                left, TOP, right - left, HEIGHT - TOP - BOTTOM
            )
        if right - left > 12:
            text = f"stage {stage + 1}" if right - left > 52 else str(stage + 1)
            yield Markup('<text class="stage" x="{:.1f}" y="{}">{}</text>').format((left + right) / 2, TOP - 8, text)


def value_lines(up: Axis) -> Iterator[Markup]:
    """A line and a number for each round value."""
    for value in ticks(up):
        y = up(value)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        yield Markup('<text class="value" x="{}" y="{:.1f}">{}</text>').format(LEFT - 6, y + 4, number(value))


def iteration_labels(across: Axis) -> Iterator[Markup]:
    """Round numbers of iterations below."""
    for value in round_values(0, across.high, 5):
        x = min(across(value), WIDTH - 18.0)
        yield Markup('<text class="iteration" x="{:.1f}" y="{}">{}</text>').format(x, HEIGHT - 8, f"{value:,.0f}")


def strokes(curves: Sequence[Curve], across: Axis, up: Axis) -> Iterator[Markup]:
    """The lines themselves; a stage's curve does not join the next one's."""
    clip = clip_name(curves)
    for index, curve in enumerate(curves):
        for piece in curve.pieces:
            calm = smooth(piece)
            if calm is not piece:
                yield stroke(thin(piece), f"raw c{index % COLOURS}", across, up, clip)
            yield stroke(thin(calm), f"c{index % COLOURS}", across, up, clip)


def stroke(piece: Sequence[Point], style: str, across: Axis, up: Axis, clip: str) -> Markup:
    """One line; a single point becomes a dot."""
    if len(piece) == 1:
        return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(
            style, across(piece[0][0]), up(piece[0][1])
        )
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in piece)
    return Markup('<polyline class="{}" clip-path="url(#{})" points="{}"/>').format(style, clip, path)


def clip_name(curves: Sequence[Curve]) -> str:
    """An id that no other plot of the page has: made of what is drawn."""
    return f"clip-{zlib.crc32(repr(curves).encode('utf-8', 'replace')):08x}"


def smooth(piece: Sequence[Point]) -> Sequence[Point]:
    """The running mean with exponential weights, unbiased from the first point on; few points stay as they are."""
    if len(piece) < 20:
        return piece
    keep = 0.5 ** (1 / (len(piece) * SMOOTH_SHARE))
    mean, weight, calm = 0.0, 0.0, []
    for x, y in piece:
        mean, weight = keep * mean + (1 - keep) * y, keep * weight + (1 - keep)
        calm.append((x, mean / weight))
    return calm


def thin(piece: Sequence[Point]) -> Sequence[Point]:
    """At most POINTS of the points, evenly, the last one kept."""
    step = math.ceil(len(piece) / POINTS)
    return piece if step == 1 else [*piece[:-1:step], piece[-1]]


def readout(curve: Curve) -> dict[str, object]:
    """What the script shows under the pointer: the running mean."""
    calm = [point for piece in curve.pieces for point in thin(smooth(piece))]
    return {"name": curve.name, "x": [x for x, _ in calm], "y": [float(f"{y:.4g}") for _, y in calm]}


def ticks(axis: Axis) -> list[float]:
    """Round values on an axis of values."""
    if not axis.log:
        return round_values(axis.low, axis.high, 4)
    decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [f * 10.0**d for d in decades for f in factors if axis.low <= f * 10.0**d <= axis.high]
        if len(found) >= 3:
            break
    return found


def round_values(low: float, high: float, count: int) -> list[float]:
    """About ``count`` values between the two in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick's value, short."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
