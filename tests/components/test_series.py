"""Series: layouts, times on their grid, what is set aside, cuts, windows, scaling there and back."""

from __future__ import annotations

import csv
import gzip
import json
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

from components.accumulators import merged
from components.errors import DataError
from components.ingest import ingest
from components.modalities import Block, Rejected, Summary, series
from components.series_records import Piece, cuts_of, pieces
from components.settings import DataSettings
from components.statistics import statistics
from components.time_steps import Frequency, Unplaceable, place
from components.transform import transform

# -- reading without Beam --------------------------------------------------------------------------------


def table_of(block: Block) -> pa.Table:
    columns = {f.name: pa.array(block.columns[f.name], f.type) for f in series.RECORD}
    return pa.table(columns, pa.schema(series.RECORD))


def read_all(source: Path | str, **options: Any) -> tuple[dict[str, pa.Table], list[Rejected]]:
    """Part → its records ("whole" where a hash decides), and what was set aside."""
    options_ = series.Read.parse(options)
    tables: dict[str, list[pa.Table]] = {}
    rejected = []
    for chunk in series.plan(f"series:{source}", options_):
        json.dumps(chunk)
        for found in series.read(chunk, options_):
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                assert isinstance(found, Block)
                tables.setdefault(found.part or "whole", []).append(table_of(found))
    return {part: pa.concat_tables(some) for part, some in tables.items()}, rejected


def whole(source: Path | str, **options: Any) -> tuple[dict[str, Piece], list[Rejected]]:
    """Name → the series, not cut."""
    tables, rejected = read_all(source, split="series", **options)
    found = [piece for table in tables.values() for piece in pieces(table)]
    assert len({piece.series for piece in found}) == len(found)
    return {piece.series: piece for piece in found}, rejected


def only(source: Path | str, **options: Any) -> Piece:
    found, rejected = whole(source, **options)
    assert not rejected
    (piece,) = found.values()
    return piece


def summaries_of(tables: dict[str, pa.Table]) -> dict[str, Summary]:
    return {part: Summary(t.num_rows, merged([series.summarise(t)])) for part, t in tables.items()}


def fitted(tables: dict[str, pa.Table], **options: Any) -> dict[str, Any]:
    encode = series.Encode.parse(options)
    found = series.fit(summaries_of(tables), encode, lambda: [tables["train"]])
    return json.loads(json.dumps(found))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def daily(values: list[Any], first: str = "2024-01-01") -> str:
    days = np.datetime64(first) + np.arange(len(values))
    return "date,value\n" + "".join(f"{day},{value}\n" for day, value in zip(days, values, strict=True))


# -- the published series --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "rows", "steps", "frequency", "start"),
    [
        ("airline-passengers", {}, 144, 144, "1 month", "1949-01-01"),
        ("monthly-sunspots", {}, 2820, 2820, "1 month", "1749-01-01"),
        # the file leaves out the 29th of February of two leap years: the grid has them, as gaps
        ("daily-min-temperatures", {}, 3650, 3652, "1 day", "1981-01-01"),
        ("shampoo", {"frequency": "rows"}, 36, 36, "rows", None),
    ],
)
def test_published_series_have_their_lengths(
    test_data: Path, name: str, options: Any, rows: int, steps: int, frequency: str, start: str | None
) -> None:
    file = test_data / "timeseries" / f"{name}.csv"
    piece = only(file, **options)
    assert (len(piece.values), int(np.isfinite(piece.values).sum())) == (steps, rows)
    assert piece.frequency == frequency
    parts, _ = read_all(file, **options)
    assert sum(sum(t["steps"].to_pylist()) for t in parts.values()) == steps
    assert parts["train"]["start"].to_pylist() == [start]


def test_pollution_is_hourly_and_has_its_gaps(test_data: Path) -> None:
    channels = ["pm2.5", "DEWP", "TEMP", "PRES"]
    file = test_data / "timeseries" / "pollution.csv"
    piece = only(file, channels=channels, covariates=["hour", "Iws"])
    assert piece.values.shape == (43_824, 4)
    assert piece.frequency == "1 hour"
    assert np.isnan(piece.values).sum(0).tolist() == [2067, 0, 0, 0]
    assert piece.covariates[:3].tolist() == [[0, 1.79], [1, 4.92], [2, 6.71]]
    with pytest.raises(DataError, match=r"column 'cbwd' holds no numbers .*columns: \[No, pm2.5, DEWP"):
        read_all(file)


