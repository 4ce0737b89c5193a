"""Series whitened by their processes: innovations, by whichever filter suits them, and the layouts between.

A batch of series is `[B, T, C]`; filters take `[T, U]`, where the U = B C processes are rows times channels.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_models.autoregressive.chandrasekhar import innovations
from keras_models.autoregressive.kalman import Process, differenced, filtered, started
from keras_models.autoregressive.stationarity import autocovariances


def observed(x: Any, length: Any, mask: Any) -> tuple[Any, Any]:
    """`x` as float64 and whether each value is one, bool `[B, L, C]`."""
    x = tf.cast(x, tf.float64)
    there = tf.ones_like(x, tf.bool) if mask is None else tf.cast(mask, tf.float64) > 0
    if length is not None:
        there &= (tf.range(tf.shape(x)[1])[None] < tf.cast(length, tf.int32)[:, None])[..., None]
    return x, there


def whole(there: Any) -> Any:
    """Whether nothing is missing before a series ends, of `there` `[T, U]`: then no Kalman filter is needed."""
    return tf.reduce_all(there[:-1] | ~there[1:])


def whitened(process: Process, columns: Any, there: Any, careful: bool) -> tuple[Any, Any, Any]:
    """Innovations `[T, k, U]`, variances and whether they count `[T, U]`, of the steps after the first given ones:
    by the Kalman filter where `careful`, else by the Chandrasekhar recursions, for what is `whole`."""
    given = len(process.delta)
    if not careful:
        gamma = autocovariances(process.ar, process.ma, process.size)
        return *innovations(differenced(columns, process.delta), process.ar, gamma), there[given:]
    columns = filled(columns, there)
    state = started(process, columns[:given], there[:given])
    found = filtered(process, columns[given:], there[given:], state)
    return found.innovations, found.variances, found.counted


def filled(columns: Any, there: Any) -> Any:
    """`columns` `[T, k, U]` with the first value that is observed in place of those that are not: near enough
    for a state that is unknown to begin at."""
    first = tf.argmax(tf.cast(there, tf.int32), axis=0, output_type=tf.int32)  # [U]
    value = tf.gather(tf.transpose(columns, (2, 0, 1)), first, batch_dims=1)  # [U, k]
    return tf.where(there[:, None], columns, tf.transpose(value)[None])


def processes_last(x: Any) -> Any:
    """`[B, T, C]` as `[T, B C]`."""
    return tf.reshape(tf.transpose(x, (1, 0, 2)), (tf.shape(x)[1], -1))


def rows_first(x: Any, channels: int) -> Any:
    """`[T, B C]` as `[B, T, C]`."""
    return tf.transpose(tf.reshape(x, (tf.shape(x)[0], -1, channels)), (1, 0, 2))
