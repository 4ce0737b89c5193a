"""Parquet files with an encoded image in each row, as Hugging Face's hub keeps them.

Files named train-*, validation-* and test-* are official parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from components import storage
from components.errors import DataError
from components.image_sources import Read, official_parts
from components.image_tables import columns_of, records_of
from components.modalities import Record, Rejected, location

SOURCES = {
    "parquet": "parquet:FILE|FOLDER   rows with an encoded image (bytes), a label and perhaps a caption",
}
CHUNK_BYTES = 8_000_000
BATCH_ROWS = 32  # decoded at once


def preflight(source: str, read: Read) -> None:
    """Raises DataError where there is no Parquet file, or one without a column of images."""
    for entry in _listed(source):
        with _parquet(entry.path) as file:
            columns_of(file.schema_arrow, entry.path, read.labels, read.captions)


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The Parquet files."""
    return storage.listing(location(source), (".parquet",))


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of row groups, about 8 MB together."""
    listed = _listed(source)
    parts = official_parts(storage.last_part(entry.path) for entry in listed)
    chunks: list[dict[str, Any]] = []
    for entry in listed:
        file_name = storage.last_part(entry.path)
        alone = entry.path == location(source)
        name = file_name if alone else storage.relative(entry.path, location(source))
        chunk = {"scheme": "parquet", "path": entry.path, "name": name, "part": parts[file_name]}
        with _parquet(entry.path) as file:
            chunks += [{**chunk, **span} for span in _spans(file.metadata)]
    return chunks


def _spans(metadata: Any) -> Iterator[dict[str, Any]]:
    """Row groups and the number of their first row, gathered to about 8 MB."""
    groups: list[int] = []
    first = rows = weight = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        groups.append(number)
        rows += group.num_rows
        weight += group.total_byte_size
        if weight >= CHUNK_BYTES or number == metadata.num_row_groups - 1:
            yield {"groups": groups, "first": first}
            groups, first, weight = [], rows, 0


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of some row groups, decoded a few at a time."""
    row = chunk["first"]
    with _parquet(chunk["path"]) as file:
        columns = columns_of(file.schema_arrow, chunk["path"], options.labels, options.captions)
        for batch in file.iter_batches(BATCH_ROWS, chunk["groups"], columns.read, use_threads=False):
            keys = [f"{chunk['name']}#{i:07d}" for i in range(row, row + batch.num_rows)]
            yield from records_of(batch, columns, keys, chunk["part"], options)
            row += batch.num_rows


def _listed(source: str) -> list[storage.Entry]:
    listed = files(source)
    if not listed:
        raise DataError(f"data.source '{source}': no .parquet file under '{location(source)}'")
    return listed


@contextlib.contextmanager
def _parquet(path: str) -> Iterator[Any]:
    """The opened file; what is wrong with it is said with its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with storage.opened(path) as stream:
        try:
            yield pq.ParquetFile(stream, buffer_size=1_000_000, pre_buffer=False)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error
