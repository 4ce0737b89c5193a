"""Data that gate 1 has judged: pictures to spoil, the report on them, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.artifacts import read_json, reading
from components.ingest import ingest
from components.schema import Schema
from components.settings import DataSettings, TrainSettings
from components.statistics import statistics
from components.validate import validate

HALF = {"train": 0.5, "validation": 0.25, "test": 0.25}


def judged(
    out: Path, batch_size: int = 8, schema: Schema | None = None, champion: Path | None = None, **data: Any
) -> dict[str, Any]:
    """The report on data that go through ingest and statistics."""
    settings = DataSettings.parse({"split": HALF, **data})
    ingest(settings, out / "records")
    found = statistics(out / "records", out / "statistics")
    assert read_json(out / "statistics/statistics.json") == found
    train = TrainSettings(batch_size=batch_size)
    report = validate(
        out / "records",
        out / "statistics",
        out / "report",
        settings,
        train,
        schema=schema,
        champion_statistics=champion,
    )
    assert read_json(out / "report/report.json") == report
    assert reading(out / "report")["fingerprint"] == report["data_fingerprint"]
    assert report["verdict"] == ("fail" if said(report) else "pass")
    return report


def said(report: dict[str, Any], severity: str = "error") -> list[str]:
    """The sentences of one severity."""
    return [one["message"] for one in report["anomalies"] if one["severity"] == severity]


def rules(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Severity and rule of every anomaly."""
    return [(one["severity"], one["rule"]) for one in report["anomalies"]]


def picture(file: Path, seed: int, side: int = 4) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(values).save(file)


def labelled_pictures(folder: Path) -> Path:
    """60 pictures of two classes."""
    for i in range(60):
        picture(folder / "ab"[i % 2] / f"{i:02d}.png", i)
    return folder
