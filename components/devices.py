"""The devices of one training: all that are visible here, or those of every worker that TF_CONFIG names.

Learning is data parallel and synchronous. Each device takes its rows of the same global batch, gradients
are averaged before they are clipped and applied, sums that a family keeps are added up over the devices,
and batch normalisation looks at the whole batch: so the curve is that of one device but for rounding and
for the noise, which every device draws from a stream of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from components.errors import ConfigError, ResourceError
from components.replicas import add_over_devices, average_gradients, mark, own_stream

CLUSTER = "TF_CONFIG"
LOST = re.compile(
    r"Collective ops is aborted|/job:(worker|chief)/|[Ss]ocket closed|Connection (reset|refused)"
)
APART = 1e-6  # share by which the copies of one variable may differ between devices


@dataclass(frozen=True)
class Devices:
    """A strategy of `tf.distribute`, and which of its workers this process is."""

    strategy: Any
    workers: int = 1
    worker: int = 0

    @cached_property
    def count(self) -> int:
        """Devices of all workers together."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def chief(self) -> bool:
        """Whether this process writes what all have learnt."""
        return self.worker == 0

    def facts(self) -> dict[str, int]:
        """For the provenance."""
        return {"devices": self.count, "workers": self.workers}

    def scope(self) -> Any:
        """Where the model is built."""
        return self.strategy.scope() if self.count > 1 else contextlib.nullcontext()

    def prepare(self, model: Any) -> None:
        """Has a compiled model learn on these devices, one step in each call."""
        if self.count == 1:
            return
        for optimizer in model.optimizers():
            average_gradients(optimizer)
        means = {id(variable) for metric in model.metrics for variable in metric.variables}
        for variable in model.training_state():
            if variable.aggregation == "sum" and id(variable) not in means:
                add_over_devices(variable)
        for layer in model._flatten_layers():
            if hasattr(layer, "synchronized"):  # batch normalisation
                layer.synchronized = True
            for generator in layer._seed_generators:
                own_stream(generator)
        model.train_function = self._train_function(model)
        model._maybe_symbolic_build = lambda iterator: None  # it is built, and Keras fails with workers here

    def share(self, stream: Any) -> Any:
        """A stream of global batches → each device's rows of them, in order."""
        if self.count == 1:
            return stream
        import tensorflow as tf

        def local(context: Any) -> Any:
            here = self.count // context.num_input_pipelines

            def rows(value: Any) -> Any:
                each = value.shape[0] // self.count
                first = context.input_pipeline_id * here * each
                mine = tf.reshape(
                    value[first : first + here * each], tf.concat([[here, each], tf.shape(value)[1:]], 0)
                )
                return tf.ensure_shape(mine, (here, each, *value.shape[1:]))

            def parts(batch: Any) -> Any:
                return tf.data.Dataset.from_tensor_slices(
                    {name: rows(value) for name, value in batch.items()}
                )

            return stream.flat_map(parts).prefetch(here)

        return self.strategy.distribute_datasets_from_function(local)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set at one of the workers, as all of them learn by asking together."""
        if self.workers == 1:
            return flag
        return bool(self._over_workers(float(flag)) > 0)

    def same_step(self, step: int) -> None:
        """All workers go on from the same step.

        Raises:
            ResourceError: they found different snapshots.
        """
        if self.workers > 1 and self._over_workers(float(step)) != step * self.workers:
            raise ResourceError(
                f"worker {self.worker} goes on from step {step} and others from another: MOZART_HOME must be "
                "one folder that all workers share"
            )

    def check_agreement(self, model: Any) -> None:
        """Every device holds the same state after a step.

        Raises:
            ConfigError: a family keeps something for each device alone, by the variable's name.
        """
        if self.count == 1:
            return
        import tensorflow as tf

        means = {id(variable) for metric in model.metrics for variable in metric.variables}
        kept = [variable for variable in model.training_state() if id(variable) not in means]

        @tf.function
        def spread() -> Any:
            def here() -> Any:
                mine = tf.stack([mark(variable.value) for variable in kept])
                context = tf.distribute.get_replica_context()
                mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, mine)
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.abs(mine - mean)), tf.abs(mean)

            return self.strategy.run(here)

        gap, size = (self.strategy.experimental_local_results(value)[0].numpy() for value in spread())
        apart = [
            variable.path for variable, off, of in zip(kept, gap, size, strict=True) if off > APART * (1 + of)
        ]
        if apart:
            raise ConfigError(
                f"family '{model.family}' keeps '{apart[0]}' for each device alone and learns on one device: "
                "set train.devices to 1"
            )

    @contextlib.contextmanager
    def watched(self, where: Callable[[], str]) -> Iterator[None]:
        """Turns the loss of a worker into one sentence.

        Raises:
            ResourceError: a worker was lost; `where` says how far the training was.
        """
        if self.workers == 1:
            yield
            return
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            told = [line.strip() for line in str(error).splitlines() if LOST.search(line)]
            if not told:
                raise
            raise ResourceError(
                f"one of {self.workers} workers was lost {where()}; start them all again: the same command goes "
                f"on from there ({told[-1][:160]})"
            ) from error

    def _train_function(self, model: Any) -> Any:
        """Keras' own adds nothing up over workers, and in a loop of several steps sums cross over."""
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def step(iterator: Any) -> dict[str, Any]:
            self.strategy.run(model.train_step, args=(next(iterator),))
            with self.strategy.scope():
                return {metric.name: metric.result() for metric in model.metrics}

        return step

    def _over_workers(self, value: float) -> float:
        """The sum of a number of each worker."""
        import tensorflow as tf

        found = self.strategy.experimental_local_results(self._sum(tf.constant(value, tf.float64)))[0]
        return float(found) / (self.count // self.workers)

    @cached_property
    def _sum(self) -> Any:
        """The function that adds up a number over all devices, traced once."""
        import tensorflow as tf

        def here(number: Any) -> Any:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(number))

        return tf.function(lambda number: self.strategy.run(here, args=(number,)))


