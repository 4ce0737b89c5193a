"""Series: the published ones at their lengths, times on their grid, and what is set aside or a gap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import DataError
from components.time_steps import Frequency, Unplaceable, place
from tests.components.series_readings import daily, only, read_all, whole

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
