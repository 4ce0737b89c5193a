"""The page of one run: what came out, how good it is, and what it was made of. One HTML file.

It stands alone (pictures and charts inside, no script, nothing from the network) and is written
however the run ended: what is not there is said to be not there.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from components.accumulators import Feature, Numeric
from components.artifacts import explain_os_error, read_json
from components.metrics import METRICS
from components.pages import number, template, visible
from components.pictures import show
from components.provenance import now
from components.train import HISTORY, read_history

TEMPLATE = "report.html.j2"
SPLITS = ("train", "validation", "test")
UNITS = {"class": "records", "value": "values", "character": "times"}
FIRST = ("class", "value", "character")  # features that a chart shows before others
MOST_CHARTS = 6
PROTOCOL = ("n", "real", "training", "neighbours", "features", "likelihood", "measure")  # what is said first


def write_report(
    page: Path,
    *,
    name: str,
    recipe: dict[str, Any] | None = None,
    statistics: Path | None = None,
    validation: Path | None = None,
    model: Path | None = None,
    evaluation: Path | None = None,
    release: Path | None = None,
    failure: str = "",
) -> None:
    """Writes the file `page` about the run `name` from the artifact folders that there are.

    Args:
        recipe: what was asked for; by default what the model's provenance says.
        failure: why the run stopped, for the person who reads; empty where it did not.

    Raises:
        ResourceError: the page cannot be written.
    """
    found = {
        "statistics": _json(statistics, "statistics.json"),
        "validation": _json(validation, "report.json"),
        "model": _json(model, "model.json"),
        "provenance": _json(model, "provenance.json"),
        "evaluation": _json(evaluation, "evaluation.json"),
        "release": _json(release, "release.json"),
    }
    provenance, measured = found["provenance"] or {}, found["evaluation"]
    recipe = recipe or provenance.get("recipe") or {}
    family = (found["model"] or measured or recipe.get("model") or {}).get("family", "")
    html = template(TEMPLATE).render(
        **found,
        name=name,
        failure=failure,
        family=family,
        about=_about(family),
        badge=_badge(found, failure),
        date=(provenance.get("created") or now())[:16].replace("T", " "),
        tiles=_tiles(measured) if measured else [],
        bars=_bars(measured) if measured else [],
        table=_table(measured) if measured else None,
        metrics=METRICS,
        shown=show(evaluation) if measured and evaluation else {},
        curves=_curves(model, family) if model and found["model"] else [],
        data=_data(found["statistics"]) if found["statistics"] else None,
        recipe=_yaml(recipe),
    )
    beside = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(html, "utf-8")
        os.replace(beside, page)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise explain_os_error(error, page) from error


def _json(folder: Path | None, file: str) -> Any:
    """What a folder's file says, or None where the run did not come so far."""
    return read_json(folder / file) if folder and (folder / file).is_file() else None


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=96) if value else ""


def _about(family: str) -> Any:
    """What the family says of itself; None for one that this Mozart does not have."""
    from keras_models import describe, families

    return describe(family) if family in families() else None


def _badge(found: dict[str, Any], failure: str) -> tuple[str, str]:
    """The end of the run: a tone (good, bad, plain) and a few words."""
    release, measured, gate_1 = found["release"], found["evaluation"], found["validation"]
    if release:
        said = f"version {release['version']}"
        return ("good", f"published as {said}") if release["champion"] else ("plain", f"{said}, not promoted")
    if measured and not measured["verdict"]["blessed"]:
        return "bad", "refused"
    if gate_1 and gate_1["verdict"] != "pass":
        return "bad", "data refused"
    if failure:
        return "bad", "stopped"
    return ("good", "passed its gates") if measured else ("plain", "not finished")


# -- how good it is ------------------------------------------------------------------------------------


