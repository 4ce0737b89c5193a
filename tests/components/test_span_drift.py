"""One drifted day in a window of many is seen by itself, and can stop the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import write_json
from components.ingest import ingest
from components.settings import DataSettings, TrainSettings
from components.span_drift import newest_span
from components.statistics import compact, statistics
from components.validate import validate

DAYS = 8


def day(folder: Path, number: int, letters: str) -> None:
    drawn = np.random.default_rng(number).choice(list(letters), (120, 40))
    (folder / f"{number}.txt").write_text("\n".join("".join(line) for line in drawn), "utf-8")


def data_of(folder: Path, **spans: Any) -> DataSettings:
    drift = {"action": "stop", "jensen_shannon": 0.1}
    return DataSettings.parse(
        {
            "source": f"text:{folder}/{{SPAN}}.txt",
            "spans": {"window": DAYS, **spans},
            "read": {"block": 200},
            "drift": drift,
        }
    )


def judged(data: DataSettings, out: Path, champion: Path | None = None) -> dict[str, Any]:
    ingest(data, out / "records")
    write_json(out / "compact.json", compact(statistics(out / "records", out / "statistics")))
    settings = TrainSettings(batch_size=4)
    return validate(
        out / "records", out / "statistics", out / "report", data, settings, champion_statistics=champion
    )


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    for number in range(1, DAYS + 1):
        day(folder, number, "abcdefgh")
    judged(data_of(folder), folder / "before")
    return folder


def errors(report: dict[str, Any]) -> list[str]:
    return [one["message"] for one in report["anomalies"] if one["severity"] == "error"]


def test_a_day_like_the_others_passes(days: Path, tmp_path: Path) -> None:
    day(days, DAYS + 1, "abcdefgh")
    report = judged(data_of(days), tmp_path / "out", days / "before" / "compact.json")
    assert errors(report) == []
    against = {one["split"] for one in report["drift"] if one["against"] == "champion"}
    assert against == {"train", f"newest span ({DAYS + 1})"}


def test_a_drifted_day_stops_the_line_though_the_window_as_a_whole_does_not(
    days: Path, tmp_path: Path
) -> None:
    day(days, DAYS + 1, "abx")
    report = judged(data_of(days), tmp_path / "out", days / "before" / "compact.json")
    (error,) = [said for said in errors(report) if "'character'" in said]
    assert f"feature 'character' of the newest span ({DAYS + 1}) differs from that of the champion's" in error
    of_window = [one for one in report["drift"] if one["feature"] == "character" and one["split"] == "train"]
    assert [one["drifted"] for one in of_window] == [False]
    assert report["verdict"] == "fail"


def test_a_window_of_one_span_and_a_source_without_spans_have_no_newest(days: Path) -> None:
    records = days / "before" / "records"
    assert newest_span(records, data_of(days, only=f"{DAYS}")) is None
    assert newest_span(records, DataSettings(source="digits")) is None
    found = newest_span(records, data_of(days, only=f"1..{DAYS}"))
    assert found is not None
    assert found[0] == str(DAYS)
    assert found[1].records > 0
