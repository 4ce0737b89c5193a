"""What a source of images yields, as a table of records and as pictures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from components.modalities import Block, Record, Rejected, images


def found(source: str, **options: Any) -> list[Record | Rejected | Block]:
    """All that the source yields, chunk by chunk, each chunk told as JSON would tell it."""
    settings = images.Read.parse(options)
    images.preflight(source, settings)
    chunks = json.loads(json.dumps(images.plan(source, settings)))
    return [one for chunk in chunks for one in images.read(chunk, settings)]


def table(source: str, **options: Any) -> pa.Table:
    """The records as columns, with `key` and `part` beside those of RECORD; nothing is rejected."""
    schema = pa.schema([pa.field("key", pa.string()), pa.field("part", pa.string()), *images.RECORD])
    pieces = []
    for one in found(source, **options):
        assert not isinstance(one, Rejected), one
        if isinstance(one, Block):
            columns = {"key": one.keys, "part": [one.part] * len(one.keys), **one.columns}
            pieces.append(pa.table([columns[name] for name in schema.names], schema))
        else:
            pieces.append(pa.Table.from_pylist([{"key": one.key, "part": one.part, **one.fields}], schema))
    return pa.concat_tables(pieces)


def pictures(records: pa.Table) -> dict[str, np.ndarray]:
    """Key → pixels, `[H, W, C]`."""
    return {
        row["key"]: np.frombuffer(row["pixels"], np.uint8).reshape(
            row["height"], row["width"], row["channels"]
        )
        for row in records.to_pylist()
    }


def said(records: pa.Table, column: str) -> dict[str, Any]:
    """Key → what the column says."""
    return dict(zip(records.column("key").to_pylist(), records.column(column).to_pylist(), strict=True))
