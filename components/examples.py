"""Examples, read: memory-mapped arrays in an order that is a pure function of seed and epoch.

So training resumes at any step exactly: batch `s` of epoch `e` is the same in every process, the
noise of dynamic binarisation included. The pages of the mapped files are the cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.artifacts import read_json, reading
from components.errors import DataError
from components.modalities import modalities
from keras_models.spec import Spec

if TYPE_CHECKING:
    import tensorflow as tf


class Examples:
    """The folder that transform wrote."""

    def __init__(self, folder: Path) -> None:
        self.manifest = reading(folder)
        self.folder = folder
        self.encoding: dict[str, Any] = read_json(folder / "encoding.json")
        self.spec = Spec.model_validate_json((folder / "spec.json").read_text("utf-8"))
        self.modality = modalities()[self.encoding["modality"]]

    def count(self, split: str) -> int:
        """Examples in a split."""
        return self.manifest["counts"][split]

    def fields(self, split: str) -> dict[str, list[np.ndarray]]:
        """Field → its shards, memory-mapped."""
        found: dict[str, list[np.ndarray]] = {}
        for path in sorted(self.folder.glob(f"{split}-*.npy")):
            name = path.name.split(".")[1]
            found.setdefault(name, []).append(np.load(path, mmap_mode="r", allow_pickle=False))
        return found

    def take(self, split: str, rows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The examples of the given rows as a model is given them."""
        fields = self.fields(split)
        return self.modality.batch(
            {name: gather(shards, rows) for name, shards in fields.items()}, self.encoding, rng
        )

    def arrays(self, split: str, limit: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
        """The first `limit` examples of a split as one batch; noise by one fixed draw."""
        count = min(self.count(split), limit or self.count(split))
        return self.take(split, np.arange(count), np.random.default_rng([seed, 0, 0]))

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches of the training split.

        Raises:
            DataError: not even one.
        """
        steps = self.count("train") // batch_size
        if steps < 1:
            raise DataError(
                f"the train split holds {self.count('train')} examples, fewer than one batch of {batch_size}: "
                "set train.batch_size lower or give more data"
            )
        return steps

    def stream(self, batch_size: int, seed: int, first_step: int, last_step: int) -> tf.data.Dataset:
        """Training batches of the global steps [first_step, last_step), prefetched."""
        import tensorflow as tf

        fields = self.fields("train")
        count, steps = self.count("train"), self.steps_per_epoch(batch_size)
        order = _Order(count, seed)

        def batches() -> Any:
            for step in range(first_step, last_step):
                epoch, position = divmod(step, steps)
                rows = order.of(epoch)[position * batch_size : (position + 1) * batch_size]
                gathered = {name: gather(shards, rows) for name, shards in fields.items()}
                yield self.modality.batch(
                    gathered, self.encoding, np.random.default_rng([seed, epoch, position])
                )

        signature = {
            name: tf.TensorSpec((batch_size, *array.shape[1:]), array.dtype)
            for name, array in self.take("train", np.arange(1), np.random.default_rng(0)).items()
        }
        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return dataset.prefetch(tf.data.AUTOTUNE)


class _Order:
    """The permutation of an epoch, kept for the epoch's length."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.epoch, self.rows = -1, np.empty(0, np.int64)

    def of(self, epoch: int) -> np.ndarray:
        if epoch != self.epoch:
            self.epoch = epoch
            self.rows = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return self.rows


def gather(shards: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Rows of arrays that lie one after another, in the order asked for."""
    if len(shards) == 1:
        return shards[0][rows]
    ends = np.cumsum([len(shard) for shard in shards])
    which = np.searchsorted(ends, rows, side="right")
    out = np.empty((len(rows), *shards[0].shape[1:]), shards[0].dtype)
    for i, shard in enumerate(shards):
        mine = which == i
        out[mine] = shard[rows[mine] - (ends[i] - len(shard))]
    return out
