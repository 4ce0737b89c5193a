"""Comparisons: how far a model is from a floor and the champion, and in which slices it is clearly worse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.comparisons import against_champion, against_floor, comparable, same_measure
from components.judge import Measures
from components.metrics.intervals import Estimate, jackknife, mean, share
from components.settings import GateSettings

GATES = GateSettings()
CLASSES = 10


def measures(metric, one, slices=None):
    return Measures({"validation": {metric: one}, "test": {}}, {"validation": slices or {}}, facts={"a": {}})


def flags(random, chance, n=60):
    return share(random.random(n) < chance)


def slices(random, chances, n=60):
    return {f"class {i}": {"recall": flags(random, chance, n)} for i, chance in enumerate(chances)}


def worse(own, other, **gates):
    fid = Estimate(1.0, 0.9, 1.1)
    pair = (measures("classifier_fid", fid, part) for part in (own, other))
    found = against_champion(*pair, "classifier_fid", GateSettings.parse(gates))
    return [one["slice"] for one in found["slices"] if one["worse"]]


# -- differences -------------------------------------------------------------------------------------


def test_a_floor_is_compared_as_it_is_and_as_a_share():
    own, floor = (measures("classifier_fid", Estimate(v, v - 1, v + 1)) for v in (4.0, 10.0))
    found = against_floor(own, floor, "classifier_fid", 0.5)
    assert found["difference"]["value"] == -6.0
    assert found["difference"]["high"] == pytest.approx(-6 + math.sqrt(2))
    assert found["share"]["value"] == -1.0
    assert found["share"]["high"] == pytest.approx(-1 + math.hypot(1, 0.5))


def test_what_two_models_share_cancels():
    """The same rows, one model always 0.1 above the other: no doubt about the difference."""
    values = np.random.default_rng(0).normal(size=200)
    own, champion = (measures("nats", mean(values + shift)) for shift in (0.1, 0.0))
    gap = against_champion(own, champion, "nats", GATES)["difference"]
    assert gap["low"] == pytest.approx(0.1)
    assert gap["high"] == pytest.approx(0.1)
    assert gap["interval"] == "paired jackknife of 20 shards"


@pytest.mark.parametrize("missing", ["own", "other"])
def test_what_one_side_has_not_is_not_compared(missing):
    pair = [measures("classifier_fid", Estimate(1.0, 0.9, 1.1)) for _ in range(2)]
    del pair[missing == "other"].splits["validation"]["classifier_fid"]
    assert against_floor(*pair, "classifier_fid", 1.0) == {}
    assert against_champion(*pair, "classifier_fid", GATES) == {}


@pytest.mark.parametrize("what", ["measure", "features"])
def test_numbers_of_two_kinds_are_not_compared(what):
    """A log-density and a log-mass; distances in the features of two networks."""
    own, other = (
        measures("classifier_fid", Estimate(1.0, 0.9, 1.1, extra={what: name})) for name in ("one", "other")
    )
    assert against_champion(own, other, "classifier_fid", GATES) == {}
    kept = comparable(own, other)
    assert kept.splits["validation"] == {}
    assert kept.facts == other.facts
    assert comparable(own, own).splits == own.splits
    assert same_measure(Estimate(1.0), Estimate(2.0))


def test_a_difference_without_an_interval_says_why():
    own, other = (measures("classifier_fid", Estimate(1.0, why="60 samples for 48")) for _ in range(2))
    gap = against_champion(own, other, "classifier_fid", GATES)["difference"]
    assert math.isnan(gap["low"])
    assert gap["no_interval"] == "60 samples for 48"


# -- slices ------------------------------------------------------------------------------------------


def test_the_one_class_that_is_worse_is_named():
    random = np.random.default_rng(0)
    own = slices(random, [0.9] * 3 + [0.3] + [0.9] * 6)
    assert worse(own, slices(random, [0.9] * CLASSES)) == ["class 3"]


def test_a_class_that_is_better_is_no_regression():
    random = np.random.default_rng(0)
    assert worse(slices(random, [0.9] * CLASSES), slices(random, [0.3] * CLASSES)) == []


@pytest.mark.parametrize("n", [25, 60])
def test_equal_slices_are_refused_at_most_7_times_in_100(n):
    """Of 300 pairs of ten classes, without any margin: 25 images of a class have no shards to be paired by."""
    random = np.random.default_rng(n)
    found = [
        worse(*(slices(random, [0.8] * CLASSES, n) for _ in range(2)), champion_margin=0.0)
        for _ in range(300)
    ]
    assert sum(map(bool, found)) <= 21


def test_a_regression_within_the_margin_is_none():
    rows = np.arange(200) % 10 > 0  # 0.9 of each shard pair, without any noise between models
    own = {"class 0": {"recall": share(rows & (np.arange(200) % 100 != 1))}}
    champion = {"class 0": {"recall": share(rows)}}
    assert worse(own, champion, champion_margin=0.2) == []


def test_the_metric_that_matters_is_compared_where_slices_have_it():
    def part(value):
        one = jackknife(value, [value + 0.01 * i for i in range(20)])
        return {"class 0": {"classifier_fid": one, "recall": share(np.ones(50, bool))}}

    pair = (measures("classifier_fid", Estimate(1.0, 0.9, 1.1), part(value)) for value in (9.0, 1.0))
    (one,) = against_champion(*pair, "classifier_fid", GATES)["slices"]
    assert one["metric"] == "classifier_fid"
    assert one["regression"] == pytest.approx(8.0)
    assert one["worse"]


def test_a_slice_that_one_side_has_not_is_left_out():
    random = np.random.default_rng(0)
    one, two = slices(random, [0.9]), slices(random, [0.9, 0.9])
    assert worse(one, two) == []
    empty = {"class 0": {}}
    assert worse(empty, two) == []


def test_a_slice_without_an_interval_is_never_refused():
    one, two = ({"class 0": {"recall": Estimate(value, why="2 images")}} for value in (0.0, 1.0))
    assert worse(one, two) == []


def test_certain_numbers_are_worse_or_not():
    def exact(value):
        return {"class 0": {"recall": Estimate(value, value, value, "counted")}}

    assert worse(exact(0.5), exact(0.9)) == ["class 0"]
    assert worse(exact(0.9), exact(0.9)) == []
