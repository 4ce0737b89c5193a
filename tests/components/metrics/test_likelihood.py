"""Units of likelihood by closed forms, and bounds that approach the exact likelihood of a linear model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from components.errors import DataError
from components.metrics.likelihood import (
    bits_per_char,
    bits_per_dim,
    effective_samples,
    elbo,
    importance_bound,
    log_mean_exp,
    nats,
    negative_log_likelihood,
    perplexity,
    quantised_bits_per_dim,
    token_likelihood,
)


def test_nats_are_the_mean_and_its_standard_error():
    mean, error = nats(np.array([-1.0, -2.0, -3.0, -6.0]))
    assert mean == 3.0
    assert error == pytest.approx(math.sqrt(14 / 3) / 2)


def test_nats_add_up_in_float64():
    """A float32 sum of these would be off in the fifth digit."""
    values = np.full(1_000_001, -1000.1, np.float32)
    values[0] = -0.001
    assert nats(values)[0] == pytest.approx(-values.astype(np.float64).mean(), rel=1e-12)


def test_one_example_has_no_standard_error_and_none_has_no_mean():
    mean, error = nats(np.array([-2.0]))
    assert mean == 2.0
    assert math.isnan(error)
    with pytest.raises(ValueError, match="at least one"):
        nats(np.array([]))


def test_nan_and_impossible_examples_show():
    assert math.isnan(nats(np.array([-1.0, math.nan]))[0])
    assert nats(np.array([-1.0, -math.inf]))[0] == math.inf


def test_uniform_bytes_are_eight_bits_per_dim():
    assert bits_per_dim(784 * math.log(256), 784) == pytest.approx(8.0)


def test_uniform_symbols_have_their_number_as_perplexity():
    assert perplexity(1000 * math.log(65), 1000) == pytest.approx(65.0)
    assert bits_per_char(1000 * math.log(64), 1000) == pytest.approx(6.0)
    assert perplexity(0.0, 10) == 1.0


def test_perplexity_weighs_tokens_not_lines():
    """Two lines of 1 and 9 tokens at 4 and 2 choices: by tokens, not the mean of 4 and 2."""
    total = 1 * math.log(4) + 9 * math.log(2)
    assert perplexity(total, 10) == pytest.approx(4**0.1 * 2**0.9)


def test_perplexity_without_bound_is_infinite_and_of_nan_is_nan():
    assert perplexity(1e6, 10) == math.inf
    assert math.isnan(perplexity(math.nan, 10))


def principal_components(count, n, spread=1.3):
    """Exact log p(x) `[n]` of a probabilistic PCA, and log importance weights `[count, n]` from its exact
    posterior with a standard deviation `spread` times too large."""
    random = np.random.RandomState(0)
    loading, noise = random.randn(8, 3), 0.5
    x = random.randn(n, 3) @ loading.T + noise * random.randn(n, 8)
    exact = stats.multivariate_normal(np.zeros(8), loading @ loading.T + noise**2 * np.eye(8)).logpdf(x)
    precision = np.eye(3) + loading.T @ loading / noise**2
    covariance = np.linalg.inv(precision)
    mean = x @ loading @ covariance / noise**2
    wide = spread * np.linalg.cholesky(covariance)
    unit = random.randn(count, n, 3)
    z = mean + unit @ wide.T
    log_q = stats.norm.logpdf(unit).sum(axis=2) - np.log(np.diag(wide)).sum()
    log_p = stats.norm.logpdf(z).sum(axis=2) + stats.norm.logpdf(x, z @ loading.T, noise).sum(axis=2)
    return exact, log_p - log_q


def test_the_importance_bound_falls_to_the_exact_likelihood():
    exact, log_weights = principal_components(5000, 100)
    expected = -exact.mean()
    gaps = [importance_bound(log_weights[:k]).value - expected for k in (1, 10, 100, 5000)]
    assert gaps[0] > gaps[1] > abs(gaps[2])
    assert gaps[0] > 0.1
    assert gaps[3] == pytest.approx(0, abs=3e-3)
    found = importance_bound(log_weights)
    assert found.low < expected < found.high
    assert found.extra["elbo"] == pytest.approx(-log_weights.mean())
    assert found.extra["elbo"] > found.value
    assert found.extra["importance_samples"] == 5000
    assert "warning" not in found.extra


def test_a_posterior_that_fits_exactly_has_no_gap_and_all_samples_count():
    exact, log_weights = principal_components(20, 50, spread=1.0)
    found = importance_bound(log_weights)
    assert found.value == pytest.approx(-exact.mean(), abs=1e-9)
    assert found.extra["effective_samples"] == pytest.approx(20, abs=1e-6)


def test_few_effective_samples_are_said():
    log_weights = 20 * np.random.RandomState(0).randn(1000, 50)
    found = importance_bound(log_weights)
    assert found.extra["effective_samples"] < 10
    assert "loose" in found.extra["warning"]
    assert "of 1000" in found.extra["warning"]
    one = importance_bound(log_weights[:1])
    assert one.value == elbo(log_weights[:1]).value
    assert "warning" not in one.extra  # the evidence lower bound is what it is


@settings(derandomize=True, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 30), st.floats(-1e5, 1e5))
def test_log_mean_exp_is_scipys_whatever_the_size(seed, count, shift):
    log_weights = 5 * np.random.RandomState(seed).randn(count, 4) + shift
    oracle = logsumexp(log_weights, axis=0) - math.log(count)
    np.testing.assert_allclose(log_mean_exp(log_weights), oracle, rtol=1e-12, atol=1e-12)
    assert (log_mean_exp(log_weights) >= log_weights.mean(axis=0) - 1e-9).all()  # Jensen
    effective = effective_samples(log_weights)
    assert (effective >= 1 - 1e-9).all()
    assert (effective <= count + 1e-9).all()
    np.testing.assert_allclose(effective, effective_samples(log_weights - shift), rtol=1e-6)


def test_impossible_and_spoilt_examples_show_in_bounds():
    log_weights = np.zeros((20, 3))
    log_weights[:, 0] = -math.inf
    found = importance_bound(log_weights)
    assert found.value == math.inf
    assert not found.estimable
    assert "warning" in found.extra  # no effective samples are not ten
    log_weights[3, 0] = math.nan
    assert math.isnan(importance_bound(log_weights).value)
    np.testing.assert_array_equal(log_mean_exp(np.array([[-math.inf, 0.0], [0.0, 0.0]])), [-math.log(2), 0])
    with pytest.raises(DataError, match="K and n above 0"):
        importance_bound(np.zeros((0, 3)))
    with pytest.raises(DataError, match="log weights"):
        elbo(np.zeros(3))


def test_negative_log_likelihood_has_the_interval_of_a_mean():
    log_prob = -np.random.RandomState(0).gamma(2, 3, 500)
    found = negative_log_likelihood(log_prob)
    assert found.value == pytest.approx(-log_prob.mean())
    oracle = stats.ttest_1samp(-log_prob, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert negative_log_likelihood(np.array([-1, -math.inf])).value == math.inf


@pytest.mark.parametrize("step", [1.0, 1 / 256, 1 / 128, 1 / 255])
def test_uniform_bytes_are_eight_bits_in_whatever_units(step):
    """A density that is even over 256 steps is 1 / (256 step) for each entry."""
    density = negative_log_likelihood(np.full(40, -784 * math.log(256 * step)))
    found = quantised_bits_per_dim(density, 784, step=step, dequantisation="uniform")
    assert found.value == pytest.approx(8)
    assert found.plain == pytest.approx(8)
    assert found.extra["offset_bits"] == pytest.approx(
        {1.0: 0, 1 / 256: 8, 1 / 128: 7, 1 / 255: 7.9944}[step], abs=1e-4
    )
    assert found.extra["dequantisation"] == "uniform"


def test_bits_per_dim_keep_the_interval_and_its_shards():
    density = negative_log_likelihood(np.random.RandomState(0).randn(100) - 50)
    found = quantised_bits_per_dim(density, 10, step=1 / 256, dequantisation="uniform")
    for own, whole in (
        (found.low, density.low),
        (found.high, density.high),
        (found.without[3], density.without[3]),
    ):
        assert own == pytest.approx(bits_per_dim(whole, 10) + 8)
    bound = quantised_bits_per_dim(importance_bound(np.ones((2, 50))), 10, step=1, dequantisation="uniform")
    assert bound.extra["elbo"] == pytest.approx(bound.value)
    with pytest.raises(DataError, match="above 0"):
        quantised_bits_per_dim(density, 0, step=1, dequantisation="uniform")


def texts(seed, n, rate=1.7):
    """Documents of uneven length whose true rate is `rate` nats a token."""
    random = np.random.RandomState(seed)
    tokens = random.randint(5, 200, n)
    return random.gamma(4 * tokens * rate, 0.25), tokens


def test_text_is_measured_by_ratios_of_sums():
    total, tokens = texts(0, 400)
    found = token_likelihood(total, tokens, 4 * tokens)
    plain = total.sum() / tokens.sum()
    assert found["perplexity"].plain == pytest.approx(math.exp(plain))
    assert found["bits_per_token"].plain == pytest.approx(plain / math.log(2))
    assert found["bits_per_byte"].plain == pytest.approx(plain / math.log(2) / 4)
    for one in found.values():
        assert one.low < one.value < one.high
        assert len(one.without) == 20
    assert found["perplexity"].low == pytest.approx(2 ** found["bits_per_token"].low)
    assert list(token_likelihood(total, tokens)) == ["bits_per_token", "perplexity"]


def test_sums_of_shards_give_the_same_as_their_documents():
    total, tokens = texts(1, 400)
    shards = np.arange(400) % 20
    sums = [np.bincount(shards, part) for part in (total, tokens)]
    whole, parts = token_likelihood(total, tokens)["perplexity"], token_likelihood(*sums)["perplexity"]
    assert parts.value == pytest.approx(whole.value, rel=1e-12)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=1e-12)


@pytest.mark.parametrize("n", [12, 100])
def test_the_interval_of_a_ratio_covers(n):
    held = 0
    for seed in range(200):
        found = token_likelihood(*texts(seed, n))["bits_per_token"]
        held += found.low <= 1.7 / math.log(2) <= found.high
    assert 180 <= held <= 200


def test_one_document_has_no_interval_and_none_is_refused():
    found = token_likelihood(np.array([10.0]), np.array([5]))
    assert found["perplexity"].value == pytest.approx(math.exp(2))
    assert not found["perplexity"].estimable
    assert found["perplexity"].why
    spoilt = token_likelihood(np.full(50, math.nan), np.ones(50))["perplexity"]
    assert math.isnan(spoilt.value)
    with pytest.raises(DataError, match="positive sum"):
        token_likelihood(np.array([1.0]), np.array([0]))
