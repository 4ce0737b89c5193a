"""Tiny data of every kind, always the same, and every value of a tiny spec."""

from __future__ import annotations

import itertools

import numpy as np

from keras_models.spec import Spec

Arrays = dict[str, np.ndarray]
EXAMPLES = 32


def tiny_data(spec: Spec) -> Arrays:
    """32 examples of `spec` in two clusters by turns, with a little noise; labels where it names classes."""
    random = np.random.default_rng(0)
    cluster = np.arange(EXAMPLES) % 2
    made = {"tokens": _tokens, "roll": _rolls, "series": _series}.get(spec.kind, _images)
    arrays = made(spec, cluster, random)
    if spec.classes:
        arrays["label"] = cluster.astype(np.int32)
    return arrays


def every_value(spec: Spec) -> Arrays:
    """All values that one example can take, at full length."""
    symbols = {"tokens": spec.vocabulary, "roll": 2}.get(spec.kind, spec.levels)
    x = np.array(list(itertools.product(range(symbols), repeat=spec.dimensions)))
    x = x.reshape(-1, *spec.shape)
    if spec.kind == "tokens":
        return {"x": x.astype(np.int32), "length": np.full(len(x), spec.shape[0], np.int32)}
    if spec.kind == "roll":
        return {"x": x.astype(np.float32), "length": np.full(len(x), spec.shape[0], np.int32)}
    return {"x": (x / (spec.levels - 1)).astype(np.float32)}


def _images(spec: Spec, cluster: np.ndarray, random: np.random.Generator) -> Arrays:
    first = random.integers(0, 2, spec.shape)
    differs = (np.arange(spec.dimensions) < max(2, spec.dimensions // 2)).reshape(spec.shape)
    prototype = np.stack([first, np.where(differs, 1 - first, first)])[cluster]
    if spec.levels == 2:
        x = np.where(random.random(prototype.shape) < 0.1, 1 - prototype, prototype)
    else:
        x = 0.2 + 0.6 * prototype + random.normal(0, 0.1, prototype.shape)
    top = spec.levels - 1
    return {"x": (np.round(np.clip(x, 0, 1) * top) / top).astype(np.float32)}


def _tokens(spec: Spec, cluster: np.ndarray, random: np.random.Generator) -> Arrays:
    length = np.where(cluster, spec.shape[0], random.integers(spec.shape[0] // 2 + 1, spec.shape[0] + 1))
    place = np.arange(spec.shape[0])[None, :]
    x = np.where(cluster[:, None], spec.vocabulary - 1, place % 2)
    x = np.where(random.random(x.shape) < 0.1, random.integers(0, spec.vocabulary, x.shape), x)
    x = np.where(place < length[:, None], x, 0)
    return {"x": x.astype(np.int32), "length": length.astype(np.int32)}


def _rolls(spec: Spec, cluster: np.ndarray, random: np.random.Generator) -> Arrays:
    """The upper pitches or the lower ones, and of these every other by turns."""
    length = np.where(cluster, spec.shape[0], random.integers(spec.shape[0] // 2 + 1, spec.shape[0] + 1))
    place, pitch = np.arange(spec.shape[0])[:, None], np.arange(spec.shape[1])
    upper = (pitch >= spec.shape[1] // 2) == cluster[:, None, None]
    x = upper & ((place + pitch) % 2 == 0)
    x = np.where(random.random(x.shape) < 0.1, ~x, x) & (place < length[:, None, None])
    return {"x": x.astype(np.float32), "length": length.astype(np.int32)}


def _series(spec: Spec, cluster: np.ndarray, random: np.random.Generator) -> Arrays:
    """Each step keeps more than half of the one before; one value in ten is missing, every second row ends
    early. Row i is series i + 1 where the spec has so many."""
    steps, channels = spec.shape
    length = np.where(cluster, steps, random.integers(steps // 2 + 1, steps + 1, EXAMPLES))
    x = random.normal(0.5, 0.2, (EXAMPLES, steps, channels))
    for t in range(1, steps):
        x[:, t] = 0.2 + 0.6 * x[:, t - 1] + random.normal(0, 0.16, (EXAMPLES, channels))
    mask = (random.random(x.shape) >= 0.1) & (np.arange(steps) < length[:, None])[:, :, None]
    number = 1 + np.arange(EXAMPLES)
    arrays = {
        "x": np.where(mask, x, 0).astype(np.float32),
        "mask": mask.astype(np.float32),
        "length": length.astype(np.int32),
        "context": np.zeros(EXAMPLES, np.int32),
        "series": np.where(number <= spec.series, number, 0).astype(np.int32),
        "offset": np.zeros(EXAMPLES, np.int32),
    }
    if spec.covariates:
        arrays["covariates"] = random.normal(size=(EXAMPLES, steps, spec.covariates)).astype(np.float32)
    return arrays
