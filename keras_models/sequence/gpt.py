"""GPT: a transformer that reads only what is behind it, and foretells the next symbol.

log p(x) = sum_t log p(x_t | x_1 ... x_{t-1}), all t in one pass, with a symbol of its own before x_1.
Blocks normalise first and the embedding is the readout, as in Radford et al. 2019. It writes with the keys
and values of what it has read kept in place, the whole loop being one XLA program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.config import FamilyConfig
from keras_models.sequence.attention_model import AttentionModel, after, checked, there
from keras_models.sequence.decoding import (
    NOTHING,
    PLAIN,
    Choice,
    before_stop,
    choose,
    penalised,
    stop_table,
    stopped,
)
from keras_models.sequence.stack import Stack, inside

AT_ONCE = 8  # symbols of a prompt that are read together
LEAST_ROOM = 64  # symbols that a program for writing has room for


class Config(FamilyConfig):
    layers: int = Field(4, ge=1, le=128, description="blocks, one on the other")
    heads: int = Field(4, ge=1, le=128, description="attentions side by side in a block")
    width: int = Field(128, ge=2, le=16_384, description="entries of a hidden state, an even number a head")
    positions: Literal["learned", "rotary"] = Field(
        "learned", description="a vector for each position; or queries and keys turned by their position"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of entries hidden while learning")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's largest step size")
    warm_up: int = Field(100, ge=0, le=1_000_000, description="updates over which the step size rises")
    decay_steps: int = Field(
        0, ge=0, le=100_000_000, description="updates until the step size is at its last; 0: it does not fall"
    )
    last_rate: float = Field(0.1, ge=0, le=1, description="the last step size, as a share of the largest")
    weight_decay: float = Field(
        0.1, ge=0, le=10, description="share of the step size by which weights shrink"
    )
    beta_2: float = Field(0.99, gt=0, lt=1, description="AdamW's memory of squared gradients")
    clip: float = Field(1.0, gt=0, le=1e6, description="most global norm of the gradient, in nats a symbol")
    frozen: int = Field(
        0, ge=0, le=128, description="first blocks, with the embedding, that fine-tuning leaves as they are"
    )


class GenerativePretrainedTransformer(AttentionModel):
    """Decoder-only transformer over symbols; the spec's length is its context."""

    kinds = ("tokens",)
    likelihood = "exact"
    measure = "mass"
    paper = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
    mixed_precision = True

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        self.context, self.start = spec.shape[0], spec.vocabulary
        self.stack = Stack(config, vocabulary=spec.vocabulary, extra=1, context=self.context, name="stack")
        self.stack.freeze(config.frozen)
        self.built = True

    def nats(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """See AttentionModel.nats."""
        return self.stack.nats(self.hidden(x, seed), x), there(x, length)

    def hidden(self, x: Any, seed: Any = None) -> Any:
        """`[B, T, width]`: the states from which each of the symbols `[B, T]` is foretold."""
        read = after(self.start, inside(x, self.spec.vocabulary))
        return self.stack.whole(self.stack.embed(read), seed=seed)

    def logits(self, x: Any) -> Any:
        """Of each of the symbols x `[B, T]` given those before it: float32 `[B, T, vocabulary]`."""
        return self.stack.logits(self.hidden(x))

    def log_prob(self, x: Any, length: Any = None) -> Any:
        """log p of the first `length` symbols of each row of `x` `[B, T]`, in nats, float64 `[B]`; −inf where
        one is outside of the vocabulary.

        Raises:
            ValueError: `x` is not `[B, T]` with T up to the spec's length, or a length is not in 0..T.
        """
        return -tf.reduce_sum(tf.cast(self.surprise(x, length), tf.float64), axis=1)

    def surprise(self, x: Any, length: Any = None) -> Any:
        """-log p of each symbol given those before it, nats `[B, T]`, 0 behind the end. Raises as `log_prob`."""
        return self._surprise(*checked(x, length, self.context))

    @tf.function(jit_compile=True, autograph=False)
    def _surprise(self, x: Any, length: Any) -> Any:
        nats, counted = self.nats(x, length, None)
        return tf.where(counted, nats, 0.0)

    # -- writing -----------------------------------------------------------------------------------

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw. Every sequence has the spec's whole length."""
        nothing = tf.zeros((n, self.context), tf.int32)
        noise = tf.random.stateless_uniform((n, self.context), seed)
        given, stops = tf.zeros((n,), tf.int32), tf.zeros((0, 0), tf.int32)
        return self._write(
            nothing, given, self.context, noise, stops, PLAIN.numbers, program=PLAIN.program, reads=False
        )[0]

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: Sequence[Sequence[int]] = (),
        seed: int = 0,
    ) -> list[np.ndarray]:
        """What follows each prompt: at most `n` symbols, int32, without the prompt and without the stop.

        A prompt may be empty. When the context is full, the last half of it is read again as a beginning:
        so `n` has no bound, and of a prompt that is longer than the context its end is read. A prompt's
        completion depends on its place in `prompts` and on `seed`, not on the other prompts.

        Args:
            stop: sequences of symbols; a completion ends before the first that it would hold.

        Raises:
            ValueError: a symbol outside of the vocabulary, with its place; a setting out of bounds.
        """
        texts = [self._known(prompt, f"prompt {number}") for number, prompt in enumerate(prompts)]
        stops = [self._known(each, f"stop {number}").tolist() for number, each in enumerate(stop)]
        if n < 1:
            raise ValueError(f"at least 1 symbol is completed, and {n} were asked for")
        table, asked = stop_table(stops), [len(text) + n for text in texts]
        random = [np.random.default_rng((seed, number)) for number in range(len(texts))]
        choice = Choice(temperature, top_k, top_p, repetition_penalty)
        going = list(range(len(texts)))
        while going:
            written = self._go_on([texts[i] for i in going], n, [random[i] for i in going], table, choice)
            for i, more in zip(going, written, strict=True):
                begin = asked[i] - n
                made, over = before_stop(np.append(texts[i], more)[begin : asked[i]], stops)
                texts[i] = np.append(texts[i][:begin], made)
                asked[i] = len(texts[i]) if over else asked[i]
            going = [i for i in going if len(texts[i]) < asked[i]]
        return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]

    def _known(self, symbols: Sequence[int], name: str) -> np.ndarray:
        array = np.asarray(symbols, np.int64).reshape(-1)
        unknown = np.flatnonzero((array < 0) | (array >= self.spec.vocabulary))
        if len(unknown):
            raise ValueError(
                f"{name}: symbol {array[unknown[0]]} at place {unknown[0]} is none of the "
                f"{self.spec.vocabulary} that the model knows"
            )
        return array.astype(np.int32)

    def _go_on(
        self, texts: list[np.ndarray], n: int, random: list[Any], table: np.ndarray, choice: Choice
    ) -> list[np.ndarray]:
        """At least one symbol more for each text: as many as find a place in the context."""
        size = 1 << (len(texts) - 1).bit_length()  # few sizes, so few programs
        room = max(self.context - n, self.context // 2, 0) if self.context > 1 else 0
        windows = [text[max(len(text) - room, 0) :] if len(text) >= self.context else text for text in texts]
        given = [len(window) for window in windows] + [self.context] * (size - len(texts))
        end = min(self.context, max(given[: len(texts)]) + n)
        symbols = np.zeros((size, self.context), np.int32)
        noise = np.zeros((size, self.context), np.float32)
        for i, window in enumerate(windows):
            symbols[i, : len(window)] = window
            noise[i, len(window) :] = random[i].random(self.context - len(window), np.float32)
        wide = min(self.context, max(LEAST_ROOM, 1 << (end - 1).bit_length()))  # few widths too
        found, end = self._write(
            tf.constant(symbols[:, :wide]), tf.constant(given, tf.int32), tf.constant(end),
            tf.constant(noise[:, :wide]), tf.constant(table), choice.numbers,
            program=choice.program, reads=min(given) >= AT_ONCE,
        )  # fmt: skip
        return [
            row[begin : int(end)]
            for row, begin in zip(found.numpy()[: len(texts)], given[: len(texts)], strict=True)
        ]

    @tf.function(jit_compile=True, autograph=False)
    def _write(
        self,
        x: Any,
        given: Any,
        end: Any,
        noise: Any,
        stops: Any,
        numbers: Any,
        *,
        program: tuple[bool, int, bool, bool],
        reads: bool,
    ) -> tuple[Any, Any]:
        """x `[B, room]` with what follows the first `given` `[B]` symbols of each row filled in, and the
        place where it ends: `end`, or earlier where every row has met a stop.

        Args:
            noise: uniform `[B, room]`.
            stops: see `stop_table`.
            program, numbers: see Choice.
            reads: whether every row is given AT_ONCE symbols or more, which are read together.
        """
        (batch, room), width = x.shape, stops.shape[1]
        read, first, kept = after(self.start, x), tf.reduce_min(given), self.stack.empty(batch, room)
        if reads:
            kept = self._read(read, first, kept)
        begin = first // AT_ONCE * AT_ONCE
        turned, noise = tf.transpose(x), tf.transpose(noise)
        occurred = tf.zeros((batch, 0), tf.bool)
        if program[3]:
            which = tf.where(there(x, given), x, -1)
            occurred = tf.reduce_any(tf.one_hot(which, self.spec.vocabulary) > 0, axis=1)

        def step(
            t: Any, previous: Any, kept: Any, found: Any, occurred: Any, recent: Any, over: Any
        ) -> tuple[Any, ...]:
            hidden, kept = self.stack.next(previous[:, None], t, kept)
            logits = self.stack.logits(hidden[:, 0])
            if program[3]:
                logits = penalised(logits, occurred, numbers[2])
            symbols = tf.where(t < given, turned[t], choose(logits, noise[t], program, numbers))
            if program[3]:
                occurred |= tf.one_hot(symbols, self.spec.vocabulary) > 0
            if width:
                recent = tf.concat([recent[:, 1:], symbols[:, None]], axis=1)
                over |= stopped(recent, t + 1 - given, stops)
            return t + 1, symbols, kept, found.write(t, symbols), occurred, recent, over

        loop = (
            begin,
            tf.gather(tf.transpose(read), begin),
            kept,
            tf.TensorArray(tf.int32, room).unstack(turned),
            occurred,
            tf.fill((batch, width), NOTHING),
            given >= end,
        )
        going = lambda t, *state: (t < end) & ~tf.reduce_all(state[-1])  # noqa: E731
        t, _, _, found, *_ = tf.while_loop(going, step, loop, maximum_iterations=room)
        return tf.transpose(found.stack()), t

    def _read(self, read: Any, end: Any, kept: list[Any]) -> list[Any]:
        """The keys and values of the first symbols of `read` `[B, room]`: all whole groups of AT_ONCE before
        `end`."""

        def step(t: Any, kept: Any) -> tuple[Any, Any]:
            symbols = tf.slice(read, (0, t), (read.shape[0], AT_ONCE))
            return t + AT_ONCE, self.stack.next(symbols, t, kept)[1]

        going = lambda t, _: t + AT_ONCE <= end  # noqa: E731
        return tf.while_loop(going, step, (0, kept), maximum_iterations=read.shape[1] // AT_ONCE)[1]
