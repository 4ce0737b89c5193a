"""Sorted runs: what reading hands on to writing, in files; one or more a chunk, each of bounded size."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from components.gathering import Gathered, memory_of
from components.modalities import Block, Record
from components.settings import Split
from components.shards import ROW_GROUP
from components.splits import SPLITS, hashes, split_codes

RUN_BYTES = 16_000_000  # in memory, before it is written
OWN = [pa.field("key", pa.string()), pa.field("group", pa.string()), pa.field("digest", pa.binary(16))]
Column = Any  # a list, or an Arrow array
NO_NUMBER = -(2**31) + 1  # in a digest, for a missing one


def schema_of(module: ModuleType) -> pa.Schema:
    """The columns of a kind's records."""
    return pa.schema([*OWN, *module.RECORD])


class Runs:
    """Gathers the records of one chunk and writes them as runs, sorted by split and order."""

    def __init__(self, folder: Path, chunk: int, module: ModuleType, split: Split) -> None:
        self.folder, self.chunk, self.module, self.split = folder, chunk, module, split
        self.schema = schema_of(module)
        self.tables: list[pa.Table] = []
        self.codes: list[np.ndarray] = []
        self.orders: list[np.ndarray] = []
        self.records: list[Record] = []
        self.weight = 0  # bytes
        self.written: list[dict[str, Any]] = []

    def add(self, found: Record | Block) -> int:
        """Takes a record or a block and returns how many records it is."""
        if isinstance(found, Record):
            if self.records and found.part != self.records[0].part:
                self._tabulate()
            self.records.append(found)
            self.weight += _weight(found.fields)
            count = 1
        else:
            self._tabulate()
            self._take(found)
            count = len(found.keys)
        if self.weight >= RUN_BYTES:
            self.flush()
        return count

    def _take(self, block: Block) -> None:
        """A block becomes a table, in its own order."""
        count, keys = len(block.keys), list(block.keys)
        columns = {
            field.name: _array(block.columns.get(field.name), field.type, count)
            for field in self.module.RECORD
        }
        digest = digests([columns[name] for name in self.module.CONTENT])
        groups = None if block.groups is None else list(block.groups)
        codes, orders = self._places(keys, groups, digest, block.part)
        own = [
            _array(keys, OWN[0].type, count),
            _array(groups, OWN[1].type, count),
            _array(digest, OWN[2].type, count),
        ]
        self._keep(pa.Table.from_arrays([*own, *columns.values()], schema=self.schema), codes, orders)
        self.weight += self.tables[-1].nbytes

    def _tabulate(self) -> None:
        """The records become a table, sorted before their values are copied into it."""
        if not self.records:
            return
        found, self.records = self.records, []
        columns = _columns(found, self.module)
        keys, groups, digest = columns[: len(OWN)]
        codes, orders = self._places(keys, groups, digest, found[0].part)
        rows = np.lexsort((orders, codes))
        arrays = [
            _sorted(column, rows, field.type) for column, field in zip(columns, self.schema, strict=True)
        ]
        self._keep(pa.Table.from_arrays(arrays, schema=self.schema), codes[rows], orders[rows])

    def _places(
        self, keys: list[str], groups: Sequence[str | None] | None, digest: list[bytes], part: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The split of each record, and its place in the order."""
        names: Sequence[str | bytes] = digest
        if self.split.by == "key":
            names = keys
            if groups is not None:
                names = [key if group is None else group for group, key in zip(groups, keys, strict=True)]
        return split_codes(names, self.split, part), hashes(keys, "order")

    def _keep(self, table: pa.Table, codes: np.ndarray, orders: np.ndarray) -> None:
        self.tables.append(table)
        self.codes.append(codes)
        self.orders.append(orders)

    def flush(self) -> None:
        """Writes what was gathered."""
        self._tabulate()
        if not self.tables:
            return
        code, order = np.concatenate(self.codes), np.concatenate(self.orders)
        rows = np.lexsort((order, code))
        pieces: Iterable[pa.Table] = self.tables
        if len(self.tables) > 1 or (rows[1:] < rows[:-1]).any():
            gathered = Gathered(self.tables)
            pieces = (
                gathered.take(rows[start : start + ROW_GROUP]) for start in range(0, len(rows), ROW_GROUP)
            )
        name = f"{self.chunk:06d}-{len(self.written):04d}.arrow"
        size = self._write(self.folder / name, pieces, order[rows])
        counts = np.bincount(code, minlength=len(SPLITS)).tolist()
        self.written.append({"run": name, "counts": counts, "bytes": size})
        self.tables, self.codes, self.orders, self.weight = [], [], [], 0

    def _write(self, path: Path, pieces: Iterable[pa.Table], order: np.ndarray) -> int:
        """Writes a run of the pieces and their places in the order; returns its bytes in memory."""
        size = written = 0
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        schema = self.schema.append(pa.field("order", pa.uint64()))
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as stream:
            for piece in pieces:
                end = written + piece.num_rows
                stream.write_table(piece.append_column(schema.field("order"), pa.array(order[written:end])))
                size, written = size + piece.nbytes + 8 * piece.num_rows, end
        os.replace(temporary, path)
        return size


def row_groups(records: Iterable[Record], module: ModuleType) -> Iterator[pa.Table]:
    """Records that come in their order, as tables of a row group each."""
    schema = schema_of(module)
    gathered: list[Record] = []
    weight = 0
    for record in itertools.chain(records, [None]):
        if record is not None:
            gathered.append(record)
            weight += _weight(record.fields)
        if gathered and (record is None or len(gathered) == ROW_GROUP or weight >= RUN_BYTES):
            columns = zip(_columns(gathered, module), schema, strict=True)
            yield pa.Table.from_arrays(
                [_array(column, field.type, len(gathered)) for column, field in columns], schema=schema
            )
            gathered, weight = [], 0


def _columns(found: list[Record], module: ModuleType) -> list[Column]:
    """Key, group, digest and the kind's columns; what is not bytes or text is an Arrow array."""
    columns: dict[str, Column] = {}
    for field in module.RECORD:
        values = [one.fields.get(field.name) for one in found]
        columns[field.name] = values if _is_bytes(field.type) else pa.array(values, field.type)
    digest = digests([columns[name] for name in module.CONTENT])
    return [[one.key for one in found], [one.group for one in found], digest, *columns.values()]


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_string(kind)


def _sorted(column: Column, rows: np.ndarray, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.Array):
        return column.take(pa.array(rows))
    return pa.array([column[row] for row in rows.tolist()], kind)


def _array(values: Any, kind: pa.DataType, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _weight(fields: dict[str, Any]) -> int:
    """Bytes of a record, roughly."""
    long = 0
    for value in fields.values():
        if type(value) in (bytes, str):
            long += len(value)
        elif type(value) in (list, tuple):
            long += 8 * len(value)
    return 64 + 8 * len(fields) + long


def digests(columns: Sequence[Column]) -> list[bytes]:
    """Sixteen bytes for each row of the columns, equal where the columns are: of the integers, and of each
    other value that is not missing behind the number of its column."""
    integers: list[np.ndarray] = []
    others: list[Iterable[bytes | memoryview]] = []
    for number, column in enumerate(columns):
        if isinstance(column, pa.Array) and pa.types.is_integer(column.type):
            integers.append(column.fill_null(NO_NUMBER).to_numpy().astype("<i8"))
            continue
        values, missing = _plain(column)
        if missing < len(values):
            mark = b"\0%d\0" % number
            marks = itertools.repeat(mark, len(values))
            others.append([b"" if value is None else mark for value in values] if missing else marks)
            others.append(values if type(values[0]) is memoryview else [_as_bytes(value) for value in values])
    if integers:
        lead, width = np.stack(integers, axis=1).tobytes(), 8 * len(integers)
        others.insert(0, [lead[start : start + width] for start in range(0, len(lead), width)])
    blake2b = hashlib.blake2b
    return [blake2b(b"".join(row), digest_size=16).digest() for row in zip(*others, strict=True)]


def _plain(column: Column) -> tuple[Sequence[Any], int]:
    """The values one by one, and how many are missing; those of a binary column are looked at where they lie."""
    if not isinstance(column, pa.Array):
        return column, column.count(None)
    if column.null_count or not pa.types.is_binary(column.type) or not len(column):
        return column.to_pylist(), column.null_count
    memory, edges = memory_of(column)
    return [memory[start:stop] for start, stop in itertools.pairwise(edges.tolist())], 0


def _as_bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    return b"" if value is None else json.dumps(value).encode()
