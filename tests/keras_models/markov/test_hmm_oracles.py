"""Hidden Markov models against oracles: hmmlearn, enumeration of all paths, autodiff, closed forms."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hmmlearn.hmm import GMMHMM, CategoricalHMM, GaussianHMM, PoissonHMM

from tests.keras_models.markov.hmm_cases import EACH, STEPS, data_of, joined, model_of, run


@pytest.mark.parametrize("emission", ["gaussian", "full_gaussian", "poisson"])
def test_likelihood_path_and_one_step_equal_hmmlearn(emission):
    model = model_of(emission, smallest_variance=0.0)
    x, _, length = data_of(model, batch=12)
    first, moves, *rest = model.candidates[0].arrays()
    settings = {"n_iter": 1, "init_params": "", "implementation": "scaling"}
    if emission == "poisson":
        peer = PoissonHMM(3, lambdas_prior=0.0, lambdas_weight=0.0, **settings)
        (peer.lambdas_,) = rest
    else:
        kind = "full" if emission == "full_gaussian" else "diag"
        priors = dict.fromkeys(("means_weight", "covars_weight", "covars_prior", "min_covar"), 0.0)
        priors["covars_weight"] = -3.0 if kind == "full" else 1.0  # so that hmmlearn adds no pseudo-steps
        peer = GaussianHMM(3, kind, **priors, **settings)
        peer.means_ = rest[0]
        peer.covars_ = rest[1] @ np.swapaxes(rest[1], 1, 2) if kind == "full" else rest[1]
    peer.startprob_, peer.transmat_ = first, moves
    rows = joined(x, length)
    rows = rows.astype(np.int64 if emission == "poisson" else np.float64)
    assert np.sum(model.log_prob(x, length)) == pytest.approx(peer.score(rows, length), rel=1e-10)
    assert np.sum(model.decode_states(x, length)[1]) == pytest.approx(peer.decode(rows, length)[0], rel=1e-10)
    model.candidates[0].add(run("expected_counts", model, x, None, length)[1:])
    model.candidates[0].maximise()
    peer.fit(rows, length)
    first, moves, *rest = model.candidates[0].arrays()
    np.testing.assert_allclose(first, peer.startprob_, atol=1e-8)
    np.testing.assert_allclose(moves, peer.transmat_, atol=1e-8)
    if emission == "poisson":
        np.testing.assert_allclose(rest[0], peer.lambdas_, rtol=1e-8)
        return
    np.testing.assert_allclose(rest[0], peer.means_, rtol=1e-8)
    found = rest[1] @ np.swapaxes(rest[1], 1, 2) if emission == "full_gaussian" else rest[1]
    expected = peer.covars_ if emission == "full_gaussian" else np.diagonal(peer.covars_, axis1=1, axis2=2)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("batch", [4, 20])
def test_more_states_than_sequences_and_fewer_equal_hmmlearn(batch):
    """Above 16 states products are matrix products, and moves are summed in one of two ways."""
    model = model_of("categorical", states=18)
    x, _, length = data_of(model, batch=batch)
    peer = CategoricalHMM(18, n_iter=1, init_params="", implementation="scaling")
    peer.startprob_, peer.transmat_, peer.emissionprob_ = model.candidates[0].arrays()
    peer.n_features = 4
    rows = joined(x, length)[:, None]
    assert np.sum(model.log_prob(x, length)) == pytest.approx(peer.score(rows, length), rel=1e-10)
    assert np.sum(model.decode_states(x, length)[1]) == pytest.approx(peer.decode(rows, length)[0], rel=1e-10)
    model.candidates[0].add(run("expected_counts", model, x, None, length)[1:])
    model.candidates[0].maximise()
    peer.fit(rows, length)
    expected = peer.startprob_, peer.transmat_, peer.emissionprob_
    for found, value in zip(model.candidates[0].arrays(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-8)


@pytest.mark.parametrize("emission", EACH)
def test_statistics_give_the_gradient_and_the_m_step_its_zero(emission):
    """Fisher's identity: at the parameters that the statistics were found with, the expected complete
    log-likelihood has the gradient of log p(x); and at its maximum its own gradient is zero."""
    model = model_of(emission, smallest_variance=0.0)
    x, mask, length = data_of(model)
    best = model.candidates[0]
    free = [tf.convert_to_tensor(rows) for rows in best._free(best.values())]
    counts = run("expected_counts", model, x, mask, length)[1:]
    x = tf.convert_to_tensor(x)

    @tf.function(jit_compile=True, autograph=False)
    def gradient(*free):
        with tf.GradientTape() as tape:
            tape.watch(free)
            found = model.chain.filter(tuple(best._constrained(list(free))), x, mask, tf.constant(length))
            total = tf.reduce_sum(found.log_likelihood(tf.constant(length)))
        return tape.gradient(total, free)

    def of_counts(free):
        with tf.GradientTape() as tape:
            tape.watch(free)
            total = best._log_of(best._constrained(free), best.values(), counts)
        return tape.gradient(total, free)

    for found, expected in zip(of_counts(free), gradient(*free), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    before = best.values()
    best.add(counts)
    best.maximise()
    free = [tf.convert_to_tensor(rows) for rows in best._free(best.values())]
    with tf.GradientTape() as tape:
        tape.watch(free)
        total = best._log_of(best._constrained(free), before, counts)
    for slope in tape.gradient(total, free):
        np.testing.assert_allclose(slope, 0, atol=1e-7)


@pytest.mark.parametrize("emission", EACH)
def test_no_epoch_lowers_the_likelihood(emission):
    model = model_of(emission, smallest_variance=0.0)
    x, mask, length = data_of(model, batch=24)
    totals = []
    for _ in range(12):
        found, *counts = run("expected_counts", model, x, mask, length)
        totals.append(float(tf.reduce_sum(found)))
        model.candidates[0].add(counts)
        model.candidates[0].maximise()
    assert np.all(np.diff(totals) >= -1e-9 * np.abs(totals[1:]))
    assert totals[-1] > totals[0] + 1


@pytest.mark.parametrize("emission", EACH)
def test_a_padded_batch_is_its_sequences_and_float32_is_near(emission):
    model, fast = model_of(emission), model_of(emission, precision="float32")
    x, mask, length = data_of(model)
    together = run("expected_counts", model, x, mask, length)
    spoilt = np.where(np.arange(STEPS)[:, None] < length[:, None, None], x.reshape(5, STEPS, -1), 1)
    spoilt = spoilt.reshape(x.shape).astype(x.dtype)
    for got, value in zip(run("expected_counts", model, spoilt, mask, length), together, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-14)
    for got, value in zip(run("expected_counts", fast, x, mask, length), together, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fast.log_prob(x, length, mask), model.log_prob(x, length, mask), rtol=2e-6)


@pytest.mark.parametrize("emission", EACH)
def test_posteriors_are_distributions_and_end_alike(emission):
    model = model_of(emission)
    x, mask, length = data_of(model)
    filtered, smoothed = (f(x, length, mask).numpy() for f in (model.filter_states, model.smooth_states))
    inside = np.arange(STEPS) < length[:, None]
    np.testing.assert_allclose(filtered[inside].sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(smoothed.sum(axis=-1), inside, rtol=1e-12)
    rows = np.arange(len(x))
    np.testing.assert_allclose(smoothed[rows, length - 1], filtered[rows, length - 1], rtol=1e-12)


def test_a_mixture_equals_hmmlearn():
    """hmmlearn takes squares about the old means: the variance about the new ones is smaller by the square of
    the mean's move."""
    model = model_of("gaussian_mixture", smallest_variance=0.0)
    x, _, length = data_of(model, batch=12)
    first, moves, means, variances, weights = model.candidates[0].arrays()
    peer = GMMHMM(3, 2, covariance_type="diag", n_iter=1, init_params="", implementation="scaling")
    peer.startprob_, peer.transmat_ = first, moves
    peer.means_, peer.covars_, peer.weights_ = means.copy(), variances.copy(), weights.copy()
    rows = joined(x, length).astype(np.float64)
    peer.n_features = 2
    assert np.sum(model.log_prob(x, length)) == pytest.approx(peer.score(rows, length), rel=1e-10)
    assert np.sum(model.decode_states(x, length)[1]) == pytest.approx(peer.decode(rows, length)[0], rel=1e-10)
    model.candidates[0].add(run("expected_counts", model, x, None, length)[1:])
    model.candidates[0].maximise()
    peer.fit(rows, length)
    expected = [peer.startprob_, peer.transmat_, peer.means_]
    expected += [peer.covars_ - (peer.means_ - means) ** 2, peer.weights_]
    for found, value in zip(model.candidates[0].arrays(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-8)


def by_enumeration(model, x):
    """Of one sequence, from all its paths: p(x), filtered and smoothed states, expected moves, the best path."""
    first, moves, sounding = model.candidates[0].arrays()
    seen = np.prod(np.where(x[:, None] > 0, sounding, 1 - sounding), axis=2)  # [T, K]
    states, steps = len(first), len(x)
    joint, joint_to, pairs, best = 0.0, np.zeros((2, steps, states)), np.zeros((states, states)), (0.0, ())
    for end in range(1, steps + 1):
        for path in itertools.product(range(states), repeat=end):
            p = first[path[0]] * np.prod([moves[i, j] for i, j in itertools.pairwise(path)])
            p *= np.prod([seen[t, state] for t, state in enumerate(path)])
            joint_to[0, end - 1, path[-1]] += p
            if end == steps:
                joint += p
                joint_to[1, range(steps), path] += p
                for i, j in itertools.pairwise(path):
                    pairs[i, j] += p
                best = max(best, (p, path))
    filtered = joint_to[0] / joint_to[0].sum(axis=1, keepdims=True)
    return joint, filtered, joint_to[1] / joint, pairs / joint, best


def test_chords_equal_the_enumeration_of_all_paths():
    model = model_of("bernoulli")
    x, _, length = data_of(model)
    total, filtered = model.log_prob(x, length), model.filter_states(x, length).numpy()
    smoothed = model.smooth_states(x, length).numpy()
    path, score = (found.numpy() for found in model.decode_states(x, length))
    first, moves, sounding = np.zeros(3), np.zeros((3, 3)), np.zeros((2, 3, 3))
    for i, n in enumerate(length):
        p, filter_i, gamma, pairs, best = by_enumeration(model, x[i, :n])
        assert float(total[i]) == pytest.approx(np.log(p), rel=1e-10)
        np.testing.assert_allclose(filtered[i, :n], filter_i, rtol=1e-10)
        np.testing.assert_allclose(smoothed[i, :n], gamma, rtol=1e-10)
        assert tuple(path[i, :n]) == best[1]
        assert score[i] == pytest.approx(np.log(best[0]), rel=1e-10)
        first, moves = first + gamma[0], moves + pairs
        sounding += gamma.T @ x[i, :n], np.repeat(gamma.sum(axis=0)[:, None], 3, axis=1)
    model.candidates[0].add(run("expected_counts", model, x, None, length)[1:])
    model.candidates[0].maximise()
    expected = first / first.sum(), moves / moves.sum(axis=1, keepdims=True), sounding[0] / sounding[1]
    for found, value in zip(model.candidates[0].arrays(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-8)


def test_a_forecast_has_the_mean_of_the_states_to_come():
    model = model_of("gaussian")
    x, mask, _ = data_of(model, batch=2)
    history = np.where(mask > 0, x, np.nan)
    drawn = model.forecast(history, 3, samples=4000, seed=1)
    assert drawn.shape == (4000, 2, 3, 2)
    _, moves, means, variances = model.candidates[0].arrays()
    belief = model.filter_states(x, mask=mask).numpy()[:, -1]
    for step in range(3):
        belief = belief @ moves
        spread = np.sqrt(belief @ (variances + means**2) - (belief @ means) ** 2)
        away = (drawn[:, :, step].mean(axis=0) - belief @ means) / (spread / np.sqrt(4000))
        assert np.abs(away).max() < 4.5
    np.testing.assert_array_equal(model.forecast(history, 3, samples=4000, seed=1), drawn)
