"""Records on disk: sorted runs (components.runs) merged into shards that hold a range of the order.

So a shuffle moves names of files and never the records themselves, no process holds more than one
run or one shard, and the bytes do not depend on how many workers there were.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.gathering import Gathered, long_columns, memory_of
from components.splits import SPLITS

SHARD_BYTES = 64_000_000  # of one shard, uncompressed
ROW_GROUP = 1024
SAMPLE = 1_000_000  # bytes of long values, by which it is found out whether compression helps
HELPS = 0.9  # size by lz4, as a share of that without, up to which it is worth its time
SMALLER = 0.67  # size by zstd, as a share of that by lz4, up to which it is worth thrice the time, each time


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
    found = [pa.Table.from_batches([piece]) for some in slices for piece in some.to_batches() if len(piece)]
    if not found:
        return
    order = np.concatenate([piece.column("order").to_numpy() for piece in found])
    rows = np.argsort(order, kind="stable")
    if (order[rows][1:] == order[rows][:-1]).any():  # the same key twice, or one chance in 2^64
        keys = [key for piece in found for key in piece.column("key").to_pylist()]
        rows = np.array(sorted(rows.tolist(), key=lambda row: (order[row], keys[row])))
    gathered = Gathered([piece.drop_columns(["order"]) for piece in found])
    for start in range(0, len(rows), ROW_GROUP):
        yield gathered.take(rows[start : start + ROW_GROUP])


def _slice(run: Path, start: int, stop: int, made_of: dict[str, Any]) -> pa.Table:
    """The records of a run in [start, stop) whose order is in the shard's range, copied out of the file, which
    is mapped meanwhile: so no more than one run is in memory beside the shard, however many there are."""
    with pa.memory_map(str(run)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
    order = table.column("order").to_numpy()[start:stop]
    low = int(np.searchsorted(order, np.uint64(made_of["low"])))
    high = len(order)
    if made_of["high"] < 2**64:
        high = int(np.searchsorted(order, np.uint64(made_of["high"])))
    return _copied(table.slice(start + low, high - low))


def _copied(table: pa.Table) -> pa.Table:
    """The same rows in memory of their own, and no others."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def repeated(keys: pa.ChunkedArray) -> list[str]:
    """The keys of a shard that stand more than once; equal keys lie side by side."""
    keys = keys.combine_chunks()
    same = pc.equal(keys[1:], keys[:-1])
    return sorted(set(keys[1:].filter(same).to_pylist()))


@contextlib.contextmanager
def shard_writer(path: Path, first: pa.Table) -> Iterator[Any]:
    """A Parquet writer whose file takes its name when it is whole: the same bytes whoever wins. The `first`
    records tell the columns, and whether compression helps."""
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    words = [field.name for field in first.schema if not pa.types.is_binary(field.type)]
    codec = codec_of(first)
    with pq.ParquetWriter(  # a dictionary and extremes of pixels cost much and help nobody
        temporary, first.schema, compression=codec, use_dictionary=words, write_statistics=words
    ) as writer:
        yield writer
    os.replace(temporary, path)


def codec_of(table: pa.Table) -> str:
    """How a file that begins with `table` is compressed: as a sample of its long values says."""
    names = long_columns(table)
    sizes = np.array([_sizes(table.column(name).chunk(0)) for name in names]).sum(axis=0) if names else None
    if sizes is None:
        return "zstd"
    plain, quick, small = sizes.tolist()
    if small <= SMALLER * quick:
        return "zstd"
    return "lz4" if quick <= HELPS * plain else "none"


def _sizes(column: pa.Array) -> tuple[int, int, int]:
    """Bytes of a sample: as it is, by lz4, by zstd."""
    memory, edges = memory_of(column)
    sample = memory[edges[0] : min(edges[-1], edges[0] + SAMPLE)]
    quick, small = (len(pa.compress(sample, codec, asbytes=True)) for codec in ("lz4_raw", "zstd"))
    return len(sample), quick, small
