"""What a recurrent network reads and foretells at each step: a symbol, or the pitches that sound.

A readout turns the network's output into p(x_t | past), and what was before x_t into the first layer's
input. Three of them: a softmax over symbols; pitches that are independent of each other given the past;
and pitches from low to high, each given the past and the lower ones (MADE, Germain et al. 2015, on top of
a recurrent network as RNN-NADE is, Boulanger-Lewandowski et al. 2012). Arrays are `[time, batch, ...]`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

ONE_HOT = 1024  # up to so many symbols, a product is faster than rows added one after another


class Symbols(keras.layers.Layer):
    """One of `vocabulary` symbols: softmax(W h + b). Reads symbols, and `vocabulary` at the start."""

    def __init__(self, vocabulary: int, units: int) -> None:
        super().__init__(name="symbols")
        self.vocabulary = self.width = vocabulary
        self.kernel = self.add_weight(name="kernel", shape=(units, vocabulary))
        self.bias = self.add_weight(name="bias", shape=(vocabulary,), initializer="zeros")
        self.built = True

    def start(self, n: int) -> Any:
        """What is before the first step: int32 `[n]`."""
        return tf.fill((n,), self.vocabulary)

    def read(self, x: Any) -> Any:
        """Symbols `[...]` as the network reads them; others than the vocabulary's as one of it."""
        return tf.clip_by_value(tf.cast(x, tf.int32), 0, self.vocabulary - 1)

    def project(self, symbols: Any, table: Any) -> Any:
        """Rows of `table` `[vocabulary + 1, n]` for symbols `[...]`."""
        return _rows(table, symbols)

    def logits(self, hidden: Any) -> Any:
        """`[..., units]` to `[..., vocabulary]`."""
        return tf.tensordot(hidden, tf.convert_to_tensor(self.kernel), 1) + self.bias

    def nats(self, hidden: Any, x: Any) -> Any:
        """-log p(x_t | past) `[...]`; infinite for symbols outside of the vocabulary."""
        x = tf.cast(x, tf.int32)
        known = self.read(x)
        logits = self.logits(hidden)
        chosen = tf.reduce_sum(logits * tf.one_hot(known, self.vocabulary, dtype=logits.dtype), axis=-1)
        found = tf.reduce_logsumexp(logits, axis=-1) - chosen
        return tf.where(tf.equal(x, known), found, tf.constant(np.inf, found.dtype))

    def draw(self, hidden: Any, noise: Any) -> Any:
        """A symbol int32 `[n]` for each row of `hidden` `[n, units]` by inversion of uniform noise `[n]`."""
        return invert(tf.nn.softmax(self.logits(hidden)), noise)


class Pitches(keras.layers.Layer):
    """`pitches` notes that sound or not, independent given the past: p = sigmoid(W h + b).

    Reads the notes before and a 1 at the start."""

    def __init__(self, pitches: int, units: int) -> None:
        super().__init__(name="pitches")
        self.pitches, self.width = pitches, pitches
        self.kernel = self.add_weight(name="kernel", shape=(units, pitches))
        self.bias = self.add_weight(name="bias", shape=(pitches,), initializer=rare)
        self.built = True

    def start(self, n: int) -> Any:
        """What is before the first step: float32 `[n, pitches + 1]`."""
        return tf.one_hot(tf.fill((n,), self.pitches), self.pitches + 1)

    def read(self, x: Any) -> Any:
        """Notes `[..., pitches]` as the network reads them."""
        x = tf.cast(x, tf.float32)
        return tf.concat([x, tf.zeros_like(x[..., :1])], axis=-1)

    def project(self, notes: Any, table: Any) -> Any:
        """Sums of rows of `table` `[pitches + 1, n]`."""
        return tf.tensordot(notes, table, 1)

    def logits(self, hidden: Any) -> Any:
        """`[..., units]` to `[..., pitches]`."""
        return tf.tensordot(hidden, tf.convert_to_tensor(self.kernel), 1) + self.bias

    def given(self, hidden: Any, x: Any) -> Any:
        """Log-odds `[..., pitches]` of each pitch given the past and, where they count, the lower of `x`."""
        return self.logits(hidden)

    def nats(self, hidden: Any, x: Any) -> Any:
        """-log p(x_t | past) `[...]` of notes `[..., pitches]`, 0 and 1."""
        x = tf.cast(x, tf.float32)
        logits = self.given(hidden, x)
        return tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=-1)

    def draw(self, hidden: Any, noise: Any) -> Any:
        """Notes float32 `[n, pitches]` from uniform noise `[n, pitches]`."""
        return tf.cast(noise < tf.sigmoid(self.logits(hidden)), tf.float32)


