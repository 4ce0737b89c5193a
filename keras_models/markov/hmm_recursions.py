"""Recursions of hidden Markov models: filtering, smoothing and the likeliest path, scaled at every step.

Arrays are laid out `[time, state, batch]`: the batch is the contiguous axis, so every step is a few wide
vector operations. Call them inside one `tf.function(jit_compile=True)`. Equation numbers are Rabiner's
(1989, A tutorial on hidden Markov models and selected applications in speech recognition).

`evidence[t]` `[K, B]` is p(x_t | state), or its logarithm where `logarithmic`; a step behind the end of a
sequence changes nothing. Scaling is exact as long as no state that matters later falls below the smallest
number of the dtype: e^-87 of the likeliest in float32, e^-708 in float64.

On a processor XLA runs the body of a loop straight through only where it has 8 kernels or fewer; more are
handed from thread to thread, which takes several times as long as they do. So the loops do little, and what
can be computed of all steps at once is computed behind them.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

FEW = 16  # states: up to here a product is faster as a sum of vectors than as a matrix product
LARGEST = {tf.float64: 1e300, tf.float32: 1e36}  # ratio of probabilities, so that sums of them are finite


class Filtered(NamedTuple):
    """p(state_t, x_t | x_1..x_{t-1}) `[T, K, B]`, or None; its sum over states `[T, B]`; and what was taken off
    the logarithm of the evidence, `[T, B]` or 0. Behind the end they are the last states, 1 and 0."""

    joint: Any
    scale: Any
    peak: Any

    def states(self) -> Any:
        """p(state_t | x_1..x_t) `[T, K, B]`; behind the end the last, and 0 where x is impossible."""
        return self.joint / _divisor(self.scale)[:, None]

    def log_likelihood(self, length: Any) -> Any:
        """log p(x) float64 `[B]`, −inf where x is impossible (103)."""
        inside = tf.range(tf.shape(self.scale)[0])[:, None] < length
        found = tf.where(inside, log(self.scale) + self.peak, tf.zeros_like(self.scale))
        return tf.reduce_sum(tf.cast(found, tf.float64), axis=0)


def filtered(
    initial: Any, transition: Any, evidence: Any, length: Any, steps: Any, *, logarithmic: bool, joints: bool
) -> Filtered:
    """The forward pass (19, 91, 92). `initial` `[K]`, `transition` `[K, K]`; the joint is kept if `joints`.

    The numbers of a step are divided by their sum in the next one, where that costs no kernel.
    """

    def update(t: Any, predicted: Any, before: Any, scale: Any) -> tuple[Any, ...]:
        seen, inside, peak = evidence[t], t < length, []
        if logarithmic:
            seen, top = _relative(seen, predicted)
            peak = [tf.where(inside, top, tf.zeros_like(top))]
        return tf.where(inside, predicted * seen, before) / _divisor(scale), *peak

    def step(t: Any, joint: Any, *arrays: Any) -> tuple[Any, ...]:
        scale = tf.reduce_sum(joint, axis=0)
        now, *peak = update(t, _product(transition, joint, transposed=True), joint, scale)
        first = arrays[0].write(t, now) if joints else arrays[0].write(t - 1, scale)
        return t + 1, now, first, *(array.write(t, row) for array, row in zip(arrays[1:], peak, strict=True))

    start = tf.zeros_like(evidence[0]) + initial[:, None]
    joint, *peak = update(tf.constant(0), start, start, tf.ones_like(start[0]))
    rows = [joint if joints else joint[0], *peak]
    arrays = [tf.TensorArray(row.dtype, steps, element_shape=row.shape).write(0, row) for row in rows]
    loop = (tf.constant(1), joint, *arrays)
    found = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps - 1)
    _, joint, first, *rest = found
    offset = rest[0].stack() if logarithmic else tf.zeros((), joint.dtype)
    if joints:
        every = first.stack()
        return Filtered(every, tf.reduce_sum(every, axis=1), offset)
    return Filtered(None, first.write(steps - 1, tf.reduce_sum(joint, axis=0)).stack(), offset)


def smoothed(
    transition: Any, found: Filtered, evidence: Any, length: Any, *, logarithmic: bool
) -> tuple[Any, Any]:
    """p(state_t | x) `[T, K, B]` (27), 0 behind the end, and the expected moves `[K, K]` (37) of all sequences.

    Goes back by ratio_t = p(state_t | x) / p(state_t | x_1..x_{t-1}), which is (transition @ ratio_{t+1}) times
    the evidence over its scale. A state that the past excludes has ratio 0: without that the ratio of what is
    never entered grows beyond all numbers. An impossible sequence is 0 all over.
    """
    joint, inverse = found.joint, 1 / _divisor(found.scale)
    dtype, steps = joint.dtype, tf.shape(joint)[0]
    zero, largest = tf.zeros((), dtype), tf.constant(LARGEST[dtype], dtype)

    def step(t: Any, ratio: Any, gamma: Any, ratios: Any) -> tuple[Any, ...]:
        now, seen = joint[t], evidence[t]
        if logarithmic:
            seen = tf.exp(seen - found.peak[t])
        onward = _product(transition, ratio, transposed=False)
        onward = tf.where(t + 1 < length, onward, tf.cast(tf.equal(t + 1, length), dtype))
        onward = tf.where(now < _smallest(dtype), zero, onward)  # NaN stays
        before = tf.minimum(onward * (seen * inverse[t]), largest)
        before = tf.where(tf.equal(onward, 0), zero, before)
        after = ratios.write(t, tf.minimum(ratio * inverse[t], largest))
        return t - 1, before, gamma.write(t, now * inverse[t] * onward), after

    ratio = tf.zeros_like(joint[0])
    arrays = [tf.TensorArray(dtype, steps, element_shape=ratio.shape) for _ in range(2)]
    loop = (steps - 1, ratio, *arrays)
    *_, gamma, ratios = tf.while_loop(lambda t, *_: t >= 0, step, loop, maximum_iterations=steps)
    pairs = _pairs(joint, ratios.stack())  # the ratios of the step after, over this step's scale
    return gamma.stack(), tf.where(transition > 0, transition * pairs, zero)


def likeliest(initial: Any, transition: Any, evidence: Any, length: Any, steps: Any) -> tuple[Any, Any]:
    """Viterbi's path int32 `[T, B]`, the last state again behind the end, and its log p(x, path) `[B]` (32–35).

    `evidence` is logarithmic. Stores the scores alone: the best predecessor is searched again along the one
    path that is chosen, which is K times less work. The best score of a step is taken off in the next one, so
    that scores stay exact over long sequences, and what was taken off is summed in float64.
    """
    move, last = log(transition), steps - 1

    def forward(t: Any, score: Any, scores: Any) -> tuple[Any, Any, Any]:
        top = _finite(tf.reduce_max(score, axis=0))
        score = tf.where(t < length, _best(score, move) + (evidence[t] - top), score - top)
        return t + 1, score, scores.write(t, score)

    score = log(initial)[:, None] + evidence[0]
    scores = tf.TensorArray(score.dtype, steps, element_shape=score.shape).write(0, score)
    loop = (tf.constant(1), score, scores)
    _, score, scores = tf.while_loop(lambda t, *_: t <= last, forward, loop, maximum_iterations=last)
    scores = scores.stack()
    total = tf.reduce_sum(tf.cast(tf.reduce_max(scores, axis=1), tf.float64), axis=0)

    def backward(t: Any, state: Any, path: Any) -> tuple[Any, Any, Any]:
        best = _first_largest(scores[t] + tf.gather(move, state, axis=1))
        state = tf.where(t + 1 < length, best, state)
        return t - 1, state, path.write(t, state)

    state = _first_largest(score)
    path = tf.TensorArray(tf.int32, steps, element_shape=state.shape).write(last, state)
    loop = (last - 1, state, path)
    *_, path = tf.while_loop(lambda t, *_: t >= 0, backward, loop, maximum_iterations=last)
    return path.stack(), total


def log(probability: Any) -> Any:
    """Logarithm with −inf at 0, whose gradient there is 0 instead of NaN; NaN stays NaN."""
    zero = tf.equal(probability, 0)
    logarithm = tf.math.log(tf.where(zero, tf.ones_like(probability), probability))
    return tf.where(zero, tf.constant(-np.inf, probability.dtype), logarithm)


def _divisor(scale: Any) -> Any:
    """The scale; infinite where its inverse would overflow, so that what is impossible stays 0."""
    return tf.where(scale < _smallest(scale.dtype), tf.constant(np.inf, scale.dtype), scale)


def _smallest(dtype: Any) -> Any:
    """The smallest number whose inverse is finite."""
    return tf.constant(np.finfo(dtype.as_numpy_dtype).tiny, dtype)


def _relative(seen: Any, predicted: Any) -> tuple[Any, Any]:
    """Evidence over the largest among the states that can be reached, and the logarithm of that `[B]`: the
    largest of all might belong to a state that cannot, and the others would underflow to nothing."""
    reachable = tf.where(predicted > 0, seen, tf.constant(-np.inf, seen.dtype))
    peak = tf.stop_gradient(_finite(tf.reduce_max(reachable, axis=0)))
    return tf.exp(tf.minimum(seen - peak, 0)), peak  # above 0 only where predicted is 0


def _finite(peak: Any) -> Any:
    """0 instead of −inf."""
    return tf.where(tf.equal(peak, -np.inf), tf.zeros_like(peak), peak)


def _best(score: Any, move: Any) -> Any:
    """The best score of a way into each state `[K, B]`. Of some dozens of states a few at a time: XLA writes down
    all sums before it takes the largest of more than some thousand."""
    states = score.shape[0]
    size = 4 if FEW < states <= 3 * FEW else states
    parts = [
        tf.reduce_max(score[i : i + size, None, :] + move[i : i + size, :, None], axis=0)
        for i in range(0, states, size)
    ]
    return reduce(tf.maximum, parts)


def _first_largest(rows: Any) -> Any:
    """argmax over the first axis, int32: faster than it as two reductions of vectors."""
    states = tf.range(rows.shape[0])[:, None]
    where = tf.where(tf.equal(rows, tf.reduce_max(rows, axis=0)), states, rows.shape[0] - 1)
    return tf.reduce_min(where, axis=0)


def _pairs(left: Any, right: Any) -> Any:
    """The products `[K, K]` of `[T, K, B]` and `[T, K, B]`, summed over steps and batch: a product for each step
    needs no transposed copies, and where the batch has as many rows as states, no more memory either."""
    states, batch = tf.unstack(tf.shape(left)[1:])
    return tf.cond(
        batch >= states,
        lambda: tf.reduce_sum(tf.matmul(left, right, transpose_b=True), axis=0),
        lambda: tf.einsum("tib,tjb->ij", left, right),
    )


def _product(transition: Any, states: Any, *, transposed: bool) -> Any:
    """`transition` `[K, K]`, or its transpose, times `states` `[K, B]`."""
    if transition.shape[0] > FEW:
        return tf.matmul(transition, states, transpose_a=transposed)
    if transposed:
        return tf.reduce_sum(transition[:, :, None] * states[:, None, :], axis=0)
    return tf.reduce_sum(transition[:, :, None] * states[None, :, :], axis=1)
