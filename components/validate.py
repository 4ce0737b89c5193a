"""Validate: gate 1. Are these data fit to learn from?

    report/
      report.json    {"verdict": "pass" | "fail", "anomalies": [sentence, ...], "counts": {...}}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.artifacts import read_json, reading, writing, write_json
from components.ingest import REJECTED, SPLITS
from components.modalities import modalities
from components.settings import DataSettings, TrainSettings


def validate(
    records: Path, statistics: Path, out: Path, data: DataSettings, train: TrainSettings
) -> dict[str, Any]:
    """Judges the statistics and writes the verdict, which the pipeline obeys, into `out`."""
    reading(statistics)
    found = read_json(statistics / "statistics.json")
    counts = found["counts"]
    anomalies = [
        *_rejections(counts, records, data.max_rejected),
        *_sizes(counts, train.batch_size),
    ]
    if all(counts[split] for split in SPLITS):
        anomalies += modalities()[found["modality"]].anomalies(found["splits"])
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


def _sizes(counts: dict[str, int], batch_size: int) -> list[str]:
    found = [
        f"the {split} split holds no record ({counts['read']} were read): give more data or change data.split"
        for split in SPLITS
        if not counts[split]
    ]
    if 0 < counts["train"] < batch_size:
        found.append(
            f"the train split holds {counts['train']} records, fewer than one batch of {batch_size}: "
            "give more data or set train.batch_size lower"
        )
    return found
