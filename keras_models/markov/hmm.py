"""Hidden Markov model: unseen states follow a Markov chain, and each emits one symbol.

p(x) = sum over state paths z of  initial[z_1] prod_{t>1} transition[z_{t-1}, z_t] prod_t emission[z_t, x_t]

Learns by Baum–Welch, which is EM: each batch adds its expected counts, the end of the epoch turns
counts into probabilities (Rabiner 1989, with the scaling of section V.A). Equation numbers below are his.

The recursions are plain functions of the parameters, each one XLA program over arrays laid out
`[time, state, batch]`: the batch is the contiguous axis, so every step is a few wide vector operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig

SMALLEST = 1e-300  # filtered probabilities below this count as zero: their inverse would overflow


class Config(FamilyConfig):
    states: int = Field(16, ge=1, le=1024, description="number of hidden states")
    pseudo_count: float = Field(
        0.01, ge=0, le=1000, description="added to every expected count, so that nothing becomes impossible"
    )
    concentration: float = Field(
        1.0, ge=0.1, le=1e6, description="of the Dirichlet that draws the first rows: large is near uniform"
    )


class HiddenMarkovModel(GenerativeModel):
    """p(x) over sequences of symbols, with one categorical distribution per hidden state."""

    kinds = ("tokens",)
    likelihood = "exact"
    measure = "mass"
    paper = "Rabiner 1989, A tutorial on hidden Markov models and selected applications in speech recognition"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if len(spec.shape) != 1 or spec.vocabulary < 1:
            raise ValueError(
                f"family 'hmm' learns sequences [length] over a vocabulary of at least 1 symbol, "
                f"and the spec has shape {list(spec.shape)} and vocabulary {spec.vocabulary}"
            )
        k, v = config.states, spec.vocabulary
        random = np.random.default_rng(seed)
        self.initial, self.initial_count = self._rows("initial", (k,), random)
        self.transition, self.transition_count = self._rows("transition", (k, k), random)
        self.emission, self.emission_count = self._rows("emission", (k, v), random)
        self.built = True

    def _rows(self, name: str, shape: tuple[int, ...], random: np.random.Generator) -> tuple[Any, Any]:
        """Distributions drawn at random (equal states would stay equal) and their expected counts."""
        rows = random.dirichlet(np.full(shape[-1], self.config.concentration), shape[:-1])
        weight = {"shape": shape, "trainable": False, "dtype": "float64"}
        return (
            self.add_weight(name=name, initializer=lambda *_, **__: rows, **weight),
            # summed over replicas, so that counting distributes
            self.add_weight(name=f"{name}_count", initializer="zeros", aggregation="sum", **weight),
        )

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """E-step: adds the batch's expected counts. `loss` is in nats per symbol, `length` optional."""
        x, length = _sequences(batch["x"], batch.get("length"))
        log_likelihood, *counts = expected_counts(*self._parameters(), x, length)
        for total, count in zip(self._counts(), counts, strict=True):
            total.value.assign_add(count)  # Keras' own assign_add reads before it sums over replicas
        symbols = tf.cast(tf.reduce_sum(length), tf.float64)
        loss = tf.math.divide_no_nan(-tf.reduce_sum(log_likelihood), symbols)
        return self.track({"loss": loss}, weight=symbols)

    def end_epoch(self) -> None:
        """M-step (40a-c): counts become distributions; a row that was never visited stays."""
        for rows, count in zip((self.initial, self.transition, self.emission), self._counts(), strict=True):
            smoothed = tf.convert_to_tensor(count) + self.config.pseudo_count
            total = tf.reduce_sum(smoothed, axis=-1, keepdims=True)
            rows.assign(tf.where(total > 0, tf.math.divide_no_nan(smoothed, total), rows))
            count.assign(tf.zeros_like(smoothed))

    def log_prob(self, x: Any, length: Any = None) -> Any:
        """log p of the first `length` symbols of each row of `x` `[B, T]`, in nats, float64 `[B]`.

        −inf where a sequence is impossible, which includes symbols outside of the vocabulary.
        Differentiate it inside one `tf.function(jit_compile=True)`.

        Raises:
            ValueError: `x` is not `[B, T]`, `length` is not `[B]`, or a length is not in 1..T.
        """
        return log_likelihood(*self._parameters(), *_checked(x, length))

    def decode_states(self, x: Any, length: Any = None) -> tuple[Any, Any]:
        """The likeliest state path, int32 `[B, T]` (−1 behind the end), and log p(x, path) `[B]`, in nats.

        Raises:
            ValueError: `x` is not `[B, T]`, `length` is not `[B]`, or a length is not in 1..T.
        """
        return viterbi(*self._parameters(), *_checked(x, length))

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        steps = self.spec.shape[0]
        initial, transition, emission = (tf.cumsum(rows, axis=-1) for rows in self._parameters())
        noise = tf.random.stateless_uniform((steps, 2, n), seed, dtype=tf.float64)

        def step(t: Any, cumulative: Any, symbols: Any) -> tuple[Any, Any, Any]:
            state = _invert(cumulative, noise[t, 0])
            symbols = symbols.write(t, _invert(tf.gather(emission, state), noise[t, 1]))
            return t + 1, tf.gather(transition, state), symbols

        first = tf.tile(initial[None], (n, 1))  # [n, K]
        symbols = tf.TensorArray(tf.int32, steps, element_shape=(n,))
        *_, symbols = tf.while_loop(lambda t, *_: t < steps, step, (0, first, symbols))
        return tf.transpose(symbols.stack())

    def as_tfp(self) -> Any:
        """The same distribution over sequences of the spec's full length, as a `tfd.Distribution`."""
        import tensorflow_probability as tfp

        categorical = tfp.distributions.Categorical
        initial, transition, emission = (categorical(probs=rows) for rows in self._parameters())
        return tfp.distributions.HiddenMarkovModel(initial, transition, emission, self.spec.shape[0])

    def _parameters(self) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(rows) for rows in (self.initial, self.transition, self.emission)]

    def _counts(self) -> tuple[Any, Any, Any]:
        return self.initial_count, self.transition_count, self.emission_count


