"""Recurrent networks: what rnn, lstm and gru share.

log p(x) = sum_t log p(x_t | h_t),  h_t = f(h_{t-1}, x_{t-1}),  with a symbol of its own before x_1.

Training by truncated back-propagation through time where `truncate` asks for it (Williams & Peng 1990): a
window is read in pieces, each one update, and the state goes on from piece to piece without its gradient.
Gradients are clipped by their global norm (Pascanu et al. 2013); dropout is on what leaves a layer, not on
the recurrent way (Zaremba et al. 2014). Each piece's loss and gradients are one XLA program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_models.base import Batch, GenerativeModel
from keras_models.sequence.decoding import Choice, choose
from keras_models.sequence.observations import OrderedPitches, Pitches, Symbols
from keras_models.sequence.recurrence import RecurrentLayer

PROMPT_STEP = 32  # prompts are padded to a multiple of this: few lengths, so few programs
State = tuple[Any, ...]  # what was read last, then the states `[B, units]` of each layer


class RecurrentNetwork(GenerativeModel):
    """Embedding, recurrent layers, readout. A family gives its `cell` and its config."""

    likelihood = "exact"
    measure = "mass"
    reports = ("loss",)
    cell: ClassVar[Any]

    def __init__(self, spec: Any, config: Any, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        self.readout = _readout(self.family, spec, config)
        self.embedding = self.add_weight(
            name="embedding", shape=(self.readout.width + 1, config.embedding), initializer="uniform"
        )
        self.stack = [
            RecurrentLayer(
                self.cell, config.units if number else config.embedding, config.units, f"layer_{number}"
            )
            for number in range(config.layers)
        ]
        self._adam = self.scaling(keras.optimizers.Adam(_rate(config), global_clipnorm=config.clip))
        self.built = True

    # -- learning ----------------------------------------------------------------------------------

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Adam."""
        if not self._adam.built:
            self._adam.build(self.trainable_variables)
        return [self._adam]

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """An update for each piece of the windows. `loss` is in nats per symbol, or per step of a roll."""
        x = batch["x"]
        size = self.config.truncate or x.shape[1] or self.spec.shape[0]
        if self.config.truncate and x.shape[1] is None:
            raise ValueError(f"'{self.family}': truncate needs windows of one length, without buckets")
        length = tf.cast(batch["length"], tf.int32) if "length" in batch else tf.fill(tf.shape(x)[:1], size)
        state = self.begin(tf.shape(x)[0])
        for start in range(0, x.shape[1] or 1, size):
            piece = x[:, start : start + size] if x.shape[1] else x
            left = length - start
            loss, count, gradients, state = self._learn(piece, left, self._kept(piece), state)
            self.optimizer.apply(gradients, self.trainable_variables)
            means = self.track({"loss": loss}, weight=count)
        return means

    @tf.function(jit_compile=True)
    def _learn(self, x: Any, length: Any, kept: Any, state: State) -> tuple[Any, Any, list[Any], State]:
        """Nats a step, the number of steps, the gradients, and the state behind the last step."""
        x = _time_first(x)
        counted = tf.cast(tf.range(tf.shape(x)[0])[:, None] < length, tf.float32)  # [T, B]
        count = tf.reduce_sum(counted)
        with tf.GradientTape() as tape:
            hidden, states = self._states(x, state, kept)
            nats = self.readout.nats(hidden, x)
            loss = tf.math.divide_no_nan(tf.reduce_sum(tf.where(counted > 0, nats, 0.0)), count)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in self.trainable_variables])
        return loss, count, gradients, (self.readout.read(x[-1]), *(each[-1] for each in states))

    def _kept(self, x: Any) -> Any:
        """Which outputs dropout keeps, bool `[layers, T, B, units]`; None without dropout. Drawn here because
        XLA takes five times as long for it on a processor."""
        if not self.config.dropout:
            return None
        shape = (self.config.layers, tf.shape(x)[1], tf.shape(x)[0], self.config.units)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return tf.random.stateless_uniform(shape, seed) >= self.config.dropout

    def _states(self, x: Any, state: State, kept: Any = None) -> tuple[Any, State]:
        """What the readout sees `[T, B, units]` and all states of all layers, each `[T, B, units]`, before
        x_t is read. With `kept`, after dropout."""
        previous, *layers = state
        read = self.readout.read(x)
        read = tf.concat([previous[None], read[:-1]], axis=0)
        found: State = ()
        hidden: Any = None
        inputs = self.readout.project(read, self._table())
        for number, layer in enumerate(self.stack):
            if number:
                inputs = layer.project(hidden)
            own, layers = tuple(layers[: self.cell.states]), layers[self.cell.states :]
            states = layer.whole(inputs, own)
            found += states
            hidden = states[0]
            if kept is not None:
                hidden = tf.where(kept[number], hidden / (1 - self.config.dropout), 0.0)
        return hidden, found

    # -- using -------------------------------------------------------------------------------------

    def begin(self, n: Any) -> State:
        """The state of `n` sequences before their first step."""
        zeros = tf.zeros((n, self.config.units))
        return (self.readout.start(n), *[zeros] * (self.config.layers * self.cell.states))

    def log_prob(self, x: Any, length: Any = None) -> Any:
        """log p of the first `length` steps of each row of `x`, in nats, float64 `[B]`; −inf where a
        symbol is outside of the vocabulary.

        Raises:
            ValueError: `x` or `length` has another shape, or a length is not in 0..T.
        """
        return -tf.reduce_sum(tf.cast(self.read(x, length)[0], tf.float64), axis=1)

    def read(self, x: Any, length: Any = None, state: State | None = None) -> tuple[Any, State]:
        """-log p(x_t | past) in nats `[B, T]`, 0 behind the end, and the state behind `length` steps: with it,
        the next `read` goes on. Without `state` from the beginning. Raises as `log_prob`."""
        x, length = self._checked_sequences(x, length)
        return self._read(x, length, self.begin(x.shape[0]) if state is None else state)

    @tf.function(jit_compile=True)
    def _read(self, x: Any, length: Any, state: State) -> tuple[Any, State]:
        x = _time_first(x)
        hidden, states = self._states(x, state)
        counted = tf.range(tf.shape(x)[0])[:, None] < length
        nats = tf.where(counted, self.readout.nats(hidden, x), 0.0)
        history = (self.readout.read(x), *states)
        behind = tuple(_at(first, all_, length) for first, all_ in zip(state, history, strict=True))
        return tf.transpose(nats), behind

    def encode(self, x: Any, length: Any = None) -> Any:
        """What the network would foretell the next step from, float32 `[B, units]`. Raises as `log_prob`."""
        return self._foretell(self.read(x, length)[1])

    @tf.function(jit_compile=True)
    def _foretell(self, state: State) -> Any:
        return self._step(self._table(), state)[0]

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw. Every sequence has the spec's whole length."""
        steps, *each = self.spec.shape
        noise = tf.random.stateless_uniform((steps, n, *each), seed)
        return self._generate(self.begin(n), noise)

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
            TypeError: the model is of rolls.
            ValueError: no symbol asked for, one outside of the vocabulary, a setting out of bounds.
        """
        if self.spec.kind != "tokens":
            raise TypeError(f"'{self.family}' completes sequences of symbols, and this one is of rolls")
        if n < 1:
            raise ValueError(f"at least 1 symbol is completed, and {n} were asked for")
        choice = Choice(temperature, top_k, top_p)
        given = [self._known(prompt, number) for number, prompt in enumerate(prompts)]
        if not given:
            return []
        rows = 1 << (len(given) - 1).bit_length()  # few shapes, so few programs
        x = np.zeros((rows, PROMPT_STEP * max(1, -(-max(map(len, given)) // PROMPT_STEP))), np.int32)
        length, noise = np.zeros(rows, np.int32), np.zeros((n, rows), np.float32)
        for row, prompt in enumerate(given):
            x[row, : len(prompt)], length[row] = prompt, len(prompt)
            noise[:, row] = np.random.default_rng((seed, row)).random(n, np.float32)
        state = self.read(x, length)[1]
        found = self._generate(state, tf.constant(noise), choice.numbers, program=choice.program)
        return list(found.numpy()[: len(given)])

    def _known(self, prompt: Sequence[int], number: int) -> np.ndarray:
        symbols = np.asarray(prompt, np.int64).reshape(-1)
        unknown = np.flatnonzero((symbols < 0) | (symbols >= self.spec.vocabulary))
        if len(unknown):
            raise ValueError(
                f"prompt {number}: symbol {symbols[unknown[0]]} at place {unknown[0]} is none of the "
                f"{self.spec.vocabulary} that the model knows"
            )
        return symbols

    @tf.function(jit_compile=True)
    def _generate(self, state: State, noise: Any, numbers: Any = None, program: Any = None) -> Any:
        """Sequences from uniform noise `[T, n, ...]`: one loop that carries the state. `numbers` and `program`
        are those of a Choice."""
        table = self._table()
        steps = noise.shape[0]

        def step(t: Any, state: State, written: Any) -> tuple[Any, State, Any]:
            hidden, layers = self._step(table, state)
            if program is None:
                x = self.readout.draw(hidden, noise[t])
            else:
                x = choose(self.readout.logits(hidden), noise[t], program, numbers)
            return t + 1, (self.readout.read(x), *layers), written.write(t, x)

        kind = tf.int32 if self.spec.kind == "tokens" else tf.float32
        written = tf.TensorArray(kind, steps, element_shape=noise.shape[1:])
        loop = (tf.constant(0), state, written)
        *_, written = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
        return _time_first(written.stack())

    def _table(self) -> Any:
        """The embedding and the first kernel as one: a product over symbols, not over steps."""
        return tf.matmul(self.embedding, self.stack[0].kernel)

    def _step(self, table: Any, state: State) -> tuple[Any, State]:
        """What the readout sees `[n, units]` and the states of all layers, one step on."""
        previous, *layers = state
        inputs = self.readout.project(previous, table)
        found: State = ()
        for number, layer in enumerate(self.stack):
            if number:
                inputs = tf.matmul(found[-self.cell.states], layer.kernel)
            own, layers = tuple(layers[: self.cell.states]), layers[self.cell.states :]
            found += layer.one(inputs, own)
        return found[-self.cell.states], found

    def _checked_sequences(self, x: Any, length: Any) -> tuple[Any, Any]:
        x = tf.convert_to_tensor(x)
        rank = len(self.spec.shape) + 1
        rows = x.shape[:1] if length is None else tf.TensorShape(tf.convert_to_tensor(length).shape)
        if x.shape.rank != rank or not x.shape[:1].is_compatible_with(rows) or not x.shape[1]:
            form = "[B, T]" if rank == 2 else "[B, T, pitches]"
            raise ValueError(f"x is {form} and length [B], and their shapes are {x.shape} and {rows}")
        if length is None:
            return x, tf.fill(tf.shape(x)[:1], tf.shape(x)[1])
        length = tf.cast(length, tf.int32)
        if tf.executing_eagerly() and not 0 <= int(tf.reduce_min(length)) <= int(
            tf.reduce_max(length)
        ) <= int(x.shape[1]):
            raise ValueError(f"every length is in 0..{x.shape[1]}, and one of {length.numpy()} is not")
        return x, length


def _readout(family: str, spec: Any, config: Any) -> Any:
    if spec.kind == "tokens":
        if len(spec.shape) != 1 or spec.vocabulary < 1:
            raise ValueError(
                f"family '{family}' learns sequences [length] over a vocabulary of at least 1 symbol, and the "
                f"spec has shape {list(spec.shape)} and vocabulary {spec.vocabulary}"
            )
        return Symbols(spec.vocabulary, config.units)
    if len(spec.shape) != 2:
        raise ValueError(f"family '{family}' learns rolls [length, pitches], and these are {spec.shape}")
    if config.chords == "ordered":
        return OrderedPitches(spec.shape[1], config.units, config.chord_units)
    return Pitches(spec.shape[1], config.units)


def _rate(config: Any) -> Any:
    """The learning rate, with a cosine down to a hundredth over `decay_steps` updates (Loshchilov 2017)."""
    if not config.decay_steps:
        return config.learning_rate
    return keras.optimizers.schedules.CosineDecay(config.learning_rate, config.decay_steps, alpha=0.01)


def _time_first(x: Any) -> Any:
    """`[B, T, ...]` to `[T, B, ...]`, and back."""
    return tf.transpose(x, (1, 0, *range(2, x.shape.rank)))


def _at(first: Any, states: Any, length: Any) -> Any:
    """The state behind `length` `[B]` steps, of `states` `[T, B, ...]`: the first one behind none."""
    history = tf.concat([first[None], states], axis=0)
    return tf.gather(_time_first(history), length, batch_dims=1)
