"""The compiled programs of a hidden Markov model: each is one XLA program, shared by all models of equal chain.

Parameters are a tuple: `initial` `[K]`, `transition` `[K, K]`, then those of the emission, all float64; x is
`[B, T, ...]`, `mask` of its shape or None, `length` int32 `[B]`. Results are float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import tensorflow as tf

from keras_models.cores import cores
from keras_models.markov.hmm_emissions import Emission, Repeated
from keras_models.markov.hmm_recursions import Filtered, filtered, likeliest, smoothed

Program = Callable[..., Any]
WORTH = 32  # sequences of a piece: below that its program costs as much as it saves
PIECES = 8  # at most: a container may be given fewer cores than it sees


@dataclass(frozen=True)
class Chain:
    """What a program is compiled for: `states`, of which each `tie` in a row share one row of the emission, and
    the `precision` of the recursions."""

    states: int
    emission: Emission
    tie: int = 1
    precision: str = "float64"

    def evidence(self, parameters: Any, x: Any, mask: Any, logarithmic: bool = False) -> Any:
        """See hmm_recursions."""
        of = self.emission.log_evidence if logarithmic else self.emission.evidence
        found = of(parameters[2:], x, mask)
        return found if self.tie == 1 else Repeated(found, self.tie)

    def filter(self, parameters: Any, x: Any, mask: Any, length: Any, joints: bool = False) -> Filtered:
        """See hmm_recursions."""
        return self._filter(parameters, self.evidence(parameters, x, mask), x, length, joints)

    def smooth(self, parameters: Any, x: Any, mask: Any, length: Any) -> tuple[Filtered, Any, Any]:
        """What `filter` finds, p(state_t | x), and the expected moves: see hmm_recursions."""
        evidence = self.evidence(parameters, x, mask)
        found = self._filter(parameters, evidence, x, length, joints=True)
        form = self.emission.logarithmic
        return found, *smoothed(parameters[1], found, evidence, length, logarithmic=form)

    def _filter(self, parameters: Any, evidence: Any, x: Any, length: Any, joints: bool) -> Filtered:
        steps, form = tf.shape(x)[1], self.emission.logarithmic
        return filtered(
            parameters[0], parameters[1], evidence, length, steps, logarithmic=form, joints=joints
        )

    def untied(self, gamma: Any) -> Any:
        """p(row of the emission | x) `[T, rows, B]`."""
        if self.tie == 1:
            return gamma
        shape = (tf.shape(gamma)[0], self.emission.rows, self.tie, tf.shape(gamma)[2])
        return tf.reduce_sum(tf.reshape(gamma, shape), axis=2)

    def cast(self, parameters: Any) -> tuple[Any, ...]:
        """The parameters in the precision."""
        return tuple(tf.cast(rows, self.precision) for rows in parameters)


def of_rows(*found: Any) -> Any:
    """What the pieces of a batch have, of its rows."""
    return tf.nest.map_structure(lambda *pieces: tf.concat(pieces, axis=0), *found)


def of_rows_and_sums(*found: Any) -> tuple[Any, ...]:
    """The same where the first is of rows and the others are sums over them."""
    first, *others = zip(*found, strict=True)
    return of_rows(*first), *(tf.add_n(pieces) for pieces in others)


def compiled(joined: Callable[..., Any] = of_rows) -> Callable[[Program], Program]:
    """Makes `program(chain, parameters, ...)` one XLA program for each chain, which runs on one core: a batch of
    many sequences is cut in pieces that run side by side, and `joined` puts together what they find."""

    def decorate(program: Program) -> Program:
        @cache
        def of(chain: Chain) -> Program:
            def run(parameters: Any, x: Any, mask: Any, length: Any) -> Any:
                return program(chain, chain.cast(parameters), x, mask, length)

            made: Program = tf.function(run, jit_compile=True, autograph=False)
            return made

        @cache
        def side_by_side(chain: Chain, count: int) -> Program:
            def run(parameters: Any, x: Any, mask: Any, length: Any) -> Any:
                masks = [None] * count if mask is None else tf.split(mask, count)
                each = zip(tf.split(x, count), masks, tf.split(length, count), strict=True)
                return joined(*(of(chain)(parameters, *piece) for piece in each))

            made: Program = tf.function(run, autograph=False)
            return made

        def call(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> Any:
            count = pieces(x.shape[0])
            made = of(chain) if count == 1 else side_by_side(chain, count)
            return made(tuple(parameters), x, mask, length)

        call.__doc__ = program.__doc__
        return call

    return decorate


def pieces(rows: int | None) -> int:
    """How many equal pieces a batch is cut in: one for each core, none of too few sequences to be worth it."""
    if rows is None or tf.config.list_logical_devices("GPU"):
        return 1
    fit = (n for n in range(2, min(cores(), PIECES) + 1) if rows % n == 0 and rows // n >= WORTH)
    return max(fit, default=1)


@compiled()
def log_likelihood(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> Any:
    """log p(x) `[B]` in nats."""
    return chain.filter(parameters, x, mask, length).log_likelihood(length)


@compiled(of_rows_and_sums)
def expected_counts(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> tuple[Any, ...]:
    """log p(x) `[B]`, and summed over the batch the expected number of starts in each state `[K]`, of moves
    `[K, K]`, and the emission's statistics. An impossible sequence counts nothing."""
    found, gamma, moves = chain.smooth(parameters, x, mask, length)
    statistics = chain.emission.statistics(parameters[2:], chain.untied(gamma), x, mask)
    counts = (tf.reduce_sum(gamma[0], axis=1), moves, *statistics)
    return found.log_likelihood(length), *(tf.cast(count, tf.float64) for count in counts)


@compiled()
def filter_states(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> Any:
    """p(state_t | x_1..x_t) `[B, T, K]`; behind the end that of the last step."""
    found = chain.filter(parameters, x, mask, length, joints=True).states()
    return tf.cast(tf.transpose(found, (2, 0, 1)), tf.float64)


@compiled()
def smooth_states(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> Any:
    """p(state_t | x) `[B, T, K]`, 0 behind the end and where x is impossible."""
    gamma = chain.smooth(parameters, x, mask, length)[1]
    return tf.cast(tf.transpose(gamma, (2, 0, 1)), tf.float64)


@compiled()
def viterbi(chain: Chain, parameters: Any, x: Any, mask: Any, length: Any) -> tuple[Any, Any]:
    """The likeliest path int32 `[B, T]`, −1 behind the end, and its log p(x, path) `[B]`."""
    evidence = chain.evidence(parameters, x, mask, logarithmic=True)
    path, score = likeliest(parameters[0], parameters[1], evidence, length, tf.shape(x)[1])
    path = tf.where(tf.range(tf.shape(path)[0])[:, None] < length, path, -1)
    return tf.transpose(path), score
