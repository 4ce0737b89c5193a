"""By simulation: what a 95 % interval of the Fréchet distance says is true 90 to 100 times in 100."""

import math

import numpy as np
import pytest

from components.metrics.frechet import ShardedMoments, frechet_difference, frechet_interval

pytestmark = pytest.mark.slow
REPLICATES = 200


def normal(random, n, spread, shift=0.0):
    return random.standard_normal((n, len(spread))) * spread + shift


def spreads(d):
    return np.linspace(1.5, 0.3, d)


def inside(found, true):
    """How many of the intervals hold the truth."""
    return sum(one.low <= true <= one.high for one in found)


@pytest.mark.parametrize("stretch", [0.0, 0.1, 0.4])
@pytest.mark.parametrize(
    ("d", "n", "m"),  # features, real examples, samples: n / d from 2.3 to 80
    [
        (64, 148, 148),
        (32, 80, 200),
        (16, 80, 80),
        (32, 512, 200),
        (16, 384, 384),
        (32, 2560, 2560),
        (16, 1280, 600),
    ],
)
def test_an_interval_holds_the_distance_of_two_normals(d, n, m, stretch):
    """Samples stretched and shifted by so much; 0 is a perfect model."""
    spread, random = spreads(d), np.random.default_rng(d * n + m)
    shift = 0.5 * stretch * spread[::-1]
    true = np.square(shift).sum() + np.square(stretch * spread).sum()
    found = []
    for _ in range(REPLICATES):
        real, samples = normal(random, n, spread), normal(random, m, (1 + stretch) * spread, shift)
        found.append(frechet_interval(ShardedMoments.of(samples), ShardedMoments.of(real)))
    assert inside(found, true) >= 0.90 * REPLICATES
    corrected, plain = (
        abs(np.mean([getattr(one, name) for one in found]) - true) for name in ("value", "plain")
    )
    assert corrected < 0.25 * plain


@pytest.mark.parametrize(("d", "n"), [(32, 80), (16, 384), (16, 1280)])
def test_an_interval_holds_the_distance_of_rectified_features(d, n):
    """Features as a ReLU leaves them: a third are 0, the rest are skewed. Moments by the normal's own."""
    random, spread = np.random.default_rng(n), spreads(d)

    def rectified(n, mean):
        return np.maximum(normal(random, n, spread, mean), 0)

    def moments(mean):
        ratio = mean / spread
        below = np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in ratio])
        density = np.exp(-np.square(ratio) / 2) / math.sqrt(2 * math.pi)
        first = mean * below + spread * density
        second = (np.square(mean) + np.square(spread)) * below + mean * spread * density
        return first, np.sqrt(second - np.square(first))

    means = 0.4 * spread, 0.6 * spread
    (first, deviation), (other, other_deviation) = (moments(mean) for mean in means)
    true = np.square(first - other).sum() + np.square(deviation - other_deviation).sum()
    found = [
        frechet_interval(*(ShardedMoments.of(rectified(n, mean)) for mean in means))
        for _ in range(REPLICATES)
    ]
    assert inside(found, true) >= 0.90 * REPLICATES


@pytest.mark.parametrize(("d", "n"), [(32, 80), (16, 384), (16, 1280)])
def test_an_interval_holds_the_difference_of_two_models(d, n):
    """Of their own latents, and of the same: the second is the narrower."""
    random, spread, halves = np.random.default_rng(n), spreads(d), []
    true = np.square(spread).sum() * (0.2**2 - 0.1**2)
    for shared in (False, True):
        found = []
        for _ in range(REPLICATES):
            latents = random.standard_normal((n, d))
            others = latents if shared else random.standard_normal((n, d))
            sides = 1.2 * spread * latents, 1.1 * spread * others, normal(random, n, spread)
            found.append(frechet_difference(*(ShardedMoments.of(side) for side in sides)))
        assert inside(found, true) >= 0.90 * REPLICATES
        halves.append(np.mean([one.high - one.low for one in found]))
    assert halves[1] < 0.75 * halves[0]


def test_a_null_split_of_real_data_is_rarely_called_worse():
    """Digits cut in three by chance: one third as the real ones, two as models that are equally good."""
    from sklearn.datasets import load_digits

    pixels = load_digits().data
    axes = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)[2][:20]
    features, random = pixels @ axes.T, np.random.default_rng(0)
    worse = far = 0
    for _ in range(REPLICATES):
        challenger, champion, real = (
            ShardedMoments.of(third) for third in np.array_split(random.permutation(features), 3)
        )
        worse += frechet_difference(challenger, champion, real).low > 0
        far += frechet_interval(challenger, real).low > 0
    assert worse <= 0.07 * REPLICATES
    assert far <= 0.07 * REPLICATES
