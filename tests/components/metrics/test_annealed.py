"""Annealed importance sampling of a linear-Gaussian decoder, whose log p(x) is known."""

import math

import numpy as np
import pytest
from scipy import stats

from components.errors import DataError
from components.metrics.annealed import annealed, sandwich, schedule, tuned
from components.metrics.likelihood import effective_samples, importance_bound, log_mean_exp

NOISE = 0.3


class Linear:
    """x = W z + noise, z normal: `n` examples that it drew, each for `chains` chains."""

    def __init__(self, n: int = 12, chains: int = 8, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        self.loading = random.randn(3, 6)
        self.z = random.randn(n, 3)
        self.x = self.z @ self.loading + NOISE * random.randn(n, 6)
        covariance = self.loading.T @ self.loading + NOISE**2 * np.eye(6)
        self.exact = np.atleast_1d(stats.multivariate_normal(np.zeros(6), covariance).logpdf(self.x))
        self.shape = chains, n
        self.start = random.randn(chains * n, 3)
        self.posterior = np.tile(self.z, (chains, 1))

    def prior(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -np.square(z).sum(axis=1) / 2 - 1.5 * math.log(2 * math.pi), -z

    def joint(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level, slope = self.prior(z)
        apart = np.tile(self.x, (self.shape[0], 1)) - z @ self.loading
        constant = 3 * math.log(2 * math.pi * NOISE**2)
        level = level - np.square(apart).sum(axis=1) / (2 * NOISE**2) - constant
        return level, slope + apart @ self.loading.T / NOISE**2

    def run(self, **options: object) -> np.ndarray:
        start = self.posterior if options.get("reverse") else self.start
        return annealed(self.prior, self.joint, start, **options).reshape(self.shape)


MODEL = Linear()
SIZES = tuned(MODEL.prior, MODEL.joint, MODEL.start, steps=150)


def test_the_schedule_is_a_sigmoid_from_nought_to_one() -> None:
    betas = schedule(100)
    assert (betas[0], betas[-1], len(betas)) == (0, 1, 101)
    assert betas[50] == pytest.approx(0.5)
    assert (np.diff(betas) > 0).all()
    assert np.diff(betas)[0] < np.diff(betas)[50] / 5  # small steps at the ends
    with pytest.raises(DataError, match="at least one step"):
        schedule(0)


def test_tuning_leads_to_its_acceptance_and_smaller_steps_in_the_narrow_posterior() -> None:
    assert SIZES.accepted == pytest.approx(0.65, abs=0.08)
    assert SIZES.at(0.0).mean() > 3 * SIZES.at(1.0).mean()
    assert SIZES.table.shape == (150, 96)


def test_both_bounds_close_on_the_exact_likelihood() -> None:
    exact, gaps = MODEL.exact.mean(), []
    for steps in (20, 100, 500):
        backward = MODEL.run(steps=steps, step_sizes=SIZES, reverse=True)
        found = sandwich(MODEL.run(steps=steps, step_sizes=SIZES), backward)
        assert found["lower"].value < exact + 0.15
        assert found["upper"].value > exact - 0.15
        gaps.append(found["gap"].value)
    assert gaps[0] > 5 * gaps[2]
    assert found["lower"].value == pytest.approx(exact, abs=0.15)
    assert found["upper"].value == pytest.approx(exact, abs=0.15)
    assert found["gap"].estimable


def test_weights_are_unbiased_in_either_direction() -> None:
    """E w = p(x) at any number of steps; backwards E w = 1 / p(x) over posterior draws."""
    model = Linear(n=1, chains=1500)
    random = np.random.RandomState(5)
    precision = np.eye(3) + model.loading @ model.loading.T / NOISE**2
    covariance = np.linalg.inv(precision)
    mean = model.x @ model.loading.T @ covariance / NOISE**2
    model.posterior = mean + random.randn(1500, 3) @ np.linalg.cholesky(covariance).T
    for reverse in (False, True):
        log_weights = model.run(steps=120, step_sizes=0.1, reverse=reverse)[:, 0]
        ratio = np.exp(log_weights + (1 if reverse else -1) * model.exact[0])
        error = ratio.std() / math.sqrt(len(ratio))
        assert error < 0.1
        assert abs(ratio.mean() - 1) < 3 * error


def test_annealing_beats_importance_sampling_from_the_prior() -> None:
    plain = importance_bound(MODEL.run(steps=1))
    found = importance_bound(MODEL.run(steps=200, step_sizes=SIZES))
    assert plain.value > found.value + 1
    assert found.value > -MODEL.exact.mean() - 0.15
    assert found.extra["effective_samples"] > 2 * np.median(effective_samples(MODEL.run(steps=1)))
    assert log_mean_exp(MODEL.run(steps=200, step_sizes=SIZES)).shape == (12,)


def test_any_transition_that_keeps_the_density_will_do() -> None:
    """A random walk of Metropolis steps, as for a density without gradients."""

    def walk(z, density, random):
        for _ in range(10):
            moved = z + 0.15 * random.standard_normal(z.shape)
            rise = density(moved)[0] - density(z)[0]
            z = np.where((np.log(random.random(len(z))) < rise)[:, None], moved, z)
        return z

    found = log_mean_exp(MODEL.run(steps=300, transition=walk))
    assert found.mean() == pytest.approx(MODEL.exact.mean(), abs=0.3)


def test_the_same_seed_gives_the_same_bits() -> None:
    runs = [MODEL.run(steps=20, step_sizes=SIZES, seed=seed).tobytes() for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    again = tuned(MODEL.prior, MODEL.joint, MODEL.start, steps=150)
    assert again.table.tobytes() == SIZES.table.tobytes()


def test_steps_far_too_large_are_not_accepted_and_give_no_nonsense() -> None:
    stuck = MODEL.run(steps=30, step_sizes=1e200)
    still = MODEL.run(steps=30, transition=lambda z, density, random: z)
    np.testing.assert_allclose(stuck, still)


def test_an_example_that_is_no_number_shows() -> None:
    model = Linear(n=3, chains=4)
    model.x[1] = np.nan
    found = log_mean_exp(model.run(steps=10))
    assert np.isnan(found).tolist() == [False, True, False]
    assert math.isnan(importance_bound(model.run(steps=10)).value)


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="latents"):
        annealed(MODEL.prior, MODEL.joint, np.zeros(3))
    with pytest.raises(DataError, match="same examples"):
        sandwich(np.zeros((4, 3)), np.zeros((4, 2)))
