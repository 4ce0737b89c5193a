"""Tables: every row of a CSV, JSONL or Parquet file arrives whole or is told with its place.

    for chunk in csv_chunks(path):         byte ranges, small and JSON-like: a worker reads one by itself
        for row in csv_rows(chunk):        Row or Bad; `csv_blocks` gives many at a time, as columns

Values of a CSV stay text: `number` and `moment` read them. The policy of CSV: components.csv_tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from components import storage
from components.csv_tables import (
    CHUNK_BYTES,
    PACKED,
    RECORD_BYTES,
    blocks_of,
    csv_blocks,
    csv_chunks,
    csv_columns,
    csv_rows,
    doubt,
    lines_of,
)
from components.errors import DataError
from components.table_values import Bad, Row, moment, number

__all__ = [
    "CHUNK_BYTES",
    "Bad",
    "Row",
    "blocks_of",
    "csv_blocks",
    "csv_chunks",
    "csv_columns",
    "csv_rows",
    "doubt",
    "jsonl_chunks",
    "jsonl_rows",
    "lines_of",
    "moment",
    "number",
    "parquet_chunks",
    "parquet_tables",
]


def jsonl_chunks(path: str, bytes_: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """Byte ranges of whole lines, about `bytes_` long; one for a compressed file."""
    if path.lower().endswith(PACKED):
        return [{"path": path, "start": 0, "stop": -1, "line": 1}]
    chunks: list[dict[str, Any]] = []
    with storage.opened(path) as stream:
        begin = position = 0
        line = 1
        while block := stream.read(bytes_):
            block += stream.readline(RECORD_BYTES)
            position += len(block)
            chunks.append({"path": path, "start": begin, "stop": position, "line": line})
            begin, line = position, line + block.count(b"\n")
    return chunks


def jsonl_rows(chunk: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]] | Bad]:
    """(line, object) of each line; blank lines are none. A value may hold half of an escaped pair."""
    for line, text in enumerate(lines_of(chunk), chunk["line"]):
        text = text.removeprefix("\ufeff")
        if not text.strip():
            continue
        wrong = doubt(line, text)
        if wrong is not None:
            yield wrong
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Bad(line, "not-json", f"line {line}: {error}", "write one JSON object a line")
            continue
        if isinstance(value, dict):
            yield line, value
        else:
            yield Bad(line, "not-an-object", f"line {line} is no object", "write one JSON object a line")


def parquet_chunks(path: str, bytes_: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """Row groups, as many together as make about `bytes_`; `row` is the number of the first row.

    Raises:
        DataError: not a Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        with storage.opened(path) as stream:
            told = pq.ParquetFile(stream).metadata
    except DataError:
        raise
    except Exception as error:  # whatever Arrow makes of damaged bytes
        raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error
    chunks: list[dict[str, Any]] = []
    row, size = 0, bytes_
    for group in range(told.num_row_groups):
        if size >= bytes_:
            chunks.append({"path": path, "groups": [], "row": row})
            size = 0
        chunks[-1]["groups"].append(group)
        size += told.row_group(group).total_byte_size
        row += told.row_group(group).num_rows
    return chunks


def parquet_tables(chunk: dict[str, Any], columns: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(number of the first row, Arrow table) of each part of a chunk.

    Raises:
        DataError: a part is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = chunk["row"]
    try:
        with storage.opened(chunk["path"]) as stream:
            file = pq.ParquetFile(stream)
            for batch in file.iter_batches(row_groups=chunk["groups"], columns=columns, batch_size=8192):
                yield row, pa.Table.from_batches([batch])
                row += batch.num_rows
    except DataError:
        raise
    except Exception as error:  # whatever Arrow makes of damaged bytes
        raise DataError(f"'{chunk['path']}' is damaged near row {row}: {error}") from error
