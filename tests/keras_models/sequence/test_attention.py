"""Attention, blocks, stacks and their optimizer: against the formulas written out in numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.sequence.attention import Attention, Block, Norm, dropout, of_rows, rotated, side_by_side
from keras_models.sequence.schedule import WarmUpCosine, adamw
from keras_models.sequence.stack import rows

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 5, 8)).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_hand(layer, x, memory, seen):
    """Attention head by head."""
    q, k, v = np.split(layer.entrance.numpy(), 3, axis=1)
    found = []
    for head in range(layer.heads):
        part = slice(head * layer.size, (head + 1) * layer.size)
        scores = (x @ q[:, part]) @ (memory @ k[:, part]).swapaxes(1, 2) / np.sqrt(layer.size)
        found.append(softmax(np.where(seen, scores, -np.inf)) @ (memory @ v[:, part]))
    return np.concatenate(found, -1) @ layer.exit.numpy()


@pytest.fixture(scope="module")
def attention():
    keras.utils.set_random_seed(0)
    layer = Attention(8, 2, 1, False, "attention")
    layer.entrance.assign(RANDOM.normal(size=(8, 24)))
    return layer


def test_attention_is_the_formula(attention):
    seen = np.tril(np.ones((5, 5), bool))
    parts = attention.queries_keys_values(X, tf.range(5))
    np.testing.assert_allclose(attention.attend(*parts, seen), by_hand(attention, X, X, seen), atol=1e-5)


def test_attention_to_a_memory_and_some_queries_at_a_time_are_the_same_formula(attention):
    memory = RANDOM.normal(size=(2, 7, 8)).astype(np.float32)
    seen = np.arange(7)[None] < np.array([[7], [3]])
    expected = by_hand(attention, X, memory, seen[:, None, :])
    keys, values = attention.keys_values(memory)
    whole = attention.attend(attention.queries(X), keys, values, seen[:, None, None, :])
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    kept = [side_by_side(each) for each in (keys, values)]
    for t in range(4):
        two = attention.attend_kept(attention.queries(X)[:, t : t + 2], *kept, seen.repeat(2, 0)[:, None])
        np.testing.assert_allclose(two, expected[:, t : t + 2], atol=1e-5)


def test_rows_of_what_is_kept_are_rows_of_the_batch():
    x = tf.constant(RANDOM.normal(size=(3, 5, 2, 4)))
    rows = tf.constant([2, 2, 0, 1])
    np.testing.assert_array_equal(of_rows(side_by_side(x), rows, 2), side_by_side(tf.gather(x, rows)))


def test_norm_is_that_of_keras():
    layer = keras.layers.LayerNormalization(epsilon=1e-5, center=False)
    np.testing.assert_allclose(Norm(8, "norm")(X * 7 + 3), layer(X * 7 + 3), atol=1e-5)


def test_a_block_whose_parts_give_nothing_is_the_identity():
    block = Block(8, 2, 1, rotary=False, reads_memory=True, name="block")
    for kernel in (block.attention.exit, block.memory.exit, block.down):
        kernel.assign(tf.zeros_like(kernel))
    seen = tf.ones((1, 1, 1, 5), tf.bool)
    found = block.whole(tf.constant(X), tf.range(5), seen[0, 0], (tf.constant(X), seen))
    np.testing.assert_array_equal(found, X)


def test_a_rotation_keeps_lengths_and_begins_at_nothing():
    x = tf.constant(X.reshape(2, 5, 2, 4))
    turned = rotated(x, tf.range(5))
    np.testing.assert_allclose(tf.norm(turned, axis=-1), tf.norm(x, axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(turned[:, 0], x[:, 0])
    assert np.abs(turned - x)[:, 1:].max() > 0.1


def test_dropout_hides_its_share_and_keeps_the_mean():
    hide = dropout(0.25, tf.constant([1, 2]))
    first, second = hide(tf.ones((100, 100))).numpy(), hide(tf.ones((100, 100))).numpy()
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert first.mean() == pytest.approx(1, abs=0.02)
    assert (first != second).any(), "each place has its own noise"
    np.testing.assert_array_equal(dropout(0.25, None)(X), X)


def test_rows_have_the_gradient_of_gather():
    table = tf.constant(RANDOM.normal(size=(6, 3)), tf.float32)
    symbols = tf.constant([[1, 1, 5], [0, 1, 2]])
    gradients = []
    for read in (rows, tf.gather):
        with tf.GradientTape() as tape:
            tape.watch(table)
            loss = tf.reduce_sum(read(table, symbols) ** 2)
        gradients.append(tf.convert_to_tensor(tape.gradient(loss, table)).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5)


class Settings:
    """What `adamw` reads of a config."""

    learning_rate, warm_up, decay_steps, last_rate = 0.1, 4, 12, 0.1
    weight_decay, beta_2, clip = 0.5, 0.99, 1.0


def test_the_step_size_rises_in_a_line_and_falls_in_a_cosine():
    rate = WarmUpCosine(0.1, 4, 12, 0.1)
    found = [float(rate(step)) for step in range(16)]
    falling = [0.1 * (0.1 + 0.45 * (1 + np.cos(np.pi * min(u / 8, 1)))) for u in range(12)]
    np.testing.assert_allclose(found, [0.025, 0.05, 0.075, 0.1, *falling], rtol=1e-5)
    assert float(WarmUpCosine(0.1, 0, 0, 0.1)(1_000_000)) == pytest.approx(0.1)


def test_only_matrices_shrink():
    scale, kernel = keras.Variable(np.ones(3, np.float32)), keras.Variable(np.ones((3, 3), np.float32))
    optimizer = adamw(Settings, [scale, kernel])
    optimizer.apply([tf.zeros(3), tf.zeros((3, 3))], [scale, kernel])
    np.testing.assert_array_equal(scale, np.ones(3))
    np.testing.assert_allclose(kernel, np.full((3, 3), 1 - 0.5 * 0.025), rtol=1e-6)
