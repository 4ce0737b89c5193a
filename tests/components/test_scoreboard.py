"""Numbers with intervals for a page: what a cell says, and where dots and whiskers stand on a scale."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.scoreboard import Lane, bounds, cell, in_order, interval, protocol, scale, ticks, value


def entry(
    at: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> dict[str, Any]:
    return {"value": at, "low": low, "high": high, **more}


def lane(at: float, low: float, high: float, role: str = "model", focus: bool = True) -> Lane:
    return Lane(role, role, {"test": entry(at, low, high)}, focus)


def test_a_cell_says_value_interval_and_protocol() -> None:
    found = cell(
        entry(5.1234567, 4.0055, 6.2, plain=5.77123, n=1000, interval="jackknife of 20 shards", split="test")
    )
    assert (found.value, found.interval) == ("5.123", "4.01 to\u00a06.2")
    assert found.protocol == "uncorrected 5.771 · n 1,000 · interval by jackknife of 20 shards"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.65551, 12.7163, "0.656 to 12.7"),
        (16.97123, 17.6338, "16.97 to 17.63"),  # two digits of what is between
        (0.99871, 0.99929, "0.99871 to 0.99929"),
        (-112.8, 200.2, "−113 to 200"),
        (0.0, 0.00382, "0 to 0.00382"),
        (-5.62e-5, 0.000287, "−5.62e−05 to 0.000287"),
        (1044.6, 12047.2, "1,045 to 12,047"),
        (4.0, 4.0, ""),
    ],
)
def test_bounds_have_as_many_digits_as_tell_them_apart(low: float, high: float, said: str) -> None:
    assert interval(entry(4.0, low, high)).replace("\u00a0", " ") == said


def test_what_has_no_interval_says_why() -> None:
    found = entry(5.0, no_interval="20 samples are fewer than two a shard", checkpoint="final")
    assert interval(found) == ""
    assert protocol(found) == "no interval: 20 samples are fewer than two a shard"


def test_a_count_has_no_interval_and_an_uncorrected_value_is_told_once() -> None:
    assert protocol(entry(10.0, 10.0, 10.0, interval="counted", plain=10.0)) == ""
    assert bounds(entry(10.0, 10.0, 10.0)) is None


@pytest.mark.parametrize("missing", [None, {}, entry(None), entry(float("nan")), entry(float("inf"))])
def test_what_was_not_measured_is_a_dash(missing: Any) -> None:
    assert value(missing) is None
    assert cell(missing).value == "—"


def test_the_metric_that_matters_comes_first() -> None:
    assert in_order(["recall", "mine", "precision"], "recall") == ["recall", "precision", "mine"]


def test_places_on_a_scale_follow_the_values() -> None:
    found = scale([lane(6, 4, 8), lane(2, 1, 3, "champion")], {"maximum": 9}, zero=True)
    (own,), (other,) = (one["dots"] for one in found["lanes"])
    assert own["from"] < own["at"] < own["to"]
    assert other["at"] == pytest.approx(own["at"] / 3, abs=0.02)  # the scale begins at 0
    assert found["marks"][0]["label"] == "maximum 9"
    assert own["to"] < found["marks"][0]["at"] <= 100
    assert (found["ticks"][0]["label"], found["ticks"][0]["at"]) == ("0", 0)


def test_a_far_floor_does_not_squeeze_the_others_and_is_an_arrow() -> None:
    found = scale([lane(6, 4, 8), lane(95, 90, 99, "floor", focus=False)], {"maximum": 500}, zero=True)
    assert found["lanes"][0]["dots"][0]["at"] > 50
    far = found["lanes"][1]["dots"][0]
    assert (far["off"], far["at"]) == ("right", None)
    assert (found["marks"], found["beyond"]) == ([], ["maximum 500"])


def test_a_near_floor_is_on_the_scale() -> None:
    found = scale([lane(6, 4, 8), lane(20, 19, 22, "floor", focus=False)], {})
    assert found["lanes"][1]["dots"][0]["off"] == ""


@pytest.mark.parametrize("at", [0.0, -30.0, 1e-9, 1e12])
def test_one_value_without_an_interval_is_in_the_middle(at: float) -> None:
    found = scale([Lane("model", "mine", {"test": entry(at)})], {})
    assert found["lanes"][0]["dots"][0]["at"] == pytest.approx(50, abs=1)


def test_nothing_measured_is_a_scale_without_dots() -> None:
    found = scale([Lane("model", "mine", {"test": {}, "validation": entry(None)})], {})
    assert found["lanes"][0]["dots"] == []
    assert found["lanes"][0]["cell"].value == "—"


@settings(derandomize=True, max_examples=50)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in found)
