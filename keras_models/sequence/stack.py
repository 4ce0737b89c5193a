"""A stack of transformer blocks over symbols: embedding, positions, blocks, and logits by the embedding.

The embedding's rows are also the readout (Press & Wolf 2017): logits = h E^T over the first `vocabulary`
rows. Rows behind these are for symbols that are read and never foretold, as the one before the beginning.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models.sequence.attention import STD, Block, Cache, Norm, dropout, normal, product, side_by_side

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
    ) -> Any:
        """Hidden states of embedded symbols x `[B, T, width]`.

        Args:
            seen: bool `[B, 1, T, T]`, what each position may read, itself at least: a softmax over nothing is
                not a number. By default what is not ahead of it.
            memory: `[B, S, width]`, and which of it each position may read, bool `[B, 1, T, S]`.
            seed: int32 pair: dropout, while learning.
        """
        hide = dropout(self.dropout, seed)
        order = tf.range(x.shape[1])
        seen = order[None, :] <= order[:, None] if seen is None else seen
        x = hide(x)
        for block in self.blocks:
            x = block.whole(x, order, seen, memory, hide)
        return self.norm(x)

    def logits(self, hidden: Any) -> Any:
        """`[..., width]` to float32 `[..., vocabulary]`."""
        return product(hidden, tf.transpose(self.embedding[: self.vocabulary]), tf.float32)

    def nats(self, hidden: Any, x: Any) -> Any:
        """-log p of the symbols x `[B, T]`; infinite for those outside of the vocabulary."""
        return nats(self.logits(hidden), x)

    def empty(self, batch: int, room: int) -> list[Cache]:
        """Room for the keys and values of each layer: `room` steps of `batch` rows."""
        attention = self.blocks[0].attention
        nothing = tf.zeros((batch * attention.heads, room, attention.size))
        return [(nothing, nothing) for _ in self.blocks]

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

    def next(
        self, symbols: Any, position: Any, kept: list[Cache], memories: list[Any] | None = None
    ) -> tuple[Any, list[Cache]]:
        """The hidden states `[B, P, width]` of the symbols `[B, P]` at `position` and behind it, and what is kept
        with their keys and values in it. `memories` is keys, values and which of them are there, for each layer."""
        x = tf.gather(tf.convert_to_tensor(self.embedding), symbols)
        if self.positions is not None:
            x += tf.slice(tf.convert_to_tensor(self.positions), (position, 0), (x.shape[1], self.width))
        written = []
        for number, block in enumerate(self.blocks):
            x, cache = block.next(x, position, kept[number], memories[number] if memories else None)
            written.append(cache)
        return self.norm(x), written

    def memories(self, memory: Any, there: Any) -> list[Any]:
        """For each layer's `next`: keys and values `[B * heads, S, size]` of a memory `[B, S, width]`, and which
        of them are `there` `[B, S]`."""
        heads = self.blocks[0].attention.heads
        seen = tf.repeat(there, heads, axis=0)[:, None]
        return [(*map(side_by_side, block.memory.keys_values(memory)), seen) for block in self.blocks]


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
