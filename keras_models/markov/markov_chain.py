"""Markov chain of order n: the next symbol from the last n, by counting, with back-off to shorter contexts.

Interpolated Witten–Bell smoothing (Witten & Bell 1991; Chen & Goodman 1999, eq. 13): with c(h w) counts and
T(h) the number of different symbols seen after the context h,

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h)),        h' = h without its oldest symbol,

down to p(w) = 1/V without any. Contexts at the beginning of a sequence are as long as it is.

All followers of a context lie side by side in a RunTable: c(h) and T(h) are differences of places, and a draw
needs no sum over symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig
from keras_models.markov.chain_inputs import fitting, known
from keras_models.markov.run_table import WAITING, RunTable
from keras_models.sequence.decoding import Choice, choose


class Config(FamilyConfig):
    order: int = Field(4, ge=0, le=16, description="symbols that the next one depends on")
    capacity: int = Field(
        1_000_000, ge=16, le=2**26, description="most different runs of symbols of one length (12 bytes each)"
    )


class MarkovChain(GenerativeModel):
    """x_t ~ p(. | x_{t-order}, ..., x_{t-1})."""

    kinds = ("tokens",)
    likelihood = "exact"
    measure = "mass"
    paper = "Witten & Bell 1991, The zero-frequency problem"
    reports = ("nats",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        most = int(62 / np.log2(max(spec.vocabulary, 2)))
        if config.order + 1 > most:
            raise ValueError(
                f"an order of {config.order} over {spec.vocabulary} symbols does not fit into 62 bits: set "
                f"model.config.order to {most - 1} or less"
            )
        self.tables = [
            RunTable(self, k, spec.vocabulary, config.capacity) for k in range(1, config.order + 2)
        ]
        number = {"shape": (), "trainable": False, "initializer": "zeros"}
        self.waits = self.add_weight(dtype="int32", name="waits", **number)
        self.passes = self.add_weight(dtype="int32", name="passes", **number)
        self.built = True

    # -- learning ----------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Counts the batch, in the first pass over the data: later ones would count the same again."""
        x, length = self._checked_tokens(batch["x"], batch.get("length"))
        nats = -self._log_prob(x, length)
        tf.cond(self.passes == 0, lambda: self._count(x, length), lambda: tf.constant(0))
        total = tf.cast(tf.reduce_sum(length), tf.float64)
        return self.track({"nats": tf.reduce_sum(nats) / total}, weight=total)

    def end_epoch(self) -> None:
        """Ends the first pass.

        Raises:
            ValueError: there are more different runs of symbols than places.
        """
        if int(self.waits):
            self._settle()
        lost = sum(int(table.lost) for table in self.tables)
        if lost:
            raise ValueError(
                f"{lost} runs of symbols found no place among {self.config.capacity}: raise "
                "model.config.capacity or lower model.config.order"
            )
        self.passes.assign_add(1)

    def _count(self, x: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Adds the runs of a batch to the tables, and has these sorted before too many wait."""
        size = tf.size(x)
        tf.cond(self.waits + size > WAITING, self._settle, lambda: tf.constant(0))
        for table in self.tables[: x.shape[1]]:
            table.add(x, length)
        self.waits.assign_add(tf.where(size > WAITING, 0, size))
        return tf.constant(0)

    def _settle(self) -> tf.Tensor:
        """Sorts in all that waits."""
        for table in self.tables:
            table.settle()
        self.waits.assign(0)
        return tf.constant(0)

    # -- using -------------------------------------------------------------------------------------

    def log_prob(self, x: Any, length: Any = None) -> tf.Tensor:
        """Log mass of sequences int `[B, L]`, of which the first `length` `[B]` symbols count: nats `[B]`.

        Raises:
            ValueError: shapes that do not fit, a length that is not in 1..L, a symbol that is none.
        """
        if tf.executing_eagerly():
            x, length = fitting(x, length, self.spec.vocabulary)
        return self._log_prob_jit(*self._checked_tokens(x, length))

    @tf.function(reduce_retracing=True)
    def _log_prob_jit(self, x: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return self._log_prob(x, length)

    def _log_prob(self, x: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Of each sequence, float64 `[B]`."""
        p = tf.fill(tf.shape(x), tf.constant(1 / self.spec.vocabulary, tf.float64))
        for k, table in enumerate(self.tables[: x.shape[1]], 1):
            run = table.runs(x)
            total, kinds, _ = table.followers(run // self.spec.vocabulary, table.cumulative())
            # Where the context was never seen both are 0, and p stays what the shorter context says.
            better = (table.counted(run) + kinds * p[:, k - 1 :]) / tf.maximum(total + kinds, 1.0)
            p = tf.concat([p[:, : k - 1], tf.where(total > 0, better, p[:, k - 1 :])], axis=1)
        inside = tf.range(tf.shape(x)[1])[None] < length[:, None]
        return tf.reduce_sum(tf.where(inside, tf.math.log(tf.where(inside, p, 1.0)), 0.0), axis=1)

    def following(self, context: Sequence[int]) -> np.ndarray:
        """p(next symbol | context), float64 `[vocabulary]`. Of the context the last `order` symbols tell.

        Raises:
            ValueError: a symbol that the model does not know.
        """
        given = known(context, "context", self.spec.vocabulary).tolist()
        v = self.spec.vocabulary
        p = np.full(v, 1 / v)
        for k, table in enumerate(self.tables[: len(given) + 1]):
            number = 0
            for symbol in given[len(given) - k :]:
                number = number * v + symbol
            counts, kinds = table.after(number)
            if not kinds:
                break
            p = (counts + kinds * p) / (counts.sum() + kinds)
        return p

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[np.ndarray]:
        """The `n` symbols that follow each prompt, int32, without the prompt, which may be empty and of any
        length. A completion depends on its place in `prompts` and on `seed`, not on the other prompts.

        Raises:
            ValueError: no symbol asked for, one that the model does not know, a setting out of bounds.
        """
        if n < 1:
            raise ValueError(f"at least 1 symbol is completed, and {n} were asked for")
        choice = Choice(temperature, top_k, top_p)
        texts = [
            known(prompt, f"prompt {number}", self.spec.vocabulary) for number, prompt in enumerate(prompts)
        ]
        for number, begin in enumerate(texts):
            noise = np.random.default_rng((seed, number)).random(n, np.float32)
            text = begin.tolist()
            for uniform in noise:
                with np.errstate(divide="ignore"):
                    logits = np.log(self.following(text[-self.config.order :])).astype(np.float32)
                found = choose(tf.constant(logits[None]), uniform[None], choice.program, choice.numbers)
                text.append(int(found[0]))
            texts[number] = np.array(text[len(begin) :], np.int32)
        return texts

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw: one of the context's counted followers, or, with the chance T / (c + T),
        what the shorter context says."""
        steps, order = self.spec.shape[0], self.config.order
        seeds = tf.random.split(seed, steps)
        x = tf.zeros((n, steps), tf.int32)
        for_each = [table.cumulative() for table in self.tables]

        def step(t: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            own = tf.random.split(seeds[t], order + 3)
            chosen = tf.random.stateless_uniform((n,), own[-1], 0, self.spec.vocabulary, tf.int32)
            decided = tf.zeros((n,), tf.bool)
            for k in range(order + 1, 0, -1):
                context = tf.zeros((n,), tf.int64)
                for i in range(k - 1, 0, -1):
                    column = tf.gather(x, tf.maximum(t - i, 0), axis=1)
                    context = context * self.spec.vocabulary + tf.cast(column, tf.int64)
                total, kinds, first = self.tables[k - 1].followers(context, for_each[k - 1])
                uniform = tf.random.stateless_uniform((n,), own[k - 1], dtype=tf.float64)
                at = tf.floor(uniform * (total + kinds))
                mine = ~decided & (at < total) & (t >= k - 1)
                start = tf.gather(for_each[k - 1], first)
                place = tf.searchsorted(for_each[k - 1], start + tf.cast(at, tf.int64), side="right") - 1
                key = tf.gather(self.tables[k - 1].keys, tf.where(mine, place, 0))
                symbol = tf.cast(tf.where(mine, key, 0) % self.spec.vocabulary, tf.int32)
                chosen, decided = tf.where(mine, symbol, chosen), decided | mine
            hot = tf.one_hot(t, steps, dtype=tf.int32)
            return t + 1, x + chosen[:, None] * hot

        _, x = tf.while_loop(lambda t, _: t < steps, step, (0, x), maximum_iterations=steps)
        return x

    def _checked_tokens(self, x: Any, length: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.cast(x, tf.int32)
        if length is None:
            length = tf.fill((tf.shape(x)[0],), tf.shape(x)[1])
        return x, tf.cast(length, tf.int32)
