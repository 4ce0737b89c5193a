"""Statistics: mergeable accumulators over the records of each split, one pass.

statistics/
  statistics.json    {"modality", "counts", "rejected", "duplicates",
                      "splits": {"train": {"records", "features": {name: ...}}, ...}}
  statistics.html    the same as a page, with pictures (components.statistics_page)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.accumulators import Categorical, feature_from_json, merged
from components.artifacts import read_json, reading, write_json, writing
from components.dataflow import run
from components.ingest import SPLITS, shards_of
from components.modalities import Summary, modalities
from components.settings import BeamSettings
from components.statistics_page import PAGE, write_page

CARRIED = 1000  # names of a feature that a model carries


def statistics(records: Path, out: Path, beam: BeamSettings | None = None) -> dict[str, Any]:
    """Summarises `records` into the folder `out` and returns what `statistics.json` holds."""
    manifest = reading(records)
    chunks = [[split, str(shard)] for split in SPLITS for shard in shards_of(records, split)]
    with writing(out, "statistics") as (folder, kept):
        merged = dict(run(chunks, _Summarise(manifest["modality"]), [_merge], folder, beam))
        found = {
            "modality": manifest["modality"],
            "counts": manifest["counts"],
            "rejected": manifest["rejected"],
            "duplicates": read_json(records / "duplicates.json"),
            "data_fingerprint": manifest["fingerprint"],
            "splits": {
                split: {"records": manifest["counts"][split], "features": merged.get(split, {})}
                for split in SPLITS
            },
        }
        write_json(folder / "statistics.json", found)
        shards = shards_of(records, "train")
        write_page(folder / PAGE, found, summaries_of(found), shards[0] if shards else None)
        kept["fingerprint"] = manifest["fingerprint"]
    return found


def summaries_of(found: dict[str, Any]) -> dict[str, Summary]:
    """Split → its summary, from what `statistics.json` holds."""
    return {
        split: Summary(
            found["splits"][split]["records"],
            {
                name: feature_from_json(feature)
                for name, feature in found["splits"][split]["features"].items()
            },
        )
        for split in SPLITS
        if split in found["splits"]
    }


def compact(found: dict[str, Any]) -> dict[str, Any]:
    """What a model carries of the data it learnt from, so that later data can be compared with them: the
    training split, of each feature the 1,000 commonest names. `summaries_of` reads it."""
    train = found["splits"]["train"]
    features = {name: feature_from_json(told) for name, told in train["features"].items()}
    return {
        "modality": found["modality"],
        "data_fingerprint": found["data_fingerprint"],
        "splits": {
            "train": {
                "records": train["records"],
                "features": {
                    name: (feature.folded(CARRIED) if isinstance(feature, Categorical) else feature).as_json()
                    for name, feature in features.items()
                },
            }
        },
    }


class _Summarise:
    def __init__(self, modality: str) -> None:
        self.modality = modality

    def __call__(self, chunk: list[str]) -> Iterator[tuple[str, Any]]:
        import pyarrow.parquet as pq

        split, shard = chunk
        features = modalities()[self.modality].summarise(pq.read_table(shard))
        yield split, [shard, {name: feature.as_json() for name, feature in features.items()}]


def _merge(split: str, parts: list[Any]) -> Iterator[tuple[str, Any]]:
    """Accumulators of shards → of the split, always in the order of the shards."""
    tables = [
        {name: feature_from_json(feature) for name, feature in features.items()}
        for _, features in sorted(parts, key=lambda part: part[0])
    ]
    yield split, {name: feature.as_json() for name, feature in merged(tables).items()}
