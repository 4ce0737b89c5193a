"""Series: where each is cut in time, the statistics of its parts, and the whole line to examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.ingest import ingest
from components.modalities import series
from components.series_records import cuts_of, pieces
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform
from tests.components.series_readings import daily, read_all, summaries_of


def test_the_whole_line_from_a_folder_to_examples(test_data: Path, tmp_path: Path) -> None:
    """Through Beam, twice alike; what is missing in validation is known there only by its mask."""
    told = {
        "source": f"series:{test_data}/timeseries/*-[ms]*.csv",
        "encode": {"length": 48, "stride": 24},
        "read": {"context": 24, "frequency": ""},
    }
    data = DataSettings.parse(told)
    first, again = ingest(data, tmp_path / "records"), ingest(data, tmp_path / "again")
    assert first["counts"] == {"train": 2, "validation": 2, "test": 2, "rejected": 0, "read": 6}
    assert first["fingerprint"] == again["fingerprint"]
    statistics(tmp_path / "records", tmp_path / "statistics")
    made = transform(tmp_path / "records", tmp_path / "statistics", tmp_path / "examples", data)
    x = np.load(tmp_path / "examples" / "train-00000.x.npy")
    assert x.shape == (made["counts"]["train"], 48, 1)
    assert abs(x.mean()) < 0.1


# -- parts -----------------------------------------------------------------------------------------------


def test_each_series_is_cut_by_time_and_its_parts_join_again(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily(list(range(100)))), context=7)
    found = {part: next(pieces(table)) for part, table in tables.items()}
    assert {part: (p.offset, p.context, len(p.values)) for part, p in found.items()} == {
        "train": (0, 0, 80),
        "validation": (73, 7, 17),
        "test": (83, 7, 17),
    }
    joined = np.concatenate(
        [found[part].values[found[part].context :] for part in ("train", "validation", "test")]
    )
    assert joined.ravel().tolist() == list(range(100))
    assert tables["test"]["start"].to_pylist() == ["2024-03-24"]  # the 83rd day after the first
    assert {piece.length for piece in found.values()} == {100}


def test_cuts_by_counts_and_of_short_series() -> None:
    counts = series.Read(test_steps=12, validation_steps=6)
    assert cuts_of(100, counts) == [("train", 0, 82), ("validation", 82, 88), ("test", 88, 100)]
    with pytest.raises(ValueError, match="18 steps are too few for 6 of validation and 12 of test"):
        cuts_of(18, counts)
    assert cuts_of(3, series.Read()) == [("train", 0, 1), ("validation", 1, 2), ("test", 2, 3)]
    assert cuts_of(2, series.Read()) == [("train", 0, 2)]
    for steps in range(3, 300):
        sizes = [stop - start for _, start, stop in cuts_of(steps, series.Read())]
        assert sum(sizes) == steps
        assert min(sizes) >= 1


def test_long_parts_are_several_records(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.series_records.MOST_CELLS", 30)
    found = sorted(pieces(read_all(write(daily(list(range(100)))))[0]["train"]), key=lambda p: p.offset)
    assert [len(piece.values) for piece in found] == [30, 30, 20]
    assert np.concatenate([piece.values for piece in found]).ravel().tolist() == list(range(80))


# -- statistics ------------------------------------------------------------------------------------------


def test_statistics_leave_context_out_and_count_gaps(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily([1, 2, "", "", 5, 6, "", 8, 10, 20])), context=5)
    found = summaries_of(tables)
    train = found["train"].features
    assert (train["value"].count, train["value"].missing) == (5, 3)
    assert train["gap"].mean * train["gap"].count == 3
    assert dict(zip(train["gap"].values.tolist(), train["gap"].counts.tolist(), strict=True)) == {2: 1, 1: 1}
    assert train["difference"].count == 2
    assert train["frequency"].counts == {"1 day": 1}
    assert (found["test"].features["value"].min, found["test"].features["value"].count) == (20, 1)
    assert {s.features["length"].max for s in found.values()} == {10}


def anomalies_of(text: str, write: Callable[..., Path], **options: Any) -> dict[str, Any]:
    tables, _ = read_all(write(text), **options)
    return {one.rule: one for one in series.anomalies(summaries_of(tables))}


def test_anomalies(write: Callable[..., Path]) -> None:
    constant = anomalies_of(daily([4] * 20), write)["constant"]
    assert (constant.severity, constant.message) == (
        "error",
        "'value' is 4 in the whole training split: there is nothing to learn",
    )
    empty = anomalies_of(daily([""] * 16 + [1, 2, 3, 4]), write)
    assert empty["all-missing"].severity == "error"
    late = anomalies_of(daily([*range(16), 1, 2, "", ""]), write)
    assert (late["all-missing"].severity, set(late)) == ("warning", {"all-missing"})
    assert not anomalies_of(daily(list(range(20))), write)
    rows = [f"a,2024-01-{d:02d},{d}" for d in range(1, 12)] + [f"b,2024-{m:02d}-01,{m}" for m in range(1, 12)]
    rows += [f"c,2024-01-{d:02d},3" for d in range(1, 12)]
    rows[0], rows[1] = rows[1], rows[0]
    found = anomalies_of("\n".join(["id,time,value", *rows]), write)
    assert "1 day (6 records), 1 month (3 records)" in found["mixed-frequencies"].message
    assert found["unsorted"].message.startswith("1 rows")
    assert found["constant-series"].message == "1 of 3 train records never change"