def test_months_that_are_no_dates_are_told_with_the_remedy(test_data: Path) -> None:
    with pytest.raises(DataError, match=r"'Month' holds no times \('1-01' .*data.read.frequency: rows"):
        read_all(test_data / "timeseries" / "shampoo.csv")


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


# -- times on their grid ---------------------------------------------------------------------------------


def times_of(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]").astype(np.int64)


@pytest.mark.parametrize(
    ("texts", "frequency", "steps"),
    [
        (["2024-01-31", "2024-02-29", "2024-03-31", "2024-05-31"], "1 month", [0, 1, 2, 4]),
        (["2023-12-31", "2024-03-31", "2024-06-30", "2024-09-30"], "1 quarter", [0, 1, 2, 3]),
        (["2020-02-29", "2021-02-28", "2022-02-28", "2024-02-29"], "1 year", [0, 1, 2, 4]),
        (["1899", "1900", "1901"], "1 year", [0, 1, 2]),
        (["2024-01-01", "2024-01-29", "2024-02-26"], "4 weeks", [0, 1, 2]),
        (
            ["2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T01:00", "2024-01-01T01:15"],
            "15 minutes",
            [0, 1, 4, 5],
        ),
        (["2024-03-05"], None, [0]),
    ],
)
def test_the_frequency_is_the_commonest_difference(
    texts: list[str], frequency: str | None, steps: list[int]
) -> None:
    placed = place(times_of(*texts), None, 10)
    assert (str(placed.grid.frequency) if placed.grid else None) == frequency
    assert placed.steps.tolist() == steps
    for step, text in zip(steps, texts, strict=True):
        assert np.datetime64(placed.start(step), "us") == np.datetime64(text, "us")


def test_repeated_unsorted_and_off_grid_rows_are_told(write: Callable[..., Path]) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 13)]
    days[3], days[4] = days[4], days[3]
    rows = [f"{day},{number}" for number, day in enumerate(days)] + ["2024-01-02,99", "2024-01-05T07:00,98"]
    found, rejected = whole(write("\n".join(["date,value", *rows])))
    (piece,) = found.values()
    assert piece.values.ravel().tolist() == [0, 1, 2, 4, 3, *range(5, 12)]
    assert piece.unsorted == 1
    assert [(one.key, one.rule) for one in rejected] == [
        ("data.csv#14", "repeated-time"),
        ("data.csv#15", "off-grid"),
    ]
    assert "2024-01-05T07:00:00 is between two steps of 1 day" in rejected[1].reason


def test_series_without_a_grid_are_set_aside_whole(write: Callable[..., Path]) -> None:
    long = "id,time,value\n" + "".join(f"fine,2024-01-{d:02d},{d}\n" for d in range(1, 4))
    odd = ["00:00:00", "00:00:07", "00:01:31", "00:03:59"]
    long += "".join(f"odd,2024-01-01T{clock},1\n" for clock in odd)
    long += "".join(f"far,{day},1\n" for day in ("2024-01-01", "2024-01-02", "2124-01-01"))
    found, rejected = whole(write(long), longest_gap=100)
    assert list(found) == ["fine"]
    assert {one.key: one.rule for one in rejected} == {"odd": "irregular", "far": "long-gap"}
    assert "between 2024-01-02 and 2124-01-01" in next(one.reason for one in rejected if one.key == "far")
    kept, rejected = whole(write(long), frequency="rows")
    assert (len(kept), rejected) == (3, [])


def test_a_named_frequency_is_held_against_the_times(write: Callable[..., Path]) -> None:
    path = write("time,x\n2024-01-01,1\n2024-01-03,2\n2024-01-05,3\n")
    assert only(path).frequency == "2 days"
    np.testing.assert_array_equal(only(path, frequency="day").values.ravel(), [1, np.nan, 2, np.nan, 3])
    _, (refused,) = whole(path, frequency="week")
    assert refused.rule == "irregular"
    with pytest.raises(Unplaceable, match="3 rows on 5761 steps"):
        place(times_of("2024-01-01", "2024-01-03", "2024-01-05"), Frequency.parse("minute"), 10_000)


