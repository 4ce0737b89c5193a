"""Attention and the blocks made of it: what gpt, transformer and masked_lm share.

Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V in several heads (Vaswani et al. 2017); a block normalises
before each part (Xiong et al. 2020), and nothing has a bias (as in Chowdhery et al. 2022). Positions are
learned, or rotate pairs of entries of queries and keys by angles that grow with them (Su et al. 2021).

Arrays are `[B, T, width]`; keys and values that are kept for later steps are `[B * heads, room, size]`: so
they are written in place and multiplied where they lie, and XLA makes no copy of them.
Products are of the layer's compute dtype; norms, the softmax, sums of blocks and what is kept are float32.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

STD = 0.02  # of the first weights
HIDDEN = 4  # units of the feed-forward part, times the width
Cache = tuple[Any, Any]  # keys and values of one layer


class Norm(keras.layers.Layer):
    """(x - mean) / standard deviation over the last axis, times a scale (Ba et al. 2016)."""

    def __init__(self, width: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.scale = self.add_weight(name="scale", shape=(width,), initializer="ones")
        self.built = True

    def call(self, x: Any) -> Any:
        """`[..., width]` to the same."""
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + 1e-5) * self.scale


class Attention(keras.layers.Layer):
    """Queries of x, keys and values of x or of a memory; one product each where they have one source."""

    def __init__(self, width: int, heads: int, depth: int, rotary: bool, name: str) -> None:
        super().__init__(name=name)
        self.heads, self.size, self.rotary = heads, width // heads, rotary
        self.entrance = self.add_weight(name="entrance", shape=(width, 3 * width), initializer=normal(STD))
        last = normal(STD / math.sqrt(2 * depth))  # so that the sum over all blocks begins at unit size
        self.exit = self.add_weight(name="exit", shape=(width, width), initializer=last)
        self.built = True

    def queries_keys_values(self, x: Any, positions: Any) -> tuple[Any, Any, Any]:
        """Each `[B, T, heads, size]`, of x `[B, T, width]` at `positions` `[T]`."""
        whole = product(x, self.entrance, self.compute_dtype)
        parts = tf.split(self._by_head(whole, 3 * self.heads), 3, axis=2)
        if self.rotary:
            parts[:2] = [rotated(part, positions) for part in parts[:2]]
        return tuple(parts)

    def queries(self, x: Any) -> Any:
        """`[B, T, heads, size]` of x `[B, T, width]`."""
        kernel = self.entrance[:, : self.heads * self.size]
        return self._by_head(product(x, kernel, self.compute_dtype), self.heads)

    def keys_values(self, memory: Any) -> tuple[Any, Any]:
        """Each `[B, S, heads, size]`, of a memory `[B, S, width]`."""
        whole = product(memory, self.entrance[:, self.heads * self.size :], self.compute_dtype)
        return tuple(tf.split(self._by_head(whole, 2 * self.heads), 2, axis=2))

    def attend(self, queries: Any, keys: Any, values: Any, seen: Any) -> Any:
        """`[B, T, width]`; `seen` `[T, S]` or `[B, 1, T, S]` says which keys each query may use, one at least."""
        queries, keys, values = (tf.transpose(each, (0, 2, 1, 3)) for each in (queries, keys, values))
        scores = tf.cast(tf.matmul(queries / math.sqrt(self.size), keys, transpose_b=True), tf.float32)
        weights = tf.nn.softmax(tf.where(seen, scores, -np.inf))
        found = tf.transpose(tf.matmul(tf.cast(weights, values.dtype), values), (0, 2, 1, 3))
        shape = tf.shape(found)
        found = tf.reshape(found, (shape[0], shape[1], self.heads * self.size))
        return tf.cast(product(found, self.exit, self.compute_dtype), tf.float32)

    def attend_kept(self, queries: Any, keys: Any, values: Any, seen: Any) -> Any:
        """`[B, P, width]` for queries `[B, P, heads, size]` over kept keys and values `[B * heads, S, size]`;
        `seen` is `[P, S]` or `[B * heads, 1, S]`."""
        batch, steps = queries.shape[:2]
        queries = side_by_side(queries / math.sqrt(self.size))
        scores = tf.matmul(queries, keys, transpose_b=True)
        found = tf.matmul(tf.nn.softmax(tf.where(seen, scores, -np.inf)), values)
        found = tf.transpose(tf.reshape(found, (batch, self.heads, steps, self.size)), (0, 2, 1, 3))
        found = tf.reshape(found, (batch, steps, self.heads * self.size))
        return tf.cast(product(found, self.exit, self.compute_dtype), tf.float32)

    def _by_head(self, x: Any, heads: int) -> Any:
        shape = tf.shape(x)
        return tf.reshape(x, (shape[0], shape[1], heads, self.size))


class Block(keras.layers.Layer):
    """x + attention, + attention to a memory where there is one, + feed-forward."""

    def __init__(
        self, width: int, heads: int, depth: int, *, rotary: bool, reads_memory: bool, name: str
    ) -> None:
        super().__init__(name=name)
        self.first_norm = Norm(width, "first_norm")
        self.attention = Attention(width, heads, depth, rotary, "attention")
        self.memory_norm: Any = Norm(width, "memory_norm") if reads_memory else None
        self.memory: Any = Attention(width, heads, depth, False, "memory") if reads_memory else None
        self.last_norm = Norm(width, "last_norm")
        self.up = self.add_weight(name="up", shape=(width, HIDDEN * width), initializer=normal(STD))
        last = normal(STD / math.sqrt(2 * depth))
        self.down = self.add_weight(name="down", shape=(HIDDEN * width, width), initializer=last)
        self.built = True

    def whole(
        self,
        x: Any,
        positions: Any,
        seen: Any,
        memory: tuple[Any, Any] | None = None,
        hide: Any = lambda x: x,
    ) -> Any:
        """All positions at once. `memory` is what is read `[B, S, width]` and which of it, `[B, 1, T, S]`; `hide`
        is the dropout."""
        queries, keys, values = self.attention.queries_keys_values(self.first_norm(x), positions)
        x = x + hide(self.attention.attend(queries, keys, values, seen))
        if self.memory is not None and memory is not None:
            queries = self.memory.queries(self.memory_norm(x))
            x = x + hide(self.memory.attend(queries, *self.memory.keys_values(memory[0]), memory[1]))
        return x + hide(self._feed_forward(self.last_norm(x)))

    def next(
        self, x: Any, position: Any, kept: Cache, memory: tuple[Any, Any, Any] | None = None
    ) -> tuple[Any, Cache]:
        """The P positions from `position` on, x `[B, P, width]`, after those whose keys and values are kept, and
        these with P more. `memory` is keys, values and which of those."""
        positions = position + tf.range(x.shape[1])
        query, *mine = self.attention.queries_keys_values(self.first_norm(x), positions)
        keys, values = (
            keras.ops.slice_update(room, (0, position, 0), side_by_side(new))
            for room, new in zip(kept, mine, strict=True)
        )
        seen = tf.range(keys.shape[1]) <= positions[:, None]
        x = x + self.attention.attend_kept(query, keys, values, seen)
        if self.memory is not None and memory is not None:
            x = x + self.memory.attend_kept(self.memory.queries(self.memory_norm(x)), *memory)
        return x + self._feed_forward(self.last_norm(x)), (keys, values)

    def _feed_forward(self, x: Any) -> Any:
        up = tf.nn.gelu(product(x, self.up, self.compute_dtype), approximate=True)
        return tf.cast(product(up, self.down, self.compute_dtype), tf.float32)


def side_by_side(x: Any) -> Any:
    """`[B, T, heads, size]` to float32 `[B * heads, T, size]`, as keys and values are kept."""
    batch, steps, heads, size = x.shape
    return tf.reshape(tf.transpose(tf.cast(x, tf.float32), (0, 2, 1, 3)), (batch * heads, steps, size))


def of_rows(kept: Any, rows: Any, heads: int) -> Any:
    """What is kept `[B * heads, ...]` of these rows `[n]` of the batch, `[n * heads, ...]`."""
    apart = tf.reshape(kept, (kept.shape[0] // heads, heads, *kept.shape[1:]))
    return tf.reshape(tf.gather(apart, rows), (rows.shape[0] * heads, *kept.shape[1:]))


def product(x: Any, kernel: Any, dtype: Any) -> Any:
    """`[..., n]` times `[n, m]`, as one matrix product in `dtype`."""
    x, kernel = tf.cast(x, dtype), tf.cast(kernel, dtype)
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel)
    return tf.reshape(flat, tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], axis=0))


def rotated(x: Any, positions: Any) -> Any:
    """x `[B, T, heads, size]` with each pair (i, i + size/2) turned by position / 10,000^(2 i / size)."""
    half = x.shape[-1] // 2
    frequency = tf.constant(10_000.0 ** (-np.arange(half) / half), tf.float32)
    angle = tf.cast(positions, tf.float32)[:, None, None] * frequency  # [T, 1, size/2]
    first, second = tf.split(x, 2, axis=-1)
    sine, cosine = tf.cast(tf.sin(angle), x.dtype), tf.cast(tf.cos(angle), x.dtype)
    return tf.concat([first * cosine - second * sine, first * sine + second * cosine], axis=-1)


def dropout(rate: float, seed: Any) -> Any:
    """A function that hides a share `rate` of entries, others each time it is called."""
    calls = iter(range(1_000_000))

    def hide(x: Any) -> Any:
        kept = tf.random.stateless_uniform(tf.shape(x), seed + [0, next(calls)]) >= rate
        return tf.where(kept, x / (1 - rate), 0.0)

    return hide if rate and seed is not None else lambda x: x


def normal(std: float) -> Any:
    """Initial weights ~ N(0, std^2)."""
    return keras.initializers.RandomNormal(stddev=std)
