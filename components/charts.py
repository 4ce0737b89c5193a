"""Small charts as inline SVG that takes its colours and its font from the page around it.

Matplotlib draws with marker colours, which become CSS variables: one drawing reads well on a light
page, on a dark one and on paper. Text stays text, so it can be searched and needs no font of its own.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

INK, ACCENT, LINE = "#010101", "#020202", "#030303"  # drawn with these, shown with those below
GOOD, OTHER, CHAMPION = "#040404", "#050505", "#060606"
COLOURS = {
    INK: "currentColor",
    ACCENT: "var(--accent)",
    LINE: "var(--line)",
    GOOD: "var(--good)",
    OTHER: "var(--other)",
    CHAMPION: "var(--champion)",
}
OF_ROLE = {"model": ACCENT, "champion": CHAMPION, "reference": GOOD}  # other roles are grey
SHAPES = {"model": "o", "champion": "D", "reference": "*"}
OTHER_SHAPES = "s^vPXp<>"
SIZE = (3.3, 2.1)  # inches; the page scales it
SQUARE = (3.3, 2.6)  # and of one that is no curve
MOST_POINTS, MOST_COLUMNS = 400, 40
Bounds = tuple[float, float]
Bar = tuple[float, Bounds | None]  # a value and its interval
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mozart",  # the same chart, the same bytes
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 7,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
}


def curve(title: str, x: Sequence[float], y: Sequence[float], unit: str = "") -> str:
    """One value by epoch, as SVG text; thinned evenly beyond 400 epochs, the last one kept."""
    step = -(-len(x) // MOST_POINTS)
    kept = range((len(x) - 1) % step, len(x), step)
    with _drawing(title) as (axes, finish):
        axes.plot([x[i] for i in kept], [y[i] for i in kept], color=ACCENT, linewidth=1.4)
        axes.plot([x[-1]], [y[-1]], "o", color=ACCENT, markersize=3.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
        return finish()


def columns(title: str, counts: dict[str, int], unit: str, log: bool = False) -> str:
    """Counts by name, as SVG text: at most 40 names, which the caller has ordered."""
    names, values = list(counts)[:MOST_COLUMNS], list(counts.values())[:MOST_COLUMNS]
    with _drawing(title) as (axes, finish):
        axes.bar(range(len(names)), values, color=ACCENT, width=0.8)
        _name(axes, names)
        log = log and min(values) > 0
        axes.set_ylabel(f"{unit}, log scale" if log else unit)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(_ticker().LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(_ticker().NullLocator())
        axes.yaxis.set_major_formatter(_ticker().FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="y")
        return finish()


def paired(title: str, sets: dict[str, dict[str, Bar]], unit: str = "") -> str:
    """Columns of two sets side by side with whiskers, by name, as SVG text: name of the set → name → bar.
    Of more than 40 names those are shown that differ most."""
    (first, mine), (second, theirs) = sets.items()
    names = list(mine)
    if len(names) > MOST_COLUMNS:
        kept = set(sorted(names, key=lambda name: -abs(mine[name][0] - theirs[name][0]))[:MOST_COLUMNS])
        names = [name for name in names if name in kept]
    with _drawing(title, SQUARE) as (axes, finish):
        for label, bars, colour, left in ((first, mine, ACCENT, -0.4), (second, theirs, OTHER, 0.0)):
            values = [bars[name][0] for name in names]
            middle = [i + left + 0.2 for i in range(len(names))]
            axes.bar(middle, values, width=0.38, color=colour, label=label)
            for x, name in zip(middle, names, strict=True):
                if (ends := bars[name][1]) is not None:
                    axes.plot([x, x], ends, color=INK, linewidth=0.7)
        _name(axes, names)
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        axes.margins(y=0.12)
        axes.set_ylim(bottom=0)
        _legend(axes, 2)
        return finish()


@dataclass(frozen=True)
class Point:
    """Something with two numbers and their intervals."""

    role: str
    label: str
    x: float
    y: float
    x_bounds: Bounds | None = None
    y_bounds: Bounds | None = None


def scatter(title: str, points: Sequence[Point], x: str, y: str) -> str:
    """Points in the unit square, or the corner of it that they are in, with whiskers either way, as SVG text;
    a legend below says which is which."""
    shapes = itertools.cycle(OTHER_SHAPES)
    with _drawing(title, SQUARE) as (axes, finish):
        for point in points:
            colour = OF_ROLE.get(point.role, OTHER)
            for ends, line in ((point.x_bounds, axes.hlines), (point.y_bounds, axes.vlines)):
                if ends is not None:
                    line(point.y if line == axes.hlines else point.x, *ends, color=colour, linewidth=0.9)
            shape = SHAPES.get(point.role) or next(shapes)
            size = 7 if shape == "*" else 4.5
            axes.plot([point.x], [point.y], shape, color=colour, markersize=size, label=point.label)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        lowest = min(end for point in points for end in _ends(point))
        first = min(max(math.floor(10 * lowest) / 10, 0.0), 0.8)  # both axes alike
        free = 0.03 * (1 - first)
        axes.set_xlim(first - free, 1 + free)
        axes.set_ylim(first - free, 1 + free)
        axes.grid()
        _legend(axes, 2)
        return finish()


def _ends(point: Point) -> tuple[float, ...]:
    return (point.x, point.y, *(point.x_bounds or ()), *(point.y_bounds or ()))


def _legend(axes: Any, columns: int) -> None:
    """Below the chart: what each mark stands for."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles, [_short(label, 30) for label in labels], loc="outside lower left", ncols=columns, frameon=False,
        fontsize=6.5, handletextpad=0.4, columnspacing=1.2, handlelength=1.2,
    )  # fmt: skip


def _short(name: str, most: int = 14) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _name(axes: Any, names: list[str]) -> None:
    """Names below columns: every fourth of many numbers, upright where they would not fit."""
    count = len(names)
    every = 4 if len(names) > 12 and names[-1].isdecimal() else 1
    places, names = range(0, len(names), every), names[::every]
    short = [_short(name) for name in names]
    crowded = sum(map(len, short)) + len(short) > 48
    if crowded and max(map(len, short)) == 1:  # single characters: smaller does
        axes.set_xticks(places, short, fontsize=6)
    else:
        axes.set_xticks(places, short, rotation=90 if crowded else 0)
    axes.tick_params("x", length=0)
    axes.set_xlim(-0.6, count - 0.4)


@contextlib.contextmanager
def _drawing(title: str, size: tuple[float, float] = SIZE) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Axes to draw on, and what makes SVG text of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's font has it
        figure = Figure(size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        yield axes, lambda: _svg(figure, title)


def _ticker() -> Any:
    import matplotlib.ticker

    return matplotlib.ticker


def _svg(figure: Any, title: str) -> str:
    """The figure as an `<svg>` element to be put into a page: no prologue, no metadata, no fixed size."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    drawing = stream.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' id="[a-z0-9.]+_\d+"', "", drawing)  # groups that nothing refers to
    for marker, colour in COLOURS.items():
        drawing = drawing.replace(marker, colour)
    return re.sub(r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', _opening(title), drawing, count=1)


def _opening(title: str) -> Callable[[re.Match[str]], str]:
    from html import escape

    return lambda found: f'<svg viewBox="{found[1]}" role="img" aria-label="{escape(title)}">'
