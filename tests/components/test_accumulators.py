"""Accumulators: parts merged in any way say what the whole says, and what NumPy says."""

import json
import math
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.accumulators import Categorical, Numeric, feature_from_json, merged
from components.buckets import BUCKETS, EXACT_VALUES

anything = st.floats(allow_nan=True, allow_infinity=True) | st.none() | st.integers(-300, 300).map(float)
reasonable = st.floats(-1e6, 1e6, allow_subnormal=False)
names = st.sampled_from(["a", "b", "c", "", "é"]) | st.none()
fixed = settings(derandomize=True, max_examples=80, deadline=None)


def counts_of(numeric):
    """All of a Numeric that is counted and not summed."""
    told = numeric.as_json()
    return {key: value for key, value in told.items() if key not in ("mean", "m2")}


def same(a, b):
    """Equal counts and buckets; equal moments up to the order of additions."""
    scale = max(abs(a.min), abs(a.max), 1e-300)
    assert counts_of(a) == counts_of(b)
    assert a.mean == pytest.approx(b.mean, rel=1e-9, abs=1e-12 * scale)
    if scale < 1e150:
        assert a.m2 == pytest.approx(b.m2, rel=1e-9, abs=1e-9 * scale**2 * max(a.count, 1))


@fixed
@given(st.lists(st.lists(anything, max_size=30), min_size=3, max_size=3))
def test_merging_is_commutative_associative_and_equal_to_the_whole(parts):
    a, b, c = map(Numeric.of, parts)
    same(a.merge(b), b.merge(a))
    same(a.merge(b).merge(c), a.merge(b.merge(c)))
    same(a.merge(b).merge(c), Numeric.of([value for part in parts for value in part]))
    assert Numeric().merge(a) == a == a.merge(Numeric())


@fixed
@given(st.lists(names, max_size=40), st.lists(names, max_size=40))
def test_categories_merge_to_the_whole(first, second):
    a, b = Categorical.of(first), Categorical.of(second)
    assert a.merge(b) == b.merge(a) == Categorical.of(first + second)
    assert a.merge(b).total == len(first) + len(second)


@fixed
@given(st.lists(reasonable, min_size=1, max_size=300), st.floats(0, 1))
def test_few_values_are_counted_exactly(values, q):
    found = Numeric.of(values)
    assert found.exact
    assert found.quantile(q) == np.quantile(values, q, method="lower")
    assert (found.min, found.max) == (min(values), max(values))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert found.std == pytest.approx(np.std(values), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.standard_normal(20_000),
        lambda rng: rng.lognormal(0, 4, 20_000),
        lambda rng: -rng.exponential(1e-9, 20_000),
        lambda rng: rng.standard_cauchy(20_000),
        lambda rng: rng.uniform(1e12, 2e12, 20_000),
    ],
)
def test_quantiles_of_many_values_are_at_most_one_percent_off(draw):
    values = draw(np.random.default_rng(3))
    found = reduce(Numeric.merge, map(Numeric.of, np.split(values, 20)))
    assert not found.exact
    for q in (0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1):
        assert found.quantile(q) == pytest.approx(np.quantile(values, q, method="lower"), rel=0.01)


def test_parts_in_buckets_equal_the_whole_however_they_are_cut():
    values = np.random.default_rng(0).lognormal(0, 30, 60_000)  # so wide that small buckets collapse
    whole = Numeric.of(values)
    for cut in (2, 7, 300):
        same(reduce(Numeric.merge, map(Numeric.of, np.array_split(values, cut))), whole)
    assert len(whole.places) == BUCKETS
    assert (Numeric.of(-values).places == -whole.places[::-1]).all()
    assert whole.quantile(0.99) == pytest.approx(np.quantile(values, 0.99, method="lower"), rel=0.01)


def test_moments_survive_a_large_offset():
    values = 1e9 + np.random.default_rng(0).standard_normal(100_000)
    found = reduce(Numeric.merge, map(Numeric.of, np.split(values, 100)))
    assert found.std == pytest.approx(values.std(), rel=1e-6)


