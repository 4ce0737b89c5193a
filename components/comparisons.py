"""Comparisons: how far a model is from a floor or from the champion, and in which slices it is worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.gates import margin_of
from components.judge import Measures
from components.metrics import METRICS
from components.metrics.intervals import SHARDS, Estimate, difference, holm, student
from components.settings import GateSettings

SPLIT = "validation"  # that gates decide on


def against_floor(own: Measures, floor: Measures, metric: str, ratio: float) -> dict[str, Any]:
    """`difference` and `share` (against `ratio` of the floor's value), where both have the metric."""
    here, there = own.splits[SPLIT].get(metric), floor.splits[SPLIT].get(metric)
    if here is None or there is None or not same_measure(here, there):
        return {}
    return {
        "difference": difference(here, there).told(),
        "share": difference(here, there.scaled(ratio)).told(),
    }


def against_champion(own: Measures, champion: Measures, metric: str, gates: GateSettings) -> dict[str, Any]:
    """`difference`, and `slices`: the same in each class or group."""
    found = against_floor(own, champion, metric, 1.0)
    found.pop("share", None)
    return {**found, "slices": _slices(own, champion, metric, gates)} if found else {}


def comparable(own: Measures, other: Measures) -> Measures:
    """`other` without what does not compare with `own`: see `same_measure`."""
    splits = {
        split: {
            name: one
            for name, one in metrics.items()
            if (mine := own.splits[split].get(name)) is None or same_measure(mine, one)
        }
        for split, metrics in other.splits.items()
    }
    return replace(other, splits=splits)


def same_measure(own: Estimate, other: Estimate) -> bool:
    """A log-density and a log-mass do not compare, nor do distances in the features of two networks."""
    return all(own.extra.get(what) == other.extra.get(what) for what in ("measure", "features"))


def _slices(own: Measures, champion: Measures, metric: str, gates: GateSettings) -> list[dict[str, Any]]:
    """Each slice's metrics, this model's and the champion's: `worse` where it is so beyond the margin and
    beyond chance, adjusted for how many there are."""
    found, p = [], []
    names = sorted(set(own.slices.get(SPLIT, {})) & set(champion.slices.get(SPLIT, {})))
    for name in names:
        here, there = own.slices[SPLIT][name], champion.slices[SPLIT][name]
        compared = [metric] if metric in here and metric in there else sorted(set(here) & set(there))
        for one in compared:
            if not same_measure(here[one], there[one]):
                continue
            apart = difference(here[one], there[one])
            worse = apart.value if METRICS[one].better == "lower" else -apart.value
            margin = margin_of(there[one].told(), gates)
            found.append(
                {
                    "slice": name,
                    "metric": one,
                    "value": here[one].value,
                    "champion": there[one].value,
                    "regression": worse,
                }
            )
            p.append(_p_value(worse - margin, apart))
    rejected = holm(p).tolist()
    return [
        {**one, "worse": worse, "p": chance} for one, worse, chance in zip(found, rejected, p, strict=True)
    ]


def _p_value(beyond: float, apart: Estimate) -> float:
    """The chance of a regression so far `beyond` the margin where there is none; NaN without an interval."""
    from scipy.special import stdtr

    half = (apart.high - apart.low) / 2
    if not apart.estimable:
        return float("nan")
    if half == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(1 - stdtr(SHARDS - 1, beyond * student(SHARDS - 1) / half))