# -- the recursions: initial [K], transition [K, K], emission [K, V], x int32 [B, T], length int32 [B] ----


@tf.function(jit_compile=True)
def log_likelihood(initial: Any, transition: Any, emission: Any, x: Any, length: Any) -> Any:
    """log p(x) `[B]` in nats (103)."""
    return _sum_logs(_filter(initial, transition, emission_probability(emission, x), length)[1])


@tf.function(jit_compile=True)
def expected_counts(
    initial: Any, transition: Any, emission: Any, x: Any, length: Any
) -> tuple[Any, Any, Any, Any]:
    """log p(x) `[B]`, and summed over the batch the expected number of starts in each state `[K]`, of
    moves `[K, K]` and of emissions `[K, V]`. An impossible sequence counts nothing."""
    likelihood = emission_probability(emission, x)
    filtered, scale = _filter(initial, transition, likelihood, length)
    last = tf.shape(likelihood)[0] - 1

    def possible(t: Any, beta: Any) -> Any:  # elsewhere filtered * beta is 0, and beta alone may overflow
        return tf.where(filtered[t] > SMALLEST, beta, tf.zeros_like(beta))

    def step(t: Any, beta: Any, pairs: Any, smoothed: Any) -> tuple[Any, Any, Any, Any]:
        """From beta at t + 1 to beta at t (25), with both divided by the scales behind them."""
        observed = t + 1 < length
        onward = tf.math.divide_no_nan(likelihood[t + 1] * beta, scale[t + 1])
        onward = tf.where(observed, onward, tf.zeros_like(onward))
        beta = tf.where(observed, possible(t, tf.matmul(transition, onward)), beta)
        pairs += tf.matmul(filtered[t], onward, transpose_b=True)  # (37) without its factor transition
        return t - 1, beta, pairs, smoothed.write(t, filtered[t] * beta)

    beta = possible(last, tf.ones_like(filtered[last]))
    smoothed = tf.TensorArray(beta.dtype, last + 1, element_shape=beta.shape)
    smoothed = smoothed.write(last, filtered[last] * beta)
    loop = (last - 1, beta, tf.zeros_like(transition), smoothed)
    *_, pairs, smoothed = tf.while_loop(lambda t, *_: t >= 0, step, loop, maximum_iterations=last)
    gamma = smoothed.stack() * tf.cast(_observed(x, length), beta.dtype)[:, None, :]  # (27) [T, K, B]
    by_symbol = tf.math.unsorted_segment_sum(
        tf.transpose(gamma, (0, 2, 1)), _inside(emission, tf.transpose(x)), tf.shape(emission)[1]
    )
    return _sum_logs(scale), tf.reduce_sum(gamma[0], 1), transition * pairs, tf.transpose(by_symbol)


