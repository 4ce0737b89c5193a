"""Counts of all runs of k symbols: a sorted table of numbers in base V, so that the followers of a context lie side by
side. What is new waits until there is enough of it to be sorted in."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

NONE = np.iinfo(np.int64).max  # an empty place of a table, behind all others
WAITING = 2**18  # runs that wait until they are sorted into a table together


class RunTable:
    """Weights of a model: `keys` int64 `[size]`, sorted, NONE behind them; `counts` int32 `[size]`; `waiting` int64
    `[WAITING]`; `lost` int64, the number of runs that found no place. All shapes are fixed, as XLA wants them.

    Args:
        k: symbols of a run. symbols: number of different ones.
        capacity: most different runs.
    """

    def __init__(self, model: Any, k: int, symbols: int, capacity: int) -> None:
        self.k, self.symbols = k, symbols
        size = min(capacity, symbols**k)

        def weight(name: str, shape: tuple[int, ...], dtype: str, initializer: Any) -> Any:
            return model.add_weight(
                name=f"{name}_{k}", shape=shape, dtype=dtype, trainable=False, initializer=initializer
            )

        self.keys = weight("keys", (size,), "int64", _empty)
        self.counts = weight("counts", (size,), "int32", "zeros")
        self.waiting = weight("waiting", (WAITING,), "int64", _empty)
        self.lost = weight("lost", (), "int64", "zeros")

    def runs(self, x: tf.Tensor) -> tf.Tensor:
        """The k symbols that end at each place of `x` `[B, L]` from the k-th on, as one number: int64
        `[B, L - k + 1]`."""
        steps = tf.shape(x)[1] - self.k + 1
        number = tf.zeros((tf.shape(x)[0], steps), tf.int64)
        for i in range(self.k):
            number = number * self.symbols + tf.cast(x[:, i : i + steps], tf.int64)
        return number

    def add(self, x: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Lets the runs of a batch wait, or sorts them in at once where they are too many to wait."""
        ends = tf.range(1, tf.shape(x)[1] + 1)
        new = tf.where(ends[None, self.k - 1 :] <= length[:, None], self.runs(x), NONE)
        new = tf.reshape(new, (-1,))
        alone = tf.size(x) > WAITING
        tf.cond(alone, lambda: self._sort_in(new), lambda: tf.constant(0))
        waiting = tf.concat([new, self.waiting], axis=0)[:WAITING]
        self.waiting.assign(tf.where(alone, self.waiting, waiting))
        return tf.constant(0)

    def settle(self) -> tf.Tensor:
        """Sorts in all that waits."""
        self._sort_in(tf.convert_to_tensor(self.waiting))
        self.waiting.assign(tf.fill((WAITING,), tf.constant(NONE, tf.int64)))
        return tf.constant(0)

    def _sort_in(self, new: tf.Tensor) -> tf.Tensor:
        """Adds runs `[M]`."""
        keys = tf.concat([self.keys, new], axis=0)
        order = tf.argsort(keys)
        keys = tf.gather(keys, order)
        weight = tf.gather(tf.concat([self.counts, tf.ones_like(new, tf.int32)], axis=0), order)
        first = tf.concat([[True], keys[1:] != keys[:-1]], axis=0)
        place = tf.cumsum(tf.cast(first, tf.int32)) - 1
        size, all_of_them = self.keys.shape[0], tf.size(keys)
        sums = tf.math.unsorted_segment_sum(weight, place, all_of_them)[:size]
        kept = tf.math.unsorted_segment_min(keys, place, all_of_them)  # NONE where there is no segment
        self.keys.assign(kept[:size])
        self.counts.assign(tf.where(kept[:size] < NONE, sums, 0))
        self.lost.assign_add(tf.reduce_sum(tf.cast(kept[size:] < NONE, tf.int64)))
        return tf.constant(0)

    def cumulative(self) -> tf.Tensor:
        """Counts before each place, int64 `[size + 1]`."""
        counts = tf.cast(tf.convert_to_tensor(self.counts), tf.int64)
        return tf.concat([tf.zeros(1, tf.int64), tf.cumsum(counts)], axis=0)

    def followers(self, context: tf.Tensor, cumulative: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """How often contexts of k - 1 symbols were seen and by how many different symbols they were followed,
        float64, and where those begin, int32."""
        first, last = (self._place(context * self.symbols + end) for end in (0, self.symbols))
        total = tf.gather(cumulative, last) - tf.gather(cumulative, first)
        return tf.cast(total, tf.float64), tf.cast(last - first, tf.float64), first

    def counted(self, run: tf.Tensor) -> tf.Tensor:
        """How often each run was seen, float64."""
        keys = tf.convert_to_tensor(self.keys)
        place = tf.minimum(self._place(run), tf.size(keys) - 1)
        same = tf.gather(keys, place) == run
        return tf.cast(tf.where(same, tf.gather(self.counts, place), 0), tf.float64)

    def after(self, context: int) -> tuple[np.ndarray, int]:
        """How often each symbol followed a context of k - 1 symbols, float64 `[symbols]`, and how many did."""
        keys = np.asarray(self.keys)
        first, last = np.searchsorted(keys, [context * self.symbols, (context + 1) * self.symbols])
        counts = np.zeros(self.symbols)
        counts[keys[first:last] % self.symbols] = np.asarray(self.counts)[first:last]
        return counts, int(last - first)

    def _place(self, values: tf.Tensor) -> tf.Tensor:
        flat = tf.searchsorted(tf.convert_to_tensor(self.keys), tf.reshape(values, (-1,)))
        return tf.reshape(flat, tf.shape(values))


def _empty(shape: Any, dtype: Any = None) -> tf.Tensor:
    return tf.fill(shape, tf.constant(NONE, tf.int64))
