"""Train: examples become a model.

model/
  weights.safetensors  model.json    the model, its family, spec and config
  optimizers.safetensors             their state, where the recipe starts from its champion
  encoding.json                      how to encode what comes in and decode what goes out
  statistics.json                    of the training split: later data are compared with it
  history.csv                        the learning curve, a row an epoch
  provenance.json                    recipe, data fingerprint, versions, seeds, commit, environment
  tensorboard/
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from components.artifacts import fingerprint_of, write_json, writing
from components.devices import find_devices
from components.examples import Examples
from components.home import home
from components.provenance import code_version, environment, git_commit, now, versions
from components.registry import Registry
from components.settings import ModelSettings, TrainSettings
from components.snapshot import Snapshots
from components.warm_start import Start, fine_tune, save_optimizers, warm_start

HISTORY = "history.csv"


def train(
    examples: Path,
    out: Path,
    model: ModelSettings,
    settings: TrainSettings,
    recipe: dict[str, Any],
    begin: str = "",
) -> dict[str, float]:
    """Trains the recipe's model into the folder `out` and returns the last row of its curve.

    A killed training goes on from its snapshot when it is called again with the same settings, data
    and code, on as many devices as there are then. Where TF_CONFIG names several workers, each of them
    calls this, and the chief alone writes. Raises what `find_devices` and `components.training.fit` raise.

    Args:
        begin: `NAME:VERSION` that `train.warm_start` or `train.fine_tune` means; empty where there is none.
    """
    data = Examples(examples)
    of_training = settings.model_dump(exclude={"devices"})
    key = fingerprint_of(data.manifest["fingerprint"], model.model_dump(), of_training, code_version(), begin)
    snapshots = Snapshots(home() / "snapshots" / key)

    from components.training import fit
    from keras_models.saving import save

    devices = find_devices(settings.devices, settings.batch_size)
    with devices.scope():
        learner = make(model, data, settings.seed, settings.precision)
        started = _start(learner, data, settings, begin)
    if not devices.chief:
        rows = fit(learner, data, settings, snapshots, devices=devices)
        with tempfile.TemporaryDirectory() as nowhere:  # what is summed over workers is read by all of them
            save(learner, Path(nowhere))
        return rows[-1]
    with writing(out, "train") as (folder, manifest):
        rows = fit(learner, data, settings, snapshots, folder / "tensorboard", devices)
        save(learner, folder)
        if settings.warm_start == "champion":
            save_optimizers(learner, folder)
        write_json(folder / "encoding.json", data.encoding)
        shutil.copyfile(examples / "statistics.json", folder / "statistics.json")
        write_history(folder / HISTORY, rows)
        write_json(
            folder / "provenance.json",
            {
                "recipe": recipe,
                "data_fingerprint": data.manifest["data_fingerprint"],
                "examples": data.manifest["counts"],
                "code_version": code_version(),
                "git_commit": git_commit(),
                "versions": versions(),
                "environment": environment() | devices.facts(),
                "seed": settings.seed,
                "start": started.told() if started else None,
                "created": now(),
            },
        )
        manifest["fingerprint"] = key
    snapshots.clear()
    return rows[-1]


def _start(learner: Any, data: Examples, settings: TrainSettings, begin: str) -> Start | None:
    """The weights of the version to begin with; and the log says so."""
    if settings.fine_tune:
        started = fine_tune(learner, Registry(home()).resolve(begin).bundle_path, begin)
    elif settings.warm_start == "none":
        return None
    elif begin:
        started = warm_start(learner, data.encoding, Registry(home()).resolve(begin).bundle_path, begin)
    else:
        started = Start("", reason="there is no champion yet")
    print(started.sentence(), flush=True)
    return started


def make(model: ModelSettings, data: Examples, seed: int, precision: str = "float32") -> Any:
    """A new model of the recipe's family for these examples.

    Raises:
        ConfigError: the family cannot learn these data, or not with this config or at this precision.
    """
    import tensorflow as tf

    from components.errors import ConfigError
    from keras_models import build, describe

    tf.config.experimental.enable_op_determinism()
    config = describe(model.family).config.parse(model.config)
    try:
        return build(model.family, data.spec, config, seed=seed, precision=precision)
    except ValueError as error:
        raise ConfigError(f"model '{model.family}': {error}") from error


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """The learning curve as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_history(path: Path) -> list[dict[str, float]]:
    """The learning curve from CSV."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [{name: json.loads(value) for name, value in row.items()} for row in csv.DictReader(stream)]
