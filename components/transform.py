"""Transform: records become examples, arrays that a model is fed from.

examples/
  encoding.json                    how: fitted on the training split, carried in the model
  spec.json                        what one example looks like
  statistics.json                  of the training split, compact: carried in the model too
  train-00000.x.npy  train-00000.label.npy ...      one array a field and shard, memory-mapped
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import fingerprint_of, read_json, reading, write_json, writing
from components.dataflow import run, write_bytes
from components.frozen import SPLIT as FROZEN
from components.frozen import fingerprint_of_split
from components.ingest import SPLITS, shards_of
from components.modalities import modalities
from components.settings import DataSettings
from components.statistics import compact, summaries_of


def transform(
    records: Path,
    statistics: Path,
    out: Path,
    data: DataSettings,
    encoding: dict[str, Any] | None = None,
    frozen: Path | None = None,
) -> dict[str, Any]:
    """Fits the encoding on the training split, applies it to all, and returns the manifest.

    Args:
        encoding: that of a model which is there already, to see these records as it does.
        frozen: the folder of the records that stand in for the validation split (`components.frozen`).
    """
    source = reading(records)
    if frozen is not None:
        reading(frozen)
    folders = {split: frozen if frozen and split == FROZEN else records for split in SPLITS}
    reading(statistics)
    found = read_json(statistics / "statistics.json")
    modality = modalities()[found["modality"]]
    if encoding is None:
        encoding = modality.fit(
            summaries_of(found),
            modality.Encode.parse(data.encode),
            lambda: _tables(records, "train"),
        )
    if data.augment:
        encoding = {**encoding, "augment": modality.Augment.parse(data.augment).model_dump()}
    chunks = [
        [split, i, str(shard)] for split in SPLITS for i, shard in enumerate(shards_of(folders[split], split))
    ]
    with writing(out, "transform") as (folder, manifest):
        write_json(folder / "encoding.json", encoding)
        write_json(folder / "statistics.json", compact(found))
        (folder / "spec.json").write_text(modality.spec(encoding).model_dump_json(indent=1), "utf-8")
        counts = run(chunks, _Encode(encoding, str(folder)), [_count], folder, data.beam)
        manifest["counts"] = {split: sum(n for name, n in counts if name == split) for split in SPLITS}
        manifest["data_fingerprint"] = source["fingerprint"]
        manifest["validation"] = fingerprint_of_split(folders[FROZEN])
        other = manifest["validation"] != fingerprint_of_split(records)
        kept = (manifest["validation"],) if other else ()
        manifest["fingerprint"] = fingerprint_of(source["fingerprint"], encoding, *kept)
    return manifest


def _tables(records: Path, split: str) -> Iterator[Any]:
    """The records of a split again, a shard at a time."""
    import pyarrow.parquet as pq

    for shard in shards_of(records, split):
        yield pq.read_table(shard)


class _Encode:
    """One shard of records → its arrays on disk; yields (split, number of examples)."""

    def __init__(self, encoding: dict[str, Any], folder: str) -> None:
        self.encoding, self.folder = encoding, folder

    def __call__(self, chunk: list[Any]) -> Iterator[tuple[str, int]]:
        import pyarrow.parquet as pq

        split, number, shard = chunk
        arrays = modalities()[self.encoding["modality"]].encode(pq.read_table(shard), self.encoding)
        for name, array in arrays.items():
            body = io.BytesIO()  # on a full disk np.save to a file raises an OSError without a number
            np.save(body, array, allow_pickle=False)
            write_bytes(Path(self.folder) / f"{split}-{number:05d}.{name}.npy", body.getbuffer())
        yield split, len(arrays["x"])


def _count(split: str, numbers: list[int]) -> Iterator[tuple[str, int]]:
    yield split, sum(numbers)
