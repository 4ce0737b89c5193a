"""The page of a comparison: a leaderboard with intervals, samples side by side, every number's protocol."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from components.metrics import METRICS
from components.pages import number, template
from components.pictures import data_url, text_pieces

TEMPLATE = "compare.html.j2"
HIDDEN = ("value", "low", "high", "split")  # in a protocol: shown elsewhere


def write_page(page: Path, result: dict[str, Any], samples: dict[str, Path]) -> None:
    """Writes the file `page`: `result` as comparison.json has it, `samples` by the entrant's name."""
    metric = result["metric"]
    page.write_text(
        template(TEMPLATE).render(
            metric=metric,
            about=METRICS[metric],
            data=result["data"],
            rows=_rows(result["entrants"], metric),
            differences=result["differences"],
            heads=[one["name"] for one in result["entrants"]],
            table=_table(result["entrants"], metric),
            shown={name: _shown(file) for name, file in samples.items()},
            entrants=result["entrants"],
        ),
        "utf-8",
    )


def _entry(one: dict[str, Any], metric: str) -> dict[str, Any]:
    return one["test"].get(metric) or {}


def _rows(entrants: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """The leaderboard: each value as a dot on one scale, its interval as a line, in percent."""
    entries = [_entry(one, metric) for one in entrants]
    known = [
        value
        for entry in entries
        for value in (entry.get("value"), entry.get("low"), entry.get("high"))
        if value is not None and math.isfinite(value)
    ]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = (high - low) or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / span, 2)

    return [
        {
            "name": one["name"],
            "family": one["family"],
            "samples": one["samples"],
            "value": number(entry.get("value")),
            "interval": interval(entry),
            "at": place(entry.get("value")),
            "from": place(entry.get("low")),
            "to": place(entry.get("high")),
            "note": one.get("collapsed") or "",
        }
        for one, entry in zip(entrants, entries, strict=True)
    ]


def interval(entry: dict[str, Any]) -> str:
    """`3.9 to 4.6`, or nothing where there is none or it is a point."""
    low, high = entry.get("low"), entry.get("high")
    if low is None or high is None or low == high:
        return ""
    return f"{number(low)} to {number(high)}"


def protocol(entry: dict[str, Any]) -> str:
    """How a number was measured, in one line."""
    told = [f"{key.replace('_', ' ')} {value}" for key, value in entry.items() if key not in HIDDEN]
    return " · ".join(told)


def _table(entrants: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Every metric, the one that ranks first: its value by entrant."""
    names = dict.fromkeys(name for one in entrants for name in one["test"])
    ordered = sorted(names, key=lambda name: (name != metric, [*METRICS, name].index(name)))
    return [
        {
            "metric": name,
            "about": METRICS.get(name),
            "cells": [
                (
                    number(_entry(one, name).get("value")),
                    interval(_entry(one, name)),
                    protocol(_entry(one, name)),
                )
                for one in entrants
            ],
        }
        for name in ordered
    ]


def _shown(file: Path) -> dict[str, Any]:
    """A picture of samples, or the first of texts."""
    picture = file if file.suffix == ".png" else file.with_suffix(".png")
    if picture.is_file():
        return {"picture": data_url(picture.read_bytes())}
    return {"texts": text_pieces(file.read_text("utf-8", errors="replace"))}
