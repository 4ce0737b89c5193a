"""Autocorrelation and Ljung and Box's test: statsmodels' numbers, and what they say of noise and of its lack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.metrics.residuals import autocorrelation, ljung_box

GOLDEN = Path(__file__).parents[2] / "keras_models" / "autoregressive" / "golden" / "statsmodels.json"


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text("utf-8"))


def test_they_are_statsmodels(golden):
    residuals, found = np.array(golden["residuals"])[None], golden["diagnostics"]
    acf, pairs = autocorrelation(residuals, 12)
    np.testing.assert_allclose(acf, found["acf"][1:], rtol=1e-10)
    np.testing.assert_array_equal(pairs, residuals.size - np.arange(1, 13))
    for lags, statistic, p in zip((12, 24), found["statistic"], found["p"], strict=True):
        np.testing.assert_allclose(ljung_box(residuals, lags, 2), (statistic, p), rtol=1e-9)


def test_noise_passes_and_memory_does_not():
    x = np.random.default_rng(0).normal(size=(1, 500))
    assert ljung_box(x, 10)[1] > 0.05
    assert ljung_box(x[:, 1:] + 0.5 * x[:, :-1], 10)[1] < 1e-6


def test_gaps_are_left_out():
    """A gap between two halves is as if they were two rows."""
    x = np.random.default_rng(1).normal(size=41)
    x[20] = np.nan
    whole, _ = autocorrelation(x[None], 1)
    halves, pairs = autocorrelation(np.stack([x[:20], x[21:]]), 1)
    np.testing.assert_allclose(whole, halves)
    assert pairs == [38]


@pytest.mark.parametrize("x", [np.full((2, 9), np.nan), np.ones((1, 9)), np.zeros((1, 2))])
def test_nothing_to_test_is_no_error(x):
    acf, _ = autocorrelation(x, 5)
    assert np.isfinite(acf).all()
    assert np.isnan(ljung_box(x, 5, 5)).all()
