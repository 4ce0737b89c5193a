"""Numbers with intervals, ready for a page: cells of a table, and rows of dots and whiskers on one scale.

An entry is what evaluation.json keeps of a metric: {"value", "low", "high", "interval" | "no_interval", ...}.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from components.metrics import METRICS
from components.pages import number

Entry = dict[str, Any]
SHOWN_ELSEWHERE = ("value", "low", "high", "split", "standard_error", "checkpoint")  # in a protocol
PROTOCOL = ("plain", "n", "real", "training", "neighbours", "features", "likelihood", "measure")  # said first
WORDS = {
    "plain": "uncorrected",
    "interval": "interval by",
    "no_interval": "no interval:",
    "real_value": "of real examples",
}
SQUEEZED = 4.0  # a scale grows at most so many times for rows that it is not about
MARGIN = 0.04  # of the scale, left free at either end
TICKS = 5  # about as many


@dataclass(frozen=True)
class Cell:
    """A number as a table shows it."""

    value: str
    interval: str = ""
    protocol: str = ""


@dataclass(frozen=True)
class Lane:
    """One row of a scale: what it is, and its entries by kind (`test`, `validation`).

    A scale is about the lanes in `focus`; another that lies far away is shown as an arrow at the edge.
    """

    role: str
    label: str
    entries: dict[str, Entry] = field(default_factory=dict)
    focus: bool = True
    note: str = ""


def value(entry: Entry | None) -> float | None:
    """The number, or None where there is none that is finite."""
    found = (entry or {}).get("value")
    return found if found is not None and math.isfinite(found) else None


def bounds(entry: Entry | None) -> tuple[float, float] | None:
    """The interval, or None where there is none or it is a point."""
    low, high = ((entry or {}).get(bound) for bound in ("low", "high"))
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    return float(low), float(high)


def interval(entry: Entry | None) -> str:
    """`3.9 to 4.6`, broken before the `to` if at all; nothing where there is none or it is a point."""
    found = bounds(entry)
    if found is None:
        return ""
    low, high = (_bound(end, found[1] - found[0]) for end in found)
    return f"{low} to\u00a0{high}"


def _bound(end: float, width: float) -> str:
    """Three digits, or more where the ends of a narrow interval would look alike."""
    if end and abs(end) < 1e-4:
        return number(float(f"{end:.3g}"))
    digits = max(2 - _power(end), 1 - _power(width), 0)
    said = f"{end:,.{digits}f}"
    return (said.rstrip("0").rstrip(".") if "." in said else said).replace("-", "−")


def _power(size: float) -> int:
    """Of ten, of the first digit."""
    return math.floor(math.log10(abs(size))) if size else 0


def protocol(entry: Entry) -> str:
    """How a number was measured, in one line."""
    told = {
        key: kept
        for key, kept in entry.items()
        if key not in SHOWN_ELSEWHERE
        and isinstance(kept, str | int | float)
        and kept != ""
        and not (key == "plain" and kept == entry["value"])
        and not (key == "interval" and kept == "counted")  # there is none
    }
    ordered = sorted(told, key=lambda key: [*PROTOCOL, key].index(key))
    return " · ".join(f"{WORDS.get(key, key.replace('_', ' '))} {_said(told[key])}" for key in ordered)


def _said(kept: Any) -> str:
    return str(kept) if isinstance(kept, str | bool) else number(kept)


def cell(entry: Entry | None) -> Cell:
    """The entry as a table shows it."""
    return Cell(number(value(entry)), interval(entry), protocol(entry or {}))


def in_order(names: Iterable[str], first: str) -> list[str]:
    """Metrics with the one that matters before the others, which keep the order of METRICS."""
    distinct = dict.fromkeys(names)
    return sorted(distinct, key=lambda name: (name != first, [*METRICS, name].index(name)))


def arrow(metric: str) -> str:
    """Which way is better."""
    return {"lower": "↓", "higher": "↑"}[METRICS[metric].better] if metric in METRICS else ""


# -- one scale -----------------------------------------------------------------------------------------


def scale(lanes: list[Lane], marks: dict[str, float], zero: bool = False) -> dict[str, Any]:
    """Lanes with places in percent: `lanes` (each with `dots`), `marks`, `ticks`.

    Args:
        marks: what a vertical line stands for → where it is.
        zero: whether 0 belongs to the scale, as it does for distances.
    """
    low, high = _range(lanes, marks, zero)

    def place(found: float) -> float:
        return round(100 * (found - low) / (high - low), 2)

    def dot(kind: str, entry: Entry) -> dict[str, Any]:
        at = value(entry)
        assert at is not None
        edges = bounds(entry) or (at, at)
        return {
            "kind": kind,
            "at": place(at) if low <= at <= high else None,
            "off": "" if low <= at <= high else "left" if at < low else "right",
            "from": min(max(place(edges[0]), 0.0), 100.0),
            "to": min(max(place(edges[1]), 0.0), 100.0),
        }

    return {
        "lanes": [
            {
                "role": lane.role,
                "label": lane.label,
                "note": lane.note,
                "cell": cell(next(iter(lane.entries.values()), None)),
                "dots": [dot(kind, one) for kind, one in lane.entries.items() if value(one) is not None],
            }
            for lane in lanes
        ],
        "marks": [
            {"label": f"{label} {number(at)}", "at": place(at)}
            for label, at in sorted(marks.items(), key=lambda mark: mark[1])
            if low <= at <= high
        ],
        "beyond": [f"{label} {number(at)}" for label, at in marks.items() if not low <= at <= high],
        "ticks": [{"at": place(tick), "label": number(tick)} for tick in ticks(low, high)],
    }


def _range(lanes: list[Lane], marks: dict[str, float], zero: bool) -> tuple[float, float]:
    """From where to where: all of the lanes in focus, and of others what does not squeeze them."""
    focus, others = [0.0] if zero else [], list(marks.values())
    for lane in lanes:
        for entry in lane.entries.values():
            if (at := value(entry)) is not None:
                (focus if lane.focus else others).extend([at, *(bounds(entry) or ())])
    focus = focus if any(focus) or not others else [*focus, *others]
    low, high = min(focus, default=0.0), max(focus, default=1.0)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    widest = SQUEEZED * (high - low)
    for other in sorted(others, key=lambda found: max(low - found, found - high)):
        if max(high, other) - min(low, other) <= widest:
            low, high = min(low, other), max(high, other)
    free = MARGIN * (high - low)
    return (low if zero and low == 0 else low - free), high + free


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]
