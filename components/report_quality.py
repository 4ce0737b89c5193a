"""How good a run's model is, for its page: tiles, numbers on one scale, the table, slices, shares, notes.

Everything comes from what evaluation.json says; what an evaluation does not have is left out.
"""

from __future__ import annotations

from typing import Any

from components.charts import Point, paired, scatter
from components.gates import margin_of
from components.metrics import METRICS
from components.pages import number
from components.scoreboard import (
    Entry,
    Lane,
    arrow,
    bounds,
    cell,
    in_order,
    interval,
    scale,
    value,
)
from components.settings import GateSettings

MOST_SLICES = 12  # in the table of the worst
DECIDES = "validation"  # the split that gates look at


def quality(measured: dict[str, Any]) -> dict[str, Any]:
    """All that the template's section "How good it is" shows."""
    return {
        "tiles": _tiles(measured),
        "scale": _scale(measured),
        "apart": _apart(measured),
        "table": _table(measured),
        "charts": share_charts(measured, _columns(measured)),
        "slices": _slices(measured),
        "notes": sorted((measured.get("notes") or {}).items()),
        "drawn": _drawn(measured),
        "features": _features(measured.get("features")),
    }


def _columns(measured: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What the model is compared with: role, label, numbers by split."""
    found = [("model", "this model", measured)]
    champion = measured.get("champion")
    if champion:
        found.append(("champion", f"champion, version {champion['version']}", champion))
    found += [("floor", label, floor) for label, floor in (measured.get("floors") or {}).items()]
    reference = measured.get("reference") or {}
    if any(reference.get(split) for split in ("test", DECIDES)):
        found.append(("reference", "real against real", reference))
    return found


def _entry(numbers: dict[str, Any] | None, metric: str, split: str = "test") -> Entry:
    return ((numbers or {}).get(split) or {}).get(metric) or {}


def _gates(measured: dict[str, Any]) -> GateSettings:
    return GateSettings.parse(measured.get("gates") or {})


def _features(facts: dict[str, Any] | None) -> str:
    """What the feature network is worth, in a sentence."""
    if not facts:
        return ""
    for name, said in (
        ("test_accuracy", "names {} % of the test split rightly"),
        ("test_completion", "fills in {} % of what it has to complete of the test split"),
    ):
        if facts.get(name) is not None:
            trusted = "" if facts["trusted"] else ": too few to judge by"
            return f"The feature network {facts['name']} {said.format(f'{100 * facts[name]:.1f}')}{trusted}."
    return f"Features are those of {facts['name']}."


def _drawn(measured: dict[str, Any]) -> str:
    """How many samples were looked at, and whether more than the recipe began with."""
    count, first = measured.get("samples"), (measured.get("settings") or {}).get("samples")
    if not count:
        return ""
    more = (
        f", {number(first)} at first and more because the verdict was open" if first and first < count else ""
    )
    return f"{number(count)} samples of each model{more}"


# -- the metric that matters ---------------------------------------------------------------------------


def _tiles(measured: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The metric that matters, its best floor, its reference and its champion: label, value, note."""
    metric, columns = measured["metric"], _columns(measured)
    own = _entry(measured, metric)
    note = f"validation split {number(value(_entry(measured, metric, DECIDES)))}"
    note = f"{interval(own)} · {note}" if interval(own) else note
    tiles = [(f"{metric}, test split", number(value(own)), note)]
    floors = [(value(_entry(floor, metric)), label) for role, label, floor in columns if role == "floor"]
    valued = [(found, label) for found, label in floors if found is not None]
    best = min if METRICS[metric].better == "lower" else max
    found, label = best(valued) if valued else (None, "not measured" if floors else "none asked for")
    tiles.append(("best floor", number(found), label))
    reference = _entry(measured.get("reference"), metric)
    known = value(reference) is not None
    note = (interval(reference) or "training split in place of samples") if known else "none for this metric"
    tiles.append(("real against real", number(value(reference)), note))
    champion = measured.get("champion")
    rival = _entry(champion, metric)
    note = f"version {champion['version']}" if champion else "none to compare with"
    if champion and not champion["comparable"]:
        note += ", not comparable"
    note = f"{interval(rival)} · {note}" if interval(rival) else note
    return [*tiles, ("champion", number(value(rival)), note)]


def _scale(measured: dict[str, Any]) -> dict[str, Any]:
    """This model, champion, floors and real data on one scale, with what the gates ask for as marks."""
    metric = measured["metric"]
    lanes = [
        Lane(
            role,
            label,
            {split: _entry(numbers, metric, split) for split in ("test", DECIDES)},
            focus=role != "floor",
        )
        for role, label, numbers in _columns(measured)
        if role != "reference" or value(_entry(numbers, metric)) is not None
    ]
    return scale(lanes, _marks(measured), zero=METRICS[metric].distance)


def _marks(measured: dict[str, Any]) -> dict[str, float]:
    """Limits of the recipe, the champion's value with what is tolerated beyond it, the asked share of a floor."""
    metric, gates = measured["metric"], _gates(measured)
    limit = gates.limits.get(metric)
    most = METRICS[metric].most
    found = {"minimum": limit.min, "maximum": limit.max} if limit else {"maximum": most}
    marks = {name: float(bound) for name, bound in found.items() if bound is not None}
    worse = 1 if METRICS[metric].better == "lower" else -1
    rival = _entry(measured.get("champion"), metric, DECIDES)
    at = value(rival)
    if at is not None and gates.champion:
        marks["tolerated beside the champion"] = at + worse * margin_of(rival, gates)
    floors = [value(_entry(floor, metric, DECIDES)) for floor in (measured.get("floors") or {}).values()]
    known = [floor for floor in floors if floor is not None]
    if known and gates.floor_ratio < 1:
        marks[f"{gates.floor_ratio:g} of the best floor"] = gates.floor_ratio * min(known)
    return marks


def _apart(measured: dict[str, Any]) -> dict[str, Any] | None:
    """How far this model is from the champion, on a scale of its own; None where that is not known."""
    champion, metric, gates = measured.get("champion") or {}, measured["metric"], _gates(measured)
    gap, rival = champion.get("difference"), _entry(champion, metric, DECIDES)
    if value(gap) is None or value(rival) is None:
        return None
    assert gap is not None
    worse = 1 if METRICS[metric].better == "lower" else -1
    marks = {"equal": 0.0, "tolerated": worse * margin_of(rival, gates)}
    return scale([Lane("model", "this model less the champion", {DECIDES: gap})], marks, zero=True)


def _table(measured: dict[str, Any]) -> dict[str, Any]:
    """Metrics by column; the one that matters first. Cells are this model's on both splits, then the others'."""
    columns = _columns(measured)
    names = [name for split in ("test", DECIDES) for name in measured.get(split) or {}]
    rows = [
        {
            "metric": name,
            "main": name == measured["metric"],
            "about": METRICS.get(name),
            "arrow": arrow(name),
            "cells": [
                cell(_entry(measured, name, DECIDES)),
                *(cell(_entry(numbers, name)) for _, _, numbers in columns),
            ],
        }
        for name in in_order(names, measured["metric"])
    ]
    return {"heads": [(role, label) for role, label, _ in columns[1:]], "rows": rows}


# -- classes, and precision against recall --------------------------------------------------------------


def share_charts(measured: dict[str, Any], columns: list[tuple[str, str, dict[str, Any]]]) -> list[Any]:
    """Precision against recall of all columns, and this model's class shares: SVG, of what was measured."""
    from markupsafe import Markup

    points = points_of(columns)
    charts = (
        [scatter("precision against recall, test split", points, "precision", "recall")] if points else []
    )
    shares = class_shares(measured)
    return [Markup(chart) for chart in [*charts, *([shares] if shares else [])]]


def points_of(columns: list[tuple[str, str, dict[str, Any]]]) -> list[Point]:
    """Precision and recall of each column that has both."""
    found = []
    for role, label, numbers in columns:
        x, y = _entry(numbers, "precision"), _entry(numbers, "recall")
        across, up = value(x), value(y)
        if across is not None and up is not None:
            found.append(Point(role, label, across, up, bounds(x), bounds(y)))
    return found


def class_shares(measured: dict[str, Any], title: str = "class shares, test split") -> str:
    """Each class's share among samples beside that among real examples, as SVG; empty where not known."""
    shares = ((measured.get("facts") or {}).get("test") or {}).get("class_shares")
    if not shares:
        return ""
    sets = {
        shown: {
            name: (100 * entry[part]["value"], _percent(bounds(entry[part])))
            for name, entry in shares.items()
        }
        for shown, part in (("samples", "samples"), ("real", "real"))
    }
    return paired(title, sets, "%")


def _percent(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return (100 * ends[0], 100 * ends[1]) if ends else None


def _slices(measured: dict[str, Any]) -> dict[str, Any] | None:
    """The classes or groups that are judged worst, on the split that gates look at; None without any."""
    slices = measured_slices(measured, DECIDES)
    by, ordered = from_the_worst(slices, measured["metric"])
    if not by:
        return None
    rivals = (measured.get("champion") or {}).get("slices")
    rivals = rivals if isinstance(rivals, list) else []  # by split where the two were not compared
    names = in_order((metric for entries in slices.values() for metric in entries), by)
    return {
        "by": by,
        "heads": [(name, arrow(name)) for name in names],
        "of": len(slices),
        "compared": bool(rivals),
        "rows": [
            {
                "name": name,
                "cells": [cell(slices[name].get(metric)) for metric in names],
                "regression": _regression(name, rivals),
            }
            for name in ordered[:MOST_SLICES]
        ],
    }


def measured_slices(measured: dict[str, Any], split: str) -> dict[str, dict[str, Entry]]:
    """Slice → metric → entry, of what has a value."""
    slices = (measured.get("slices") or {}).get(split) or {}
    return {
        name: {metric: entry for metric, entry in entries.items() if value(entry) is not None}
        for name, entries in slices.items()
    }


def from_the_worst(slices: dict[str, dict[str, Entry]], metric: str) -> tuple[str, list[str]]:
    """The metric that tells slices apart, and their names from the worst: `metric` where slices have it,
    else of those where more is better the one with the lowest value. Nothing where there is none."""
    names = in_order((name for entries in slices.values() for name in entries), metric)
    if not names:
        return "", []
    by = metric if metric in names else _lowest(slices, names)
    sign = 1 if by in METRICS and METRICS[by].better == "lower" else -1
    known = [name for name in slices if by in slices[name]]
    return by, sorted(known, key=lambda name: -sign * slices[name][by]["value"])


def _lowest(slices: dict[str, dict[str, Entry]], names: list[str]) -> str:
    lowest = {
        name: min(entries[name]["value"] for entries in slices.values() if name in entries)
        for name in names
        if name in METRICS and METRICS[name].better == "higher"
    }
    return min(lowest, key=lambda name: lowest[name]) if lowest else names[0]


def _regression(name: str, rivals: list[dict[str, Any]]) -> dict[str, Any] | None:
    """By how much a slice is worse than the champion's, in the metric where it is so most."""
    known = [
        one for one in rivals if one["slice"] == name and value({"value": one.get("regression")}) is not None
    ]
    return max(known, key=lambda one: (one["worse"], one["regression"]), default=None)