@tf.function(jit_compile=True)
def viterbi(initial: Any, transition: Any, emission: Any, x: Any, length: Any) -> tuple[Any, Any]:
    """The likeliest path int32 `[B, T]` and its log p `[B]` (32–35). Stores the scores alone: the best
    predecessor is searched again along the one path that is chosen, which is K times less work."""
    move, likelihood = _log(transition), _log(emission_probability(emission, x))
    last = tf.shape(likelihood)[0] - 1

    def forward(t: Any, score: Any, scores: Any) -> tuple[Any, Any, Any]:
        best = tf.reduce_max(score[:, None, :] + move[:, :, None], axis=0) + likelihood[t]
        score = tf.where(t < length, best, score)
        return t + 1, score, scores.write(t, score)

    score = _log(initial)[:, None] + likelihood[0]
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
    path = tf.where(_observed(x, length), path.stack(), -1)
    return tf.transpose(path), tf.reduce_max(score, axis=0)


def emission_probability(emission: Any, x: Any) -> Any:
    """p(x_t | state) `[T, K, B]`; 0 for symbols outside of the vocabulary."""
    x = tf.transpose(x)
    inside = tf.cast(tf.equal(x, _inside(emission, x)), emission.dtype)
    rows = tf.gather(tf.transpose(emission), _inside(emission, x))  # [T, B, K]
    return tf.transpose(rows, (0, 2, 1)) * inside[:, None, :]


def _filter(initial: Any, transition: Any, likelihood: Any, length: Any) -> tuple[Any, Any]:
    """p(state_t | x_1..x_t) `[T, K, B]` and the scales p(x_t | x_1..x_{t-1}) `[T, B]` (91–92).

    Behind a sequence's end the scale is 1 and the state's distribution stays; once the scale is 0, so
    is everything that follows.
    """
    steps = tf.shape(likelihood)[0]

    def update(t: Any, predicted: Any, previous: Any) -> tuple[Any, Any]:
        joint = predicted * likelihood[t]
        scale = tf.reduce_sum(joint, axis=0)
        filtered = joint / tf.where(scale > 0, scale, 1.0)  # where first: 0/0 has no gradient
        return tf.where(t < length, filtered, previous), tf.where(t < length, scale, 1.0)

    def step(t: Any, filtered: Any, all_filtered: Any, scales: Any) -> tuple[Any, Any, Any, Any]:
        predicted = tf.matmul(transition, filtered, transpose_a=True)
        filtered, scale = update(t, predicted, filtered)
        return t + 1, filtered, all_filtered.write(t, filtered), scales.write(t, scale)

    start = tf.zeros_like(likelihood[0]) + initial[:, None]
    filtered, scale = update(0, start, start)
    all_filtered = tf.TensorArray(filtered.dtype, steps, element_shape=filtered.shape).write(0, filtered)
    scales = tf.TensorArray(scale.dtype, steps, element_shape=scale.shape).write(0, scale)
    loop = (tf.constant(1), filtered, all_filtered, scales)
    *_, all_filtered, scales = tf.while_loop(
        lambda t, *_: t < steps, step, loop, maximum_iterations=steps - 1
    )
    return all_filtered.stack(), scales.stack()


def _sum_logs(scale: Any) -> Any:
    return tf.reduce_sum(_log(scale), axis=0)


def _log(probability: Any) -> Any:
    """Logarithm with −inf at 0, whose gradient there is 0 instead of NaN."""
    positive = probability > 0
    logarithm = tf.math.log(tf.where(positive, probability, 1.0))
    return tf.where(positive, logarithm, tf.constant(-np.inf, probability.dtype))


def _inside(emission: Any, x: Any) -> Any:
    return tf.clip_by_value(x, 0, tf.shape(emission)[1] - 1)


def _observed(x: Any, length: Any) -> Any:
    return tf.range(tf.shape(x)[1])[:, None] < length  # [T, B]


def _invert(cumulative: Any, uniform: Any) -> Any:
    """Draws from rows of cumulative probabilities `[n, K]` by inversion: int32 `[n]`."""
    below = cumulative <= uniform[:, None] * cumulative[:, -1:]
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=1)


def _sequences(x: Any, length: Any) -> tuple[Any, Any]:
    x = tf.cast(x, tf.int32)
    return x, tf.fill(tf.shape(x)[:1], tf.shape(x)[1]) if length is None else tf.cast(length, tf.int32)


def _checked(x: Any, length: Any) -> tuple[Any, Any]:
    x = tf.convert_to_tensor(x)
    rows = x.shape[:1] if length is None else np.shape(length)
    if x.shape.rank != 2 or not x.shape[:1].is_compatible_with(rows):
        raise ValueError(f"x is [B, T] and length [B], and their shapes are {x.shape} and {tuple(rows)}")
    x, length = _sequences(x, length)
    if tf.executing_eagerly():
        outside = [int(n) for n in length if not 1 <= n <= x.shape[1]]
        if outside:
            raise ValueError(f"every length is in 1..{x.shape[1]}, and one is {outside[0]}")
    return x, length
