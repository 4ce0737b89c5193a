"""Gate 2: whether a model is good enough to be published, and the sentences that say why.

Pure functions over the evaluation's numbers. Only the validation split decides; the test split is for
the numbers that are published. What decides is the interval and not the value: a demand is passed where
the whole interval meets it, failed where none of it does, and inconclusive between; then more samples
are drawn, up to a budget, and a model that stays inconclusive is not blessed.

    evaluation = {"metric": "classifier_fid",
                  "validation": {metric: {"value": 4.2, "low": 3.9, "high": 4.6}},
                  "floors": {label: {"validation": {...}, "difference": {...}, "share": {...}}},
                  "champion": None | {"version": 3, "validation": {...}, "comparable": True, "why_not": "",
                                      "difference": {...}, "slices": [{"slice": "class 3", ...}]},
                  "best": None | the best champion so far (components.high_water),
                  "collapsed": "" | how it shows}

A difference is this model's value less the other's; `share` is less `floor_ratio` of the floor's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from components.errors import ConfigError, did_you_mean
from components.high_water import loss
from components.metrics import METRICS
from components.settings import GateSettings, Limit

WORDS = {True: "passed", False: "failed", None: "inconclusive"}
UNKNOWN = {"value": math.nan, "no_interval": "the evaluation did not compare them"}
MORE = "more samples (evaluate.most_samples) or more data would tell"


def decide(evaluation: dict[str, Any], gates: GateSettings) -> dict[str, Any]:
    """`{"blessed": bool, "outcome": "pass" | "fail" | "inconclusive", "reasons": [sentences]}`: each begins
    with `passed:`, `failed:`, `inconclusive:` or `noted:`.

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
            reasons += _floors(evaluation, metric, gates)
        reasons += _champion(evaluation, metric, gates)
    starts = {said.split(":", 1)[0] for said in reasons}
    outcome = "fail" if "failed" in starts else "inconclusive" if "inconclusive" in starts else "pass"
    return {"blessed": outcome == "pass", "outcome": outcome, "reasons": reasons}


def _sound(evaluation: dict[str, Any], metric: str) -> Iterator[str]:
    """The metric that matters was measured, no number is NaN and the samples are not one sample."""
    value = _value(evaluation, metric)
    if value is None:
        yield f"failed: {metric}, the metric that matters, was not measured on the validation split."
    elif math.isfinite(value):
        yield f"passed: {metric} is {_told(evaluation['validation'][metric])} on the validation split."
    for name in evaluation["validation"]:
        value = _value(evaluation, name)
        if value is not None and not math.isfinite(value):
            yield f"failed: {name} is {value} on the validation split, which is not a finite number."
    if evaluation.get("collapsed"):
        yield f"failed: the model has collapsed ({evaluation['collapsed']})."


def _limits(evaluation: dict[str, Any], gates: GateSettings) -> Iterator[str]:
    usual = {
        name: Limit(max=about.most)
        for name, about in METRICS.items()
        if about.most is not None and name in evaluation["validation"]
    }
    for name, limit in {**usual, **gates.limits}.items():
        entry = evaluation["validation"].get(name) or {}
        value = _value(evaluation, name)
        if value is None or not math.isfinite(value):
            said = "was not measured" if value is None else f"is {value}"
            yield f"failed: {name} has a limit and {said} on the validation split."
            continue
        low, high = _bounds(entry, gates)
        for bound, word, below in ((limit.min, "minimum", False), (limit.max, "maximum", True)):
            if bound is not None:
                met = _within(high, low, bound) if below else _within(-low, -high, -bound)
                yield _sentence(met, f"{name} is {_told(entry)}, and its {word} is {bound:.6g}", entry)


def _floors(evaluation: dict[str, Any], metric: str, gates: GateSettings) -> Iterator[str]:
    """Better than each simple model that the metric can judge, and clearly so if asked."""
    floors = evaluation.get("floors") or {}
    measured = {label: floor for label, floor in floors.items() if _value(floor, metric) is not None}
    if floors and not measured:
        yield f"passed: {metric} was measured of no floor, so there is none to beat."
    own = _told(evaluation["validation"][metric])
    for label, floor in measured.items():
        gap = floor.get("difference") or UNKNOWN
        met = _better(gap, metric, 0.0, gates, strictly=True)
        said = f"{metric} is {own}, and {_told(floor['validation'][metric])} of the floor {label}"
        yield _sentence(met, said, gap)
    if gates.floor_ratio < 1 and not METRICS[metric].distance:
        distances = ", ".join(name for name, about in METRICS.items() if about.distance)
        yield (
            f"failed: gates.floor_ratio is {gates.floor_ratio:g} and works with distances only "
            f"({distances}), not with {metric}: set it to 1."
        )
    elif gates.floor_ratio < 1 and measured:
        label, best = min(measured.items(), key=lambda pair: pair[1]["validation"][metric]["value"])
        gap = best.get("share") or UNKNOWN
        met = _better(gap, metric, 0.0, gates)
        said = f"{metric} is {own}, and {gates.floor_ratio:g} of the best floor's ({label}) is asked for"
        yield _sentence(met, said, gap)


