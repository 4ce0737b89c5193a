"""The chain of a hidden Markov model: what is allowed, first parameters, M-step, random walks, order of states."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_emissions import Arrays, Emission, invert, to_rows


def allowed(states: int, structure: str, jump: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a path may start `[K]` and move `[K, K]`, as 0 and 1. `left_right` starts in the first state and
    moves up by at most `jump` (Bakis 1976)."""
    if structure == "full":
        return np.ones(states), np.ones((states, states))
    ahead = np.arange(states)[None, :] - np.arange(states)[:, None]
    moves = ((ahead >= 0) & (ahead <= jump)).astype(np.float64)
    return (np.arange(states) == 0).astype(np.float64), moves


def drawn(where: np.ndarray, concentration: float, random: np.random.Generator) -> np.ndarray:
    """Distributions over the last axis, drawn from a Dirichlet; 0 where it is not allowed."""
    rows = random.dirichlet(np.full(where.shape[-1], concentration), where.shape[:-1]) * where
    return np.asarray(to_rows(rows, where / where.sum(axis=-1, keepdims=True)))


def maximum(before: np.ndarray, counts: np.ndarray, where: np.ndarray, prior: float) -> np.ndarray:
    """Expected counts as distributions (40a, 40b), each allowed entry with its pseudo-count."""
    return to_rows((counts + prior) * where, before)


def begun(emission: Emission, x: Any, mask: Any, length: Any, seed: tuple[int, int]) -> tuple[Any, ...]:
    """First parameters of an emission: each state begins at a step of the first batch, picked at random among
    those that miss least. What such a step lacks is the channel's mean."""
    x = tf.reshape(tf.cast(x, tf.float64), (-1, emission.size))
    inside = tf.reshape(
        tf.range(tf.size(x) // emission.size // tf.size(length))[None, :] < length[:, None], [-1]
    )
    seen = tf.cast(tf.repeat(inside[:, None], emission.size, axis=1), tf.float64)
    if mask is not None:
        seen *= tf.cast(tf.reshape(mask, tf.shape(x)) > 0, tf.float64)
    count = tf.maximum(tf.reduce_sum(seen, axis=0), 1)
    mean = tf.reduce_sum(tf.where(seen > 0, x, 0.0), axis=0) / count
    away = tf.where(seen > 0, x - mean, 0.0)
    variance = tf.reduce_sum(away * away, axis=0) / count
    whole = tf.reduce_sum(seen, axis=1)
    order = tf.argsort(tf.random.stateless_uniform(tf.shape(whole), seed, dtype=tf.float64) - whole)
    steps = tf.maximum(tf.reduce_sum(tf.cast(tf.equal(whole, tf.reduce_max(whole)), tf.int32)), 1)
    picks = mean + tf.gather(away, tf.gather(order, tf.range(emission.rows) % steps))
    return emission.begin(mean, variance, picks)


def walked(transition: Any, belief: Any, steps: int, seed: Any) -> Any:
    """States int32 `[n, steps]`, drawn from where the first has distribution `belief` `[n, K]`."""
    cumulative = tf.cumsum(transition, axis=-1)
    noise = tf.random.stateless_uniform((steps, tf.shape(belief)[0]), seed, dtype=tf.float64)

    def step(t: Any, rows: Any, states: Any) -> tuple[Any, Any, Any]:
        state = invert(rows, noise[t])
        return t + 1, tf.gather(cumulative, state), states.write(t, state)

    states = tf.TensorArray(tf.int32, steps, element_shape=(belief.shape[0],))
    loop = (0, tf.cumsum(belief, axis=-1), states)
    *_, states = tf.while_loop(lambda t, *_: t < steps, step, loop)
    return tf.transpose(states.stack())


def stationary(transition: np.ndarray) -> np.ndarray:
    """The distribution `[K]` that the chain keeps; where there are several, the one nearest to uniform."""
    states = len(transition)
    system = np.vstack([transition.T - np.eye(states), np.ones((1, states))])
    found = np.linalg.lstsq(system, np.append(np.zeros(states), 1), rcond=None)[0]
    return np.maximum(found, 0)


def reordered(parameters: Arrays, emission: Emission, tie: int, order: str) -> Arrays:
    """The same model with its states by `order`: the likeliest in the long run first, or the smallest mean.
    States that share an emission stay together."""
    initial, transition, *rest = parameters
    if order == "stationary":
        key = -stationary(transition).reshape(-1, tie).sum(axis=1)
    else:
        key = emission.means(tuple(rest))
    rows = np.argsort(key, kind="stable")
    states = (rows[:, None] * tie + np.arange(tie)).ravel()
    return (initial[states], transition[np.ix_(states, states)], *(one[rows] for one in rest))