def test_what_is_no_number_is_told_and_a_gap(write: Callable[..., Path]) -> None:
    found, rejected = whole(write(daily([1, "inf", "", "1,5".replace(",", "."), "abc", "NaN", 7])))
    np.testing.assert_array_equal(
        found["data.csv/value"].values.ravel(), [1, np.nan, np.nan, 1.5, np.nan, np.nan, 7]
    )
    assert [(one.key, one.rule) for one in rejected] == [
        ("data.csv#3/value", "no-number"),
        ("data.csv#6/value", "no-number"),
    ]
    assert rejected[0].reason == "line 3, column 'value': 'inf' is not finite"
    assert "leave the field empty" in rejected[0].remedy


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


# -- examples --------------------------------------------------------------------------------------------


def test_windows_masks_and_where_they_are_from(write: Callable[..., Path]) -> None:
    values: list[Any] = [float(i * i) for i in range(50)]
    values[5] = ""
    tables, _ = read_all(write(daily(values)), context=6)
    encoding = fitted(tables, length=8, stride=4)
    train = series.encode(tables["train"], encoding)
    assert train["x"].shape == (9, 8, 1)
    assert train["offset"].tolist() == list(range(0, 36, 4))
    assert train["length"].tolist() == [8] * 9
    assert train["mask"][0].ravel().tolist() == [1, 1, 1, 1, 1, 0, 1, 1]
    assert train["x"][0, 5, 0] == 0
    assert (train["series"] == 1).all()
    test = series.encode(tables["test"], encoding)  # steps 45 to 49 behind 39 to 44
    assert test["offset"].tolist() == [39, 43]
    assert test["context"].tolist() == [6, 2]
    assert test["length"].tolist() == [8, 7]
    assert test["mask"][1].ravel().tolist() == [1] * 7 + [0]
    np.testing.assert_allclose(
        series.decode(test["x"], encoding)[1, :7, 0], np.arange(43, 50) ** 2, rtol=1e-6
    )