def one_device() -> Devices:
    """The device that TensorFlow takes by itself."""
    import tensorflow as tf

    return Devices(tf.distribute.get_strategy())


def find_devices(wanted: int, batch_size: int) -> Devices:
    """The devices to learn on. To be called before TensorFlow has computed anything.

    Args:
        wanted: how many of this machine's; 0 for all. TF_CONFIG decides where it names several workers.

    Raises:
        ConfigError: a batch cannot be shared among them, TF_CONFIG cannot be meant.
        ResourceError: there are not so many.
    """
    import tensorflow as tf

    cluster = _cluster()
    if cluster is not None:
        workers, worker = cluster
        devices = Devices(_strategy(()), workers, worker)
        _divides(batch_size, devices.count)
        return devices
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if wanted > len(found):
        raise ResourceError(
            f"train.devices is {wanted}, and {len(found)} can be seen ({found[0].device_type}): set it lower, or "
            "0 for all there are"
        )
    names = tuple(device.name for device in found[: wanted or len(found)])
    if len(names) == 1:
        return one_device()
    _divides(batch_size, len(names))
    return Devices(_strategy(names))


@cache
def _strategy(names: tuple[str, ...]) -> Any:
    """That of these devices, or of the workers; one in a process, for a second would number its sums alike."""
    import tensorflow as tf

    if not names:
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy(names)


def _divides(batch_size: int, devices: int) -> None:
    if batch_size % devices:
        raise ConfigError(
            f"train.batch_size {batch_size} cannot be shared evenly among {devices} devices: set it to "
            f"{-(-batch_size // devices) * devices}, or train.devices to 1"
        )


def _cluster() -> tuple[int, int] | None:
    """How many workers TF_CONFIG names and which of them this is; None for a training on one machine."""
    text = os.environ.get(CLUSTER, "")
    if not text:
        return None
    try:
        told = json.loads(text)
        cluster, task = told.get("cluster") or {}, told.get("task") or {}
        sizes = {kind: len(addresses) for kind, addresses in cluster.items()}
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{CLUSTER} cannot be read as a cluster and a task: {error}") from error
    if sum(sizes.values()) < 2:
        return None
    if set(sizes) - {"chief", "worker"} or kind not in sizes or not 0 <= index < sizes[kind]:
        raise ConfigError(
            f"{CLUSTER} names task {index} of '{kind}' in a cluster of {sizes}: Mozart trains with tasks 'chief' and "
            "'worker' alone"
        )
    before = sizes.get("chief", 0) if kind == "worker" else 0
    return sum(sizes.values()), before + index
