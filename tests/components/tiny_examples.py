"""Examples of a tiny source, made by the real data steps: what tests of the yardsticks measure against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.examples import Examples
from components.ingest import ingest, shards_of
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform

Arrays = dict[str, np.ndarray]


def examples_of(source: str, root: Path, name: str = "examples", **blocks: Any) -> Examples:
    """Examples in `root/name`; records and statistics beside them are made once. `blocks` are those of `data`:
    read, encode, split."""
    data = DataSettings.parse({"source": source, **blocks})
    if not (root / "records").exists():
        ingest(data, root / "records")
        statistics(root / "records", root / "statistics")
    transform(root / "records", root / "statistics", root / name, data)
    return Examples(root / name)


def rows_of(root: Path, split: str) -> list[dict[str, Any]]:
    """The records of a split."""
    return [row for shard in shards_of(root / "records", split) for row in pq.read_table(shard).to_pylist()]


def splits_of(examples: Examples) -> dict[str, Arrays]:
    """All arrays by split, as a yardstick is given them."""
    return {split: examples.arrays(split) for split in ("train", "validation", "test")}
