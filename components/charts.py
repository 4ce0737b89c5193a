"""Small charts as inline SVG that takes its colours and its font from the page around it.

Matplotlib draws with marker colours, which become CSS variables: one drawing reads well on a light
page, on a dark one and on paper. Text stays text, so it can be searched and needs no font of its own.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

INK, ACCENT, LINE = "#010101", "#020202", "#030303"  # drawn with these, shown with those below
COLOURS = {INK: "currentColor", ACCENT: "var(--accent)", LINE: "var(--line)"}
SIZE = (3.3, 2.1)  # inches; the page scales it
MOST_POINTS, MOST_COLUMNS = 400, 40
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
        every = 4 if len(names) > 12 and names[-1].isdecimal() else 1
        places, names = range(0, len(names), every), names[::every]
        short = [name if len(name) <= 14 else f"{name[:13]}…" for name in names]
        crowded = sum(map(len, short)) + len(short) > 48
        if crowded and max(map(len, short)) == 1:  # single characters: smaller does
            axes.set_xticks(places, short, fontsize=6)
        else:
            axes.set_xticks(places, short, rotation=90 if crowded else 0)
        axes.tick_params("x", length=0)
        axes.set_xlim(-0.6, len(values) - 0.4)
        log = log and min(values) > 0
        axes.set_ylabel(f"{unit}, log scale" if log else unit)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(_ticker().LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(_ticker().NullLocator())
        axes.yaxis.set_major_formatter(_ticker().FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="y")
        return finish()


@contextlib.contextmanager
def _drawing(title: str) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Axes to draw on, and what makes SVG text of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's font has it
        figure = Figure(SIZE, layout="constrained")
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
