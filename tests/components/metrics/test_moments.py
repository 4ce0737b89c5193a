"""Moments that add up: of batches, of parts and of shards, to the same bits."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.moments import Moments, ShardedMoments


def features(seed, n=200, d=6):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) + random.normal(size=d)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 99), st.sampled_from([0.0, 1e4]))
def test_batches_and_shards_add_up_to_the_whole(sizes, seed, offset):
    x = np.random.default_rng(seed).normal(offset, 0.1, size=(sum(sizes) + 2, 3))
    parts = np.split(x, np.cumsum(sizes))
    streamed, merged = Moments(3), Moments(3)
    for part in parts:
        streamed.add(part)
        merged.merge(Moments.of(part))
    for made in (streamed, merged):
        assert made.n == len(x)
        np.testing.assert_allclose(made.mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(made.covariance(), np.cov(x.T), rtol=1e-6, atol=1e-10)


def test_a_large_mean_does_not_drown_a_small_spread():
    """Where raw sums of squares in float64 lose six digits more."""
    x = np.random.default_rng(0).normal(100, 0.01, size=(4000, 4))
    made = Moments(4)
    for part in np.array_split(x, 13):
        made.add(part)
    np.testing.assert_allclose(made.covariance(), np.cov(x.T), rtol=1e-11, atol=1e-16)


def test_merging_leaves_the_other_as_it_was():
    a, b = Moments.of(features(1)), Moments.of(features(2))
    before = b.mean.copy(), b.scatter.copy()
    a.merge(b).add(features(3))
    np.testing.assert_array_equal(before[0], b.mean)
    np.testing.assert_array_equal(before[1], b.scatter)


def test_what_is_no_batch_of_features_is_refused():
    with pytest.raises(DataError, match=r"\[n, 6\]"):
        Moments(6).add(np.zeros(6))
    with pytest.raises(DataError, match="3 features cannot be merged with 6"):
        Moments(6).merge(Moments(3))


class Small(ShardedMoments):
    """Blocks of 4 rows of a shard, so that a test has many of them."""

    BLOCK = 4


def bits(made):
    """All that is read of it, as bytes."""
    read = [*made.parts(), made.whole(), *made.without_each()]
    return [(one.n, one.mean.tobytes(), one.scatter.tobytes()) for one in read]


def by_batches(x, count, kind=ShardedMoments, shards=20):
    made = kind(x.shape[1], shards)
    for part in np.array_split(x, count):
        made.add(part)
    return made


def in_parts(x, count, kind=ShardedMoments, order=None):
    """Parts as workers make them, each of its own rows, then merged in any order."""
    bounds = np.linspace(0, len(x), count + 1).astype(int)
    parts = [kind(x.shape[1]).add(x[a:b], first=a) for a, b in itertools.pairwise(bounds)]
    made = kind(x.shape[1])
    for place in range(count) if order is None else order:
        made.merge(pickle.loads(pickle.dumps(parts[place])))  # noqa: S301
    return made


@pytest.mark.parametrize("n", [0, 1, 19, 5120, 5121, 21_000])
def test_shards_are_those_of_the_row_numbers(n):
    x = features(1, n=n, d=3)
    made = ShardedMoments.of(x)
    assert made.n == n
    for shard, part in enumerate(made.parts()):
        own = x[np.arange(n) % 20 == shard]
        assert part.n == len(own)
        if len(own) > 1:
            np.testing.assert_allclose(part.mean, own.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(part.covariance(), np.cov(own.T), rtol=1e-11)


def test_deleting_a_shard_loses_no_digit():
    """Features far from 0 beside their spread: subtracting a shard from raw sums would keep three digits."""
    x = np.random.default_rng(0).normal(1e5, 0.01, size=(3000, 4))
    for shard, left in enumerate(ShardedMoments.of(x).without_each()):
        exact = x[np.arange(3000) % 20 != shard] - 1e5  # exact: neighbours of 1e5
        assert left.n == len(exact)
        np.testing.assert_allclose(left.covariance(), np.cov(exact.T), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_any_batches_and_parts_give_the_same_bits(count):
    x = features(2, n=12_345, d=5).astype(np.float32)
    expected = bits(ShardedMoments.of(x))
    assert bits(by_batches(x, count)) == expected
    assert bits(in_parts(x, count)) == expected


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 500), st.integers(1, 9), st.randoms(use_true_random=False), st.integers(0, 99))
def test_any_order_of_parts_gives_the_same_bits(n, count, random, seed):
    x = features(seed, n=n, d=3)
    order = list(range(count))
    random.shuffle(order)
    assert bits(in_parts(x, count, Small, order)) == bits(Small.of(x))


def test_merging_parts_leaves_them_as_they_were():
    x = features(3, n=700, d=3)
    first, second = Small(3).add(x[:300]), Small(3).add(x[300:], first=300)
    before = bits(second)
    first.merge(second).add(features(4, n=100, d=3))
    assert first.n == 800
    assert bits(second) == before


def test_the_buffer_of_a_batch_may_be_used_again():
    x = features(5, n=60, d=3)
    buffer, made = np.empty((20, 3)), ShardedMoments(3)
    for part in np.split(x, 3):
        buffer[:] = part
        made.add(buffer)
    assert bits(made) == bits(ShardedMoments.of(x))


def test_memory_does_not_grow_with_the_rows():
    made = Small(2)
    for _ in range(300):
        made.add(np.zeros((77, 2)))
    assert len(made._blocks) <= np.log2(300 * 77 / 80) + 1
    assert sum(len(rows) for pieces in made._waiting.values() for rows in pieces.values()) < 80


def test_a_row_that_comes_twice_is_refused():
    x = features(1, n=200, d=3)
    with pytest.raises(DataError, match="added twice"):
        Small(3).add(x).add(x[:5], first=10)
    with pytest.raises(DataError, match="row 190 of the features was added twice"):
        Small(3).add(x).add(x[:5], first=190)
    with pytest.raises(DataError, match="added twice"):
        Small(3).add(x).merge(Small(3).add(x))
    with pytest.raises(DataError, match="3 features in 10 shards cannot be merged with 3 in 20"):
        Small(3).merge(Small(3, shards=10))
    with pytest.raises(DataError, match=r"features are \[n, 3\], and these are \[5, 4\]"):
        Small(3).add(np.zeros((5, 4)))


def test_what_is_not_finite_stays_so_without_a_warning(recwarn):
    x = features(1, n=300, d=3)
    x[7, 1] = np.inf
    made = Small.of(x)
    assert np.isnan(made.whole().covariance()).any()
    finite = [np.isfinite(one.covariance()).all() for one in made.without_each()]
    assert finite == [shard == 7 for shard in range(20)]
    assert not recwarn
