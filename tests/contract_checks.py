"""What the contract battery measures: states to resume from, distances, likelihood against samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_models.base import GenerativeModel, assign
from keras_models.spec import Spec
from tests.tiny_data import Arrays, every_value

SAMPLES = 4096
P_VALUE = 1e-3  # the seeds are fixed: a test that passes once passes always

Score = Callable[[GenerativeModel, Arrays], np.ndarray]


def arrays_of(model: GenerativeModel) -> list[np.ndarray]:
    """A copy of the model's training state."""
    return [np.array(variable) for variable in model.training_state()]


class Snapshot(keras.callbacks.Callback):
    """Keeps the training state after `step` batches, as a trainer that is killed later would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.seen, self.state = step, 0, []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1
        if self.seen == self.step:
            self.state = arrays_of(self.model)


class Restore(keras.callbacks.Callback):
    """Puts a state back before the first batch, all but the variables with `without` in their path."""

    def __init__(self, state: list[np.ndarray], without: str | None = None) -> None:
        super().__init__()
        self.state, self.without = state, without

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        pairs = zip(self.model.training_state(), self.state, strict=True)
        kept = [(v, array) for v, array in pairs if self.without is None or self.without not in v.path]
        assign([variable for variable, _ in kept], [array for _, array in kept])


def share_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes compiled and eager code draw the same normal and uniform numbers.

    XLA and TensorFlow draw the same bits from the same seed, and then read different ones of them into
    a float: here both read the bits alike.
    """
    draw_bits = tf.random.stateless_uniform

    def uniform(shape, seed, minval=0, maxval=None, dtype=tf.float32, **kwargs):
        if tf.as_dtype(dtype).is_integer:
            return draw_bits(shape, seed, minval, maxval, dtype, **kwargs)
        bits = tf.cast(tf.bitwise.right_shift(draw_bits(shape, seed, None, None, tf.uint32), 9), tf.int32)
        low, high = tf.cast(minval, dtype), tf.cast(1 if maxval is None else maxval, dtype)
        return low + (high - low) * (tf.cast(bits, dtype) + 0.5) / 2**23

    def normal(shape, seed, mean=0.0, stddev=1.0, dtype=tf.float32, **kwargs):
        return mean + stddev * tf.math.ndtri(uniform(shape, seed, dtype=dtype))

    for module in (tf.random, tf.compat.v2.random):  # TensorFlow Probability knows it by the second name
        monkeypatch.setattr(module, "stateless_uniform", uniform)
        monkeypatch.setattr(module, "stateless_normal", normal)


def distance_of_means(model: GenerativeModel, arrays: Arrays) -> float:
    """How far the mean of 256 samples is from the mean of the data."""
    gap = model.sample(256, seed=2).mean(axis=0) - arrays["x"].mean(axis=0)
    return float(np.sqrt((gap**2).sum()))


def follows_mass(model: GenerativeModel, spec: Spec, score: Score) -> None:
    """Probabilities of all values sum to one, and samples have these frequencies (chi-square)."""
    arrays = every_value(spec)
    probability = np.exp(score(model, arrays).astype(np.float64))
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-5)
    index = {value.tobytes(): i for i, value in enumerate(arrays["x"])}
    drawn = [index[value.tobytes()] for value in model.sample(SAMPLES, seed=1)]
    fits(np.bincount(drawn, minlength=len(index)), probability)


def follows_density(model: GenerativeModel, spec: Spec, score: Score) -> None:
    """The density of two pixels integrates to one on a grid, and samples fall as it says.

    Samples are clipped to [0, 1], so the outer cells of the 4x4 count what lies beyond them.
    """
    assert spec.dimensions == 2, "a density is integrated over two pixels: shape (1, 2, 1)"
    step = 0.01
    axis = np.arange(-1.5, 2.5, step) + step / 2
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, *spec.shape)
    mass = np.exp(score(model, {"x": x})) * step**2
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-3)

    def cell(x: np.ndarray) -> np.ndarray:
        row, column = np.digitize(x.reshape(-1, 2), [0.25, 0.5, 0.75]).T
        return 4 * row + column

    counts = np.bincount(cell(model.sample(SAMPLES, seed=1)), minlength=16)
    fits(counts, np.bincount(cell(x), mass, minlength=16))


def fits(counts: np.ndarray, probability: np.ndarray) -> None:
    """Chi-square test of counts against probabilities; rare cells are pooled."""
    expected = counts.sum() * probability / probability.sum()
    rare = expected < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 5:  # the pool itself is rare: it joins its neighbour
        observed = np.append(observed[:-2], observed[-2:].sum())
        expected = np.append(expected[:-2], expected[-2:].sum())
    assert len(expected) > 1, "one cell holds everything: the tiny spec tests nothing"
    found = scipy.stats.chisquare(observed, expected)
    assert found.pvalue > P_VALUE, f"samples do not follow log_prob: chi-square {found.statistic:.1f}"
