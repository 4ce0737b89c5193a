"""Kernel distance: golden values, the definition by brute force, and its interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.intervals import SHARDS, jackknife
from components.metrics.kernel import kid, kid_reference
from components.metrics.rows import InMemory

GOLDEN = json.loads((Path(__file__).parent / "golden" / "kid.json").read_text("utf-8"))


def points(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(n, d))


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    """The U-statistic as it is written."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    own, other, both = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    pairs = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(pairs - 2 * both.mean())


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"seed {case['seed']}")
def test_the_papers_number_is_torch_fidelitys(case: dict[str, Any]) -> None:
    random = np.random.RandomState(case["seed"])  # as the golden file's recipe says
    real = random.normal(size=(case["n"], case["d"]))
    samples = random.normal(size=(case["m"], case["d"])) * case["scale"] + case["shift"]
    own = kid_reference(real, samples, case["subsets"], case["size"], case["subset_seed"])
    assert own.value == pytest.approx(case["mean"], abs=1e-12)
    assert own.extra["subsets_std"] == pytest.approx(case["std"], abs=1e-12)
    assert not own.estimable
    if case["size"] == case["n"] == case["m"]:  # one subset of all rows
        assert kid(real, samples).value == pytest.approx(case["mean"], abs=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6),
    st.integers(2, 90),
    st.integers(2, 90),
    st.integers(1, 40),
    st.sampled_from([0, 50]),
)
def test_it_is_the_definition_whatever_the_blocks(seed: int, n: int, m: int, block: int, shift: int) -> None:
    real, samples = points(seed, n, 5) + shift, points(seed + 1, m, 5) * 1.2 + shift
    own = kid(InMemory(real, block), InMemory(samples, block)).value
    assert own == pytest.approx(brute_force(real, samples), abs=1e-12 * (1 + shift**2) ** 3)
    assert own == pytest.approx(kid(samples, real).value, abs=1e-12 * (1 + shift**2) ** 3)


@pytest.mark.parametrize("block", [7, 40, 1024])
def test_the_interval_is_of_the_statistic_without_each_shard(block: int) -> None:
    real, samples = points(1, 130, 6), points(2, 90, 6) + 0.2
    own = kid(InMemory(real, block), InMemory(samples, block))
    shards = [np.arange(len(part)) % SHARDS for part in (real, samples)]
    without = [brute_force(real[shards[0] != s], samples[shards[1] != s]) for s in range(SHARDS)]
    np.testing.assert_allclose(own.without, without, atol=1e-12)
    oracle = jackknife(brute_force(real, samples), without)
    assert own.high - own.low == pytest.approx(oracle.high - oracle.low)
    assert own.low < own.value == pytest.approx((own.low + own.high) / 2)
    assert own.method == "group jackknife of 20 shards"


def test_many_features_lose_nothing_that_matters() -> None:
    """Products of float32, of features whose mean is large, as those of networks are."""
    real, samples = points(1, 300, 512) + 3, points(2, 300, 512) * 1.05 + 3
    assert kid(real, samples).value == pytest.approx(brute_force(real, samples), rel=1e-4, abs=1e-5)
    assert kid(real.astype(np.float32), samples.astype(np.float32)).value == pytest.approx(
        kid(real, samples).value, abs=1e-4
    )


def test_equal_distributions_are_around_zero_and_may_be_below() -> None:
    found = [kid(points(seed, 100, 8), points(seed + 100, 100, 8)) for seed in range(40)]
    assert min(estimate.value for estimate in found) < 0 < max(estimate.value for estimate in found)
    assert np.mean([estimate.value for estimate in found]) == pytest.approx(0, abs=0.01)
    assert sum(estimate.low <= 0 <= estimate.high for estimate in found) >= 35


def test_it_grows_with_the_shift() -> None:
    real, samples = points(1, 200, 8), points(2, 200, 8)
    values = [kid(real, samples + shift).value for shift in (0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)
    assert kid(real, samples + 1).low > 0


def test_too_few_are_refused_or_said() -> None:
    with pytest.raises(DataError, match="1 real and 30 samples"):
        kid(points(1, 1, 3), points(2, 30, 3))
    few = kid(points(1, 30, 3), points(2, 30, 3))
    assert np.isfinite(few.value)
    assert "fewer than 40" in few.why
    with pytest.raises(DataError, match="subsets of 50"):
        kid_reference(points(1, 49, 3), points(2, 60, 3), size=50)


def test_what_is_not_finite_is_nan_and_says_so() -> None:
    bad = points(1, 60, 3)
    bad[5] = np.nan
    for own in (kid(bad, points(2, 60, 3)), kid_reference(points(2, 60, 3), bad, 2, 30)):
        assert np.isnan(own.value)
        assert own.why == "a feature is not finite"
