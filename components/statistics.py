"""Statistics: mergeable accumulators over the records of each split, one pass.

statistics/
  statistics.json    {"modality", "counts", "splits": {"train": {...}, ...}}
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from components.artifacts import reading, write_json, writing
from components.dataflow import run
from components.ingest import SPLITS, shards_of
from components.modalities import modalities


def statistics(records: Path, out: Path, beam_options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Summarises `records` into the folder `out` and returns what `statistics.json` holds."""
    manifest = reading(records)
    chunks = [[split, str(shard)] for split in SPLITS for shard in shards_of(records, split)]
    with writing(out, "statistics") as (folder, kept):
        work = _Summarise(manifest["modality"])
        merged = dict(run(chunks, work, _Merge(manifest["modality"]), folder, beam_options))
        found = {
            "modality": manifest["modality"],
            "counts": manifest["counts"],
            "data_fingerprint": manifest["fingerprint"],
            "splits": {split: merged.get(split, {"records": 0}) for split in SPLITS},
        }
        write_json(folder / "statistics.json", found)
        kept["fingerprint"] = manifest["fingerprint"]
    return found


class _Summarise:
    def __init__(self, modality: str) -> None:
        self.modality = modality

    def __call__(self, chunk: list[str]) -> Iterator[tuple[str, Any]]:
        import pyarrow.parquet as pq

        split, shard = chunk
        yield split, modalities()[self.modality].summarise(pq.read_table(shard))


class _Merge:
    def __init__(self, modality: str) -> None:
        self.modality = modality

    def __call__(self, split: str, parts: list[Any]) -> Any:
        return [split, reduce(modalities()[self.modality].merge, parts)]
