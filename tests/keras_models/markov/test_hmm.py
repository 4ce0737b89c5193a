"""Hidden Markov model: exact small examples, enumeration, and hmmlearn, TFP and autodiff as oracles."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hmmlearn.hmm import CategoricalHMM
from keras.callbacks import LambdaCallback

from keras_models import build, describe
from keras_models.markov import hmm_programs
from keras_models.markov.hmm_discrete import Categorical
from keras_models.spec import Spec
from tests.contract import Contract

WEATHER = ([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.9, 0.1], [0.2, 0.8]])
EVERY_FOUR = np.array(list(itertools.product((0, 1), repeat=4)), np.int32)


class TestHMM(Contract):
    family = "hmm"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {"states": 2}
    resume_needs = ("initial_count", "transition_count", "emission_count", "hmm/emission")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


def make(states=2, length=4, vocabulary=2, parameters=None, seed=0, **settings):
    spec = Spec(kind="tokens", shape=(length,), vocabulary=vocabulary)
    model = build("hmm", spec, describe("hmm").config(states=states, **settings), seed=seed)
    if parameters:
        for rows, value in zip((model.initial, model.transition, model.emission), parameters, strict=True):
            rows.assign(np.array(value))
    return model


def learn(model, x, length=None, batch=4, **settings):
    data = {"x": x} if length is None else {"x": x, "length": length}
    model.compile()
    return model.fit(tf.data.Dataset.from_tensor_slices(data).batch(batch), verbose=0, **settings)


def parameters_of(model):
    return [rows.numpy() for rows in (model.initial, model.transition, model.emission)]


def random_parameters(states, vocabulary, seed=0):
    random = np.random.default_rng(seed)
    shapes = (states,), (states, states), (states, vocabulary)
    return [random.dirichlet(np.ones(shape[-1]), shape[:-1]) for shape in shapes]


def ragged(vocabulary=5, batch=6, length=7, seed=1):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, length + 1, batch).astype(np.int32)
    lengths[0] = length
    return random.integers(0, vocabulary, (batch, length)).astype(np.int32), lengths


def run(name, initial, transition, emission, x, length):
    """A compiled program of the chain that these parameters are of."""
    chain = hmm_programs.Chain(len(initial), Categorical(*np.shape(emission)))
    rows = [tf.convert_to_tensor(value, tf.float64) for value in (initial, transition, emission)]
    return getattr(hmm_programs, name)(
        chain, rows, tf.convert_to_tensor(x), None, tf.convert_to_tensor(length)
    )


def expected_counts(*given):
    return run("expected_counts", *given)


def log_likelihood(*given):
    return run("log_likelihood", *given)


def viterbi(*given):
    return run("viterbi", *given)


def path_score(parameters, x, path):
    initial, transition, emission = (np.log(np.array(rows)) for rows in parameters)
    moves = transition[path[:-1], path[1:]].sum()
    return initial[path[0]] + moves + emission[path, x].sum()


def test_weather_likelihoods():
    x = np.array([[0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    got = make(parameters=WEATHER).log_prob(x, np.array([3, 4, 4, 1]))
    assert got.dtype == tf.float64
    np.testing.assert_allclose(got, np.log([0.10893, 0.0704115, 0.0650625, 0.62]), rtol=1e-12)


def test_weather_likeliest_paths():
    x = np.array([[0, 1, 0, 1], [0, 1, 0, 0]])
    path, score = make(parameters=WEATHER).decode_states(x, np.array([3, 4]))
    np.testing.assert_array_equal(path, [[0, 1, 0, -1], [0, 1, 0, 0]])
    np.testing.assert_allclose(score, np.log([0.046656, 0.02939328]), rtol=1e-12)


def test_weather_one_step_of_baum_welch():
    model = make(parameters=WEATHER, pseudo_count=0.0)
    history = learn(model, np.array([[0, 1, 0, 0]], np.int32))
    expected = (
        [0.81205343, 0.18794657],
        [[0.66097986, 0.33902014], [0.68024032, 0.31975968]],
        [[0.9041456, 0.0958544], [0.38353947, 0.61646053]],
    )
    for got, value in zip(parameters_of(model), expected, strict=True):
        np.testing.assert_allclose(got, value, atol=1e-7)
    assert history.history["loss"][0] == pytest.approx(2.6533986769 / 4, rel=1e-6)  # nats per symbol


def test_probabilities_of_all_sequences_sum_to_one():
    model = make(states=3, vocabulary=2, seed=5)
    assert np.exp(model.log_prob(EVERY_FOUR)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("pseudo_count", [0.0, 0.25])
def test_likelihood_and_one_step_equal_hmmlearn(pseudo_count):
    (x, lengths), parameters = ragged(), random_parameters(3, 5)
    model = make(states=3, length=7, vocabulary=5, parameters=parameters, pseudo_count=pseudo_count)
    prior = 1 + pseudo_count  # pseudo-counts are those of a Dirichlet prior
    priors = dict.fromkeys(("startprob_prior", "transmat_prior", "emissionprob_prior"), prior)
    other = CategoricalHMM(3, n_iter=1, init_params="", implementation="scaling", **priors)
    other.startprob_, other.transmat_, other.emissionprob_ = parameters
    other.n_features = 5
    joined = np.concatenate([row[:n] for row, n in zip(x, lengths)])[:, None]
    assert np.sum(model.log_prob(x, lengths)) == pytest.approx(other.score(joined, lengths), rel=1e-10)
    learn(model, x, lengths)
    other.fit(joined, lengths)
    expected = other.startprob_, other.transmat_, other.emissionprob_
    for got, value in zip(parameters_of(model), expected, strict=True):
        np.testing.assert_allclose(got, value, atol=1e-8)


def test_counts_are_the_gradient_of_the_likelihood():
    (x, lengths), parameters = ragged(), [tf.constant(rows) for rows in random_parameters(3, 5)]

    @tf.function(jit_compile=True)
    def gradient(*rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = tf.reduce_sum(log_likelihood(*rows, x, lengths))
        return [rows * slope for rows, slope in zip(rows, tape.gradient(total, rows), strict=True)]

    _, *counts = expected_counts(*parameters, x, lengths)
    for count, value in zip(counts, gradient(*parameters), strict=True):
        np.testing.assert_allclose(count, value, rtol=1e-12, atol=1e-14)


def test_no_path_scores_above_the_decoded_one():
    (x, lengths), parameters = ragged(batch=4, length=5), random_parameters(3, 5)
    paths, scores = make(states=3, length=5, vocabulary=5, parameters=parameters).decode_states(x, lengths)
    for row, n, path, score in zip(x, lengths, paths.numpy(), scores.numpy()):
        every = [path_score(parameters, row[:n], np.array(p)) for p in itertools.product(range(3), repeat=n)]
        assert score == pytest.approx(path_score(parameters, row[:n], path[:n]), rel=1e-12)
        assert score == pytest.approx(max(every), rel=1e-12)
        assert np.all(path[n:] == -1)


def test_a_padded_batch_is_its_sequences():
    x, lengths = ragged(batch=3, length=5)
    parameters = random_parameters(3, 5)
    together = expected_counts(*parameters, x, lengths)
    apart = [
        expected_counts(*parameters, x[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)
    ]
    np.testing.assert_allclose(together[0], np.concatenate([a[0] for a in apart]), rtol=1e-13)
    for i in (1, 2, 3):
        np.testing.assert_allclose(together[i], sum(a[i].numpy() for a in apart), rtol=1e-12, atol=1e-15)
    padded = np.where(np.arange(5) < lengths[:, None], x, 99)
    for got, value in zip(expected_counts(*parameters, padded, lengths), together, strict=True):
        np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("name", ["expected_counts", "log_likelihood", "viterbi", "smooth_states"])
def test_pieces_that_run_side_by_side_are_the_whole(monkeypatch, name):
    """A large batch is cut in as many equal pieces as there are cores."""
    x, lengths = ragged(batch=8)
    found = []
    for count in (1, 4):
        monkeypatch.setattr(hmm_programs, "pieces", lambda rows, count=count: count)
        found.append(tf.nest.flatten(run(name, *random_parameters(3, 5), x, lengths)))
    for whole, cut in zip(*found, strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=1e-15)


def test_a_batch_is_cut_in_equal_pieces_of_some_sequences(monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_inter_op_parallelism_threads", lambda: 4)
    assert [hmm_programs.pieces(rows) for rows in (None, 8, 64, 96, 100, 128, 1024, 1025)] == [
        1, 1, 2, 3, 2, 4, 4, 1,
    ]  # fmt: skip


def test_of_several_starts_the_likeliest_goes_on():
    x, lengths = ragged(batch=8)
    model = make(states=3, length=7, vocabulary=5, restarts=4, trial_epochs=3)
    history = learn(model, x, lengths, epochs=4).history["loss"]
    found = model.restart_log_likelihoods()  # of the third epoch
    assert len(found) == 4
    assert list(found) == sorted(found, reverse=True)
    assert found[0] > found[-1]
    assert history[2] * lengths.sum() >= -found[0] - 1e-4  # of the start that was first then
    assert history[3] * lengths.sum() <= -found[0] + 1e-4  # EM goes on from the likeliest
    with pytest.raises(TypeError, match="one start: set restarts"):
        make().restart_log_likelihoods()


def test_many_batches_are_one_batch():
    x, lengths = ragged(batch=7)
    one, many = (make(states=3, length=7, vocabulary=5, seed=3) for _ in range(2))
    whole = learn(one, x, lengths, batch=7, epochs=3)
    parts = learn(many, x, lengths, batch=3, epochs=3)  # the last batch is smaller
    assert whole.history["loss"] == pytest.approx(parts.history["loss"], rel=1e-6)  # weighted by symbols
    for a, b in zip(parameters_of(one), parameters_of(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


TWO_REPLICAS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.keras_models.markov.test_hmm import learn, make, parameters_of, ragged
x, lengths = ragged(batch=8)
alone = make(states=3, length=7, vocabulary=5)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    shared = make(states=3, length=7, vocabulary=5)
for model in (alone, shared):
    learn(model, x, lengths, epochs=3)
for a, b in zip(parameters_of(alone), parameters_of(shared), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-12)
"""


