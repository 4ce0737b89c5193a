"""Series: the layouts of files, what columns and options may mean, and frames and garbage at random."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.errors import DataError
from components.modalities import series
from tests.components.series_readings import daily, only, read_all, whole

# -- layouts ---------------------------------------------------------------------------------------------


def test_wide_each_column_is_a_series(write: Callable[..., Path]) -> None:
    path = write("date,a,b\n2024-01-01,1,10\n2024-01-02,2,NA\n2024-01-03,3,30\n")
    found, rejected = whole(path)
    assert not rejected
    assert found["data.csv/a"].values.ravel().tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found["data.csv/b"].values.ravel(), [10, np.nan, 30])
    assert whole(path, columns=["b"])[0].keys() == {"data.csv/b"}
    together = only(path, channels=["b", "a"])
    assert together.channels == ("b", "a")
    np.testing.assert_array_equal(together.values, [[10, 1], [np.nan, 2], [30, 3]])


def test_long_one_series_an_id_over_all_files(write: Callable[..., Path], tmp_path: Path) -> None:
    write("unique_id,ds,y\nB,2024-01-02,5\nA,2024-01-01,1\nB,2024-01-01,4\n", "in/one.csv")
    write("ds,unique_id,y\n2024-01-02,A,2\n2024-01-03,,9\n", "in/two.csv")
    found, rejected = whole(tmp_path / "in")
    assert {name: piece.values.ravel().tolist() for name, piece in found.items()} == {
        "A": [1, 2],
        "B": [4, 5],
    }
    assert {name: piece.unsorted for name, piece in found.items()} == {"A": 0, "B": 1}
    (row,) = rejected
    assert (row.key, row.rule) == ("two.csv#3", "missing-id")


def test_long_in_several_rounds_gives_the_same(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"s{i % 7},2024-01-{1 + i // 7:02d},{i}" for i in range(70)]
    path = write("\n".join(["id,time,value", *rows, "s1,never,3", ",2024-01-01,4", "s1,2024-02"]))
    expected, bad = whole(path)
    monkeypatch.setattr("components.series_sources.BUCKET_BYTES", 300)
    found, also_bad = whole(path)
    assert len(series.plan(f"series:{path}", series.Read())) > 3
    assert found.keys() == expected.keys()
    for name, piece in found.items():
        assert piece.values.tolist() == expected[name].values.tolist()
    assert sorted(also_bad, key=str) == sorted(bad, key=str)
    assert sorted(one.rule for one in bad) == ["missing-id", "no-time", "ragged-row"]


def test_a_large_wide_file_is_read_in_columns_and_tells_each_bad_row_once(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        "date,a,b,c\n2024-01-01,1,2,x\n2024-01-02,4,5,6\nnever,1,1,1\n2024-01-03,7,8\n2024-01-02,0,0,0\n"
    )
    expected, bad = whole(path, columns=["a", "b", "c"])
    monkeypatch.setattr("components.series_sources.BUCKET_BYTES", 20)
    found, also_bad = whole(path, columns=["a", "b", "c"])
    assert {n: p.values.tolist() for n, p in found.items() if n != "data.csv/c"} == {
        "data.csv/a": [[1], [4]],
        "data.csv/b": [[2], [5]],
    }
    np.testing.assert_array_equal(found["data.csv/c"].values, expected["data.csv/c"].values)
    assert sorted(also_bad, key=str) == sorted(bad, key=str)
    assert sorted((one.key, one.rule) for one in bad) == [
        ("data.csv#2/c", "no-number"),
        ("data.csv#4", "no-time"),
        ("data.csv#5", "ragged-row"),
        ("data.csv#6", "repeated-time"),
    ]


def test_parquet_and_packed_csv(tmp_path: Path) -> None:
    times = np.array(["2024-01-01T00", "2024-01-01T01", "2024-01-01T03"], "datetime64[ns]")
    columns = {"timestamp": times, "a": [1, 2, None], "b": [0.5, float("inf"), 1.5]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found, rejected = whole(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found["t.parquet/a"].values.ravel(), [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(found["t.parquet/b"].values.ravel(), [0.5, np.nan, np.nan, 1.5])
    assert found["t.parquet/a"].frequency == "1 hour"
    assert [one.key for one in rejected] == ["t.parquet#2/b"]
    with gzip.open(tmp_path / "t.csv.gz", "wt") as out:
        out.write(daily([1, 2, 3]))
    assert only(tmp_path / "t.csv.gz").values.ravel().tolist() == [1, 2, 3]


def test_times_apart_joined_formatted_and_in_quarters(write: Callable[..., Path]) -> None:
    apart = write("year,month,day,hour,x\n2024,2,29,23,1\n2024,3,1,0,2\n2024,2,30,1,3\n")
    found, rejected = whole(apart)
    assert found["data.csv/x"].frequency == "1 hour"
    assert (
        rejected[0].reason
        == "line 4, column 'year month day hour': year 2024, month 2, day 30, hour 1 is no time"
    )
    joined = write("date,time,x\n2024-02-29,23:30,1\n2024-03-01,00:00,2\n")
    assert only(joined).frequency == "30 minutes"
    written = write("Datum;x\n31.01.2024;1\n01.02.2024;2\n")
    assert only(written, time="Datum", time_format="%d.%m.%Y").frequency == "1 day"
    quarters = write("quarter,x\n2023Q4,1\n2024Q1,2\n2024Q2,3\n")
    assert only(quarters).frequency == "1 quarter"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("x,y\n1,2\n", {}, "no column is the time; it has x, y: name it in data.read.time"),
        ("time,date_time,x\n1,2,3\n", {}, "time, date_time may each be the time"),
        ("time,id,temperature\n2024,a,1\n", {}, "'id' may tell series apart"),
        ("time,x\n2024,1\n", {"columns": ["z"]}, r"no column 'z' \(data.read.columns\): it has time, x"),
        ("time,x\n2024,1\n", {"covariates": ["x"]}, "no column of values"),
        ("time,x\n2024-05,one\n", {}, "'x' holds no numbers"),
        ("time,x\nMay,1\n", {"time_format": "%d %d"}, "holds no times"),
    ],
)
def test_what_columns_cannot_mean_is_said_at_once(
    write: Callable[..., Path], text: str, options: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_all(write(text), **options)


def test_sources_without_a_table(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for source in (f"series:{tmp_path}", f"series:{tmp_path}/nowhere.csv", "series:"):
        with pytest.raises(DataError):
            series.preflight(source, series.Read())


@pytest.mark.parametrize(
    "options",
    [
        {"frequency": "fortnightly"},
        {"frequency": "0 days"},
        {"columns": ["a"], "channels": ["b"]},
        {"columns": ["a"], "covariates": ["a"]},
        {"split": "series", "context": 3},
        {"colums": ["a"]},
    ],
)
def test_options_that_cannot_be_meant(options: Any) -> None:
    with pytest.raises(ValidationError):
        series.Read.parse(options)


# -- any frame -------------------------------------------------------------------------------------------


@settings(derandomize=True, max_examples=50, deadline=None)
@given(data=st.data())
def test_random_frames_survive(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any values at any steps, rows in any order: read back, the same values and the same gaps."""
    steps = sorted(data.draw(st.sets(st.integers(1, 40), max_size=25)) | {0, 1, 2})
    unit = data.draw(st.sampled_from(["s", "m", "h", "D", "M", "Y"]))
    start = np.array(data.draw(st.integers(-100, 200)), f"datetime64[{unit}]")
    gap = np.bincount(np.diff(steps)).argmax()  # several may be as common: then the least is the step
    value = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
    frame = {step: [data.draw(value), data.draw(value)] for step in steps}
    rows = [
        [str((start + step).astype("datetime64[s]")), *("" if v is None else repr(v) for v in frame[step])]
        for step in data.draw(st.permutations(steps))
    ]
    path = tmp_path_factory.mktemp("frames") / "frame.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([["time", "a", "b"], *rows])
    frequency = {"s": "second", "m": "minute", "h": "hour", "D": "day", "M": "month", "Y": "year"}[unit]
    piece = only(path, channels=["a", "b"], frequency=frequency)
    expected = np.full((steps[-1] + 1, 2), np.nan)
    for step, values in frame.items():
        expected[step] = [np.nan if v is None else v for v in values]
    np.testing.assert_array_equal(piece.values, expected)
    if gap == 1:
        assert only(path, channels=["a", "b"]).frequency == f"1 {frequency}"


@settings(derandomize=True, max_examples=100, deadline=None)
@given(body=st.text(alphabet='0123456789-:T.,;"\n\r einfaNZ\0é', max_size=200))
def test_garbage_never_crashes(body: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows of anything are read or set aside, or the file is refused in one sentence."""
    path = tmp_path_factory.mktemp("garbage") / "data.csv"
    path.write_text(f"time,value\n2024-01-01,1\n{body}\n2024-01-02,2\n", "utf-8", newline="")
    try:
        tables, rejected = read_all(path)
    except DataError:
        return
    for one in rejected:
        assert one.rule
        assert one.reason
        assert one.remedy
    assert tables or rejected
