"""Records on disk: sorted runs, one or more a chunk, merged into shards that hold a range of the order.

So a shuffle moves names of files and never the records themselves, no process holds more than one
run or one shard, and the bytes do not depend on how many workers there were.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from components.modalities import Block, Record
from components.settings import Split
from components.splits import SPLITS, hashes, split_codes

RUN_BYTES = 32_000_000  # in memory, before it is written
SHARD_BYTES = 64_000_000  # of one shard, uncompressed
ROW_GROUP = 1024
OWN = [pa.field("key", pa.string()), pa.field("group", pa.string()), pa.field("digest", pa.binary(16))]


def schema_of(module: ModuleType) -> pa.Schema:
    """The columns of a kind's records."""
    return pa.schema([*OWN, *module.RECORD])


class Runs:
    """Gathers the records of one chunk and writes them as sorted runs of bounded size."""

    def __init__(self, folder: Path, chunk: int, module: ModuleType, split: Split) -> None:
        self.folder, self.chunk, self.module, self.split = folder, chunk, module, split
        self.tables: list[tuple[pa.Table, str | None]] = []
        self.records: list[Record] = []
        self.weight = 0
        self.loose = 0  # of what is not yet a table
        self.written: list[dict[str, Any]] = []

    def add(self, found: Record | Block) -> int:
        """Takes a record or a block and returns how many records it is."""
        if isinstance(found, Record):
            if self.records and found.part != self.records[0].part:
                self._tabulate()
            self.records.append(found)
            self.loose += _weight(found.fields)
            count = 1
        else:
            self._tabulate()
            columns = {"key": found.keys, "group": found.groups, **found.columns}
            arrays = [
                _array(columns.get(field.name), field.type, len(found.keys)) for field in self._fields()
            ]
            table = pa.Table.from_arrays(arrays, schema=pa.schema(self._fields()))
            self.tables.append((table, found.part))
            self.weight += table.nbytes
            count = len(found.keys)
        if self.weight + self.loose >= RUN_BYTES:
            self.flush()
        return count

    def _fields(self) -> list[pa.Field]:
        return [field for field in schema_of(self.module) if field.name != "digest"]

    def _tabulate(self) -> None:
        if self.records:
            found = self.records
            columns = [
                pa.array([r.key for r in found], pa.string()),
                pa.array([r.group for r in found], pa.string()),
            ]
            for field in self.module.RECORD:
                columns.append(pa.array([r.fields.get(field.name) for r in found], field.type))
            self.tables.append(
                (pa.Table.from_arrays(columns, schema=pa.schema(self._fields())), found[0].part)
            )
        self.weight += self.loose
        self.records, self.loose = [], 0

    def flush(self) -> None:
        """Writes what was gathered: sorted by split and order."""
        self._tabulate()
        if not self.tables:
            return
        pieces, codes, orders = [], [], []
        for table, part in self.tables:
            digest = digests(table, self.module.CONTENT)
            keys = table.column("key").to_pylist()
            if self.split.by == "content":
                names: list[Any] = digest
            else:
                groups = table.column("group").to_pylist() if table.column("group").null_count else None
                names = table.column("group").to_pylist() if groups is None else _either(groups, keys)
            codes.append(split_codes(names, self.split, part))
            orders.append(hashes(keys, "order"))
            table = table.append_column(OWN[2], pa.array(digest, pa.binary(16)))
            pieces.append(table.select(schema_of(self.module).names))
        code, order = np.concatenate(codes), np.concatenate(orders)
        rows = np.lexsort((order, code))
        table = (
            pa.concat_tables(pieces).combine_chunks().take(rows).append_column("order", pa.array(order[rows]))
        )
        name = f"{self.chunk:06d}-{len(self.written):04d}.arrow"
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as stream:
            stream.write_table(table)
        os.replace(temporary, self.folder / name)
        counts = np.bincount(code, minlength=len(SPLITS)).tolist()
        self.written.append({"run": name, "counts": counts, "bytes": table.nbytes})
        self.tables, self.weight = [], 0


def _either(groups: list[str | None], keys: list[str]) -> list[str]:
    return [key if group is None else group for group, key in zip(groups, keys, strict=True)]


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


