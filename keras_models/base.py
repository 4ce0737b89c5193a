"""GenerativeModel: the contract that every family keeps.

A family is one module with a `Config` and one subclass of `GenerativeModel`, which builds all its
layers from a spec and a config in `__init__` and learns through `keras.Model.fit`:

* one loss, one gradient: write `objective(batch, training)`;
* several networks: write `train_step` and return `self.track(...)`;
* closed form or EM: let `train_step` add a batch's sufficient statistics to weights of the model
  and let `end_epoch` solve. So these learners stream, resume and distribute like the rest.

A network that says `mixed_precision` gives its optimizers to `scaling`, takes the gradients of
`optimizer.scale_loss(loss)` where it has its own train_step, and makes its last layers of dtype float32.

A batch is a dict of tensors: `x`, and where the data have them `label` (int32 [B]) and `length`
(int32 [B], tokens).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_models.config import FamilyConfig
from keras_models.spec import Spec

Batch = dict[str, Any]
BLOCK = 128  # samples are drawn in blocks of this many, whatever was asked for


class Unsolvable(ValueError):
    """What a family has summed up over an epoch gives no model; the message says what is wrong with the data."""


class GenerativeModel(keras.Model):
    """Base of all families. `family` is the module's name; the other attributes are the family's."""

    kinds: ClassVar[tuple[str, ...]] = ()
    likelihood: ClassVar[str] = "none"  # what log_prob returns: "exact", "bound" or nothing
    measure: str = ""  # of log_prob: "mass" over discrete values, "density" over reals
    condition_on: ClassVar[str] = ""  # the field that `sample` can be asked for: "label", or nothing
    paper: ClassVar[str] = ""
    reports: ClassVar[tuple[str, ...]] = ("loss",)  # names of the training curves
    mixed_precision: ClassVar[bool] = False  # whether train.precision may be mixed: of networks, by gradients
    jit: ClassVar[bool] = False  # whether XLA pays for this family's train_step, by measurement

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("mozart")(cls)

    def __init__(self, spec: Spec, config: FamilyConfig, *, seed: int = 0) -> None:
        family = type(self).__module__.rsplit(".", 1)[-1]
        if spec.kind not in self.kinds:
            raise ValueError(
                f"family '{family}' learns {' and '.join(self.kinds)} data, and these are '{spec.kind}'"
            )
        super().__init__(name=family)
        self.family = family
        self.spec = spec
        self.config: Any = config
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.reports}

    # -- learning ----------------------------------------------------------------------------------

    def objective(self, batch: Batch, training: bool) -> dict[str, Any]:
        """Scalars by name, `loss` among them: the mean over the batch of what is minimised."""
        raise TypeError(f"family '{self.family}' has no single objective: it has its own train_step")

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """One gradient step on `objective`."""
        with tf.GradientTape() as tape:
            values = self.objective(batch, training=True)
            scaled = self.optimizer.scale_loss(values["loss"])
        self.optimizer.apply(tape.gradient(scaled, self.trainable_variables), self.trainable_variables)
        return self.track(values)

    def end_epoch(self) -> None:
        """Called after each epoch of `fit`: where EM and closed-form learners solve.

        Raises:
            ValueError: these data give no model. Out of `fit` it comes as Unsolvable.
        """

    def track(self, values: dict[str, Any], weight: Any = None) -> dict[str, Any]:
        """Adds a batch's values to the epoch's means and returns the means so far.

        The keys are the names in `reports`: Keras would otherwise show its own loss, always 0.
        """
        for name, value in values.items():
            self._trackers[name].update_state(value, sample_weight=weight)
        return {name: tracker.result() for name, tracker in self._trackers.items()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means behind `reports`, reset by Keras at the start of each epoch."""
        return list(self._trackers.values())

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Every optimizer with its variables made, in a fixed order; empty for EM and closed form."""
        return []

    def scaling(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """An optimizer of this model as its precision needs it: in float16, where small gradients vanish, one
        that takes those of `scale_loss(loss)` and finds the scale (Micikevicius et al. 2018)."""
        half = self.compute_dtype == "float16"
        return keras.optimizers.LossScaleOptimizer(optimizer) if half else optimizer

    def compile(self, **kwargs: Any) -> None:
        """Prepares for `fit`; the optimizers are the family's own, from its config."""
        made = self.optimizers()
        kwargs.setdefault("jit_compile", self.jit)
        super().compile(optimizer=made[0] if made else None, **kwargs)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """See `keras.Model.fit`; calls `end_epoch` after each epoch, before any other callback."""
        callbacks = list(kwargs.pop("callbacks", None) or [])
        return super().fit(*args, callbacks=[_EndEpoch(), *callbacks], **kwargs)

    def training_state(self) -> list[keras.Variable]:
        """All that an exact resume needs: weights, seed generators, moving averages, accumulators,
        the means of the running epoch and every optimizer's variables, in a fixed order."""
        own = list(self.variables)
        known = {id(variable) for variable in own}
        for source in [*self.metrics, *self.optimizers()]:
            own += [variable for variable in source.variables if id(variable) not in known]
        return own

    # -- using -------------------------------------------------------------------------------------

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """`n` samples `[n, *spec.shape]` from the model; `seed` is an int32 pair, all randomness."""
        raise NotImplementedError

    def sample(self, n: int, *, condition: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
        """`n` samples `[n, *spec.shape]` in the spec's range.

        The same seed gives the same samples in the same environment, and the first of many equal
        the few: samples are drawn in blocks of a fixed size, each with its own seed.

        Args:
            condition: what each sample is to be, `[n]` or `[n, ...]`, of families with `condition_on`: class
                numbers where that is "label".

        Raises:
            ValueError: `n` < 1, or a condition that the family does not take or the spec does not know.
        """
        if n < 1:
            raise ValueError(f"the number of samples is at least 1, and {n} were asked for")
        blocks = range((n + BLOCK - 1) // BLOCK)
        if condition is None:
            drawn = [self._draw_block(tf.constant([seed, block], tf.int32)) for block in blocks]
        else:
            given = self._checked(condition, n)
            given = np.resize(given, (len(blocks) * BLOCK, *given.shape[1:]))
            drawn = [
                self._draw_given(
                    given[block * BLOCK : (block + 1) * BLOCK], tf.constant([seed, block], tf.int32)
                )
                for block in blocks
            ]
        return np.concatenate([np.asarray(block) for block in drawn])[:n]

    @tf.function(reduce_retracing=True)
    def _draw_block(self, seed: tf.Tensor) -> tf.Tensor:
        return self.draw(BLOCK, None, seed)

    @tf.function(reduce_retracing=True)
    def _draw_given(self, condition: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self.draw(BLOCK, condition, seed)

    def _checked(self, condition: Any, n: int) -> np.ndarray:
        """The condition `[n, ...]`, which this family takes."""
        if not self.condition_on:
            raise ValueError(f"family '{self.family}' takes no condition")
        given = np.asarray(condition)
        if len(given) != n:
            raise ValueError(f"{n} samples need as many conditions, and {len(given)} were given")
        if self.condition_on == "label":
            classes = len(self.spec.classes)
            if given.ndim != 1 or given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= classes:
                raise ValueError(f"labels are [n] whole numbers from 0 to {classes - 1}")
            given = given.astype(np.int32)
        return given

    def log_prob(self, x: Any, **kwargs: Any) -> Any:
        """log p(x) in nats per example `[B]`, as `likelihood` and `measure` say.

        Raises:
            TypeError: the family has no likelihood.
        """
        raise TypeError(f"family '{self.family}' has no likelihood: judge its samples instead")

    # -- keeping -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Spec and config as passed. (Keras' automatic config of a subclass records defaults.)"""
        return {"spec": self.spec.model_dump(mode="json"), "config": self.config.model_dump(mode="json")}

    def get_compile_config(self) -> None:
        """Nothing: a loaded model is for use, and one that learns on is compiled by its trainer."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> GenerativeModel:
        """See `keras.Model.from_config`."""
        import json

        from keras_models import describe

        family = cls.__module__.rsplit(".", 1)[-1]
        spec = Spec.model_validate_json(json.dumps(config["spec"]))
        return cls(spec, describe(family).config.parse(config["config"]))

    def set_arrays(self, arrays: Iterable[np.ndarray]) -> None:
        """Assigns `model.variables` in order.

        Raises:
            ValueError: another number of arrays, another shape or another dtype.
        """
        arrays = list(arrays)
        if len(arrays) != len(self.variables):
            raise ValueError(f"{len(arrays)} arrays for {len(self.variables)} variables of '{self.family}'")
        assign(self.variables, arrays)


def assign(variables: list[keras.Variable], arrays: list[np.ndarray]) -> None:
    """Sets each variable to its array.

    Raises:
        ValueError: a shape or dtype that differs, with the variable's name.
    """
    for variable, array in zip(variables, arrays, strict=True):
        if tuple(variable.shape) != array.shape or str(variable.dtype) != str(array.dtype):
            raise ValueError(
                f"variable '{variable.path}' is {variable.dtype}{tuple(variable.shape)}, "
                f"and the file holds {array.dtype}{array.shape}"
            )
        variable.assign(array)


class _EndEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        try:
            self.model.end_epoch()
        except ValueError as error:
            raise Unsolvable(str(error)) from error
