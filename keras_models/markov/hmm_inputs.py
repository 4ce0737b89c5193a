"""What a hidden Markov model is given: specs and configs that fit each other, and batches of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov.hmm_discrete import Bernoulli, Categorical, Poisson
from keras_models.markov.hmm_emissions import Emission
from keras_models.markov.hmm_gaussian import FullGaussian, Gaussian
from keras_models.markov.hmm_mixture import GaussianMixture
from keras_models.spec import Spec

PARTIAL = (
    "emission 'full_gaussian' needs all channels of a step or none of them, and some are missing: "
    "take emission 'gaussian'"
)


def states_of(spec: Spec, config: Any) -> int:
    """The number of states.

    Raises:
        ValueError: spec and config do not fit.
    """
    wide = spec.kind != "tokens"
    if len(spec.shape) != 1 + wide or (not wide and spec.vocabulary < 1):
        shape = "[length, width]" if wide else "[length] over a vocabulary of at least 1 symbol"
        raise ValueError(
            f"family 'hmm' learns sequences {shape}, "
            f"and the spec has shape {list(spec.shape)} and vocabulary {spec.vocabulary}"
        )
    if config.learner == "tags" and (wide or spec.tags < 1):
        raise ValueError("learner 'tags' learns tagged words, and these data have no tags: take learner 'em'")
    states = spec.tags if config.learner == "tags" else config.states
    if states % config.tie:
        raise ValueError(f"tie {config.tie} does not divide the {states} states: each emission has as many")
    if config.restarts > 1 and config.learner != "em":
        raise ValueError(
            f"restarts are of learner 'em', and learner is '{config.learner}': set restarts to 1"
        )
    if config.order != "none" and (config.learner != "em" or config.structure != "full"):
        raise ValueError("order is of learner 'em' and structure 'full': elsewhere set it to 'none'")
    return int(states)


def emission_of(spec: Spec, config: Any, rows: int) -> Emission:
    """The emission of this kind of data."""
    if spec.kind == "tokens":
        return Categorical(rows, spec.vocabulary)
    if spec.kind == "roll":
        return Bernoulli(rows, spec.shape[1])
    if config.emission == "gaussian_mixture":
        return GaussianMixture(rows, spec.shape[1], config.components)
    kinds = {"gaussian": Gaussian, "full_gaussian": FullGaussian, "poisson": Poisson}
    return kinds[config.emission](rows, spec.shape[1])


def sequences(emission: Emission, x: Any, length: Any, mask: Any) -> tuple[Any, Any, Any]:
    """x as numbers, the mask or None, and lengths int32 `[B]`, the whole of x where they are not given."""
    x = tf.cast(x, tf.int32) if isinstance(emission, Categorical) else tf.convert_to_tensor(x)
    if length is None:
        known = x.shape[:2] if x.shape[:2].is_fully_defined() else tf.shape(x)
        length = tf.fill(known[:1], known[1])
    length = tf.cast(length, tf.int32)
    if isinstance(emission, Categorical | Bernoulli) or mask is None:
        return x, None, length
    return x, tf.convert_to_tensor(mask), length


def checked(emission: Emission, x: Any, length: Any, mask: Any) -> tuple[Any, Any, Any]:
    """See sequences.

    Raises:
        ValueError: shapes that do not fit each other, a length that is not in 1..T, or steps of which some
            channels are missing that full_gaussian needs.
    """
    x = _one_array(x)
    wide = not isinstance(emission, Categorical)
    told = f"[B, T, {emission.size}]" if wide else "[B, T]"
    rows = x.shape[:1] if length is None else np.shape(length)
    fits = x.shape.rank == 2 + wide and (not wide or x.shape[2] == emission.size)
    if not fits or not x.shape[:1].is_compatible_with(rows):
        raise ValueError(f"x is {told} and length [B], and their shapes are {x.shape} and {tuple(rows)}")
    if mask is not None and np.shape(mask) != tuple(x.shape):
        raise ValueError(f"mask has the shape of x, {x.shape}, and its shape is {np.shape(mask)}")
    if tf.executing_eagerly() and length is not None:
        numbers = np.asarray(length)
        outside = numbers[(numbers < 1) | (numbers > x.shape[1])]
        if outside.size:
            raise ValueError(f"every length is in 1..{x.shape[1]}, and one is {outside[0]}")
    x, mask, length = sequences(emission, x, length, mask)
    if mask is not None and tf.executing_eagerly() and int(partial_steps(emission, mask)):
        raise ValueError(PARTIAL)
    return x, mask, length


def past(history: Any, channels: int, steps: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """A history `[n, t, channels]` to forecast from, and 0 where it is missing.

    Raises:
        ValueError: it is no such array, or `steps` or `samples` is below 1.
    """
    history = np.asarray(history, np.float64)
    if history.ndim != 3 or history.shape[2] != channels or not history.shape[1]:
        raise ValueError(f"history is [n, t, {channels}], and its shape is {history.shape}")
    if min(steps, samples) < 1:
        raise ValueError(f"steps and samples are at least 1, and they are {steps} and {samples}")
    return history, (~np.isnan(history)).astype(np.uint8)


def _one_array(x: Any) -> Any:
    """x as a tensor."""
    if tf.is_tensor(x):
        return x
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise ValueError(
            "x is one array: rows of unequal length are padded, and `length` says how long each is"
        ) from error
    return tf.convert_to_tensor(x)


def partial_steps(emission: Emission, mask: Any) -> Any:
    """Number of steps, int64, that miss some channels and not all, where the emission cannot sum over them."""
    if mask is None or not isinstance(emission, FullGaussian):
        return tf.constant(0, tf.int64)
    seen = mask > 0
    partial = tf.reduce_any(seen, axis=-1) & ~tf.reduce_all(seen, axis=-1)
    return tf.reduce_sum(tf.cast(partial, tf.int64))