def test_windows_behind_the_context_only(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily(list(range(100)))), context=50)
    test = series.encode(tables["test"], fitted(tables, length=10, stride=10))
    assert test["offset"].tolist() == [90]
    assert test["context"].tolist() == [0]
    assert series.encode(tables["test"], fitted(tables, length=20, stride=1))["context"].tolist() == [
        *range(19, 9, -1)
    ]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=3, max_size=80),
    length=st.integers(1, 9),
    stride=st.integers(1, 9),
)
def test_every_value_is_in_a_window_and_examples_is_never_above(
    values: list[int | None], length: int, stride: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stride = min(stride, length)
    path = tmp_path_factory.mktemp("windows") / "data.csv"
    path.write_text(daily(["" if v is None else v for v in values]))
    tables, _ = read_all(path)
    train = {"train": tables["train"]}
    encoding = {
        **{"length": length, "stride": stride, "channels": ["value"], "series": ["data.csv/value"]},
        **{"mean": [0.0], "std": [1.0], "log": False, "covariates": {"names": [], "mean": [], "std": []}},
    }
    found = series.encode(train["train"], encoding)
    seen = {
        (int(offset) + step): window[step, 0]
        for offset, window, mask in zip(found["offset"], found["x"], found["mask"], strict=True)
        for step in range(length)
        if mask[step, 0]
    }
    (piece,) = pieces(train["train"])
    assert seen == {step: v for step, v in enumerate(piece.values.ravel().tolist()) if v == v}
    least = series.examples(summaries_of(train)["train"], series.Encode(length=length, stride=stride))
    assert least <= len(found["x"])


def test_scaling_is_of_the_training_split_and_exact_to_a_millionth(write: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    a, b = 1e6 + 3 * rng.standard_normal(200), np.exp(rng.standard_normal(200))
    days = np.datetime64("2024-01-01") + np.arange(200)
    text = "date,a,b,c\n" + "".join(
        f"{d},{x!r},{y!r},{i % 7}\n" for i, (d, x, y) in enumerate(zip(days, a.tolist(), b.tolist()))
    )
    tables, _ = read_all(write(text), channels=["a", "b"], covariates=["c"])
    encoding = fitted(tables, length=10)
    assert encoding["mean"] == pytest.approx([a[:160].mean(), b[:160].mean()], rel=1e-12)
    assert encoding["std"] == pytest.approx([a[:160].std(), b[:160].std()], rel=1e-9)
    arrays = series.encode(tables["train"], encoding)
    back = series.decode(arrays["x"], encoding).reshape(160, 2)
    assert np.abs((back - np.stack([a, b], 1)[:160]) / encoding["std"]).max() < 1e-6
    assert arrays["covariates"].shape == (16, 10, 1)
    assert series.spec(encoding).model_dump(include={"kind", "shape", "covariates", "series"}) == {
        "kind": "series",
        "shape": (10, 2),
        "covariates": 1,
        "series": 1,
    }
    plain = fitted(tables, length=10, scale="none")
    np.testing.assert_array_equal(
        series.encode(tables["train"], plain)["x"][0, :, 1], b[:10].astype(np.float32)
    )


@settings(derandomize=True, max_examples=60, deadline=None)
@given(values=st.lists(st.floats(1e-6, 1e6), min_size=40, max_size=40, unique=True), log=st.booleans())
def test_scaling_there_and_back(
    values: list[float], log: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("scaling") / "data.csv"
    path.write_text(daily([repr(value) for value in values]))
    tables, _ = read_all(path)
    encoding = fitted(tables, length=32, scale="log_standard" if log else "standard")
    back = series.decode(series.encode(tables["train"], encoding)["x"], encoding).ravel()
    given_ = np.array(values[:32])
    off = np.log(back) - np.log(given_) if log else back - given_
    assert np.abs(off / encoding["std"]).max() < 1e-6


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([0, *range(1, 40)], {"scale": "log_standard"}, "train split goes down to 0.*set it to standard"),
        ([*range(1, 40), -3], {"scale": "log_standard"}, "test split goes down to -3"),
        ([2] * 40, {}, "'value' is 2 in the whole training split and cannot be scaled"),
        (list(range(40)), {"length": 33}, "the longest training series has 32 steps"),
    ],
)
def test_what_cannot_be_encoded(
    write: Callable[..., Path], values: list[int], options: Any, said: str
) -> None:
    tables, _ = read_all(write(daily(values)))
    with pytest.raises(DataError, match=said):
        fitted(tables, **{"length": 8, **options})


def test_series_of_other_channels_are_refused(write: Callable[..., Path]) -> None:
    one, _ = read_all(write(daily(list(range(20)))))
    other, _ = read_all(write("date,a,b\n2024-01-01,1,2\n2024-01-02,3,4\n"), channels=["a", "b"])
    with pytest.raises(DataError, match="has channels a, b and the training split value"):
        series.encode(other["train"], fitted(one, length=4))


def test_too_many_overlapping_windows_are_refused(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, _ = read_all(write(daily(list(range(100)))))
    assert fitted(tables, length=40, stride=1)["stride"] == 1
    monkeypatch.setattr(series, "FREE_VALUES", 100)
    with pytest.raises(DataError, match=r"write 80 training values 40 times: set data\.encode\.stride to 3"):
        fitted(tables, length=40, stride=1)


def test_batches_and_augmentation(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily([*range(20), "", *range(29)])))
    encoding = fitted(tables, length=8)
    rng = np.random.default_rng(0)
    batch = series.batch(series.encode(tables["train"], encoding), encoding, rng)
    assert batch["mask"].dtype == np.float32
    same = series.augment(batch, series.Augment(), encoding, rng)
    np.testing.assert_array_equal(same["x"], batch["x"])
    moved = series.augment(batch, series.Augment(jitter=0.1, stretch=0.1), encoding, rng)
    assert moved["x"].dtype == np.float32
    changed = moved["x"] != batch["x"]
    assert changed.any()
    assert not changed[batch["mask"] == 0].any()


def test_samples_are_a_table_and_a_picture(write: Callable[..., Path], tmp_path: Path) -> None:
    tables, _ = read_all(write(daily([v + 0.25 for v in range(50)])))
    encoding = fitted(tables, length=10, scale="log_standard")
    x = series.encode(tables["train"], encoding)["x"]
    x[0, 3] = np.nan
    out = series.write_samples(x, encoding, tmp_path / "samples")
    rows = list(csv.DictReader(out.open()))
    assert (len(rows), rows[0].keys()) == (40, {"sample", "step", "value"})
    assert rows[3]["value"] == ""
    assert float(rows[11]["value"]) == pytest.approx(11.25, rel=1e-6)
    picture = (tmp_path / "samples.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    series.write_samples(x, encoding, tmp_path / "again.csv")
    assert (tmp_path / "again.png").read_bytes() == picture
    again, rejected = whole(out, id="sample", columns=["value"], frequency="rows", time="step")
    assert (sorted(again), rejected) == (["1", "2", "3", "4"], [])


# -- any frame -------------------------------------------------------------------------------------------


@settings(derandomize=True, max_examples=100, deadline=None)
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
