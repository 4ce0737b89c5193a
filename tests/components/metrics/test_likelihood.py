"""Units of likelihood by closed forms."""

import math

import numpy as np
import pytest

from components.metrics.likelihood import bits_per_char, bits_per_dim, nats, perplexity


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
