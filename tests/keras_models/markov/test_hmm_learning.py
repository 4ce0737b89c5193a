"""How hidden Markov models learn: batches, replicas, several starts, priors, real text."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras.callbacks import LambdaCallback

from tests.keras_models.markov.hmm_chains import (
    EVERY_FOUR,
    learn,
    make,
    parameters_of,
    ragged,
)


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
from tests.keras_models.markov.hmm_chains import learn, make, parameters_of, ragged
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
