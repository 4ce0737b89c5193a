"""Gate 2: whether a model is good enough to be published, and the sentences that say why.

Pure functions over the evaluation's numbers. Only the validation split decides; the test split is
for the numbers that are published.

    evaluation = {"metric": "classifier_fid",
                  "validation": {metric: {"value": 4.2}},
                  "floors": {label: {"validation": {metric: {"value": 20.6}}}},
                  "champion": None | {"version": 3, "validation": {...}, "comparable": True, "why_not": ""},
                  "collapsed": "" | how it shows}
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from components.errors import ConfigError, did_you_mean
from components.metrics import METRICS
from components.settings import GateSettings

DISTANCES = ("classifier_fid", "class_histogram_distance")  # zero means perfect, so a share makes sense


def decide(evaluation: dict[str, Any], gates: GateSettings) -> dict[str, Any]:
    """`{"blessed": bool, "reasons": [sentences]}`: each begins with `passed:` or `failed:`.

    Raises:
        ConfigError: the metric that matters is none of `METRICS`.
    """
    metric = gates.metric or evaluation["metric"]
    if metric not in METRICS:
        raise ConfigError(f"'{metric}' is no metric{did_you_mean(metric, METRICS)}")
    reasons = [*_sound(evaluation, metric), *_limits(evaluation, gates)]
    value = _value(evaluation, metric)
    if value is not None and math.isfinite(value):
        if gates.beat_floors:
            reasons += _floors(evaluation, metric, value, gates.floor_ratio)
        reasons += _champion(evaluation, metric, value, gates)
    return {"blessed": not any(said.startswith("failed:") for said in reasons), "reasons": reasons}


def _sound(evaluation: dict[str, Any], metric: str) -> Iterator[str]:
    """The metric that matters was measured, no number is NaN and the samples are not one sample."""
    value = _value(evaluation, metric)
    if value is None:
        yield f"failed: {metric}, the metric that matters, was not measured on the validation split."
    elif math.isfinite(value):
        yield f"passed: {metric} is {value:.6g} on the validation split."
    for name in evaluation["validation"]:
        value = _value(evaluation, name)
        if value is not None and not math.isfinite(value):
            yield f"failed: {name} is {value} on the validation split, which is not a finite number."
    if evaluation.get("collapsed"):
        yield f"failed: the model has collapsed ({evaluation['collapsed']})."


def _limits(evaluation: dict[str, Any], gates: GateSettings) -> Iterator[str]:
    for name, limit in gates.limits.items():
        value = _value(evaluation, name)
        if value is None or math.isnan(value):
            said = "was not measured" if value is None else "is NaN"
            yield f"failed: {name} has a limit and {said} on the validation split."
            continue
        if limit.min is not None:
            verdict, word = ("passed", "at least") if value >= limit.min else ("failed", "below")
            yield f"{verdict}: {name} is {value:.6g}, {word} its minimum {limit.min:.6g}."
        if limit.max is not None:
            verdict, word = ("passed", "at most") if value <= limit.max else ("failed", "above")
            yield f"{verdict}: {name} is {value:.6g}, {word} its maximum {limit.max:.6g}."


def _floors(evaluation: dict[str, Any], metric: str, value: float, ratio: float) -> Iterator[str]:
    """Strictly better than each simple model that the metric can judge, and clearly so if asked."""
    floors = evaluation.get("floors") or {}
    numbers = {label: _value(floor, metric) for label, floor in floors.items()}
    measured = {label: number for label, number in numbers.items() if number is not None}
    if floors and not measured:
        yield f"passed: {metric} was measured of no floor, so there is none to beat."
    for label, floor in measured.items():
        verdict, word = ("passed", "better") if _better(metric, value, floor) else ("failed", "not better")
        yield f"{verdict}: {metric} is {value:.6g}, {word} than {floor:.6g} of the floor {label}."
    if ratio < 1 and metric not in DISTANCES:
        yield (
            f"failed: gates.floor_ratio is {ratio:g} and works with distances only "
            f"({', '.join(DISTANCES)}), not with {metric}: set it to 1."
        )
    elif ratio < 1 and measured:
        best = min(measured.values())
        verdict, word = ("passed", "at most") if value <= ratio * best else ("failed", "more than")
        yield f"{verdict}: {metric} is {value:.6g}, {word} {ratio:g} of the best floor's {best:.6g}."


def _champion(evaluation: dict[str, Any], metric: str, value: float, gates: GateSettings) -> Iterator[str]:
    """No worse than the champion by more than the margin; what cannot be compared is refused."""
    champion = evaluation.get("champion")
    if not gates.champion:
        yield "passed: the champion was not asked about (gates.champion=false)."
        return
    if champion is None:
        yield "passed: there is no champion yet to be compared with."
        return
    who = f"the champion (version {champion['version']})"
    best = _value(champion, metric)
    why_not = ""
    if not champion["comparable"]:
        why_not = champion.get("why_not") or "its evaluation differs"
    elif best is None:
        why_not = f"it has no {metric}"
    elif not math.isfinite(best):
        why_not = f"its {metric} is {best}"
    if why_not or best is None:
        yield (
            f"failed: {metric} cannot be compared with {who}: {why_not}. "
            "Publish without the comparison by `--set gates.champion=false`, or under another name."
        )
        return
    margin = gates.champion_margin * abs(best)
    worse = value - best if METRICS[metric].better == "lower" else best - value
    verdict, word = ("passed", "within") if worse <= margin else ("failed", "beyond")
    yield (
        f"{verdict}: {metric} is {value:.6g} and {best:.6g} for {who}, {word} the margin of "
        f"{margin:.6g} ({gates.champion_margin:.0%})."
    )


def _better(metric: str, value: float, other: float) -> bool:
    """Strictly better; false where the other is NaN."""
    return value < other if METRICS[metric].better == "lower" else value > other


def _value(measured: dict[str, Any], metric: str) -> float | None:
    """The metric's value on the validation split, or None where it was not measured."""
    entry = measured.get("validation", {}).get(metric) or {}
    return None if entry.get("value") is None else float(entry["value"])