class OrderedPitches(Pitches):
    """Pitch by pitch from low to high, each given the past and the lower ones: a chord is one outcome.

    logit_d = (W h + b)_d + sum_{i<d} A_id x_i + sum_{k: m_k <= d} V_kd tanh((C h + c)_k + sum_{i<m_k} U_ik x_i)
    where hidden unit k sees the pitches below m_k.
    """

    def __init__(self, pitches: int, units: int, hidden: int) -> None:
        super().__init__(pitches, units)
        pitch, sees = np.arange(pitches), 1 + np.arange(hidden) * max(pitches - 1, 1) // hidden
        self.enters = (pitch[:, None] < sees).astype(np.float32)  # [pitches, hidden]
        self.leaves = (sees[:, None] <= pitch).astype(np.float32)
        self.lower = (pitch[:, None] < pitch).astype(np.float32)
        self.condition = self.add_weight(name="condition", shape=(units, hidden))
        self.condition_bias = self.add_weight(name="condition_bias", shape=(hidden,), initializer="zeros")
        self.enter = self.add_weight(name="enter", shape=(pitches, hidden))
        self.leave = self.add_weight(name="leave", shape=(hidden, pitches))
        self.direct = self.add_weight(name="direct", shape=(pitches, pitches), initializer="zeros")

    def given(self, hidden: Any, x: Any) -> Any:
        """See Pitches.given."""
        sums = self._conditioned(hidden) + tf.tensordot(x, self.enter * self.enters, 1)
        logits = self.logits(hidden) + tf.tensordot(x, self.direct * self.lower, 1)
        return logits + tf.tensordot(tf.tanh(sums), self.leave * self.leaves, 1)

    def draw(self, hidden: Any, noise: Any) -> Any:
        """See Pitches.draw."""
        enter, direct = self.enter * self.enters, self.direct * self.lower
        leave = tf.transpose(self.leave * self.leaves)  # [pitches, hidden]

        def step(d: Any, sums: Any, logits: Any, notes: Any) -> tuple[Any, ...]:
            logit = logits[:, d] + tf.linalg.matvec(tf.tanh(sums), leave[d])
            note = tf.cast(noise[:, d] < tf.sigmoid(logit), tf.float32)
            sums += note[:, None] * enter[d]
            return d + 1, sums, logits + note[:, None] * direct[d], notes.write(d, note)

        notes = tf.TensorArray(tf.float32, self.pitches, element_shape=noise.shape[:1])
        loop = (tf.constant(0), self._conditioned(hidden), self.logits(hidden), notes)
        *_, notes = tf.while_loop(lambda d, *_: d < self.pitches, step, loop, maximum_iterations=self.pitches)
        return tf.transpose(notes.stack())

    def _conditioned(self, hidden: Any) -> Any:
        return tf.tensordot(hidden, tf.convert_to_tensor(self.condition), 1) + self.condition_bias


def rare(shape: Any, dtype: Any = None) -> Any:
    """Biases of notes that seldom sound: one in twenty."""
    return tf.fill(shape, -3.0)


def invert(probability: Any, noise: Any) -> Any:
    """Draws from rows of probabilities `[n, K]` by inversion of uniform noise `[n]`: int32 `[n]`."""
    cumulative = tf.cumsum(probability, axis=-1)
    below = cumulative <= noise[:, None] * cumulative[:, -1:]
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)


def _rows(table: Any, symbols: Any) -> Any:
    """tf.gather whose gradient of a small table is one product instead of a loop over rows."""
    if table.shape[0] > ONE_HOT:
        return tf.gather(table, symbols)

    @tf.custom_gradient
    def rows(table: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            flat = tf.reshape(upstream, (-1, table.shape[1]))
            which = tf.one_hot(tf.reshape(symbols, (-1,)), table.shape[0], dtype=flat.dtype)
            return tf.matmul(which, flat, transpose_a=True)

        return tf.gather(table, symbols), gradient

    return rows(table)