def digests(table: pa.Table, content: Sequence[str]) -> list[bytes]:
    """Sixteen bytes for each row, equal where the content columns are."""
    heads = np.zeros((table.num_rows, 0), np.int64)
    bodies: list[tuple[bytes, list[Any]]] = []
    for number, name in enumerate(content):
        column = table.column(name)
        if pa.types.is_integer(column.type):
            numbers = column.fill_null(-(2**31) + 1).to_numpy().astype(np.int64)
            heads = np.concatenate([heads, numbers[:, None]], axis=1)
        elif column.null_count < len(column):
            bodies.append((b"\0%d\0" % number, column.to_pylist()))
    lead, width = heads.astype("<i8").tobytes(), 8 * heads.shape[1]
    leads = [lead[start : start + width] for start in range(0, len(lead), width)] if width else None
    parts = [[_tagged(mark, value) for value in body] for mark, body in bodies]
    if leads is not None:
        parts.insert(0, leads)
    blake2b = hashlib.blake2b
    return [blake2b(b"".join(row), digest_size=16).digest() for row in zip(*parts, strict=True)]


def _tagged(mark: bytes, value: Any) -> bytes:
    """A field as bytes behind its mark; nothing where it is missing."""
    if value is None:
        return b""
    return mark + (value if type(value) is bytes else json.dumps(value).encode())


def plan_shards(runs: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Runs → (shard name, what it is made of): each shard is a range of the order of one split."""
    runs = sorted(runs, key=lambda run: run["run"])
    totals = [0.0] * len(SPLITS)
    for run in runs:
        for code, count in enumerate(run["counts"]):
            totals[code] += run["bytes"] * count / max(sum(run["counts"]), 1)
    for code, split in enumerate(SPLITS):
        mine = [run for run in runs if run["counts"][code]]
        shards = max(1, -(-int(totals[code]) // SHARD_BYTES)) if mine else 0
        for number in range(shards):
            spans = [[r["run"], sum(r["counts"][:code]), sum(r["counts"][: code + 1])] for r in mine]
            low, high = number * 2**64 // shards, (number + 1) * 2**64 // shards
            yield f"{split}-{number:05d}-of-{shards:05d}", {"spans": spans, "low": low, "high": high}


def pieces(folder: Path, made_of: dict[str, Any]) -> Iterator[pa.Table]:
    """The records of one shard in their order, a row group at a time, read from slices of its runs."""
    slices = (_slice(folder / name, start, stop, made_of) for name, start, stop in made_of["spans"])
    found = [piece for piece in slices if piece.num_rows]
    if not found:
        return
    table = pa.concat_tables(found).combine_chunks()
    del found
    order = table.column("order").to_numpy()
    rows = np.argsort(order, kind="stable")
    if (order[rows][1:] == order[rows][:-1]).any():  # the same key twice, or one chance in 2^64
        keys = table.column("key").to_pylist()
        rows = np.array(sorted(rows.tolist(), key=lambda row: (order[row], keys[row])))
    table = table.drop_columns(["order"])
    for start in range(0, len(rows), ROW_GROUP):
        yield table.take(rows[start : start + ROW_GROUP])


def _slice(run: Path, start: int, stop: int, made_of: dict[str, Any]) -> pa.Table:
    """The records of a run in [start, stop) whose order is in the shard's range, copied: a run stays mapped
    no longer than it is looked at."""
    with pa.memory_map(str(run)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
        order = table.column("order").to_numpy()[start:stop]
        low = int(np.searchsorted(order, np.uint64(made_of["low"])))
        high = len(order)
        if made_of["high"] < 2**64:
            high = int(np.searchsorted(order, np.uint64(made_of["high"])))
        return table.take(np.arange(start + low, start + high))


def repeated(keys: list[str]) -> list[str]:
    """The keys of a shard that stand more than once; equal keys lie side by side."""
    return sorted({a for a, b in itertools.pairwise(keys) if a == b})


@contextlib.contextmanager
def shard_writer(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """A Parquet writer whose file takes its name when it is whole: the same bytes whoever wins."""
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    words = [field.name for field in schema if not pa.types.is_binary(field.type)]
    with pq.ParquetWriter(  # a dictionary and extremes of pixels cost much and help nobody
        temporary, schema, compression="zstd", use_dictionary=words, write_statistics=words
    ) as writer:
        yield writer
    os.replace(temporary, path)
