"""The pass over all pairs: golden counts, ties, and what must not change a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics import rows
from components.metrics.closest import nearest_rows
from components.metrics.comparison import Comparison, by_slice, compare
from components.metrics.neighbours import neighbourhood
from components.metrics.rows import Frame, InMemory, distinct, rows_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pairs.json").read_text("utf-8"))
PRECISIONS = {"float32": 1, "float64": 10**9}  # features from which on products are float32


@pytest.fixture(params=PRECISIONS)
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(rows, "WIDE", PRECISIONS[request.param])
    return str(request.param)


def inputs(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """As the golden file's recipe says."""
    random = np.random.RandomState(case["seed"])
    shapes = [(case["n"], case["d"]), (case["m"], case["d"])]
    if case["inputs"] == "counted":
        real, samples = (random.randint(0, case["values"], size=shape).astype(float) for shape in shapes)
        return real, samples
    real, samples = (random.normal(size=shape) for shape in shapes)
    return real, samples * case["scale"] + case["shift"]


def counts(compared: Comparison) -> dict[str, int]:
    return {
        "precision": int(compared.inside().sum()),
        "recall": int(compared.reached.sum()),
        "density": int(compared.balls.sum()),
        "coverage": int(compared.covered.sum()),
    }


def count(real: np.ndarray, samples: np.ndarray, k: int, strict: bool, block: int = 64) -> dict[str, int]:
    parts = InMemory(real, block), InMemory(samples, block)
    return counts(compare(*parts, k, strict=strict, two_sample=False, kernel=False))


def points(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(n, d))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['inputs']} {case['seed']}")
def test_counts_are_those_of_prdc_and_torch_fidelity(case: dict[str, Any], precision: str) -> None:
    """Also where nearly all distances tie, and where all rows are one."""
    real, samples = inputs(case)
    assert count(real, samples, 5, strict=True, block=256) == case["prdc"]
    found = count(real, samples, 3, strict=False, block=256)
    assert {name: found[name] for name in ("precision", "recall")} == case["torch_fidelity"]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 70), st.sampled_from([2, 300]), st.booleans(), st.booleans())
