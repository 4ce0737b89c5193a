"""Records of images, and what their summary says of them split by split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from components.modalities import Summary, images

SCHEMA = pa.schema([pa.field("key", pa.string()), *images.RECORD])


def table(*values: np.ndarray, **columns: list[Any]) -> pa.Table:
    """Records of images that may differ in size, with what else is said of them."""
    rows = [
        {"key": str(i), "pixels": image.tobytes(), **dict(zip(SCHEMA.names[2:5], image.shape, strict=True))}
        for i, image in enumerate(values)
    ]
    for name, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            if name == "y" and value is not None:
                sides = dict(zip(("height_y", "width_y", "channels_y"), value.shape, strict=True))
                row |= {"pixels_y": value.tobytes(), **sides}
            elif name != "y":
                row[name] = value
    return pa.Table.from_pylist(rows, SCHEMA)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def summaries(train: pa.Table, **others: pa.Table) -> dict[str, Summary]:
    splits = {"train": train, "validation": train, "test": train, **others}
    return {name: Summary(split.num_rows, images.summarise(split)) for name, split in splits.items()}
