"""One training: `keras.Model.fit` on the examples, watched, snapshotted and resumable at any step."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.devices import Devices, one_device
from components.errors import DataError
from components.examples import Examples
from components.settings import TrainSettings
from components.snapshot import Snapshots
from keras_models.base import GenerativeModel, Unsolvable
from keras_models.saving import arrays_of

PROGRESS = "@mozart-progress "
STEPS_AT_ONCE = 32  # most steps in one call of the compiled function; it divides the epoch
DIVERGED = 1e3  # times the first epoch's value
LEAST_SCALE = 2.0**-10  # of a loss in float16: it begins at 2^15 and is halved where a gradient is not finite


def fit(
    model: GenerativeModel,
    examples: Examples,
    settings: TrainSettings,
    snapshots: Snapshots | None = None,
    tensorboard: Path | None = None,
    devices: Devices | None = None,
) -> list[dict[str, float]]:
    """Trains `model`, from its newest snapshot if there is one; returns one row an epoch.

    Args:
        devices: those in whose scope the model was built; by default one.

    Raises:
        DataError: no step can be taken, a number stopped being finite (the first bad tensor named), or the
            family cannot solve for its weights at an epoch's end.
        ConfigError: the family does not learn on several devices.
        ResourceError: a worker was lost.
        SystemExit: 143 after SIGTERM or SIGINT (of any worker), with a snapshot to go on from.
    """
    devices = devices or one_device()
    steps = examples.steps_per_epoch(settings.batch_size)
    most = min(steps, STEPS_AT_ONCE, settings.snapshot_steps) if devices.count == 1 else 1
    at_once = max(n for n in range(1, most + 1) if steps % n == 0)
    with devices.scope():
        model.compile(steps_per_execution=at_once)
    devices.prepare(model)
    watch = _Watch(model, settings, steps, at_once, snapshots, devices)
    if watch.step % at_once:  # a snapshot of several devices, which take one step in a call
        watch.at_once = math.gcd(at_once, watch.step)
        model.compile(steps_per_execution=watch.at_once)
    callbacks: list[keras.callbacks.Callback] = [watch]
    if tensorboard is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(tensorboard), write_graph=False))
    with _Signals(watch), devices.watched(watch.where), _solvable(model.family):
        while watch.step < steps * settings.epochs:
            epoch, position = divmod(watch.step, steps)
            last = epoch + 1 if position else settings.epochs  # first finish the epoch that was broken off
            model.fit(
                devices.share(examples.stream(settings.batch_size, settings.seed, watch.step, last * steps)),
                initial_epoch=epoch,
                epochs=last,
                steps_per_epoch=steps - position,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
            if watch.step < last * steps:
                raise DataError(f"training stopped at step {watch.step} of {steps * settings.epochs}")
    first_bad = first_not_finite(model)
    if first_bad:
        raise DataError(f"after training '{first_bad}' is not finite: nothing is kept")
    return watch.rows


@contextlib.contextmanager
def _solvable(family: str) -> Iterator[None]:
    """Turns what a family says at an epoch's end into the error of the data that it is."""
    try:
        yield
    except Unsolvable as error:
        raise DataError(f"family '{family}' cannot learn from these data: {error}") from error


def first_not_finite(model: GenerativeModel) -> str | None:
    """The path of the first variable that holds a NaN or an infinity (integers never do)."""
    for variable in model.training_state():
        value = variable.numpy()
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            return variable.path
    return None


