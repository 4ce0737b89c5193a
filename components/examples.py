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
        return self._batch(self.fields(split), rows, {}, rng)

    def arrays(self, split: str, limit: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
        """The first `limit` examples of a split as one batch; noise by one fixed draw."""
        count = min(self.count(split), limit or self.count(split))
        return self.take(split, np.arange(count), np.random.default_rng([seed, 0, 0]))

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches of the training split; of each bucket of lengths, where there are buckets.

        Raises:
            DataError: not even one.
        """
        buckets = self._buckets()
        counts = [self.count("train")] if buckets is None else np.bincount(buckets)
        steps = sum(int(count) // batch_size for count in counts)
        if steps < 1:
            where = "" if buckets is None else f" in any of its {len(counts)} buckets of lengths"
            raise DataError(
                f"the train split holds {self.count('train')} examples, fewer than one batch of {batch_size}"
                f"{where}: set train.batch_size lower or give more data"
            )
        return steps

    def stream(self, batch_size: int, seed: int, first_step: int, last_step: int) -> tf.data.Dataset:
        """Training batches of the global steps [first_step, last_step), augmented as the recipe says and
        prefetched. Batches of a bucket are as long as the bucket."""
        import tensorflow as tf

        fields = self.fields("train")
        steps = self.steps_per_epoch(batch_size)
        plan = Plan(self.count("train"), batch_size, seed, self._buckets())
        others = {
            name: Plan(sum(map(len, fields[name])), batch_size, seed + 1 + number, None)
            for number, name in enumerate(self.encoding.get("independent", []))
        }
        options = self.encoding.get("augment")
        augment = self.modality.Augment.parse(options) if options else None

        def batches() -> Any:
            for step in range(first_step, last_step):
                epoch, position = divmod(step, steps)
                rng = np.random.default_rng([seed, epoch, position])
                own = {name: other.wrapped(epoch, position) for name, other in others.items()}
                batch = self._batch(fields, plan.rows(epoch, position), own, rng)
                if augment is not None:
                    batch = self.modality.augment(batch, augment, self.encoding, rng)
                yield self._cropped(batch)

        first = self.take("train", np.arange(1), np.random.default_rng(0))
        signature = {
            name: tf.TensorSpec((batch_size, *self._shape(array)), array.dtype)
            for name, array in first.items()
        }
        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _batch(
        self,
        fields: dict[str, list[np.ndarray]],
        rows: np.ndarray,
        own: dict[str, np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:
        """`rows` of every field; a field that is independent of x has its `own` or wraps around."""
        independent = self.encoding.get("independent", [])
        gathered = {}
        for name, shards in fields.items():
            mine = rows
            if name in independent:
                mine = own[name] if name in own else rows % sum(map(len, shards))
            gathered[name] = gather(shards, mine)
        return self.modality.batch(gathered, self.encoding, rng)

    def _buckets(self) -> np.ndarray | None:
        """The bucket of each training example by its length, where the recipe names buckets."""
        edges = self.encoding.get("buckets")
        if not edges:
            return None
        lengths = np.concatenate([np.asarray(shard) for shard in self.fields("train")["length"]])
        return np.searchsorted(edges, lengths)

    def _is_long(self, array: np.ndarray) -> bool:
        """Whether a field has one entry for each position of a sequence."""
        return array.ndim > 1 and array.shape[1] == self.spec.shape[0]

    def _shape(self, array: np.ndarray) -> tuple[int | None, ...]:
        if self.encoding.get("buckets") and self._is_long(array):
            return (None, *array.shape[2:])
        return array.shape[1:]

    def _cropped(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        edges = self.encoding.get("buckets")
        if not edges:
            return batch
        length = edges[int(np.searchsorted(edges, batch["length"].max()))]
        return {name: array[:, :length] if self._is_long(array) else array for name, array in batch.items()}


class Plan:
    """Which rows are in which batch of an epoch: a pure function of seed and epoch, kept for its length."""

    def __init__(self, count: int, batch_size: int, seed: int, buckets: np.ndarray | None) -> None:
        self.count, self.batch_size, self.seed, self.buckets = count, batch_size, seed, buckets
        self.epoch, self.order, self.starts = -1, np.empty(0, np.int64), np.empty(0, np.int64)

    def rows(self, epoch: int, position: int) -> np.ndarray:
        """The rows of one batch, int64 `[batch_size]`."""
        self._make(epoch)
        start = self.starts[position]
        return self.order[start : start + self.batch_size]

    def wrapped(self, epoch: int, position: int) -> np.ndarray:
        """The same from a permutation that begins anew where it ends."""
        self._make(epoch)
        at = position * self.batch_size + np.arange(self.batch_size)
        return self.order[at % self.count]

    def _make(self, epoch: int) -> None:
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        if self.buckets is None:
            self.starts = np.arange(self.count // self.batch_size) * self.batch_size
            return
        bucket = self.buckets[self.order]
        self.order = self.order[np.argsort(bucket, kind="stable")]
        counts = np.bincount(bucket)
        begins = np.cumsum(counts) - counts
        whole = [
            begin + np.arange(count // self.batch_size) * self.batch_size
            for begin, count in zip(begins, counts, strict=True)
        ]
        self.starts = np.random.default_rng([self.seed, epoch, 1]).permutation(np.concatenate(whole))


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
