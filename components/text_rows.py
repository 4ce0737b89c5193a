"""Rows of JSONL and Parquet as documents: one field is the text, another may name the record."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from components import tables
from components.errors import DataError
from components.modalities import Record, Rejected
from components.text_documents import whole_document


def plan(piece: dict[str, Any], field: str, name: str) -> list[dict[str, Any]]:
    """Chunks of one file.

    Raises:
        DataError: a Parquet file that cannot be read, or has no such column of strings.
    """
    if piece["format"] == "jsonl":
        chunks = tables.jsonl_chunks(piece["path"])
    else:
        _check_columns(piece["path"], field, name)
        chunks = tables.parquet_chunks(piece["path"])
    return [{"rows": chunk, "name": piece["name"], "format": piece["format"]} for chunk in chunks]


def _check_columns(path: str, field: str, name: str) -> None:
    import pyarrow.parquet as pq

    from components import storage

    try:
        with storage.opened(path) as stream:
            schema = pq.read_schema(stream)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error
    for option, column in (("field", field), ("id", name)):
        if column and column not in schema.names:
            has = ", ".join(schema.names)
            raise DataError(f"'{path}' has no column '{column}' (data.read.{option}): it has {has}")
    kind = schema.field(field).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"'{path}': column '{field}' is of {kind}: data.read.field names one of strings")


def read(chunk: dict[str, Any], field: str, name: str, cut: dict[str, Any]) -> Iterator[Record | Rejected]:
    """The documents of one chunk; `cut` is how `whole_document` makes blocks of them."""
    for row, values in _rows(chunk, [column for column in (field, name) if column]):
        key = f"{chunk['name']}#{row}"
        if isinstance(values, tables.Bad):
            yield Rejected(key, values.rule, values.reason, values.remedy)
            continue
        if name:
            own = values.get(name)
            own = own.decode("utf-8", "backslashreplace") if isinstance(own, bytes) else own
            if not isinstance(own, str | int) or own == "":
                reason = f"row {row} has no name in '{name}'"
                yield Rejected(key, "no-id", reason, f"give it one, or leave data.read.id out ({name})")
                continue
            key = str(own).encode("utf-8", "backslashreplace").decode()
        text = values.get(field)
        body = text if isinstance(text, bytes) else None
        if isinstance(text, str):
            body = text.encode("utf-8", "surrogatepass")  # which is not UTF-8, and found as such
        if body is None:
            what = "no" if text is None else "something else than text in"
            yield Rejected(key, "no-text", f"row {row} has {what} '{field}'", "see data.read.field")
            continue
        yield from _document(key, body, cut)


def _document(key: str, body: bytes, cut: dict[str, Any]) -> Iterator[Record | Rejected]:
    """The blocks of one row; the only one is called as the row."""
    found = list(whole_document(io.BytesIO(body), key, key, 0, **cut))
    if len(found) == 1:
        found = [replace(found[0], key=key)]
    yield from found


def _rows(chunk: dict[str, Any], columns: list[str]) -> Iterator[tuple[int, Any]]:
    """(row, values or what is wrong): the line of JSONL from 1, the row of Parquet from 0."""
    if chunk["format"] == "jsonl":
        for found in tables.jsonl_rows(chunk["rows"]):
            yield (found.number, found) if isinstance(found, tables.Bad) else found
        return
    for first, table in tables.parquet_tables(chunk["rows"], columns):
        raw = {name: _undecoded(table.column(name)) for name in columns}
        for i in range(table.num_rows):
            yield first + i, {name: values[i] for name, values in raw.items()}


def _undecoded(column: pa.ChunkedArray) -> list[Any]:
    """Strings as bytes, because a file may hold what is not UTF-8."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary()).to_pylist()
    return column.to_pylist()
