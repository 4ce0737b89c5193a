"""One start of a hidden Markov model: its parameters and expected counts as weights of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.markov import hmm_structure as structure
from keras_models.markov.hmm_emissions import Arrays, weighted_log


class Candidate:
    """Parameters `initial`, `transition` and the emission's, a count for each statistic, and for learning by
    gradient the same parameters as unconstrained numbers, which are what the optimizer moves."""

    def __init__(self, model: Any, suffix: str, random: np.random.Generator) -> None:
        self.config, self.chain = model.config, model.chain
        self.emission = emission = self.chain.emission
        self.where = model.starts_at, model.moves_to
        concentration = self.config.concentration
        first = [structure.drawn(rows, concentration, random) for rows in self.where]
        first += [np.asarray(rows) for rows in emission.drawn(random, concentration)]
        names = ("initial", "transition", *emission.names)
        self.parameters = [
            _weight(model, name + suffix, rows) for name, rows in zip(names, first, strict=True)
        ]
        shapes = [rows.shape for rows in first[:2]] + list(emission.statistic_shapes())
        counted = ["initial", "transition", *_numbered(emission.names[0], len(shapes) - 2)]
        self.counts = [
            # summed over replicas, so that counting distributes
            _weight(model, f"{name}_count{suffix}", np.zeros(shape), aggregation="sum")
            for name, shape in zip(counted, shapes, strict=True)
        ]
        self.free = []
        if self.config.learner == "gradient":
            loose = self._free([tf.constant(rows) for rows in first])
            self.free = [
                _weight(model, f"free_{name}{suffix}", np.asarray(rows), trainable=True)
                for name, rows in zip(names, loose, strict=True)
            ]

    def values(self) -> tuple[tf.Tensor, ...]:
        """The parameters as tensors."""
        return tuple(tf.convert_to_tensor(rows) for rows in self.parameters)

    def arrays(self) -> Arrays:
        """The parameters as arrays."""
        return tuple(np.asarray(rows) for rows in self.values())

    def assign(self, values: Any) -> None:
        """Sets the parameters; by TensorFlow's own assign, as Keras' takes twice as long."""
        for rows, value in zip(self.parameters, values, strict=True):
            rows.value.assign(value)

    def begin(self, begun: Any, x: Any, mask: Any, length: Any, seed: tuple[int, int]) -> None:
        """Takes the emission's first parameters from the first batch."""
        now = self.values()[2:]
        first = tf.cond(begun > 0, lambda: now, lambda: structure.begun(self.emission, x, mask, length, seed))
        for rows, value in zip(self.parameters[2:], first, strict=True):
            rows.assign(value)
        if self.free:
            kept = tuple(tf.convert_to_tensor(rows) for rows in self.free[2:])
            loose = tf.cond(begun > 0, lambda: kept, lambda: self.emission.free(first))
            for rows, value in zip(self.free[2:], loose, strict=True):
                rows.assign(value)

    def add(self, counts: Any) -> None:
        """Adds expected counts."""
        for total, count in zip(self.counts, counts, strict=True):
            total.value.assign_add(count)  # Keras' own assign_add reads before it sums over replicas

    def nothing(self) -> tuple[Any, ...]:
        """A log-likelihood and counts of 0."""
        shapes = [(), *(count.shape for count in self.counts)]
        return tuple(tf.zeros(shape, tf.float64) for shape in shapes)

    def clear(self) -> None:
        """Sets the counts to 0."""
        for count in self.counts:
            count.value.assign(np.zeros(count.shape))

    def maximise(self) -> None:
        """M-step, and the counts are 0 again."""
        config, now = self.config, self.arrays()
        initial, moves, *statistics = (np.asarray(tf.convert_to_tensor(count)) for count in self.counts)
        prior = config.pseudo_count
        beside = prior if config.emission_pseudo_count is None else config.emission_pseudo_count
        moves = moves + config.stickiness * np.eye(len(moves))
        chain = (
            structure.maximum(now[0], initial, self.where[0], prior),
            structure.maximum(now[1], moves, self.where[1], prior),
        )
        floor = config.smallest_variance
        self.assign((*chain, *self.emission.maximum(now[2:], tuple(statistics), beside, floor)))
        self.clear()

    def climb(self, optimizer: Any, steps: Any) -> None:
        """One step of the optimizer along the gradient of the counts' log-likelihood, and they are 0 again."""
        counts = [tf.convert_to_tensor(count) for count in self.counts]
        before = self.values()
        with tf.GradientTape() as tape:
            free = [tf.convert_to_tensor(rows) for rows in self.free]
            tape.watch(free)
            loss = -tf.math.divide_no_nan(self._log_of(self._constrained(free), before, counts), steps)
        optimizer.apply(tape.gradient(loss, free), self.free)
        self.assign(self._constrained([tf.convert_to_tensor(rows) for rows in self.free]))
        self.clear()

    def log_of(self, counts: Any) -> Any:
        """log p of what was counted, states and all."""
        return self._log_of(self.values(), self.values(), counts)

    def swap(self, other: Candidate) -> None:
        """Exchanges the parameters."""
        mine, theirs = self.arrays(), other.arrays()
        self.assign(theirs)
        other.assign(mine)

    def _log_of(self, values: Any, before: Any, counts: Any) -> Any:
        chain = weighted_log(counts[0], values[0]) + weighted_log(counts[1], values[1])
        return chain + self.emission.expected_log(values[2:], before[2:], counts[2:])

    def _free(self, values: Any) -> list[Any]:
        chain = [tf.math.log(tf.maximum(rows, 1e-30)) for rows in values[:2]]
        return [*chain, *self.emission.free(tuple(values[2:]))]

    def _constrained(self, free: Any) -> list[Any]:
        chain = [
            tf.nn.softmax(tf.where(where > 0, rows, -np.inf))
            for where, rows in zip(self.where, free[:2], strict=True)
        ]
        return [*chain, *self.emission.constrained(tuple(free[2:]))]


def counts_of_tags(x: Any, tags: Any, length: Any, states: int, symbols: int) -> tuple[Any, ...]:
    """Starts `[K]`, moves `[K, K]` and emissions `[K, V]` of sequences whose states are their tags. A tag or a
    symbol that is out of range counts nothing."""
    steps = tf.range(tf.shape(x)[1])[None, :]
    known = (steps < length[:, None]) & (tags >= 0) & (tags < states)

    def counted(index: Any, where: Any, size: int) -> Any:
        weight = tf.cast(tf.reshape(where, [-1]), tf.float64)
        index = tf.reshape(tf.where(where, index, tf.zeros_like(index)), [-1])
        return tf.math.unsorted_segment_sum(weight, index, size)

    moves = counted(tags[:, :-1] * states + tags[:, 1:], known[:, :-1] & known[:, 1:], states * states)
    seen = known & (x >= 0) & (x < symbols)
    emissions = counted(tags * symbols + x, seen, states * symbols)
    starts = counted(tags[:, 0], known[:, 0], states)
    return starts, tf.reshape(moves, (states, states)), tf.reshape(emissions, (states, symbols))


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{number}" for number in range(count)]


def _weight(model: Any, name: str, value: np.ndarray, trainable: bool = False, **settings: Any) -> Any:
    value = np.asarray(value, np.float64)
    return model.add_weight(
        name=name,
        shape=value.shape,
        initializer=lambda *_, **__: value,
        trainable=trainable,
        dtype="float64",
        **settings,
    )