@pytest.mark.slow
def test_two_replicas_count_as_one():
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_epoch_lowers_the_likelihood():
    x, lengths = ragged(batch=8)
    model = make(states=3, length=7, vocabulary=5, pseudo_count=0.0)
    totals = [np.sum(model.log_prob(x, lengths))]
    after = LambdaCallback(on_epoch_end=lambda *_: totals.append(np.sum(model.log_prob(x, lengths))))
    learn(model, x, lengths, epochs=20, callbacks=[after])
    assert np.all(np.diff(totals) >= -1e-9 * np.abs(totals[1:]))
    assert totals[-1] > totals[0] + 5
    for rows in parameters_of(model):
        np.testing.assert_allclose(rows.sum(axis=-1), 1, rtol=1e-12)


def test_the_seed_draws_the_states_and_they_differ():
    first, again, other = (make(states=3, vocabulary=4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.emission, again.emission)
    assert np.abs(first.emission - other.emission).max() > 0.01
    assert np.abs(first.emission[0] - first.emission[1]).max() > 0.01


def test_pseudo_counts_keep_unseen_symbols_possible():
    x = np.zeros((4, 4), np.int32)
    smoothed, plain = (make(vocabulary=3, pseudo_count=count) for count in (0.01, 0.0))
    learn(smoothed, x)
    learn(plain, x)
    assert np.all(np.isfinite(smoothed.log_prob(x + 2)))
    assert np.all(np.isneginf(plain.log_prob(x + 2)))


def test_a_state_that_is_never_visited_keeps_its_rows():
    rows = ([1.0, 0.0], [[1.0, 0.0], [0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]])
    model = make(parameters=rows, pseudo_count=0.0)
    learn(model, EVERY_FOUR[1:5])
    np.testing.assert_allclose(model.transition, rows[1])
    np.testing.assert_allclose(model.emission, [[11 / 16, 5 / 16], [0.1, 0.9]])  # 5 ones in 16 symbols


def test_a_hundred_thousand_steps_neither_underflow_nor_overflow():
    # State 1 is never entered, and emits all that is seen: its backward probability grows beyond 1e308.
    rows = [np.array(r) for r in ([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [[0.01, 0.99], [1.0, 0.0]])]
    x, length = np.zeros((1, 100_000), np.int32), np.array([100_000], np.int32)
    total, initial, moves, emissions = expected_counts(*rows, x, length)
    np.testing.assert_allclose(total, [100_000 * np.log(0.01)], rtol=1e-12)
    np.testing.assert_allclose(initial, [1, 0])
    np.testing.assert_allclose(moves, [[99_999, 0], [0, 0]])
    np.testing.assert_allclose(emissions, [[100_000, 0], [0, 0]])
    np.testing.assert_allclose(viterbi(*rows, x, length)[1], total, rtol=1e-10)


def test_an_impossible_sequence_is_minus_infinity_and_counts_nothing():
    rows = ([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    x = np.array([[0, 1, 2, 0], [2, 0, 0, 0], [0, 3, 0, 0], [0, 1, 0, 1]], np.int32)
    model = make(vocabulary=3, parameters=rows)
    np.testing.assert_array_equal(np.isneginf(model.log_prob(x)), [True, True, True, False])
    np.testing.assert_array_equal(np.isneginf(model.decode_states(x)[1]), [True, True, True, False])
    learn(model, x)
    assert all(np.all(np.isfinite(rows)) for rows in parameters_of(model))
    _, initial, moves, emissions = expected_counts(*map(np.array, rows), x, np.full(4, 4, np.int32))
    np.testing.assert_allclose([tf.reduce_sum(c) for c in (initial, moves, emissions)], [1, 3, 4])


def test_the_gradient_of_an_impossible_sequence_is_not_nan():
    chain = [[1.0, 0.0], [0.5, 0.5]]
    rows = [tf.constant(value, tf.float64) for value in ([1.0, 0.0], chain, chain)]

    @tf.function(jit_compile=True)
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = tf.reduce_sum(log_likelihood(*rows, tf.constant([[0, 1], [0, 0]]), tf.constant([2, 2])))
        return tape.gradient(total, rows)

    assert all(np.all(np.isfinite(slope)) for slope in gradient())


def test_wrong_input_is_refused_by_name():
    with pytest.raises(ValueError, match="vocabulary 0"):
        make(vocabulary=0)
    with pytest.raises(ValueError, match=r"x is \[B, T\]"):
        make().log_prob(np.zeros(4, np.int32))
    with pytest.raises(ValueError, match=r"length \[B\]"):
        make().log_prob(EVERY_FOUR, np.array([4, 4]))
    with pytest.raises(ValueError, match="rows of unequal length are padded"):
        make().log_prob([[0, 1, 1, 0], [0, 1]])
    with pytest.raises(TypeError, match="did not learn from tags"):
        make().tag(EVERY_FOUR)
    with pytest.raises(ValueError, match="data have no tags"):
        make(learner="tags")
    with pytest.raises(ValueError, match="tie 2 does not divide the 3 states"):
        make(states=3, tie=2)
    with pytest.raises(ValueError, match="number of samples is at least 1"):
        make().sample(0)
    for bad in (0, 5):
        with pytest.raises(ValueError, match=rf"in 1..4, and one is {bad}"):
            make().decode_states(EVERY_FOUR[:2], np.array([4, bad]))


@pytest.mark.slow
def test_more_states_read_shakespeare_better_and_noise_no_better():
    if "MOZART_TEST_DATA" not in os.environ:
        pytest.skip("MOZART_TEST_DATA is not set")
    text = (Path(os.environ["MOZART_TEST_DATA"]) / "tinyshakespeare" / "input.txt").read_text("utf-8")
    symbols, x = np.unique(np.array(list(text)), return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(x)

    def perplexities(sequence, states, seeds):
        windows = sequence[: len(x) // 128 * 128].reshape(-1, 128).astype(np.int32)
        train, test = windows[:2344], windows[-870:]  # 300,000 characters, and the last tenth
        for seed in seeds:
            model = make(states=states, length=128, vocabulary=len(symbols), seed=seed)
            learn(model, train, batch=256, epochs=60 if states > 1 else 1)
            yield float(np.exp(-np.mean(model.log_prob(test)) / 128))

    one, eight, sixteen = (list(perplexities(x, states, range(3))) for states in (1, 8, 16))
    print(f"perplexity of 1, 8, 16 states: {one} {eight} {sixteen}")
    assert max(sixteen) < min(eight)
    assert max(eight) < 0.7 * one[0]
    (noise_one,), (noise_sixteen,) = perplexities(shuffled, 1, (0,)), perplexities(shuffled, 16, (0,))
    print(f"shuffled characters: {noise_one} and {noise_sixteen}")
    assert noise_sixteen > 0.99 * noise_one
