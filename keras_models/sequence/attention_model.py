"""AttentionModel: how gpt, transformer and masked_lm learn. One loss, AdamW, one XLA program an update."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_models.base import Batch, GenerativeModel
from keras_models.sequence.schedule import adamw


class AttentionModel(GenerativeModel):
    """Transformers over symbols. A family gives its layers and `nats`."""

    reports = ("loss",)

    def __init__(self, spec: Any, config: Any, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if len(spec.shape) != 1 or spec.vocabulary < 1:
            raise ValueError(
                f"family '{self.family}' learns sequences [length] over a vocabulary of at least 1 symbol, and "
                f"the spec has shape {list(spec.shape)} and vocabulary {spec.vocabulary}"
            )

    def nats(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """What is learnt: the nats of symbols `[B, T]` and which of them count. `seed` is an int32 pair while
        learning, else None."""
        raise NotImplementedError

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """AdamW."""
        if not hasattr(self, "_adamw"):
            self._adamw = self.scaling(adamw(self.config, self.trainable_variables))
            self._adamw.build(self.trainable_variables)
        return [self._adamw]

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """One update. `loss` is in nats per symbol that counts."""
        x = batch["x"]
        length = batch.get("length")
        length = tf.fill(tf.shape(x)[:1], tf.shape(x)[1]) if length is None else tf.cast(length, tf.int32)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        if tf.distribute.has_strategy():  # gradients are averaged between devices, outside of any program
            loss, count, gradients = self._slope(x, length, seed)
            self.optimizer.apply(gradients, self.trainable_variables)
        else:
            loss, count = self._learn(x, length, seed)
        return self.track({"loss": loss}, weight=count)

    @tf.function(jit_compile=True, autograph=False)
    def _learn(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any]:
        """An update, and the mean and number of what counted."""
        loss, count, gradients = self._gradients(x, length, seed)
        self.optimizer.apply(gradients, self.trainable_variables)
        return loss, count

    @tf.function(jit_compile=True, autograph=False)
    def _slope(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any, list[Any]]:
        """See _gradients."""
        return self._gradients(x, length, seed)

    def _gradients(self, x: Any, length: Any, seed: Any) -> tuple[Any, Any, list[Any]]:
        """The mean and number of what counted, and the gradients, scaled as the optimizer takes them."""
        with tf.GradientTape() as tape:
            nats, counted = self.nats(x, length, seed)
            count = tf.reduce_sum(tf.cast(counted, tf.float32))
            loss = tf.math.divide_no_nan(tf.reduce_sum(tf.where(counted, nats, 0.0)), count)
            scaled = self.optimizer.scale_loss(loss)
        return loss, count, tape.gradient(scaled, [variable.value for variable in self.trainable_variables])

    def start_from(self, model: GenerativeModel) -> None:
        """Takes the weights of another model of this family as first weights, for fine-tuning.

        Raises:
            ValueError: another family, another spec, or a config with other shapes; nothing is taken.
        """
        if model.family != self.family or model.spec != self.spec:
            raise ValueError(
                f"'{self.family}' over {self.spec.vocabulary} symbols, {self.spec.shape[0]} long, cannot start from "
                f"'{model.family}' over {model.spec.vocabulary}, {model.spec.shape[0]} long: train both on examples "
                "with one encoding"
            )
        pairs = list(zip(self.weights, model.weights, strict=False))
        different = [mine.path for mine, theirs in pairs if mine.shape != theirs.shape]
        if different or len(self.weights) != len(model.weights):
            layers = len(self.weights) != len(model.weights)
            which = "the number of layers" if layers else different[0]
            raise ValueError(
                f"the checkpoint's config has other shapes ({which}): set model.config to its own"
            )
        for mine, theirs in pairs:
            mine.assign(theirs)


def checked(x: Any, length: Any, context: int) -> tuple[Any, Any]:
    """Symbols int32 `[B, T]` and lengths int32 `[B]`, given as they should be.

    Raises:
        ValueError: another shape, more than `context` steps, or a length that is not in 0..T.
    """
    x = tf.cast(tf.convert_to_tensor(x), tf.int32)
    length = tf.fill(tf.shape(x)[:1], x.shape[-1]) if length is None else tf.cast(length, tf.int32)
    if x.shape.rank != 2 or not x.shape[1] or not x.shape[:1].is_compatible_with(length.shape):
        raise ValueError(f"x is [B, T] and length [B], and their shapes are {x.shape} and {length.shape}")
    if x.shape[1] > context:
        raise ValueError(f"sequences are at most {context} symbols long, and these are {x.shape[1]}")
    if tf.executing_eagerly() and not bool(tf.reduce_all((length >= 0) & (length <= x.shape[1]))):
        raise ValueError(f"every length is in 0..{x.shape[1]}, and one of {length.numpy()} is not")
    return x, length


def there(x: Any, length: Any) -> Any:
    """Which entries of x `[B, T]` are within their row's length: bool `[B, T]`."""
    return tf.range(tf.shape(x)[1])[None, :] < length[:, None]


def after(first: int, x: Any) -> Any:
    """`first` and then x `[B, T]` without its last symbol: what is read where x is foretold."""
    start = tf.fill((tf.shape(x)[0], 1), first)
    return tf.concat([start, x[:, :-1]], axis=1)
