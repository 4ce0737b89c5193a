"""What statistics keep of series, and what is odd about them. The context of a record is left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from components.accumulators import Categorical, Feature, Numeric
from components.modalities import Anomaly, Summary
from components.series_records import UNIVARIATE, pieces

MOSTLY = 0.5  # the share of missing values that is told


def named(kind: str, channel: str) -> str:
    """The feature of a channel: `value`, or of one among many `value of TEMP`."""
    return kind if channel == UNIVARIATE else f"{kind} of {channel}"


def summarise(table: pa.Table) -> dict[str, Feature]:
    """Of each channel the values and their differences from step to step, missing ones counted; lengths of
    gaps and of whole series, frequencies, rows out of order, and whether each record varies."""
    values: dict[str, list[np.ndarray]] = {}
    gaps: list[np.ndarray] = []
    plain: dict[str, list[Any]] = {"length": [], "unsorted": [], "frequency": [], "state": []}
    for piece in pieces(table):
        own = piece.values[piece.context :]
        for number, channel in enumerate(piece.channels):
            values.setdefault(named("value", channel), []).append(own[:, number])
            values.setdefault(named("difference", channel), []).append(np.diff(own[:, number]))
        for number, name in enumerate(piece.covariate_names):
            values.setdefault(f"covariate {name}", []).append(piece.covariates[piece.context :, number])
        gaps.append(gaps_of(own))
        plain["length"].append(piece.length)
        plain["unsorted"].append(piece.unsorted)
        plain["frequency"].append(piece.frequency)
        plain["state"].append(_state(own))
    found: dict[str, Feature] = {name: _numeric(np.concatenate(parts)) for name, parts in values.items()}
    found["gap"] = Numeric.of(np.concatenate(gaps) if gaps else np.empty(0))
    found |= {name: Numeric.of(np.array(plain[name])) for name in ("length", "unsorted")}
    found |= {name: Categorical.of(Counter(plain[name])) for name in ("frequency", "state")}
    return found


def rows(summaries: dict[str, Summary]) -> int:
    """Steps of all series, those without a value included: what a rejected row is one of."""
    return sum(
        max(
            (feature.total for name, feature in summary.features.items() if name.startswith("value")),
            default=0,
        )
        for summary in summaries.values()
    )


def _numeric(values: np.ndarray) -> Numeric:
    missing = np.isnan(values)
    return Numeric.of(values[~missing], missing=int(missing.sum()))


def gaps_of(values: np.ndarray) -> np.ndarray:
    """The length of each run of missing values of each channel of `[steps, channels]`."""
    missing = np.zeros((len(values) + 2, values.shape[1]), np.int8)
    missing[1:-1] = np.isnan(values)
    edges = np.diff(missing, axis=0).T
    return np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]


def _state(values: np.ndarray) -> str:
    """empty: no value; single: one for a channel at most; constant: never another; else varies."""
    present = ~np.isnan(values)
    counts = present.sum(0)
    if counts.max(initial=0) < 2:
        return "single" if counts.any() else "empty"
    lowest = np.where(present, values, np.inf).min(0)
    highest = np.where(present, values, -np.inf).max(0)
    return "varies" if (highest > lowest).any() else "constant"


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """Channels that are constant or missing altogether stop the line; series like that, mixed
    frequencies, many gaps and rows out of order are told."""
    found = [*_of_channels(summaries)]
    for split, summary in summaries.items():
        states = summary.features["state"].counts
        for state, said in (("constant", "never change"), ("empty", "hold no value at all")):
            if states.get(state) and sum(states.values()) > 1:
                told = f"{states[state]} of {summary.records} {split} records {said}"
                found.append(Anomaly("warning", f"{state}-series", told))
    frequencies = Counter[str]()
    for summary in summaries.values():
        frequencies.update(summary.features["frequency"].counts)
    if len(frequencies) > 1:
        told = ", ".join(f"{name} ({count} records)" for name, count in sorted(frequencies.items()))
        said = f"the series have different frequencies: {told}; a step means another time in each"
        found.append(Anomaly("warning", "mixed-frequencies", said))
    late = sum(round(s.features["unsorted"].mean * s.features["unsorted"].count) for s in summaries.values())
    if late:
        said = f"{late} rows stood behind a later one of their series and were sorted by time"
        found.append(Anomaly("warning", "unsorted", said))
    return found


def _of_channels(summaries: dict[str, Summary]) -> list[Anomaly]:
    found = []
    for split, summary in summaries.items():
        for name, feature in summary.features.items():
            if not name.startswith(("value", "covariate ")):
                continue
            if not feature.count:
                severity = "error" if split == "train" and name.startswith("value") else "warning"
                said = f"'{name}' is missing in the whole {split} split: leave it out (data.read)"
                found.append(Anomaly(severity, "all-missing", said))  # type: ignore[arg-type]
                continue
            if split == "train" and name.startswith("value") and feature.min == feature.max:
                said = f"'{name}' is {feature.min:g} in the whole training split: there is nothing to learn"
                found.append(Anomaly("error", "constant", said))
            share = feature.missing / feature.total
            if share > MOSTLY:
                said = f"{share:.0%} of '{name}' in the {split} split is missing"
                found.append(Anomaly("warning", "mostly-missing", said))
    return found


def lost_windows(gap: Numeric, length: int, stride: int) -> int:
    """How many windows at most lie in gaps altogether."""
    longest = np.ceil(gap.values * (1 if gap.exact else 1.02))
    return int((gap.counts * np.maximum(0, (longest - length) // stride + 1)).sum())
