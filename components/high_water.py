"""The high-water mark: the best champion that a validation split has seen.

Each night may be a little worse than the champion within what chance explains, and thirty such nights add
up. So a challenger is held against the best champion so far as well, where both were measured on the same
validation records in the same way: what all of them together may lose is one margin, not one a night.

    {"version": 3, "metric": "nats", "split": fingerprint, "entry": {"value": ..., "low": ..., "high": ...}}
"""

from __future__ import annotations

import math
from typing import Any

from components.metrics import METRICS

ALIKE = ("measure", "features", "n", "checkpoint")


def mark_of(
    champion: dict[str, Any] | None, before: dict[str, Any] | None, metric: str, split: str
) -> dict[str, Any] | None:
    """The mark that a challenger is held against; None where there is no comparable champion.

    Args:
        champion: the champion's facts as measured now, beside the challenger.
        before: the mark that the champion itself was held against.
        split: fingerprint of the validation records.
    """
    entry = ((champion or {}).get("validation") or {}).get(metric)
    if champion is None or not champion["comparable"] or entry is None or not _finite(entry):
        return None
    now = {"version": champion["version"], "metric": metric, "split": split, "entry": entry}
    if before is None or before["metric"] != metric or before["split"] != split:
        return now
    then = before["entry"]
    if any(then.get(what) != entry.get(what) for what in ALIKE) or not _finite(then):
        return now
    return before if loss(entry, then, metric) > 0 else now


def loss(entry: dict[str, Any], best: dict[str, Any], metric: str) -> float:
    """How much worse `entry` is than `best`; negative where it is better."""
    apart = float(entry["value"]) - float(best["value"])
    return apart if METRICS[metric].better == "lower" else -apart


def _finite(entry: dict[str, Any]) -> bool:
    return entry.get("value") is not None and math.isfinite(entry["value"])
