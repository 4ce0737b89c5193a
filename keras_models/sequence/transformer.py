"""Transformer: an encoder reads a source, a decoder writes its target, symbol by symbol.

A sequence is source, separator, target (Vaswani et al. 2017; blocks normalise first). The target is foretold
from all of the source and from itself (teacher forcing), and ends with the separator. The source is foretold
too, by the same decoder from an empty source: so a pair has a likelihood, p(source) p(target | source), and can
be drawn. Behind the target lies padding, symbol 0, for certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.config import FamilyConfig
from keras_models.sequence.attention import of_rows
from keras_models.sequence.attention_model import AttentionModel, after, checked
from keras_models.sequence.decoding import PLAIN, beam_search, choose
from keras_models.sequence.stack import Stack, inside
from keras_models.sequence.stack import nats as nats_of

PADDING = 0


class Config(FamilyConfig):
    layers: int = Field(2, ge=1, le=128, description="blocks of the encoder, and as many of the decoder")
    heads: int = Field(4, ge=1, le=128, description="attentions side by side in a block")
    width: int = Field(128, ge=2, le=16_384, description="entries of a hidden state, an even number a head")
    positions: Literal["learned", "rotary"] = Field(
        "learned", description="a vector for each position; or queries and keys turned by their position"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="share of entries hidden while learning")
    smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of what is to be foretold that is spread over all symbols"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's largest step size")
    warm_up: int = Field(100, ge=0, le=1_000_000, description="updates over which the step size rises")
    decay_steps: int = Field(
        0, ge=0, le=100_000_000, description="updates until the step size is at its last; 0: it does not fall"
    )
    last_rate: float = Field(0.1, ge=0, le=1, description="the last step size, as a share of the largest")
    weight_decay: float = Field(
        0.01, ge=0, le=10, description="share of the step size by which weights shrink"
    )
    beta_2: float = Field(0.98, gt=0, lt=1, description="AdamW's memory of squared gradients")
    clip: float = Field(1.0, gt=0, le=1e6, description="most global norm of the gradient, in nats a symbol")


class Transformer(AttentionModel):
    """Encoder and decoder over pairs of one vocabulary."""

    kinds = ("tokens",)
    likelihood = "exact"
    measure = "mass"
    paper = "Vaswani et al. 2017, Attention Is All You Need"
    mixed_precision = True

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if not 0 < spec.separator < spec.vocabulary:
            raise ValueError(
                "no symbol separates sources from their targets: read records of source, tab, target, and set "
                "data.encode.pairs to true"
            )
        self.context, self.start, self.separator = spec.shape[0], spec.vocabulary, spec.separator
        shape = {"vocabulary": spec.vocabulary, "extra": 1, "context": self.context}
        self.encoder = Stack(config, **shape, name="encoder")
        self.decoder = Stack(
            config, **shape, reads_memory=True, embedding=self.encoder.embedding, name="decoder"
        )
        self.built = True

    # -- learning ----------------------------------------------------------------------------------

    def nats(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """See AttentionModel.nats: of a pair and of the end of its target, where it is within x."""
        place = tf.range(x.shape[1])
        border = self._border(x, length)
        ends = (place == length[:, None]) & (border < length)[:, None]
        x = tf.where(ends, self.separator, tf.cast(x, tf.int32))
        logits = self.logits(x, border, seed)
        smooth = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        share = self.config.smoothing
        nats = (1 - share) * nats_of(logits, x) + share * smooth
        return nats, (place < length[:, None]) | ends

    def logits(self, x: Any, border: Any, seed: Any = None) -> Any:
        """Of each of the symbols x `[B, T]` given those before it, the separator being at `border` `[B]`:
        float32 `[B, T, vocabulary]`."""
        read, place = after(self.start, inside(x, self.spec.vocabulary)), tf.range(x.shape[1])
        target = place > border[:, None]  # which read symbols are the target's: from the separator on
        first = tf.where(target, border[:, None] + 1, 0)
        same = target[:, None, :, None] == target[:, None, None, :]
        seen = same & (place[None, :] <= place[:, None])
        memory = self.memory(read, border, seed)
        source = tf.where(target[:, :, None], place <= border[:, None, None], place == 0)[:, None]
        embedded = self.decoder.embed(read, tf.broadcast_to(place, tf.shape(x)) - first)
        seed = None if seed is None else seed + [7, 0]
        hidden = self.decoder.whole(embedded, seen=seen, memory=(memory, source), seed=seed)
        return self.decoder.logits(hidden)

    def memory(self, read: Any, border: Any, seed: Any = None) -> Any:
        """The encoder's states `[B, T, width]` of a first symbol and the source behind it. The first one sees
        itself alone: it is the empty source."""
        place = tf.range(read.shape[1])
        within = (place <= border[:, None])[:, None, None, :] & (place > 0)[:, None]
        seen = (place == place[:, None]) | within
        return self.encoder.whole(self.encoder.embed(read), seen=seen, seed=seed)

    def _border(self, x: Any, length: Any) -> Any:
        """Where the first separator within the length is, int32 `[B]`; T where there is none."""
        place = tf.range(x.shape[1])
        found = (tf.cast(x, tf.int32) == self.separator) & (place < length[:, None])
        return tf.reduce_min(tf.where(found, place, x.shape[1]), axis=1)

    # -- likelihood --------------------------------------------------------------------------------

    def log_prob(self, x: Any, length: Any = None) -> Any:
        """log p of the first `length` symbols of each row of `x` `[B, T]`, in nats, float64 `[B]`; −inf where
        one is outside of the vocabulary, or where something but padding follows the target's end.

        Raises:
            ValueError: `x` is not `[B, T]` with T up to the spec's length, or a length is not in 0..T.
        """
        return -tf.reduce_sum(tf.cast(self.surprise(x, length), tf.float64), axis=1)

    def surprise(self, x: Any, length: Any = None) -> Any:
        """-log p of each symbol given those before it, nats `[B, T]`, 0 behind the end. Raises as `log_prob`."""
        return self._surprise(*checked(x, length, self.context))

    @tf.function(jit_compile=True, autograph=False)
    def _surprise(self, x: Any, length: Any) -> Any:
        place, border = tf.range(x.shape[1]), self._border(x, length)
        again = (x == self.separator) & (place > border[:, None])
        over = tf.cumsum(tf.cast(again, tf.int32), axis=1, exclusive=True) > 0
        nats = nats_of(self.logits(x, border), x)
        nats = tf.where(over, tf.where(x == PADDING, 0.0, np.inf), nats)
        return tf.where(place < length[:, None], nats, 0.0)

    # -- writing -----------------------------------------------------------------------------------

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        return self._drawn(tf.random.stateless_uniform((2, self.context, n), seed))

    @tf.function(jit_compile=True, autograph=False)
    def _drawn(self, noise: Any) -> Any:
        """Pairs `[n, T]` from uniform noise `[2, T, n]`."""
        n, place = noise.shape[2], tf.range(self.context)
        start, nothing = tf.fill((n,), self.start), tf.zeros((n,), tf.int32)
        empty = tf.fill((n, self.context), self.start)
        source = self._segment(start, self._memories(empty, nothing), noise[0])
        border = self._border(source, tf.fill((n,), self.context))
        memories = self._memories(after(self.start, source), border)
        target = self._segment(tf.fill((n,), self.separator), memories, noise[1])
        ended = tf.cumsum(tf.cast(target == self.separator, tf.int32), axis=1, exclusive=True) > 0
        target = tf.where(ended, PADDING, target)
        behind = tf.maximum(place - border[:, None] - 1, 0)
        return tf.where(place <= border[:, None], source, tf.gather(target, behind, batch_dims=1))

    def _memories(self, read: Any, border: Any) -> list[Any]:
        """What the decoder's layers read of a source: see Stack.memories."""
        there = tf.range(self.context) <= border[:, None]
        return self.decoder.memories(self.memory(read, border), there)

    def _segment(self, first: Any, memories: list[Any], noise: Any) -> Any:
        """A source or a target `[n, T]`, drawn from noise `[T, n]`: the separator from its end on."""
        n = first.shape[0]

        def step(t: Any, previous: Any, over: Any, kept: Any, found: Any) -> tuple[Any, ...]:
            hidden, kept = self.decoder.next(previous[:, None], t, kept, memories)
            symbols = choose(self.decoder.logits(hidden[:, 0]), noise[t], PLAIN.program, PLAIN.numbers)
            symbols = tf.where(over, self.separator, symbols)
            return t + 1, symbols, over | (symbols == self.separator), kept, found.write(t, symbols)

        found = tf.TensorArray(tf.int32, self.context, element_shape=(n,))
        kept = self.decoder.empty(n, self.context)
        loop = (tf.constant(0), first, tf.zeros((n,), tf.bool), kept, found)
        going = lambda t, *_: t < self.context  # noqa: E731
        *_, found = tf.while_loop(going, step, loop, maximum_iterations=self.context)
        return tf.transpose(found.stack())

    def translate(
        self, x: Any, length: Any = None, *, beams: int = 4, length_power: float = 0.6
    ) -> list[np.ndarray]:
        """The target of each source x `[B, S]`, int32, without its end: the best of `beams` that go side by
        side; of one, the likeliest symbol each time. `length_power`: see beam_search. A pair is as long as the
        spec at most: a target that does not end is cut there.

        Raises:
            ValueError: `x` is not `[B, S]` with S below the spec's length, a length is not in 0..S, or a symbol
                is none that a source can have, with its place.
        """
        x, length = (each.numpy() for each in checked(x, length, self.context - 1))
        if not 1 <= beams <= 1024:
            raise ValueError(f"beams are 1 to 1024, and {beams} were asked for")
        within = np.arange(x.shape[1]) < length[:, None]
        wrong = np.argwhere(within & ((x < 0) | (x >= self.spec.vocabulary) | (x == self.separator)))
        if len(wrong):
            row, place = wrong[0]
            what = "the separator" if x[row, place] == self.separator else "unknown to the model"
            raise ValueError(f"source {row}: symbol {x[row, place]} at place {place} is {what}")
        rows = 1 << (len(x) - 1).bit_length()  # few sizes, so few programs
        sources, lengths = np.zeros((rows, self.context), np.int32), np.zeros(rows, np.int32)
        sources[: len(x), : x.shape[1]], lengths[: len(x)] = np.where(within, x, 0), length
        found = self._translate(sources, lengths, tf.constant(length_power, tf.float32), beams=beams)[0]
        room = self.context - 1 - length
        return [until(row, self.separator)[:most] for row, most in zip(found.numpy(), room, strict=False)]

    @tf.function(jit_compile=True, autograph=False)
    def _translate(self, sources: Any, lengths: Any, length_power: Any, *, beams: int) -> tuple[Any, Any]:
        """Targets `[B, T]`, the separator from their ends on, and their log p `[B]`."""
        heads, batch = self.config.heads, sources.shape[0]
        every = tf.repeat(tf.range(batch), beams)
        memories = [
            tuple(of_rows(each, every, heads) for each in layer)
            for layer in self._memories(after(self.start, sources), lengths)
        ]

        def step(symbols: Any, t: Any, kept: Any) -> tuple[Any, Any]:
            hidden, kept = self.decoder.next(symbols[:, None], t, kept, memories)
            return tf.nn.log_softmax(self.decoder.logits(hidden[:, 0])), kept

        def reorder(kept: Sequence[Any], parents: Any) -> Any:
            return [tuple(of_rows(each, parents, heads) for each in layer) for layer in kept]

        return beam_search(
            step, reorder, tf.fill((batch,), self.separator), self.decoder.empty(batch * beams, self.context),
            beams=beams, steps=self.context, end=self.separator, length_power=length_power,
        )  # fmt: skip


def until(symbols: np.ndarray, end: int) -> np.ndarray:
    """What is before the first `end`."""
    places = np.flatnonzero(symbols == end)
    return symbols[: places[0]] if len(places) else symbols
