"""A process that trains tiny models on devices of its own: `python -m tests.components.on_devices ORDER`.

ORDER is JSON: `root` (folders of examples by family), `home`, `out`, `families`, `logical` (CPU devices to
see), `devices` (to learn on), and where it is asked for `share_noise`, `die_at` (a step, by SIGKILL).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    "vae": {"latent": 2, "hidden": [8]},
    "dcgan": {"latent": 2, "width": 4},
    "gpt": {"layers": 1, "heads": 1, "width": 8},
    "lstm": {"units": 8, "embedding": 4},
    "hmm": {"states": 3},
    "normal": {},
    "naive_bayes": {},
    "markov_chain": {"order": 1},
}


def share_noise() -> None:
    """Every device draws the noise of the whole batch, as one device would, and takes its rows."""
    import keras
    import tensorflow as tf

    from components import devices

    normal = keras.random.normal

    def rows(shape: Any, *given: Any, **named: Any) -> Any:
        context = tf.distribute.get_replica_context()
        count, number = context.num_replicas_in_sync, context.replica_id_in_sync_group
        shape = tf.unstack(tf.convert_to_tensor(shape))
        whole = normal((shape[0] * count, *shape[1:]), *given, **named)
        return whole[number * shape[0] : (number + 1) * shape[0]]

    keras.random.normal = rows
    devices.own_stream = lambda generator: None


def die_at(step: int) -> None:
    from components.training import _Watch

    counted = _Watch.on_train_batch_end

    def count_and_die(self: Any, *given: Any, **named: Any) -> None:
        counted(self, *given, **named)
        if self.step >= step:
            os.kill(os.getpid(), signal.SIGKILL)

    _Watch.on_train_batch_end = count_and_die


def main(order: dict[str, Any]) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * order.get("logical", 1)
    )
    from components.settings import ModelSettings, TrainSettings
    from components.step import told
    from components.train import train

    if order.get("share_noise"):
        share_noise()
    if order.get("die_at"):
        die_at(order["die_at"])
    for family in order["families"]:
        for devices in order["devices"]:
            os.environ["MOZART_HOME"] = str(Path(order["home"]) / f"{devices}")
            told(train)(
                Path(order["root"]) / family,
                Path(order["out"]) / f"{family}-{devices}",
                ModelSettings(family=family, config=CONFIGS[family]),
                TrainSettings(devices=devices, **order["train"]),
                {},
            )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
