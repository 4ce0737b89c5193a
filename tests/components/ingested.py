"""A folder of pictures to ingest, and what ingest made of a source: its keys and its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from components.ingest import SPLITS, shards_of


def keys_of(records: Path) -> dict[str, str]:
    """Key → split of all records."""
    return {
        key: split
        for split in SPLITS
        for shard in shards_of(records, split)
        for key in pq.read_table(shard).column("key").to_pylist()
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def pictures_and_broken_files(folder: Path) -> Path:
    """40 pictures of two classes, and two files that are none."""
    for i in range(40):
        file = folder / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4, 3), np.uint8)).save(file)
    for name in ("a/broken.png", "b/empty.jpg"):
        (folder / name).write_bytes(b"no picture"[: 10 * (name[0] == "a")])
    return folder