class _Watch(keras.callbacks.Callback):
    """Counts steps, stops on bad numbers, snapshots, keeps the curve, tells the progress."""

    def __init__(
        self,
        model: GenerativeModel,
        settings: TrainSettings,
        steps: int,
        at_once: int,
        snapshots: Snapshots | None,
        devices: Devices,
    ) -> None:
        super().__init__()
        self.devices = devices
        self.settings, self.steps, self.at_once, self.snapshots = settings, steps, at_once, snapshots
        self.step, self.rows = snapshots.restore(model) if snapshots else (0, [])
        devices.same_step(self.step)
        self.kept = self.step
        self.scales = [
            optimizer.dynamic_scale for optimizer in model.optimizers() if hasattr(optimizer, "dynamic_scale")
        ]
        self.means = [value.numpy() for metric in model.metrics for value in metric.variables]
        self.resumed_at = self.step
        self.asked_to_stop = False
        self.told = 0.0
        if self.step:
            print(f"going on from the snapshot of step {self.step} of {steps * settings.epochs}", flush=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.step == self.resumed_at and self.step % self.steps:  # Keras has just reset the means
            variables = [value for metric in self.model.metrics for value in metric.variables]
            for variable, value in zip(variables, self.means, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.step == self.resumed_at:
            self.devices.check_agreement(self.model)
        self.step += self.at_once
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._check(values)
        self._tell(values)
        if self.step % self.steps:  # the epoch's end has its own turn, after the model's end_epoch
            self._snapshot()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: float((logs or {})[name]) for name in self.model.reports}  # Keras sorts its logs
        self.rows.append({"epoch": epoch + 1, **values})
        first = self.rows[0]
        for name, value in values.items():
            if abs(value) > DIVERGED * (1 + abs(first.get(name, value))):
                raise DataError(
                    f"training diverged: {name} is {value:.3g} in epoch {epoch + 1} and was {first[name]:.3g} in "
                    "the first: set a smaller learning rate"
                )
        self._snapshot()

    def _check(self, values: dict[str, float]) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            culprit = first_not_finite(self.model) or f"{bad[0]} (every weight is still finite)"
            raise DataError(
                f"training stopped at step {self.step}: {', '.join(bad)} is not finite; the first bad tensor is "
                f"'{culprit}': set a smaller learning rate or look at the data{self._wider()}"
            )
        for scale in self.scales:  # while it is sought a step is left out now and then, but not all of them
            if float(scale.numpy()) < LEAST_SCALE:
                raise DataError(
                    f"training stopped at step {self.step}: gradients are not finite however small the loss is "
                    f"scaled ('{scale.path}' fell below {LEAST_SCALE:.2g}), and step after step is left out: set "
                    f"a smaller learning rate or look at the data{self._wider()}"
                )

    def _wider(self) -> str:
        """What else helps where numbers above 65,504 are infinite."""
        return ", or set train.precision to mixed_bfloat16" if self.scales else ""

    def where(self) -> str:
        """How far the training is, and from where it would go on."""
        return f"after step {self.step} of {self.steps * self.settings.epochs}, the snapshot is of step {self.kept}"

    def _snapshot(self) -> None:
        self.asked_to_stop = self.devices.any(self.asked_to_stop)
        due = self.step - self.kept >= self.settings.snapshot_steps
        if self.snapshots and (due or self.asked_to_stop):
            bad = first_not_finite(self.model)
            if bad:  # every reported number may be finite all the same: nothing goes on from such weights
                raise DataError(f"training stopped at step {self.step}: the tensor '{bad}' is not finite")
            if self.devices.chief:
                self.snapshots.write(self.model, self.step, self.rows)
            else:
                arrays_of(self.model.training_state())  # what is summed over workers is read by all of them
            self.kept = self.step
        if self.asked_to_stop:
            print(f"stopped at step {self.step}; the same command goes on from there", flush=True)
            raise SystemExit(143)

    def _tell(self, values: dict[str, float]) -> None:
        now = time.monotonic()
        if not self.devices.chief:
            return
        if now - self.told > 0.25 or self.step == self.steps * self.settings.epochs:
            self.told = now
            line = {"step": self.step, "of": self.steps * self.settings.epochs, **values}
            print(PROGRESS + json.dumps(line), flush=True)


class _Signals:
    """SIGTERM and SIGINT ask for a snapshot and an end, at the next step; only in a main thread."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch
        self.former: dict[int, Any] = {}

    def _ask(self, number: int, frame: Any) -> None:
        self.watch.asked_to_stop = True

    def __enter__(self) -> None:
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                self.former[number] = signal.signal(number, self._ask)
        except ValueError:  # not the main thread: the owner of the process decides
            self.former = {}

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)