def _columns(measured: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What the model is compared with: role, label, numbers by split."""
    found = [("model", "this model", measured)]
    champion = measured.get("champion")
    if champion:
        found.append(("champion", f"champion, version {champion['version']}", champion))
    found += [("floor", label, floor) for label, floor in (measured.get("floors") or {}).items()]
    if any((measured.get("reference") or {}).values()):
        found.append(("reference", "real against real", measured["reference"]))
    return found


def _value(numbers: dict[str, Any], metric: str, split: str = "test") -> float | None:
    value = ((numbers.get(split) or {}).get(metric) or {}).get("value")
    return value if value is not None and math.isfinite(value) else None


def _tiles(measured: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The metric that matters, its best floor, its reference and its champion: label, value, note."""
    metric, columns = measured["metric"], _columns(measured)
    validation = number(_value(measured, metric, "validation"))
    tiles = [(f"{metric}, test split", number(_value(measured, metric)), f"validation split {validation}")]
    floors = [(_value(floor, metric), label) for role, label, floor in columns if role == "floor"]
    valued = [(value, label) for value, label in floors if value is not None]
    best = min if METRICS[metric].better == "lower" else max
    value, label = best(valued) if valued else (None, "not measured" if floors else "none asked for")
    tiles.append(("best floor", number(value), label))
    reference = _value(measured.get("reference") or {}, metric)
    note = "training split in place of samples" if reference is not None else "none for this metric"
    tiles.append(("real against real", number(reference), note))
    champion = measured.get("champion")
    note = f"version {champion['version']}" if champion else "none to compare with"
    if champion and not champion["comparable"]:
        note += ", not comparable"
    return [*tiles, ("champion", number(_value(champion or {}, metric)), note)]


def _bars(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The metric that matters on the test split, as bars from zero: left edge and width in percent."""
    metric = measured["metric"]
    values = [(role, label, _value(numbers, metric)) for role, label, numbers in _columns(measured)]
    known = [0.0, *(value for _, _, value in values if value is not None)]
    low, span = min(known), (max(known) - min(known)) or 1.0
    return [
        {
            "role": role,
            "label": label,
            "value": value,
            "left": round(100 * (min(value or 0.0, 0.0) - low) / span, 2),
            "width": round(100 * abs(value or 0.0) / span, 2),
        }
        for role, label, value in values
        if role != "reference" or value is not None
    ]


def _table(measured: dict[str, Any]) -> dict[str, Any]:
    """Metrics by column; the one that matters first. A cell is its value and its protocol."""
    columns = _columns(measured)
    names = dict.fromkeys(name for split in ("test", "validation") for name in measured.get(split) or {})
    ordered = sorted(names, key=lambda name: (name != measured["metric"], [*METRICS, name].index(name)))

    def cell(numbers: dict[str, Any], metric: str, split: str = "test") -> tuple[str, str]:
        entry = (numbers.get(split) or {}).get(metric) or {}
        return number(entry.get("value")), _protocol(entry)

    rows = [
        {
            "metric": name,
            "main": name == measured["metric"],
            "cells": [
                cell(measured, name, "validation"),
                *(cell(numbers, name) for _, _, numbers in columns),
            ],
        }
        for name in ordered
    ]
    return {"heads": [(role, label) for role, label, _ in columns[1:]], "rows": rows}


def _protocol(entry: dict[str, Any]) -> str:
    """How a number was measured, in one line."""
    told = {key: value for key, value in entry.items() if key not in ("value", "split") and value is not None}
    error = told.pop("standard_error", None)
    ordered = sorted(told, key=lambda key: [*PROTOCOL, key].index(key))
    said = [f"{key.replace('_', ' ')} {told[key]}" for key in ordered]
    return " · ".join([*said, f"standard error {number(error)}"] if error is not None else said)


# -- charts -------------------------------------------------------------------------------


def _curves(model: Path, family: str) -> list[Any]:
    """One chart for each value that the training reported."""
    from markupsafe import Markup

    from components.charts import curve

    rows = read_history(model / HISTORY) if (model / HISTORY).is_file() else []
    about = _about(family)
    exact = bool(about and about.likelihood != "none")
    epochs = [row["epoch"] for row in rows]
    charts = []
    for name in sorted(rows[0], key=lambda name: name != "loss") if rows else ():
        values = [row[name] for row in rows]
        unit = "log-odds" if "logit" in name else "nats" if exact else ""
        if name != "epoch":
            title = f"{name.replace('_', ' ')}: {number(values[-1])} at the end"
            charts.append(Markup(curve(title, epochs, values, unit)))
    return charts


def _data(statistics: dict[str, Any]) -> dict[str, Any]:
    """Records by split, and the features of the training split: charts of some, facts where all agree."""
    from markupsafe import Markup

    from components.charts import MOST_COLUMNS, columns
    from components.statistics import summaries_of

    summaries = summaries_of(statistics)
    features = summaries["train"].features
    charts: list[Any] = []
    facts: list[tuple[str, str]] = []
    for name in sorted(features, key=lambda name: ([*FIRST, name].index(name), name)):
        counts = _counts(features[name])
        shown = name.replace("_", " ")
        if len(counts) == 1:
            facts += [(shown, value) for value in counts]
        elif counts and len(charts) < MOST_CHARTS:
            numeric = isinstance(features[name], Numeric)
            title = f"{shown} of the training split"
            drawn = columns(title, counts, UNITS.get(name, "times"), log=numeric and name == "value")
            charts.append(Markup(drawn))
        if len(counts) > MOST_COLUMNS:
            facts.append((f"distinct {shown}", number(len(counts))))
    return {
        "splits": {name: summary.records for name, summary in summaries.items()},
        "charts": charts,
        "facts": facts,
    }


def _counts(feature: Feature) -> dict[str, int]:
    """Name → count: a histogram in 16 columns, whole numbers in their order, else the commonest first."""
    if isinstance(feature, Numeric):
        if feature.min == feature.max:
            return {number(feature.min): feature.count} if feature.count else {}
        top = feature.max + 1 if feature.whole else feature.max  # 0 to 255 is sixteen times sixteen values
        counts, edges = feature.histogram(16, feature.min, top)
        places = [number(edge) for edge in edges[:-1]]
        places = places if len(set(places)) == len(places) else [f"{edge:.6g}" for edge in edges[:-1]]
        return dict(zip(places, counts.tolist(), strict=True))
    ordered = feature.ordered()
    if all(name.isdecimal() for name, _ in ordered):
        ordered.sort(key=lambda pair: int(pair[0]))
    return {visible(name): count for name, count in ordered}
