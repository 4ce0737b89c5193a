"""What can be wrong with any kind of data: the rules of gate 1 that need no schema and no champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.accumulators import Categorical
from components.ingest import REJECTED, SPLITS
from components.metrics import METRICS
from components.modalities import Anomaly, Summary, modalities
from components.settings import DataSettings, GateSettings, ModelSettings

NEED_CLASSES = frozenset(name for name, about in METRICS.items() if about.classes)


def rejections(
    counts: dict[str, int], records: Path, tolerated: float, rows: int | None = None
) -> list[Anomaly]:
    """More unreadable records than the recipe tolerates; fewer are told. `rows` is how many rows the records
    hold, where a record is many and what is rejected is one."""
    if not counts[REJECTED]:
        return []
    read = counts["read"] if rows is None else rows + counts[REJECTED]
    share = counts[REJECTED] / max(read, 1)
    file = records / REJECTED / "rejected.jsonl"
    with file.open(encoding="utf-8") as lines:
        first = json.loads(next(lines))
    what = "records" if rows is None else "rows"
    said = f"{counts[REJECTED]} of {read} {what} ({share:.1%}) cannot be read"
    where = f"the first is {first['key']}: {first['reason']} ({first['remedy']}); all are in {file}"
    if share <= tolerated:
        return [Anomaly("warning", "rejected", f"{said} and are left out; {where}")]
    limit = f"the recipe tolerates {tolerated:.1%} (data.max_rejected)"
    return [Anomaly("error", "rejected", f"{said}, and {limit}; {where}")]


def empty_splits(counts: dict[str, int]) -> list[Anomaly]:
    """Splits without a record."""
    return [
        Anomaly(
            "error",
            "empty-split",
            f"the {split} split holds no record ({counts['read']} were read): "
            "give more data or change data.split",
        )
        for split in SPLITS
        if not counts[split]
    ]


def small_batches(name: str, summary: Summary, data: DataSettings, batch_size: int) -> list[Anomaly]:
    """A training split of less than a batch. A record is one example, unless the kind of data `name`
    counts them otherwise."""
    modality = modalities()[name]
    count = summary.records
    if count and hasattr(modality, "examples"):
        count = modality.examples(summary, modality.Encode.parse(data.encode))
    if not 0 < count < batch_size:
        return []
    message = (
        f"the train split holds {count} examples, fewer than one batch of {batch_size}: "
        "give more data or set train.batch_size lower"
    )
    return [Anomaly("error", "less-than-a-batch", message)]


def missing_classes(
    name: str, summary: Summary, model: ModelSettings | None, gates: GateSettings | None
) -> list[Anomaly]:
    """Classes that gate 2 needs and the training split lacks."""
    if model is None or gates is None:
        return []
    asked = ", ".join(sorted(NEED_CLASSES & {gates.metric or "", *gates.limits}))
    image = modalities()[name].KIND == "image"
    classes = summary.features.get("class")
    known = len(classes.counts) if isinstance(classes, Categorical) else 0
    if not asked or known > 1:
        return []
    said = f"gate 2 asks for {asked}, which "
    if image:
        said += (
            f"needs labelled images of two classes or more, and these have {'one' if known else 'none'}: sort "
            "the files into one subfolder a class, or ask for what needs no classes, such as encoder_fid"
        )
    else:
        said += "is measured of images only: change gates.metric, gates.limits"
    return [Anomaly("error", "classes-needed", said)]


def leakage(duplicates: dict[str, Any], counts: dict[str, int], tolerated: float) -> list[Anomaly]:
    """Validation or test records that train holds too, or almost: they flatter what is measured there."""
    found = []
    for split in ("validation", "test"):
        exact = _leaked(duplicates, "exact", split)
        share = exact / max(counts[split], 1)
        said = f"{exact} of {counts[split]} {split} records ({share:.1%}) are in the training split too"
        if share > tolerated:
            message = (
                f"{said}, and the recipe tolerates {tolerated:.1%} (data.max_leaked), because they flatter what "
                "is measured: set data.split.by to content, which keeps equal records on one side where the source "
                f"has no official parts, remove them from the source, or raise data.max_leaked{_example(duplicates, 'exact', split)}"
            )
            found.append(Anomaly("error", "leakage", message))
        elif exact:
            message = f"{said}{_example(duplicates, 'exact', split)}"
            found.append(Anomaly("warning", "leakage", message))
        near = _leaked(duplicates, "near", split)
        share = near / max(counts[split], 1)
        if share > tolerated:  # a few that look much the same are in any large set
            message = (
                f"{near} of {counts[split]} {split} records ({share:.1%}) are nearly equal to one of the training "
                f"split: what is measured there may be flattered{_example(duplicates, 'near', split)}"
            )
            found.append(Anomaly("warning", "near-leakage", message))
    return found


def _leaked(duplicates: dict[str, Any], kind: str, split: str) -> int:
    return (duplicates.get(kind) or {}).get("leaked", {}).get(split, 0)


def _example(duplicates: dict[str, Any], kind: str, split: str) -> str:
    """The first pair that shows it, where it is among those that are kept."""
    for group in duplicates[kind].get("first", ()):
        keys = {side: key for side, key in reversed(group)}
        if split in keys and "train" in keys:
            return f" (e.g. {keys[split]} and {keys['train']})"
    return ""
