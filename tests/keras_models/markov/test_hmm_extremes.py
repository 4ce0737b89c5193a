"""Hidden Markov models where numbers end: long, impossible and wrong sequences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.keras_models.markov.hmm_chains import (
    EVERY_FOUR,
    expected_counts,
    learn,
    log_likelihood,
    make,
    parameters_of,
    viterbi,
)


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
