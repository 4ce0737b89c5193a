"""Ingest: a source becomes records, sharded, split and deterministic to the byte.

records/
  train-00000-of-00001.parquet  validation-...  test-...     key, and the kind's columns
  rejected/rejected.jsonl                                    {"key", "reason"} of what is unreadable
  manifest.json                                              counts: read = written + rejected
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from components.artifacts import fingerprint_of, writing
from components.dataflow import from_ipc, run, to_ipc, unit_hash, write_bytes
from components.errors import DataError
from components.modalities import Record, Rejected, modality_of, name_of
from components.settings import DataSettings, Split

SPLITS = ("train", "validation", "test")
SHARD_BYTES = 64_000_000
REJECTED = "rejected"
READ = "read"  # the key under which each chunk tells how many records it held


def source_fingerprint(source: str) -> str:
    """A cheap fingerprint of a source: names, sizes and times of its files, not their bytes."""
    files = modality_of(source).files(source)
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
    return fingerprint_of(source, stats)


def split_of(record_key: str, split: Split, part: str | None) -> str:
    """The split of a record, by a stable hash of its key. An official test part stays the test
    split, and an official train part is shared between train and validation."""
    if part == "test":
        return "test"
    at = unit_hash(record_key, "split")
    if part == "train":
        return "train" if at < split.train / (split.train + split.validation) else "validation"
    return "train" if at < split.train else "validation" if at < split.train + split.validation else "test"


def ingest(data: DataSettings, records: Path) -> dict[str, Any]:
    """Reads `data.source` into the folder `records` and returns its manifest.

    Raises:
        DataError: the source is missing or holds nothing.
    """
    modality = modality_of(data.source)
    modality.preflight(data.source)
    read_options = modality.Read.parse(data.read)
    chunks = modality.plan(data.source, read_options)
    size = sum(file.stat().st_size for file in modality.files(data.source) if file.exists())
    shards = max(1, round(size / SHARD_BYTES))
    with writing(records, "ingest") as (folder, manifest):
        (folder / REJECTED).mkdir()
        reader = _Reader(name_of(modality), data, shards)
        results = run(chunks, reader, _ShardWriter(str(folder)), folder, data.beam)
        manifest["counts"] = _counts(results, len(chunks), data.source)
        manifest["modality"] = name_of(modality)
        files = sorted((result["name"], result["sha256"]) for result in results if result["part"] != READ)
        manifest["fingerprint"] = fingerprint_of(files)
    return manifest


def _counts(results: list[dict[str, Any]], chunks: int, source: str) -> dict[str, int]:
    """Records by split, rejected and read. What was read is counted before the shuffle and what was
    written after it, so that a runner that loses records is caught."""
    counts = {
        part: sum(result["records"] for result in results if result["part"] == part)
        for part in (*SPLITS, REJECTED, READ)
    }
    told = sum(result["chunks"] for result in results if result["part"] == READ)
    if told != chunks or 2 * counts[READ] != sum(counts.values()):
        raise DataError(
            f"'{source}': records were lost on the way ({told} of {chunks} chunks arrived; {counts}): "
            "run again with data.beam empty, the in-process runner"
        )
    if not counts[READ]:
        raise DataError(f"data.source '{source}' holds no record at all")
    return counts


class _Reader:
    """One chunk → (shard name, Arrow bytes), (rejected, JSON lines) and (read, number)."""

    def __init__(self, modality: str, data: DataSettings, shards: int) -> None:
        self.modality, self.data, self.shards = modality, data, shards

    def __call__(self, chunk: Any) -> Iterator[tuple[str, bytes]]:
        import pyarrow as pa

        module = modality_of(self.data.source)
        groups: dict[str, list[Record]] = {}
        rejected = []
        read = 0
        for found in module.read(chunk, module.Read.parse(self.data.read)):
            read += 1
            if isinstance(found, Rejected):
                rejected.append(json.dumps({"key": found.key, "reason": found.reason}, sort_keys=True))
                continue
            shard = int(unit_hash(found.key, "shard") * self.shards)
            name = f"{split_of(found.key, self.data.split, found.part)}-{shard:05d}-of-{self.shards:05d}"
            groups.setdefault(name, []).append(found)
        schema = pa.schema([pa.field("key", pa.string()), *module.RECORD])
        for name, group in groups.items():
            rows = [{"key": record.key, **record.fields} for record in group]
            yield name, to_ipc(pa.Table.from_pylist(rows, schema))
        if rejected:
            yield REJECTED, "\n".join(rejected).encode()
        yield READ, str(read).encode()


class _ShardWriter:
    """Writes one shard, its records in a stable random order; or the list of the rejected."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str, parts: Iterable[bytes]) -> dict[str, Any]:
        import hashlib

        parts = list(parts)
        if name == READ:
            return {"part": READ, "records": sum(map(int, parts)), "chunks": len(parts)}
        if name == REJECTED:
            lines = sorted(line for part in parts for line in part.decode().split("\n"))
            path = Path(self.folder) / REJECTED / "rejected.jsonl"
            body, count = ("\n".join(lines) + "\n").encode(), len(lines)
        else:
            table = from_ipc(parts)
            count = table.num_rows
            keys = table.column("key").to_pylist()
            order = sorted(range(count), key=lambda i: (unit_hash(keys[i], "order"), keys[i]))
            path = Path(self.folder) / f"{name}.parquet"
            body = _parquet(table.take(order))
        write_bytes(path, body)
        return {
            "name": path.name,
            "part": name.split("-", 1)[0],
            "records": count,
            "sha256": hashlib.sha256(body).hexdigest(),
        }


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=1024)
    return sink.getvalue()


def shards_of(records: Path, split: str) -> list[Path]:
    """The shard files of one split, in order."""
    return sorted(records.glob(f"{split}-*.parquet"))