def _champion(evaluation: dict[str, Any], metric: str, gates: GateSettings) -> Iterator[str]:
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
    margin = margin_of(champion["validation"][metric], gates)
    gap = champion.get("difference") or UNKNOWN
    met = _better(gap, metric, margin, gates)
    own = _told(evaluation["validation"][metric])
    yield _sentence(
        met,
        f"{metric} is {own} and {best:.6g} for {who}: {_told(gap, sign='+')} apart, where "
        f"{margin:.6g} for the worse is tolerated",
        gap,
    )
    yield from _best(evaluation, metric, gates)
    if gates.slices:
        yield from _slices(champion.get("slices") or [])


def _best(evaluation: dict[str, Any], metric: str, gates: GateSettings) -> Iterator[str]:
    """Nor worse than the best champion that these validation records have seen (`components.high_water`)."""
    best = evaluation.get("best")
    if not best or best["version"] == evaluation["champion"]["version"]:
        return
    margin = margin_of(best["entry"], gates)
    worse = loss(evaluation["validation"][metric], best["entry"], metric)
    yield (
        f"{WORDS[worse <= margin]}: {metric} is {_told(evaluation['validation'][metric])} and {best['entry']['value']:.6g} "
        f"for the best champion so far (version {best['version']}), where {margin:.6g} for the worse is tolerated."
    )


def margin_of(entry: dict[str, Any], gates: GateSettings) -> float:
    """How much worse than the champion's `entry` still passes: a share of its value, and never less than
    its own standard error, so that a champion at zero can be followed."""
    error = entry.get("standard_error")
    if error is None:
        low, high = (entry.get(bound) for bound in ("low", "high"))
        error = (high - low) / 4 if low is not None and high is not None else 0.0
    return max(gates.champion_margin * abs(entry["value"]), error if math.isfinite(error) else 0.0)


def _slices(slices: list[dict[str, Any]]) -> Iterator[str]:
    """Classes and groups in which the model is clearly worse than the champion (Holm-adjusted)."""
    worse = [one for one in slices if one["worse"]]
    for one in worse:
        yield (
            f"failed: {one['metric']} of {one['slice']} is {one['value']:.6g} and {one['champion']:.6g} for the "
            f"champion, worse beyond chance and margin (gates.slices=false leaves slices out)."
        )
    if slices and not worse:
        most = max(slices, key=lambda one: one["regression"])
        yield (
            f"passed: none of {len(slices)} slices is clearly worse than the champion's; the largest regression is "
            f"{most['metric']} of {most['slice']}, {most['regression']:.6g}."
        )


def undecided(verdict: dict[str, Any]) -> list[str]:
    """The metrics that an inconclusive verdict waits for."""
    return [said.split()[1] for said in verdict["reasons"] if said.startswith("inconclusive:")]


# -- intervals against bounds ------------------------------------------------------------------------


def _bounds(entry: dict[str, Any], gates: GateSettings) -> tuple[float, float]:
    """The interval that decides: NaN where there is none, the value itself where intervals are not asked."""
    if not gates.intervals:
        return float(entry["value"]), float(entry["value"])
    low, high = entry.get("low"), entry.get("high")
    return (math.nan if low is None else float(low)), (math.nan if high is None else float(high))


def _within(high: float, low: float, bound: float) -> bool | None:
    """Whether an interval lies at or below a bound: yes, no, or it cannot be told."""
    if high <= bound:
        return True
    return False if low > bound else None


def _better(
    entry: dict[str, Any], metric: str, margin: float, gates: GateSettings, strictly: bool = False
) -> bool | None:
    """Whether a difference is at most `margin` for the worse; `strictly`: whether it is below."""
    low, high = _bounds(entry, gates)
    if METRICS[metric].better == "higher":
        low, high = -high, -low
    if strictly and high == margin:
        return False
    return _within(high, low, margin)


def _sentence(met: bool | None, said: str, entry: dict[str, Any]) -> str:
    if met is not None:
        return f"{WORDS[met]}: {said}."
    if entry.get("low") is not None and math.isfinite(entry["low"]):
        return f"{WORDS[met]}: {said}; {MORE}."
    why = entry.get("no_interval") or "no interval is known"
    return f"{WORDS[met]}: {said}, without an interval ({why}): give more, or set gates.intervals=false."


def _told(entry: dict[str, Any], sign: str = "") -> str:
    """A value, and its interval where there is one that is not a point."""
    low, high = entry.get("low"), entry.get("high")
    said = f"{entry['value']:{sign}.6g}"
    if low is None or high is None or not math.isfinite(low) or low == high:
        return said
    return f"{said} ({low:{sign}.4g} to {high:{sign}.4g})"


def _value(measured: dict[str, Any], metric: str) -> float | None:
    """The metric's value on the validation split, or None where it was not measured."""
    entry = measured.get("validation", {}).get(metric) or {}
    return None if entry.get("value") is None else float(entry["value"])
