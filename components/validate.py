"""Validate: gate 1. Are these data fit to learn from?

report/
  report.json    {"verdict": "pass" | "fail", "anomalies": [{"severity", "rule", "message"}, ...],
                  "drift": [{"against", "split", "feature", "measure", "distance", "limit", ...}],
                  "counts": {...}}

One error and the verdict is `fail`; a warning is told in the page of the run.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import anomalies
from components.artifacts import read_json, reading, write_json, writing
from components.drift import Finding, compare
from components.ingest import SPLITS
from components.modalities import Anomaly, Summary, modalities
from components.schema import Schema, check
from components.settings import DataSettings, DriftSettings, GateSettings, ModelSettings, TrainSettings
from components.span_drift import newest_span
from components.statistics import summaries_of

MEASURES = {
    "jensen_shannon": ("Jensen-Shannon divergence", " bits"),
    "kolmogorov_smirnov": ("Kolmogorov-Smirnov distance", ""),
}


def validate(
    records: Path,
    statistics: Path,
    out: Path,
    data: DataSettings,
    train: TrainSettings,
    model: ModelSettings | None = None,
    gates: GateSettings | None = None,
    *,
    schema: Schema | None = None,
    champion_statistics: Path | None = None,
) -> dict[str, Any]:
    """Judges the statistics and writes the verdict, which the pipeline obeys, into `out`.

    Args:
        model, gates: with them it also stops data on which gate 2 could not measure what it will ask for.
        schema: what the data must look like.
        champion_statistics: the file of the data that the champion learnt from (`compact`).
    """
    reading(statistics)
    found = read_json(statistics / "statistics.json")
    counts, name = found["counts"], found["modality"]
    summaries = summaries_of(found)
    module = modalities()[name]
    rows = module.rows(summaries) if hasattr(module, "rows") else None
    odd = [
        *anomalies.rejections(counts, records, data.max_rejected, rows),
        *anomalies.empty_splits(counts),
        *anomalies.small_batches(name, summaries["train"], data, train.batch_size),
        *anomalies.leakage(found["duplicates"], counts, data.max_leaked),
    ]
    if all(counts[split] for split in SPLITS):
        odd += module.anomalies(summaries)
        odd += anomalies.missing_classes(name, summaries["train"], model, gates)
    if schema is not None:
        odd += _breaches(schema, name, summaries)
    drift = _skew(summaries, data.drift)
    if champion_statistics is not None:
        before = read_json(champion_statistics)
        drift_found, told = _since(before, name, summaries["train"], data.drift)
        drift += drift_found
        odd += told
        newest = newest_span(records, data) if before["modality"] == name else None
        if newest is not None:
            span, summary = newest
            found_in_it = compare(summary, summaries_of(before)["train"], data.drift)
            drift += [_entry("champion", f"newest span ({span})", finding) for finding in found_in_it]
    odd += [_drifted(entry, data.drift) for entry in drift if entry["drifted"]]
    report = {
        "verdict": "fail" if any(one.severity == "error" for one in odd) else "pass",
        "anomalies": [asdict(one) for one in sorted(odd, key=lambda one: one.severity)],  # errors first
        "drift": drift,
        "counts": counts,
        "data_fingerprint": found["data_fingerprint"],
    }
    with writing(out, "validate") as (folder, manifest):
        write_json(folder / "report.json", report)
        manifest["fingerprint"] = found["data_fingerprint"]
    return report


def _breaches(schema: Schema, name: str, summaries: dict[str, Summary]) -> list[Anomaly]:
    if schema.modality == name:
        return check(schema, summaries)
    message = f"the schema is of {schema.modality} and these data are {name}: infer another (`mozart schema`)"
    return [Anomaly("error", "other-modality", message)]


def _skew(summaries: dict[str, Summary], settings: DriftSettings) -> list[dict[str, Any]]:
    """How far validation and test lie from train."""
    return [
        _entry("train", split, finding)
        for split in ("validation", "test")
        for finding in compare(summaries[split], summaries["train"], settings)
    ]


def _since(
    champion: dict[str, Any], name: str, train: Summary, settings: DriftSettings
) -> tuple[list[dict[str, Any]], list[Anomaly]]:
    """How far train lies from the training split of the champion; and what cannot be compared."""
    if champion["modality"] != name:
        message = (
            f"the champion learnt {champion['modality']} and these data are {name}: they are not compared"
        )
        return [], [Anomaly("warning", "other-modality", message)]
    before = summaries_of(champion)["train"]
    told = []
    changed = train.features.keys() ^ before.features.keys()
    if changed and train.records:
        message = f"features that only these data or those of the champion have: {', '.join(sorted(changed))}"
        told.append(Anomaly("warning", "other-features", message))
    return [_entry("champion", "train", finding) for finding in compare(train, before, settings)], told


def _entry(against: str, split: str, finding: Finding) -> dict[str, Any]:
    return {"against": against, "split": split, **asdict(finding)}


def _drifted(entry: dict[str, Any], settings: DriftSettings) -> Anomaly:
    measure, unit = MEASURES[entry["measure"]]
    most = f", most of all by {entry['most']!r}" if entry["most"] else ""
    other = "the training split" if entry["against"] == "train" else "the champion's training split"
    where = entry["split"] if "span" in entry["split"] else f"{entry['split']} split"
    return Anomaly(
        "error" if settings.action == "stop" else "warning",
        "skew" if entry["against"] == "train" else "drift",
        f"feature '{entry['feature']}' of the {where} differs from that of {other}{most}: "
        f"{measure} {entry['distance']:.3f}{unit}, and {entry['limit']:.3f} is allowed "
        f"(data.drift.{entry['measure']}, raised to what chance explains)",
    )
