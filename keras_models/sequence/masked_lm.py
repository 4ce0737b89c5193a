"""Masked language model: a transformer that reads both sides and says what is hidden.

Of the symbols of a sequence 15 % are to be said: of these 80 % are shown as a blank, 10 % as another symbol
and 10 % as they are (Devlin et al. 2019). It has no likelihood; the pseudo-log-likelihood, the sum over places of
log p(x_t | all others), ranks sentences (Salazar et al. 2020). Samples fill blanks in a random order.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.config import FamilyConfig
from keras_models.sequence.attention_model import AttentionModel, checked, there
from keras_models.sequence.decoding import PLAIN, choose
from keras_models.sequence.stack import Stack, inside

BLANK, OTHER = 0.8, 0.1  # shares of what is to be said: shown as a blank, and as any symbol
ROUNDS = 32  # most passes of one sample; with more places, some are filled in one pass


class Config(FamilyConfig):
    layers: int = Field(4, ge=1, le=128, description="blocks, one on the other")
    heads: int = Field(4, ge=1, le=128, description="attentions side by side in a block")
    width: int = Field(128, ge=2, le=16_384, description="entries of a hidden state, an even number a head")
    positions: Literal["learned", "rotary"] = Field(
        "learned", description="a vector for each position; or queries and keys turned by their position"
    )
    hidden: float = Field(0.15, gt=0, lt=1, description="share of the symbols that are to be said")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of entries hidden while learning")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's largest step size")
    warm_up: int = Field(100, ge=0, le=1_000_000, description="updates over which the step size rises")
    decay_steps: int = Field(
        0, ge=0, le=100_000_000, description="updates until the step size is at its last; 0: it does not fall"
    )
    last_rate: float = Field(0.1, ge=0, le=1, description="the last step size, as a share of the largest")
    weight_decay: float = Field(
        0.01, ge=0, le=10, description="share of the step size by which weights shrink"
    )
    beta_2: float = Field(0.99, gt=0, lt=1, description="AdamW's memory of squared gradients")
    clip: float = Field(1.0, gt=0, le=1e6, description="most global norm of the gradient, in nats a symbol")


class MaskedLanguageModel(AttentionModel):
    """Encoder over symbols; the blank is the symbol behind the vocabulary's last."""

    kinds = ("tokens",)
    likelihood = "none"
    paper = "Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers"
    mixed_precision = True

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        self.context, self.blank = spec.shape[0], spec.vocabulary
        self.stack = Stack(config, vocabulary=spec.vocabulary, extra=1, context=self.context, name="stack")
        self.built = True

    # -- learning ----------------------------------------------------------------------------------

    def nats(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """See AttentionModel.nats: those of the symbols that are to be said."""
        shown, said = self.corrupted(inside(x, self.spec.vocabulary), length, seed)
        return self.stack.nats(self.hidden(shown, length, seed), x), said

    def corrupted(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """What is shown of the symbols `[B, T]`, and which of them are to be said, bool `[B, T]`."""
        shape = tf.shape(x)
        chosen, how, which = (tf.random.stateless_uniform(shape, seed + [1, k]) for k in range(3))
        said = there(x, length) & (chosen < self.config.hidden)
        other = inside(which * self.spec.vocabulary, self.spec.vocabulary)
        shown = tf.where(how < BLANK, self.blank, tf.where(how < BLANK + OTHER, other, x))
        return tf.where(said, shown, x), said

    def hidden(self, shown: Any, length: Any, seed: Any = None) -> Any:
        """`[B, T, width]` of symbols and blanks `[B, T]`; what lies behind the length is not read."""
        itself = tf.eye(shown.shape[1], dtype=tf.bool)
        seen = itself | there(shown, length)[:, None, None, :]
        return self.stack.whole(self.stack.embed(shown), seen=seen, seed=seed)

    # -- using -------------------------------------------------------------------------------------

    def pseudo_log_prob(self, x: Any, length: Any = None) -> Any:
        """The sum of log p(x_t | the others) over the first `length` symbols of each row, float64 `[B]`; −inf
        where one is outside of the vocabulary. No likelihood: these do not add up to one.

        Raises:
            ValueError: `x` is not `[B, T]` with T up to the spec's length, or a length is not in 0..T.
        """
        return self._pseudo(*checked(x, length, self.context))

    @tf.function(jit_compile=True, autograph=False)
    def _pseudo(self, x: Any, length: Any) -> Any:
        known = inside(x, self.spec.vocabulary)

        def step(t: Any, total: Any) -> tuple[Any, Any]:
            here = tf.range(x.shape[1]) == t
            nats = self.stack.nats(self.hidden(tf.where(here, self.blank, known), length), x)
            counted = here & there(x, length)
            return t + 1, total - tf.reduce_sum(tf.cast(tf.where(counted, nats, 0.0), tf.float64), axis=1)

        loop = (tf.constant(0), tf.zeros(tf.shape(x)[:1], tf.float64))
        return tf.while_loop(lambda t, _: t < x.shape[1], step, loop, maximum_iterations=x.shape[1])[1]

    def probabilities(self, x: Any, length: Any = None) -> Any:
        """Of every symbol at every place, given what x `[B, T]` shows: float32 `[B, T, vocabulary]`. Places
        with the symbol `blank` are blanks. Raises as `pseudo_log_prob`."""
        return self._probabilities(*checked(x, length, self.context))

    @tf.function(jit_compile=True, autograph=False)
    def _probabilities(self, x: Any, length: Any) -> Any:
        return tf.nn.softmax(self.stack.logits(self.hidden(x, length)))

    def encode(self, x: Any, length: Any = None) -> Any:
        """The mean hidden state of the first `length` symbols, float32 `[B, width]`. Raises as
        `pseudo_log_prob`."""
        return self._encode(*checked(x, length, self.context))

    @tf.function(jit_compile=True, autograph=False)
    def _encode(self, x: Any, length: Any) -> Any:
        counted = tf.cast(there(x, length), tf.float32)[:, :, None]
        total = tf.reduce_sum(self.hidden(inside(x, self.spec.vocabulary), length) * counted, axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(counted, axis=1))

    def fill(self, x: Any, length: Any = None) -> np.ndarray:
        """x `[B, T]` with each `blank` in its length filled by the likeliest symbol, int32: one a row and pass,
        the surest first, so that the later ones know it.

        Raises:
            ValueError: as `pseudo_log_prob`; or a symbol that is neither known nor a blank, with its place.
        """
        given, length = (each.numpy() for each in checked(x, length, self.context))
        within = np.arange(given.shape[1]) < length[:, None]
        unknown = np.argwhere(within & ((given < 0) | (given > self.blank)))
        if len(unknown):
            row, place = unknown[0]
            raise ValueError(
                f"row {row}: symbol {given[row, place]} at place {place} is none of the {self.blank} that the model "
                f"knows, nor {self.blank}, a blank"
            )
        found = given.copy()
        while (open_ := within & (found == self.blank)).any():
            probability = self._probabilities(found, length).numpy()
            sureness = np.where(open_, probability.max(axis=-1), -1.0)
            rows = np.flatnonzero(open_.any(axis=1))
            places = sureness[rows].argmax(axis=1)
            found[rows, places] = probability[rows, places].argmax(axis=-1)
        return found

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw. Every sequence has the spec's whole length."""
        rounds = min(self.context, ROUNDS)
        noise = tf.random.stateless_uniform((rounds, n * self.context), seed)
        order = tf.argsort(tf.random.stateless_uniform((n, self.context), seed + [0, 1_000_003]))
        turn = tf.argsort(order) * rounds // self.context  # each place's, [n, T]
        return self._drawn(noise, turn)

    @tf.function(jit_compile=True, autograph=False)
    def _drawn(self, noise: Any, turn: Any) -> Any:
        rounds, n = noise.shape[0], turn.shape[0]

        def step(t: Any, x: Any) -> tuple[Any, Any]:
            logits = self.stack.logits(self.hidden(x, tf.fill((n,), self.context)))
            flat = tf.reshape(logits, (n * self.context, self.spec.vocabulary))
            symbols = choose(flat, noise[t], PLAIN.program, PLAIN.numbers)
            return t + 1, tf.where(turn == t, tf.reshape(symbols, (n, self.context)), x)

        loop = (tf.constant(0), tf.fill((n, self.context), self.blank))
        return tf.while_loop(lambda t, _: t < rounds, step, loop, maximum_iterations=rounds)[1]
