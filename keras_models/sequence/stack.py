"""A stack of transformer blocks over symbols: embedding, positions, blocks, and logits by the embedding.

The embedding's rows are also the readout (Press & Wolf 2017): logits = h E^T over the first `vocabulary`
rows. Rows behind these are for symbols that are read and never foretold, as the one before the beginning.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models.sequence.attention import STD, Block, Cache, Norm, dropout, normal, product

ONE_HOT = 1024  # up to so many rows, a product is faster than rows added one after another


class Stack(keras.layers.Layer):
    """Symbols `[B, T]` to hidden states `[B, T, width]` to logits `[B, T, vocabulary]`."""

    def __init__(
        self,
        config: Any,
        *,
        vocabulary: int,
        extra: int,
        context: int,
        reads_memory: bool = False,
        embedding: Any = None,
        name: str,
    ) -> None:
        super().__init__(name=name)
        if config.width % config.heads or (config.width // config.heads) % 2:
            raise ValueError(
                f"a width of {config.width} in {config.heads} heads: set model.config.width to a multiple of "
                f"{2 * config.heads}"
            )
        self.vocabulary, self.context = vocabulary, context
        self.dropout, self.width = config.dropout, config.width
        rotary = config.positions == "rotary"
        self.embedding = embedding
        if embedding is None:
            self.embedding = self.add_weight(
                name="embedding", shape=(vocabulary + extra, config.width), initializer=normal(STD)
            )
        self.positions = None
        if not rotary:
            self.positions = self.add_weight(
                name="positions", shape=(context, config.width), initializer=normal(STD)
            )
        self.blocks = [
            Block(
                config.width,
                config.heads,
                config.layers,
                rotary=rotary,
                reads_memory=reads_memory,
                name=f"block_{number}",
            )
            for number in range(config.layers)
        ]
        self.norm = Norm(config.width, "norm")
        self.built = True

    def embed(self, symbols: Any, places: Any = None) -> Any:
        """`[B, T]` to `[B, T, width]`; positions from 0 on, or int32 `[B, T]`."""
        x = rows(tf.convert_to_tensor(self.embedding), symbols)
        if self.positions is None:
            return x
        if places is None:
            return x + self.positions[: symbols.shape[1]]
        return x + rows(tf.convert_to_tensor(self.positions), places)

    def whole(
        self, x: Any, *, seen: Any = None, memory: tuple[Any, Any] | None = None, seed: Any = None
    ) -> tuple[Any, list[Cache]]:
        """Hidden states of embedded symbols x `[B, T, width]`, and the keys and values of each layer.

        Args:
            seen: bool `[B, 1, T, T]`, what each position may read, itself at least: a softmax over nothing is
                not a number. By default what is not ahead of it.
            memory: `[B, S, width]`, and which of it each position may read, bool `[B, 1, T, S]`.
            seed: int32 pair: dropout, while learning.
        """
        hide = dropout(self.dropout, seed)
        order = tf.range(x.shape[1])
        seen = order[None, :] <= order[:, None] if seen is None else seen
        caches, x = [], hide(x)
        for block in self.blocks:
            x, cache = block.whole(x, order, seen, memory, hide)
            caches.append(cache)
        return self.norm(x), caches

    def logits(self, hidden: Any) -> Any:
        """`[..., width]` to float32 `[..., vocabulary]`."""
        return product(hidden, tf.transpose(self.embedding[: self.vocabulary]), tf.float32)

    def nats(self, hidden: Any, x: Any) -> Any:
        """-log p of the symbols x `[B, T]`; infinite for those outside of the vocabulary."""
        return nats(self.logits(hidden), x)

    def kept(self, caches: list[Cache]) -> list[Any]:
        """Room for the keys and values of each layer, `context` steps, and those of `whole` in it."""
        room = []
        for keys, values in caches:
            both = tf.cast(tf.stack([keys, values], axis=2), tf.float32)
            both = tf.transpose(both, (1, 2, 0, 3, 4))  # [T, 2, B, heads, size]
            both = tf.pad(both, [[0, self.context - both.shape[0]], *[[0, 0]] * 4])
            room.append(tf.TensorArray(tf.float32, self.context).unstack(both))
        return room

    def empty(self, batch: int) -> list[Any]:
        """Room in which nothing is kept yet, for `batch` rows."""
        attention = self.blocks[0].attention
        nothing = tf.zeros((self.context, 2, batch, attention.heads, attention.size))
        return [tf.TensorArray(tf.float32, self.context).unstack(nothing) for _ in self.blocks]

    def freeze(self, blocks: int) -> None:
        """Takes the first blocks, and then the embedding and positions too, out of what is learnt.

        Raises:
            ValueError: there are not so many.
        """
        if blocks > len(self.blocks):
            raise ValueError(f"{blocks} blocks cannot be frozen: there are {len(self.blocks)}")
        for block in self.blocks[:blocks]:
            block.trainable = False
        for table in (self.embedding, self.positions):
            if blocks and table is not None:
                table.trainable = False

    def one(
        self, symbols: Any, position: Any, room: list[Any], memories: list[Any] | None = None
    ) -> tuple[Any, list[Any]]:
        """The hidden state `[B, width]` of the symbols `[B]` at `position`, and the room with their keys and
        values in it. `memories` is keys, values and which of them are there, for each layer."""
        x = tf.gather(tf.convert_to_tensor(self.embedding), symbols)
        if self.positions is not None:
            x += tf.gather(tf.convert_to_tensor(self.positions), position)
        written = []

        def keep(number: int) -> Any:
            def kept(key: Any, value: Any) -> tuple[Any, Any, Any]:
                written.append(room[number].write(position, tf.stack([key, value])))
                both = written[-1].stack()
                return both[:, 0], both[:, 1], tf.range(self.context) <= position

            return kept

        for number, block in enumerate(self.blocks):
            x = block.one(x, position, keep(number), memories[number] if memories else None)
        return self.norm(x), written

    def memories(self, memory: Any, there: Any) -> list[Any]:
        """Keys and values `[S, B, heads, size]` of a memory `[B, S, width]` for each layer's `one`."""
        found = []
        for block in self.blocks:
            both = (tf.cast(each, tf.float32) for each in block.memory.keys_values(memory))
            keys, values = (tf.transpose(each, (1, 0, 2, 3)) for each in both)
            found.append((keys, values, tf.transpose(there)))
        return found


