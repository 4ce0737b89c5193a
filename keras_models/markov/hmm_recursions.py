"""Recursions of hidden Markov models: filtering, smoothing and the likeliest path, scaled at every step.

Arrays are laid out `[time, state, batch]`: the batch is the contiguous axis, so every step is a few wide
vector operations. Call them inside one `tf.function(jit_compile=True)`. Equation numbers are Rabiner's
(1989, A tutorial on hidden Markov models and selected applications in speech recognition).

`evidence` `[T, K, B]` is p(x_t | state), or its logarithm where `logarithmic`; a step behind the end of a
sequence changes nothing. Scaling is exact as long as no state that matters later falls below the smallest
number of the dtype: e^-87 of the likeliest in float32, e^-708 in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

FEW = 16  # states: up to here a product is faster as a sum of vectors than as a matrix product
SMALLEST = {tf.float64: 1e-300, tf.float32: 1e-36}  # probabilities below count as zero: 1/p would overflow


class Filtered(NamedTuple):
    """p(state_t | x_1..x_t) and p(state_t | x_1..x_{t-1}), both `[T, K, B]`, and `[T, B]` the logarithm of
    p(x_t | x_1..x_{t-1}), of which −inf marks what is impossible and 0 what is behind the end."""

    states: Any
    predicted: Any
    log_scale: Any


def filtered(initial: Any, transition: Any, evidence: Any, length: Any, *, logarithmic: bool) -> Filtered:
    """The forward pass (19, 91, 92), normalised at each step. `initial` `[K]`, `transition` `[K, K]`.

    In the logarithmic form each step is divided by the largest evidence among the states that can be reached:
    the largest of all might belong to a state that cannot, and the others would underflow to nothing.
    """
    steps = tf.shape(evidence)[0]

    def update(t: Any, predicted: Any, before: Any) -> tuple[Any, Any, Any]:
        seen, peak = evidence[t], tf.zeros_like(predicted[0])
        if logarithmic:
            reachable = tf.where(predicted > 0, seen, tf.constant(-np.inf, seen.dtype))
            peak = tf.stop_gradient(tf.reduce_max(reachable, axis=0))
            peak = tf.where(peak > -np.inf, peak, tf.zeros_like(peak))
            seen = tf.exp(tf.where(predicted > 0, seen - peak, tf.constant(-np.inf, seen.dtype)))
        joint = predicted * seen
        scale = tf.reduce_sum(joint, axis=0)
        states = joint / tf.where(tf.equal(scale, 0), tf.ones_like(scale), scale)  # 0/0 has no gradient
        inside = t < length
        return tf.where(inside, states, before), tf.where(inside, scale, 1.0), tf.where(inside, peak, 0.0)

    def step(t: Any, states: Any, *kept: Any) -> tuple[Any, ...]:
        predicted = _product(transition, states, transposed=True)
        states, scale, peak = update(t, predicted, states)
        written = (
            array.write(t, row) for array, row in zip(kept, (states, predicted, scale, peak), strict=True)
        )
        return t + 1, states, *written

    start = tf.zeros_like(evidence[0]) + initial[:, None]
    states, scale, peak = update(0, start, start)
    rows = (states, start, scale, peak)
    kept = [tf.TensorArray(row.dtype, steps, element_shape=row.shape).write(0, row) for row in rows]
    loop = (tf.constant(1), states, *kept)
    _, _, *kept = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps - 1)
    states, predicted, scales, peaks = (array.stack() for array in kept)
    return Filtered(states, predicted, log(scales) + peaks)


def smoothed(transition: Any, found: Filtered, length: Any) -> tuple[Any, Any]:
    """p(state_t | x) `[T, K, B]` (27), 0 behind the end, and the expected moves `[K, K]` (37) of all sequences.

    Goes back by p(state_t | x) = filtered_t * (transition @ (smoothed_{t+1} / predicted_{t+1})), which needs
    no evidence. An impossible sequence is 0 all over.
    """
    states, predicted = found.states, found.predicted
    last, smallest = tf.shape(states)[0] - 1, SMALLEST[states.dtype]

    def kept(array: Any) -> Any:
        return tf.where(array < smallest, tf.zeros_like(array), array)  # NaN stays

    def step(t: Any, gamma: Any, pairs: Any, every: Any) -> tuple[Any, Any, Any, Any]:
        ratio = tf.math.divide_no_nan(gamma, kept(predicted[t + 1]))
        ratio = tf.where(t + 1 < length, ratio, tf.zeros_like(ratio))
        now = kept(states[t])
        onward = tf.where(tf.equal(now, 0), tf.zeros_like(now), _product(transition, ratio, transposed=False))
        gamma = tf.where(tf.equal(t + 1, length), now, now * onward)
        pairs += _outer(now, ratio)  # without its factor transition
        return t - 1, gamma, pairs, every.write(t, gamma)

    ends = tf.reduce_sum(states[last], axis=0) > 0  # filtered states stay 0 once a step is impossible
    ends = tf.logical_or(ends, tf.math.is_nan(tf.reduce_sum(states[last], axis=0)))
    length = tf.where(ends, length, 0)
    gamma = tf.where(last < length, kept(states[last]), tf.zeros_like(states[last]))
    every = tf.TensorArray(gamma.dtype, last + 1, element_shape=gamma.shape).write(last, gamma)
    loop = (last - 1, gamma, tf.zeros_like(transition), every)
    *_, pairs, every = tf.while_loop(lambda t, *_: t >= 0, step, loop, maximum_iterations=last)
    return every.stack(), transition * pairs


def likeliest(initial: Any, transition: Any, evidence: Any, length: Any) -> tuple[Any, Any]:
    """Viterbi's path int32 `[T, B]`, the last state again behind the end, and its log p(x, path) `[B]` (32–35).

    `evidence` is logarithmic. Stores the scores alone: the best predecessor is searched again along the one
    path that is chosen, which is K times less work. Scores are relative to the best one of their step, so
    that they stay exact over long sequences, and the path's own is summed in float64.
    """
    move, last = log(transition), tf.shape(evidence)[0] - 1

    def relative(score: Any) -> Any:
        best = tf.reduce_max(score, axis=0)
        return score - tf.where(best > -np.inf, best, tf.zeros_like(best))

    def forward(t: Any, score: Any, scores: Any) -> tuple[Any, Any, Any]:
        best = tf.reduce_max(score[:, None, :] + move[:, :, None], axis=0) + evidence[t]
        score = tf.where(t < length, relative(best), score)
        return t + 1, score, scores.write(t, score)

    score = relative(log(initial)[:, None] + evidence[0])
    scores = tf.TensorArray(score.dtype, last + 1, element_shape=score.shape).write(0, score)
    loop = (tf.constant(1), score, scores)
    _, score, scores = tf.while_loop(lambda t, *_: t <= last, forward, loop, maximum_iterations=last)
    scores = scores.stack()

    def backward(t: Any, state: Any, path: Any) -> tuple[Any, Any, Any]:
        best = tf.argmax(scores[t] + tf.gather(move, state, axis=1), axis=0, output_type=tf.int32)
        state = tf.where(t + 1 < length, best, state)
        return t - 1, state, path.write(t, state)

    state = tf.argmax(score, axis=0, output_type=tf.int32)
    path = tf.TensorArray(tf.int32, last + 1, element_shape=state.shape).write(last, state)
    loop = (last - 1, state, path)
    *_, path = tf.while_loop(lambda t, *_: t >= 0, backward, loop, maximum_iterations=last)
    path = path.stack()
    return path, _score(initial, move, evidence, length, path)


def _score(initial: Any, move: Any, evidence: Any, length: Any, path: Any) -> Any:
    steps = tf.range(tf.shape(path)[0])[:, None]
    moves = tf.gather_nd(move, tf.stack([path[:-1], path[1:]], axis=-1))
    column = tf.range(tf.shape(path)[1])[None]
    at = tf.stack([steps + 0 * path, path, column + 0 * path], axis=-1)
    seen = tf.gather_nd(evidence, at)
    parts = tf.concat([log(tf.gather(initial, path[:1])), tf.where(steps[1:] < length, moves, 0.0)], 0)
    parts = tf.cast(parts, tf.float64) + tf.cast(tf.where(steps < length, seen, 0.0), tf.float64)
    return tf.reduce_sum(parts, axis=0)


def log(probability: Any) -> Any:
    """Logarithm with −inf at 0, whose gradient there is 0 instead of NaN; NaN stays NaN."""
    zero = tf.equal(probability, 0)
    logarithm = tf.math.log(tf.where(zero, tf.ones_like(probability), probability))
    return tf.where(zero, tf.constant(-np.inf, probability.dtype), logarithm)


def _product(transition: Any, states: Any, *, transposed: bool) -> Any:
    """`transition` `[K, K]`, or its transpose, times `states` `[K, B]`."""
    if transition.shape[0] > FEW:
        return tf.matmul(transition, states, transpose_a=transposed)
    if transposed:
        return tf.reduce_sum(transition[:, :, None] * states[:, None, :], axis=0)
    return tf.reduce_sum(transition[:, :, None] * states[None, :, :], axis=1)


def _outer(left: Any, right: Any) -> Any:
    """The products `[K, K]` of `[K, B]` and `[K, B]`, summed over the batch."""
    if left.shape[1] == 1:  # of one sequence no sum, and a call of the matrix product costs more than it
        return left * tf.transpose(right)
    return tf.matmul(left, right, transpose_b=True)
