"""Ingest: a source becomes records, sharded, split and deterministic to the byte.

records/
  train-00000-of-00001.parquet  validation-...  test-...     key, group, digest and the kind's columns
  rejected/rejected.jsonl                                    {"key", "rule", "reason", "remedy"}, sorted
  duplicates.json                                            what is there twice (components.duplicates)
  manifest.json                                              counts: read = written + rejected
"""

from __future__ import annotations

import heapq
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from components import duplicates, shards, spans
from components.artifacts import fingerprint_of, sha256_of, write_json, writing
from components.dataflow import Stage, run, write_bytes
from components.errors import DataError, IntegrityError
from components.modalities import Block, Record, Rejected, modalities, modality_of, name_of
from components.named import shard_chunks
from components.runs import Runs, row_groups
from components.settings import DataSettings
from components.splits import SPLITS

REJECTED = "rejected"
RUNS = ".runs"  # between reading and writing, removed at the end
READ, SHARD = "read", "shard"  # keys of the results


def source_fingerprint(data: DataSettings) -> str:
    """A cheap fingerprint of a source: names, sizes and states of its files, not their bytes."""
    modality = modality_of(data.source)
    read = modality.Read.parse(data.read)
    files = [file for _, source in spans.sources(data) for file in modality.files(source, read)]
    return fingerprint_of(data.source, [(file.path, file.bytes, file.state) for file in files])


def ingest(data: DataSettings, records: Path) -> dict[str, Any]:
    """Reads `data.source` into the folder `records` and returns its manifest.

    Raises:
        DataError: the source is missing or holds nothing, or two records have one key.
    """
    modality = modality_of(data.source)
    options = modality.Read.parse(data.read)
    parts = spans.sources(data)
    for _, source in parts:
        modality.preflight(source, options)
    planned = [(span, chunk) for span, source in parts for chunk in modality.plan(source, options)]
    named = None
    if hasattr(modality, "named_records") and data.split.by == "key" and not spans.has_spans(data):
        named = modality.named_records([chunk for _, chunk in planned], options)
    work: list[Any] = list(planned)
    if named is not None:
        work = [*shard_chunks(named, data.split), *(("", one) for one in named.rest)]
    chunks = list(enumerate(work))
    with writing(records, "ingest") as (folder, manifest):
        (folder / REJECTED).mkdir()
        (folder / RUNS).mkdir()
        stages: list[Stage] = [duplicates.Examine()]
        read: _Reader | _ReadShard = _ReadShard(str(folder), data)
        if named is None:
            read = _Reader(str(folder), data)
            stages = [_Plan(), _Write(str(folder), name_of(modality)), *stages]
        found = run(chunks, read, stages, folder, data.beam)
        written = [result for kind, result in found if kind == SHARD]
        told = [result for kind, result in found if kind == READ]
        manifest["rejected"] = _gather_rejected(folder)
        manifest["counts"] = _counts(folder, written, told, len(chunks), data.source)
        manifest["modality"] = name_of(modality)
        manifest["fingerprint"] = fingerprint_of(sorted((s["name"], s["sha256"]) for s in written))
        twins = [(kind, result) for kind, result in found if kind.startswith(duplicates.PREFIX)]
        write_json(folder / "duplicates.json", duplicates.gather(twins, folder, name_of(modality)))
        for leftover in (folder / RUNS).iterdir():
            leftover.unlink()
        (folder / RUNS).rmdir()
    for result in written:
        if manifest["files"][result["name"]]["sha256"] != result["sha256"]:
            shutil.rmtree(records)
            raise IntegrityError(f"{result['name']} was written and reads back differently: check the disk")
    return manifest


def _counts(
    folder: Path, written: list[dict[str, Any]], told: list[dict[str, Any]], chunks: int, source: str
) -> dict[str, int]:
    """Records by split, rejected and read. What was read is counted before the shuffle, what was written
    after it and again on the disk, so that a runner or a disk that loses records is caught."""
    import pyarrow.parquet as pq

    repeated = [key for result in written for key in result["repeated"]]
    if repeated:
        raise DataError(
            f"data.source '{source}': {len(repeated)} keys stand for more than one record, the first is "
            f"'{min(repeated)}': give each record a name of its own"
        )
    for result in written:
        file = folder / result["name"]
        if not file.is_file() or pq.read_metadata(file).num_rows != result["records"]:
            raise IntegrityError(f"{result['name']} was written and reads back differently: check the disk")
    counts = {split: sum(r["records"] for r in written if r["split"] == split) for split in SPLITS}
    counts |= {REJECTED: sum(r["rejected"] for r in told), READ: sum(r["read"] for r in told)}
    lines = (folder / REJECTED / "rejected.jsonl").read_bytes().count(b"\n")
    chunks_told = {chunk for result in told for chunk in result["chunks"]}
    if (
        chunks_told != set(range(chunks))
        or 2 * counts[READ] != sum(counts.values())
        or lines != counts[REJECTED]
    ):
        raise DataError(
            f"'{source}': records were lost on the way ({len(chunks_told)} of {chunks} chunks arrived; {counts}): "
            "run again with data.beam left out, the in-process runner"
        )
    if not counts[READ]:
        raise DataError(f"data.source '{source}' holds no record at all")
    return counts


