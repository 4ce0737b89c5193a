"""What a run's page says of its model's quality: marks of the gates, slices, shares, notes."""

from __future__ import annotations

import copy
from typing import Any

from components.report_quality import MOST_SLICES, class_shares, points_of, quality


def entry(value: float | None, half: float = 0.5, **more: Any) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "no_interval": "a value is not finite"}
    return {"value": value, "low": value - half, "high": value + half, "interval": "Wilson", "n": 64, **more}


def splits(fid: float, precision: float, recall: float) -> dict[str, Any]:
    numbers = {
        "classifier_fid": entry(fid),
        "precision": entry(precision, 0.05),
        "recall": entry(recall, 0.05),
    }
    return {"validation": numbers, "test": copy.deepcopy(numbers)}


def measured(**changed: Any) -> dict[str, Any]:
    return {
        "metric": "classifier_fid",
        **splits(6.0, 0.7, 0.8),
        "floors": {"normal": splits(30.0, 0.2, 0.3)},
        "reference": splits(1.0, 0.9, 0.9),
        "champion": {
            "version": 3,
            "comparable": True,
            **splits(8.0, 0.6, 0.7),
            "difference": entry(-2.0),
            "slices": [
                regression("class 3", "recall", 0.2, 0.5, worse=True),
                regression("class 3", "precision", 0.5, 0.6),
                regression("class 5", "recall", 0.9, 0.8),
            ],
        },
        "slices": {
            "validation": {f"class {i}": {"recall": entry(0.1 * i, 0.05)} for i in range(10)},
            "test": {},
        },
        "facts": {"test": {"class_shares": {"a": share(0.1, 0.5), "b": share(0.9, 0.5)}}},
        "gates": {
            "limits": {"classifier_fid": {"max": 10.0}},
            "champion_margin": 0.5,
            "floor_ratio": 0.5,
        },
        "samples": 4000,
        "settings": {"samples": 1000},
        "notes": {"path_length": "latents of one dimension have no arc"},
        "features": {"name": "classifier@abc", "test_accuracy": 0.9731, "trusted": True},
        **changed,
    }


def regression(name: str, metric: str, own: float, champion: float, worse: bool = False) -> dict[str, Any]:
    return {
        "slice": name,
        "metric": metric,
        "value": own,
        "champion": champion,
        "regression": champion - own,
        "worse": worse,
        "p": 0.01,
    }


def share(samples: float, real: float) -> dict[str, Any]:
    return {"samples": entry(samples, 0.05), "real": entry(real, 0.05)}


def test_the_scale_holds_all_and_marks_what_the_gates_ask() -> None:
    found = quality(measured())["scale"]
    assert [lane["role"] for lane in found["lanes"]] == ["model", "champion", "floor", "reference"]
    assert [dot["kind"] for dot in found["lanes"][0]["dots"]] == ["test", "validation"]
    assert [mark["label"] for mark in found["marks"]] == [
        "maximum 10",
        "tolerated beside the champion 12",  # 8 + 0.5 · 8
        "0.5 of the best floor 15",
    ]


def test_where_higher_is_better_the_champions_margin_is_below_it() -> None:
    found = quality(measured(metric="recall", gates={"champion_margin": 0.1}))["scale"]
    assert [mark["label"] for mark in found["marks"]] == ["tolerated beside the champion 0.63"]


def test_the_difference_to_the_champion_stands_on_its_own_scale() -> None:
    found = quality(measured())["apart"]
    assert [mark["label"] for mark in found["marks"]] == ["equal 0", "tolerated 4"]
    assert found["lanes"][0]["cell"].interval == "−2.5 to\u00a0−1.5"
    assert quality(measured(champion=None))["apart"] is None


def test_slices_are_ordered_from_the_worst_with_the_largest_regression() -> None:
    found = quality(measured())["slices"]
    assert (found["by"], found["of"], found["compared"]) == ("recall", 10, True)
    assert [row["name"] for row in found["rows"]][:3] == ["class 0", "class 1", "class 2"]
    rows = {row["name"]: row["regression"] for row in found["rows"]}
    assert (rows["class 3"]["metric"], rows["class 3"]["worse"]) == ("recall", True)
    assert rows["class 5"]["regression"] < 0
    assert rows["class 0"] is None


def test_of_nats_the_highest_are_the_worst_and_of_many_slices_some_are_shown() -> None:
    many = {f"class {i}": {"nats": entry(float(i))} for i in range(40)}
    numbers = {"metric": "nats", "slices": {"validation": many}, "champion": None}
    found = quality(measured(**numbers, validation={"nats": entry(20.0)}, test={"nats": entry(20.0)}))[
        "slices"
    ]
    assert [row["name"] for row in found["rows"]] == [f"class {i}" for i in range(39, 39 - MOST_SLICES, -1)]


def test_class_shares_and_precision_against_recall_are_drawn() -> None:
    precision, shares = quality(measured())["charts"]
    assert "champion, version 3" in precision
    for said in (">a<", ">b<", ">samples<", ">real<"):
        assert said in shares
    assert class_shares({}) == ""
    assert (
        points_of([("model", "this model", {"test": {"precision": entry(None), "recall": entry(0.5)}})]) == []
    )


def test_it_says_how_many_samples_and_what_was_not_measured() -> None:
    found = quality(measured())
    assert (
        found["drawn"] == "4,000 samples of each model, 1,000 at first and more because the verdict was open"
    )
    assert found["notes"] == [("path_length", "latents of one dimension have no arc")]


def test_what_a_feature_network_is_worth() -> None:
    assert "names 97.3 % of the test split" in quality(measured())["features"]
    own = {"name": "encoder@1", "test_completion": 0.4, "trusted": False}
    assert quality(measured(features=own))["features"].endswith("test split: too few to judge by.")
    assert quality(measured(features={"name": "inception"}))["features"] == "Features are those of inception."
    assert quality(measured(features=None))["features"] == ""


def test_an_evaluation_of_little_is_told_all_the_same() -> None:
    found = quality({"metric": "nats", "validation": {"nats": entry(3.0)}, "test": {"nats": entry(None)}})
    assert found["tiles"][0] == ("nats, test split", "—", "validation split 3")
    assert (found["apart"], found["slices"], found["charts"], found["notes"]) == (None, None, [], [])