def test_blocks_order_and_rotation_change_nothing(
    seed: int, block: int, d: int, strict: bool, tied: bool
) -> None:
    random = np.random.RandomState(seed)
    real, samples = points(seed, 60, d), points(seed + 1, 50, d) * 0.9
    if tied:
        real, samples = (np.round(part * 2)[:, : max(2, d // 100)] for part in (real, samples))
        real, samples = (np.tile(part, (1, d // part.shape[1])) for part in (real, samples))
    whole = count(real, samples, 3, strict, block=1024)
    assert count(real, samples, 3, strict, block) == whole
    assert count(random.permutation(real), random.permutation(samples), 3, strict) == whole
    turn = np.linalg.qr(random.normal(size=(real.shape[1],) * 2))[0]
    assert count(real @ turn, samples @ turn, 3, strict) == whole
    assert count(real * 8 + 3, samples * 8 + 3, 3, strict) == whole


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans())
def test_swapping_the_sets_swaps_precision_and_recall(seed: int, strict: bool) -> None:
    real, samples = points(seed, 40, 3), points(seed + 1, 40, 3) * 0.7
    there, back = count(real, samples, 3, strict), count(samples, real, 3, strict)
    assert (there["precision"], there["recall"]) == (back["recall"], back["precision"])


@pytest.mark.parametrize("scale", [1e-200, 1e-35, 1.0, 1e25, 1e140])
def test_the_unit_of_the_features_does_not_matter(scale: float, precision: str) -> None:
    real, samples = points(1, 80, 5), points(2, 80, 5) * 0.9
    assert count(real * scale, samples * scale, 3, strict=False) == count(real, samples, 3, strict=False)


def test_what_float32_cannot_resolve_is_decided_in_float64() -> None:
    """Clusters a thousand times smaller than what parts them, and one row far from everything."""
    centres = np.random.RandomState(0).normal(size=(4, 300)) * 1e3
    real, samples = (np.repeat(centres, 30, axis=0) + points(seed, 120, 300) for seed in (1, 2))
    real[0] *= 1e3
    apart = np.sqrt(((real[:, None] - samples[None]) ** 2).sum(axis=2))
    own = np.sqrt(((real[:, None] - real[None]) ** 2).sum(axis=2))
    radii = np.sort(own, axis=1)[:, 3]
    found = compare(InMemory(real, 50), InMemory(samples, 50), 3, kernel=False)
    np.testing.assert_allclose(found.radii["real"], radii, rtol=1e-12)
    np.testing.assert_array_equal(found.balls, (apart <= radii[:, None]).sum(axis=0))
    nearest = np.sqrt(found.cross["samples"]) / _scale(real)
    np.testing.assert_allclose(nearest, apart.min(axis=0), rtol=1e-12)


def test_rows_that_vanish_beside_another_in_float32_are_decided_in_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything but one row is 10⁻²⁴ of it: squares of that are zero in float32."""
    real, samples = points(1, 60, 300), points(2, 60, 300) * 0.99
    real[3] *= 1e24
    found = count(real, samples, 3, strict=False)
    monkeypatch.setattr(rows, "WIDE", 10**9)
    assert count(real, samples, 3, strict=False) == found
    assert found["recall"] < 60


def _scale(real: np.ndarray) -> float:
    frame = Frame.of(rows_of(real))
    assert frame is not None
    assert frame.single
    return frame.scale


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([3, 260]), st.integers(1, 6))
def test_the_nearest_are_those_of_brute_force(seed: int, block: int, d: int, k: int) -> None:
    queries, known = points(seed, 15, d), points(seed + 1, 37, d)
    frame = Frame.of(rows_of(known), rows_of(queries))
    assert frame is not None
    squared, index = nearest_rows(InMemory(queries, 7), InMemory(known, block), k, frame)
    apart = ((queries[:, None] - known[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(index, np.argsort(apart, axis=1)[:, :k])
    np.testing.assert_allclose(frame.distance(squared), np.sqrt(np.sort(apart, axis=1)[:, :k]), rtol=1e-12)


def test_a_row_is_not_its_own_neighbour(precision: str) -> None:
    known = np.concatenate([points(1, 30, 4), np.zeros((12, 4))])  # twelve at one place: all at distance 0
    frame = Frame.of(rows_of(known))
    assert frame is not None
    places = np.arange(20, 42)
    squared, index = nearest_rows(InMemory(known[places]), InMemory(known, 9), 2, frame, own=places)
    assert not (index == places[:, None]).any()
    assert (squared[10:] == 0).all()
    assert (squared[:10] > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(bad: float, precision: str) -> None:
    real = points(1, 30, 3)
    real[17, 2] = bad
    assert not compare(real, points(2, 30, 3)).finite
    assert not compare(points(2, 30, 3), real).finite


def test_exact_repeats_are_counted() -> None:
    some = np.concatenate([points(1, 50, 7), points(1, 20, 7), -np.zeros((3, 7)), np.zeros((1, 7))])
    frame = Frame.of(rows_of(some))
    assert frame is not None
    assert distinct(InMemory(some, 16), frame.sizes(rows_of(some))) == 51


def test_rows_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="5 features cannot be compared with rows of 4"):
        compare(points(1, 20, 4), points(1, 20, 5))
    with pytest.raises(DataError, match=r"more than 5 .* 20 real and 5 samples.*evaluate.neighbours"):
        compare(points(1, 20, 4), points(1, 5, 4))
    with pytest.raises(DataError, match="without rows"):
        compare(points(1, 0, 4), points(1, 5, 4), balls=False)


def test_slices_are_lists_of_rows() -> None:
    real, samples = points(1, 60, 3), points(2, 60, 3)
    of_real = {"a": np.arange(30), "b": np.arange(30, 60), "c": np.arange(20)}
    found = by_slice(neighbourhood, real, samples, of_real, {"a": np.arange(0, 60, 2), "b": np.arange(4)})
    assert found["a"] == neighbourhood(real[:30], samples[::2])
    assert "30 real and 4 samples" in str(found["b"])
    assert "20 real and 0 samples" in str(found["c"])