def _gather_rejected(folder: Path) -> dict[str, int]:
    """The sorted lists of the rejected, a chunk's each, become one; returns how many by rule."""
    parts = [path.open("rb") for path in sorted((folder / RUNS).glob("*.jsonl"))]
    rules: Counter[str] = Counter()
    with (folder / REJECTED / "rejected.jsonl").open("wb") as out:
        for line in heapq.merge(*parts):
            out.write(line)
            rules[json.loads(line)["rule"]] += 1
    for part in parts:
        part.close()
    return dict(sorted(rules.items()))


class _Reader:
    """One chunk → its runs and its list of the rejected on disk; yields what a shard planner needs."""

    def __init__(self, folder: str, data: DataSettings) -> None:
        self.folder, self.data = folder, data

    def __call__(self, numbered: tuple[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        number, (span, chunk) = numbered
        module = modality_of(self.data.source)
        runs = Runs(Path(self.folder) / RUNS, number, module, self.data.split)
        rejected: list[Rejected] = []
        read = sum(runs.add(found) for found in _records(module, chunk, self.data, rejected, span))
        runs.flush()
        _write_rejected(Path(self.folder), number, rejected)
        yield (
            "",
            {
                "chunk": number,
                "read": read + len(rejected),
                "rejected": len(rejected),
                "runs": runs.written,
            },
        )


class _ReadShard:
    """One chunk that is a shard (components.named) → the shard and its list of the rejected on disk; or, under
    no name, only the rejected."""

    def __init__(self, folder: str, data: DataSettings) -> None:
        self.folder, self.data = folder, data

    def __call__(self, numbered: tuple[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        number, (name, chunk) = numbered
        module = modality_of(self.data.source)
        rejected: list[Rejected] = []
        read = 0

        def counted() -> Iterator[Any]:
            nonlocal read
            for record in _records(module, chunk, self.data, rejected):
                read += 1
                yield record

        yield from _written(Path(self.folder), name, row_groups(counted(), module), module)
        _write_rejected(Path(self.folder), number, rejected)
        yield READ, {"chunks": [number], "read": read + len(rejected), "rejected": len(rejected)}


def _records(
    module: ModuleType, chunk: Any, data: DataSettings, rejected: list[Rejected], span: str = ""
) -> Iterator[Record | Block]:
    """What a chunk, of a span or not, holds; what is rejected is put aside."""
    for one in module.read(chunk, module.Read.parse(data.read)):
        found = spans.within(one, span)
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            yield found


def _write_rejected(folder: Path, number: int, rejected: list[Rejected]) -> None:
    if rejected:
        lines = sorted(json.dumps(vars(one), sort_keys=True).encode() + b"\n" for one in rejected)
        write_bytes(folder / RUNS / f"{number:06d}.jsonl", b"".join(lines))


class _Plan:
    """What all chunks say → which shard is made of what."""

    def __call__(self, key: str, told: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
        yield from shards.plan_shards([run for chunk in told for run in chunk["runs"]])
        yield (
            READ,
            {
                "chunks": sorted(chunk["chunk"] for chunk in told),
                "read": sum(chunk["read"] for chunk in told),
                "rejected": sum(chunk["rejected"] for chunk in told),
            },
        )


class _Write:
    """Writes one shard; yields its name, count and digest, and what a search for duplicates needs."""

    def __init__(self, folder: str, modality: str) -> None:
        self.folder, self.modality = folder, modality

    def __call__(self, name: str, values: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
        if name == READ:
            yield from ((READ, value) for value in values)
            return
        folder, module = Path(self.folder), modalities()[self.modality]
        yield from _written(folder, name, shards.pieces(folder / RUNS, values[0]), module)


def _written(
    folder: Path, name: str, pieces: Iterator[pa.Table], module: ModuleType
) -> Iterator[tuple[str, Any]]:
    """Writes one shard; yields what is told of it, and what a search for duplicates needs."""
    first = next(pieces, None)
    if first is None:  # a range of the order that no record lies in
        return
    path, marks = folder / f"{name}.parquet", duplicates.Marks(module, folder / RUNS)
    keys = []
    with shards.shard_writer(path, first) as writer:
        for piece in itertools.chain([first], pieces):
            writer.write_table(piece)
            marks.add(piece)
            keys += piece.column("key").chunks
    yield (
        SHARD,
        {
            "name": path.name,
            "split": name.split("-", 1)[0],
            "records": sum(map(len, keys)),
            "sha256": sha256_of(path),
            "repeated": shards.repeated(pa.chunked_array(keys)),
        },
    )
    yield from marks.traces(name)


def shards_of(records: Path, split: str) -> list[Path]:
    """The shard files of one split, in order."""
    return sorted(records.glob(f"{split}-*.parquet"))
