"""The page of a comparison: a leaderboard with intervals, samples side by side, every number's protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.charts import scatter
from components.metrics import METRICS
from components.pages import number, template
from components.pictures import data_url, text_pieces
from components.report_quality import class_shares, from_the_worst, measured_slices, points_of
from components.scoreboard import Entry, Lane, arrow, bounds, cell, in_order, scale, value

TEMPLATE = "compare.html.j2"
FOCUS = 3  # the first places, which the scale is about
MOST_SLICES = 12


def write_page(page: Path, result: dict[str, Any], samples: dict[str, Path]) -> None:
    """Writes the file `page`: `result` as comparison.json has it, `samples` by the entrant's name."""
    metric, entrants = result["metric"], result["entrants"]
    page.write_text(
        template(TEMPLATE).render(
            metric=metric,
            about=METRICS[metric],
            data=result["data"],
            board=_board(entrants, metric),
            collapsed=[(one["name"], one["collapsed"]) for one in entrants if one.get("collapsed")],
            apart=_apart(result["differences"]),
            alike=[f"{one['of']} and {one['from']}" for one in result["differences"] if _alike(one)],
            heads=[one["name"] for one in entrants],
            shown={name: _shown(file) for name, file in samples.items()},
            charts=_charts(entrants),
            slices=_slices(entrants, metric),
            table=_table(entrants, metric),
            notes=[(one["name"], why, said) for one in entrants for why, said in _notes(one)],
            entrants=entrants,
        ),
        "utf-8",
    )


def _entry(one: dict[str, Any], metric: str, split: str = "test") -> Entry:
    return (one.get(split) or {}).get(metric) or {}


def _role(place: int) -> str:
    return "model" if place == 0 else "floor"  # the first stands out, the others are grey


def _board(entrants: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The leaderboard: each value as a dot on one scale, its interval as a line."""
    lanes = [
        Lane(
            _role(place),
            one["name"],
            {split: _entry(one, metric, split) for split in ("test", "validation")},
            focus=place < FOCUS,
            note=f"{one['family']} · {number(one['samples'])} samples",
        )
        for place, one in enumerate(entrants)
    ]
    return scale(lanes, {}, zero=METRICS[metric].distance)


def _apart(differences: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Each one less the one placed above it; None where no two are measured alike."""
    lanes = [
        Lane("floor" if _alike(one) else "model", f"{one['of']} less {one['from']}", {"test": one})
        for one in differences
        if value(one) is not None
    ]
    return scale(lanes, {"equal": 0.0}, zero=True) if lanes else None


def _alike(one: Entry) -> bool:
    """Whether an interval of a difference leaves open who is better."""
    ends = bounds(one)
    return ends is not None and ends[0] <= 0 <= ends[1]


def _charts(entrants: list[dict[str, Any]]) -> list[Any]:
    """Precision against recall of all, and the class shares of each: SVG, of what was measured."""
    from markupsafe import Markup

    points = points_of([(_role(i), one["name"], one) for i, one in enumerate(entrants)])
    charts = [scatter("precision against recall", points, "precision", "recall")] if points else []
    charts += [class_shares(one, f"class shares, {one['name']}") for one in entrants]
    return [Markup(chart) for chart in charts if chart]


def _slices(entrants: list[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    """The classes or groups that come off worst, by entrant; None where nobody has any."""
    found = [measured_slices(one, "test") for one in entrants]
    pooled = {f"{i} {name}": entries for i, own in enumerate(found) for name, entries in own.items()}
    by, ordered = from_the_worst(pooled, metric)
    names = list(dict.fromkeys(name.split(" ", 1)[1] for name in ordered))  # by its worst entrant
    if not names:
        return None
    rows = [(name, [cell(own.get(name, {}).get(by)) for own in found]) for name in names[:MOST_SLICES]]
    return {"by": by, "arrow": arrow(by), "of": len(names), "rows": rows}


def _table(entrants: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Every metric, the one that ranks first: its value by entrant."""
    return [
        {
            "metric": name,
            "about": METRICS.get(name),
            "arrow": arrow(name),
            "cells": [cell(_entry(one, name)) for one in entrants],
        }
        for name in in_order((name for one in entrants for name in one["test"]), metric)
    ]


def _notes(one: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((one.get("notes") or {}).items())


def _shown(file: Path) -> dict[str, Any]:
    """A picture of samples, or the first of texts."""
    picture = file if file.suffix == ".png" else file.with_suffix(".png")
    if picture.is_file():
        return {"picture": data_url(picture.read_bytes())}
    return {"texts": text_pieces(file.read_text("utf-8", errors="replace"))}
