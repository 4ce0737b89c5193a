"""How a symbol is chosen from logits: temperature, top-k, nucleus, repetition penalty; stops; beam search.

In this order: the logits of symbols that were there are lowered (Keskar et al. 2019), all are divided by the
temperature, the `top_k` likeliest are kept (Fan et al. 2018), of these the ones before which less than
`top_p` is gathered (Holtzman et al. 2020), and one is drawn in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_models.sequence.observations import invert

NOTHING, ANYTHING = -2, -1  # in histories no symbol, in stops any symbol


@dataclass(frozen=True)
class Choice:
    """How symbols are chosen.

    Raises:
        ValueError: a number out of its bounds, with its name.
    """

    temperature: float = 1.0  # 0: the likeliest symbol
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    repetition_penalty: float = 1.0  # 1: none

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("temperature", self.temperature, 0, math.inf),
            ("top_k", self.top_k, 0, math.inf),
            ("top_p", self.top_p, 0, 1),
            ("repetition_penalty", self.repetition_penalty, 1e-3, 1e3),
        ):
            if not (low <= value <= high) or math.isinf(value):
                raise ValueError(f"{name} is between {low} and {high}, and {value} was given")

    @property
    def program(self) -> tuple[bool, int, bool, bool]:
        """What a compiled program depends on: greedy, top_k, nucleus, penalised."""
        greedy = self.temperature == 0
        return greedy, self.top_k, self.top_p < 1 and not greedy, self.repetition_penalty != 1

    @property
    def numbers(self) -> Any:
        """What it takes as an argument: float32 `[3]`."""
        return tf.constant([self.temperature or 1.0, self.top_p, self.repetition_penalty], tf.float32)


PLAIN = Choice()


def candidates(logits: Any, program: tuple[bool, int, bool, bool], numbers: Any) -> tuple[Any, Any]:
    """The symbols int32 `[B, k]` that may be drawn from logits `[B, V]`, and their probabilities. Of equal
    symbols at the border the first ones stay."""
    greedy, top_k, nucleus, _ = program
    size = logits.shape[-1]
    if greedy:
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)[:, None]
        return best, tf.ones_like(best, tf.float32)
    logits = logits / numbers[0]
    if not nucleus and not 0 < top_k < size:
        every = tf.broadcast_to(tf.range(size)[None, :], tf.shape(logits))
        return every, tf.nn.softmax(logits)
    logits, symbols = tf.math.top_k(logits, top_k if 0 < top_k < size else size)
    probability = tf.nn.softmax(logits)
    if nucleus:
        before = tf.cumsum(probability, axis=-1, exclusive=True)
        kept = (before < numbers[1]) | (tf.range(logits.shape[-1]) == 0)
        probability = tf.where(kept, probability, 0.0)
        probability /= tf.reduce_sum(probability, axis=-1, keepdims=True)
    return symbols, probability


def choose(logits: Any, noise: Any, program: tuple[bool, int, bool, bool], numbers: Any) -> Any:
    """A symbol int32 `[B]` for each row of logits `[B, V]`, from uniform noise `[B]`."""
    symbols, probability = candidates(logits, program, numbers)
    if symbols.shape[-1] == 1:
        return symbols[:, 0]
    return tf.gather(symbols, invert(probability, noise), batch_dims=1)


def penalised(logits: Any, occurred: Any, penalty: Any) -> Any:
    """Logits `[B, V]`, those of symbols that `occurred` (bool `[B, V]`) divided by `penalty`, or times it where
    they are negative."""
    return tf.where(occurred, tf.where(logits > 0, logits / penalty, logits * penalty), logits)


# -- stops ---------------------------------------------------------------------------------------------


def stop_table(stops: Sequence[Sequence[int]]) -> np.ndarray:
    """Sequences of symbols as rows int32 `[stops, longest]`, aligned at their ends.

    Raises:
        ValueError: an empty one, at which everything would stop.
    """
    if any(len(stop) == 0 for stop in stops):
        raise ValueError("a stop is a sequence of at least one symbol, and one is empty")
    table = np.full((len(stops), max(map(len, stops), default=0)), ANYTHING, np.int32)
    for row, stop in zip(table, stops, strict=True):
        row[len(row) - len(stop) :] = stop
    return table


def stopped(recent: Any, made: Any, table: Any) -> Any:
    """Whether the last symbols `[B, longest]` of each row end in a stop that lies in the `made` `[B]` last ones."""
    long = tf.reduce_sum(tf.cast(table != ANYTHING, tf.int32), axis=1)  # [stops]
    same = tf.reduce_all((table == ANYTHING) | (table == recent[:, None, :]), axis=-1)
    return tf.reduce_any(same & (long <= made[:, None]), axis=1)


def before_stop(symbols: np.ndarray, stops: Sequence[Sequence[int]]) -> tuple[np.ndarray, bool]:
    """The symbols up to the first stop, without it, and whether there was one."""
    ends = []
    for stop in stops:
        width = len(stop)
        starts = range(len(symbols) - width + 1)
        ends += [next((s for s in starts if symbols[s : s + width].tolist() == list(stop)), len(symbols))]
    end = min(ends, default=len(symbols))
    return symbols[:end], end < len(symbols)


# -- beam search ---------------------------------------------------------------------------------------


def beam_search(
    step: Callable[[Any, Any, Any], tuple[Any, Any]],
    reorder: Callable[[Any, Any], Any],
    first: Any,
    state: Any,
    *,
    beams: int,
    steps: int,
    end: int,
    length_power: float,
) -> tuple[Any, Any]:
    """The likeliest continuation that is found: symbols int32 `[B, steps]`, `end` from its end on, and its
    log p `[B]`.

    Args:
        step: (symbols `[B * beams]`, time, state) → log p of the next ones `[B * beams, V]`, and the state.
        reorder: (state, rows `[B * beams]`) → the state with these rows.
        first: int32 `[B]`, read before the first step. `state` has beams side by side: row b * beams + beam.
        length_power: log p is divided by ((5 + length) / 6)^length_power before the best is taken (Wu et al.
            2016); 0 compares log p itself.
    """
    batch = first.shape[0]

    def body(t: Any, symbols: Any, score: Any, found: Any, length: Any, state: Any) -> tuple[Any, ...]:
        log_p, state = step(tf.reshape(symbols, (-1,)), t, state)
        size = log_p.shape[-1]
        log_p = tf.reshape(log_p, (batch, beams, size))
        over = (symbols == end) & (t > 0)
        stay = tf.where(tf.range(size) == end, 0.0, -np.inf)  # what is over goes on with `end`, for nothing
        total = score[:, :, None] + tf.where(over[:, :, None], stay, log_p)
        score, place = tf.math.top_k(tf.reshape(total, (batch, beams * size)), beams)
        parent, symbols = place // size, place % size
        length = tf.gather(length + tf.cast(~over, tf.int32), parent, batch_dims=1)
        found = tf.gather(found, parent, batch_dims=1)
        found = tf.where(tf.range(steps) == t, symbols[:, :, None], found)
        flat = tf.reshape(parent + beams * tf.range(batch)[:, None], (-1,))
        return t + 1, symbols, score, found, length, reorder(state, flat)

    start = tf.where(tf.range(beams) == 0, 0.0, -np.inf)  # the beams are one until they part
    loop = (
        tf.constant(0),
        tf.repeat(first[:, None], beams, axis=1),
        tf.repeat(start[None, :], batch, axis=0),
        tf.fill((batch, beams, steps), end),
        tf.zeros((batch, beams), tf.int32),
        state,
    )
    going = lambda t, symbols, *_: (t < steps) & ((t == 0) | tf.reduce_any(symbols != end))  # noqa: E731
    _, _, score, found, length, _ = tf.while_loop(going, body, loop, maximum_iterations=steps)
    norm = ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** length_power
    best = tf.argmax(score / norm, axis=1, output_type=tf.int32)
    return tf.gather(found, best, batch_dims=1), tf.gather(score, best, batch_dims=1)