def nats(logits: Any, x: Any) -> Any:
    """-log p of the symbols x `[B, T]` by logits `[B, T, vocabulary]`; infinite for those outside of it."""
    known = inside(x, logits.shape[-1])
    chosen = tf.reduce_sum(logits * tf.one_hot(known, logits.shape[-1], dtype=logits.dtype), axis=-1)
    found = tf.reduce_logsumexp(logits, axis=-1) - chosen
    return tf.where(tf.equal(x, known), found, tf.constant(np.inf, found.dtype))


def inside(x: Any, vocabulary: int) -> Any:
    """Symbols as a table can be read with them; others than the vocabulary's as one of it."""
    return tf.clip_by_value(tf.cast(x, tf.int32), 0, vocabulary - 1)


def rows(table: Any, symbols: Any) -> Any:
    """tf.gather whose gradient of a small table is one product instead of a loop over rows."""
    if table.shape[0] > ONE_HOT:
        return tf.gather(table, symbols)

    @tf.custom_gradient
    def gathered(table: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            flat = tf.reshape(upstream, (-1, table.shape[1]))
            which = tf.one_hot(tf.reshape(symbols, (-1,)), table.shape[0], dtype=flat.dtype)
            return tf.matmul(which, flat, transpose_a=True)

        return tf.gather(table, symbols), gradient

    return gathered(table)
