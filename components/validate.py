"""Validate: gate 1. Are these data fit to learn from?

report/
  report.json    {"verdict": "pass" | "fail", "anomalies": [sentence, ...], "counts": {...}}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.artifacts import read_json, reading, write_json, writing
from components.ingest import REJECTED, SPLITS
from components.modalities import Summary, modalities
from components.settings import DataSettings, GateSettings, ModelSettings, TrainSettings
from components.statistics import summaries_of
from keras_models import describe

NEED_CLASSES = frozenset(  # what gate 2 measures with a classifier of the training images
    {
        "classifier_fid",
        "precision",
        "recall",
        "class_histogram_distance",
        "classes_covered",
        "smallest_class_share",
        "largest_class_share",
    }
)


def validate(
    records: Path,
    statistics: Path,
    out: Path,
    data: DataSettings,
    train: TrainSettings,
    model: ModelSettings | None = None,
    gates: GateSettings | None = None,
) -> dict[str, Any]:
    """Judges the statistics and writes the verdict, which the pipeline obeys, into `out`.

    With `model` and `gates` it also stops data on which gate 2 could not measure what it will ask for.
    """
    reading(statistics)
    found = read_json(statistics / "statistics.json")
    counts = found["counts"]
    summaries = summaries_of(found)
    anomalies = [
        *_rejections(counts, records, data.max_rejected),
        *_sizes(counts),
        *_batches(found["modality"], summaries["train"], data, train.batch_size),
    ]
    if all(counts[split] for split in SPLITS):
        odd = modalities()[found["modality"]].anomalies(summaries)
        anomalies += [anomaly.message for anomaly in odd if anomaly.severity == "error"]
        classes = summaries["train"].features.get("class")
        anomalies += _classes(None if classes is None else classes.counts, model, gates)
    report = {
        "verdict": "fail" if anomalies else "pass",
        "anomalies": anomalies,
        "counts": counts,
        "data_fingerprint": found["data_fingerprint"],
    }
    with writing(out, "validate") as (folder, manifest):
        write_json(folder / "report.json", report)
        manifest["fingerprint"] = found["data_fingerprint"]
    return report


def _rejections(counts: dict[str, int], records: Path, tolerated: float) -> list[str]:
    share = counts[REJECTED] / max(counts["read"], 1)
    if share <= tolerated:
        return []
    file = records / REJECTED / "rejected.jsonl"
    first = json.loads(file.read_text("utf-8").splitlines()[0])
    return [
        f"{counts[REJECTED]} of {counts['read']} records ({share:.1%}) cannot be read, and the recipe tolerates "
        f"{tolerated:.1%} (data.max_rejected); the first is {first['key']}: {first['reason']}; all are in {file}"
    ]


def _sizes(counts: dict[str, int]) -> list[str]:
    return [
        f"the {split} split holds no record ({counts['read']} were read): give more data or change data.split"
        for split in SPLITS
        if not counts[split]
    ]


def _batches(modality_name: str, summary: Summary, data: DataSettings, batch_size: int) -> list[str]:
    """A record is one example, unless the kind of data counts them otherwise."""
    modality = modalities()[modality_name]
    count = summary.records
    if count and hasattr(modality, "examples"):
        count = modality.examples(summary, modality.Encode.parse(data.encode))
    if not 0 < count < batch_size:
        return []
    return [
        f"the train split holds {count} examples, fewer than one batch of {batch_size}: "
        "give more data or set train.batch_size lower"
    ]


def _classes(
    counts: dict[str, int] | None, model: ModelSettings | None, gates: GateSettings | None
) -> list[str]:
    """Classes that gate 2 needs and the data lack. Images without a class are counted under ''."""
    if model is None or gates is None:
        return []
    by_default = "classifier_fid" if describe(model.family).likelihood == "none" else ""
    asked = ", ".join(sorted(NEED_CLASSES & {gates.metric or by_default, *gates.limits}))
    names = [name for name in counts or {} if name]
    if not asked or len(names) > 1:
        return []
    if counts is None:
        return [
            f"gate 2 asks for {asked}, which is measured of images only: change gates.metric, gates.limits"
        ]
    return [
        f"gate 2 asks for {asked}, which needs labelled images of two classes or more, and these have "
        f"{'one' if names else 'none'}: sort the files into one subfolder a class, or change gates.metric and "
        "gates.limits"
    ]