def test_what_is_not_a_number_is_counted_and_kept_out():
    found = Numeric.of([1.0, None, math.nan, math.inf, -math.inf, 0.0, -0.0], missing=2)
    assert (found.count, found.missing, found.nan, found.infinite, found.zeros) == (3, 3, 1, 2, 2)
    assert (found.total, found.mean, found.min, found.max) == (9, pytest.approx(1 / 3), 0.0, 1.0)
    nothing = Numeric.of(np.array([np.nan]))
    assert (nothing.count, nothing.std, nothing.nan) == (0, 0.0, 1)
    assert math.isnan(nothing.quantile(0.5))


def test_numbers_of_every_dtype_and_from_arrow():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8)).astype(np.uint8)
    same(Numeric.of(pixels), Numeric.of(pixels.astype(np.float32)))
    same(Numeric.of_counts(range(256), np.bincount(pixels.ravel(), minlength=256)), Numeric.of(pixels))
    column = pa.chunked_array([[1, None], [3]])
    assert Numeric.of(column) == Numeric.of([1, None, 3])
    assert Numeric.of(pa.array([1.5, None])).missing == 1
    assert Categorical.of(pa.array(["x", None, "x"])) == Categorical({"x": 2}, missing=1)


def test_equals_have_no_spread():
    found = Numeric.of([0.1] * 7).merge(Numeric.of([0.1] * 5))
    assert (found.mean, found.m2, found.min) == (0.1, 0.0, 0.1)


@pytest.mark.parametrize("distinct", [EXACT_VALUES, EXACT_VALUES + 1])
def test_exact_up_to_so_many_distinct_values_in_any_parts(distinct):
    values = np.arange(distinct) / 4
    assert Numeric.of(values).exact == (distinct == EXACT_VALUES)
    same(Numeric.of(values[:700]).merge(Numeric.of(values[700:])), Numeric.of(values))
    same(Numeric.of_counts(values, np.ones(distinct, int)), Numeric.of(values))


def test_a_file_gives_back_the_same_and_the_same_bytes():
    rng = np.random.default_rng(1)
    for feature in (
        Numeric(),
        Numeric.of([1.5, None, math.nan]),
        Numeric.of([1e300, -1e300]),  # its squares are beyond a double
        Numeric.of(rng.standard_normal(5000)),
        Categorical.of(["b", "a", None]),
    ):
        text = json.dumps(feature.as_json(), allow_nan=False)
        again = feature_from_json(json.loads(text))
        assert again == feature
        assert json.dumps(again.as_json()) == text
        assert again.merge(feature).count == 2 * feature.count


def test_a_histogram_has_the_bins_that_were_asked_for():
    counts, edges = Numeric.of([0, 1, 1, 9.5]).histogram(10, 0, 10)
    assert counts.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert edges.tolist() == list(range(11))
    assert Numeric.of(np.random.default_rng(0).random(5000)).histogram(7)[0].sum() == 5000


def test_a_histogram_of_buckets_has_no_comb_and_loses_nothing():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(95, 6, 20_000), -rng.exponential(1, 20_000), np.zeros(100)])
    found = Numeric.of(values)
    counts, edges = found.histogram(400)
    expected, _ = np.histogram(values, edges)
    assert counts.sum() == values.size
    assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() < 0.01 * values.size
    bell = counts[(edges[:-1] > 90) & (edges[1:] < 100)]
    assert bell.min() > 0.5 * bell.max()
    assert Numeric.of(-np.abs(values)).histogram(30)[0].sum() == values.size


def test_rare_names_become_others_and_ties_go_by_name():
    found = Categorical({"d": 1, "a": 5, "c": 2, "b": 2}, missing=3).folded(2)
    assert found == Categorical({"a": 5, "b": 2}, missing=3, others=3)
    assert found.capped
    assert (found.count, found.total, found.share("a"), found.share("d")) == (10, 13, 0.5, 0.0)
    assert found.merge(found).others == 6


def test_a_feature_may_be_absent_from_a_part():
    parts = [{"b": Numeric.of([1])}, {"a": Categorical.of("xy"), "b": Numeric.of([2])}]
    found = merged(parts)
    assert list(found) == ["a", "b"]
    assert found["b"] == Numeric.of([1, 2])
