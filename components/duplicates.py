"""Duplicates: records that are there twice, or nearly so, above all across the splits.

A record that train and test both hold flatters every number measured on test: it is found here,
counted and shown; gate 1 decides. Equal records have equal digests. Near ones are candidates where
one of four bands of their signatures is equal (locality-sensitive hashing, Indyk & Motwani 1998)
and few bits differ; the kind of data then compares the records themselves (`alike`). Only places
are shuffled, never records.

duplicates.json   {"exact": {"groups", "records", "leaked": {"validation", "test"}, "first"},
                   "near": {"pairs", "leaked", "first", "not_compared"} or null where the kind has no likeness}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from components.dataflow import write_bytes
from components.gathering import Gathered
from components.likeness import BYTES, distance
from components.modalities import modalities

PREFIX = "twins"
EXACT, NEAR = f"{PREFIX}/exact", f"{PREFIX}/near"
BUCKETS = 16
WIDTH = 4 + 16  # bytes of a mark: the row, and a digest or a signature
BANDS = 4
MOST_BITS = 8  # of 128: an angle of 11 degrees
MOST_ALIKE = 500  # followers of a record, among those with its band value, that it is compared with
MOST_CANDIDATES = 64  # pairs of one bucket that are looked at, the nearest first
SHOWN = 20


class Marks:
    """Gathers what a search for duplicates needs of one shard: a digest a record, and a signature."""

    def __init__(self, module: ModuleType, folder: Path) -> None:
        self.module, self.folder = module, folder
        self.digests: list[bytes] = []
        self.signatures: list[np.ndarray] = []

    def add(self, table: pa.Table) -> None:
        """Takes the next records of the shard."""
        self.digests += table.column("digest").to_pylist()
        if hasattr(self.module, "signatures"):
            self.signatures.append(self.module.signatures(table))

    def traces(self, shard: str) -> Iterator[tuple[str, Any]]:
        """Rows with their digests, and with their signatures, sorted by bucket on the disk; yields where
        in which file a bucket is."""
        digest = np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, 16)
        yield from self._by_bucket(EXACT, shard, digest[:, 0] % BUCKETS, digest)
        if self.signatures:
            signature = np.concatenate(self.signatures)
            width = BYTES // BANDS
            for band in range(BANDS):
                value = signature[:, band * width : (band + 1) * width]
                yield from self._by_bucket(f"{NEAR}/{band}", shard, value[:, 0] % BUCKETS, signature)

    def _by_bucket(
        self, name: str, shard: str, bucket: np.ndarray, values: np.ndarray
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        order = np.argsort(bucket, kind="stable")
        rows = order.astype("<u4")[:, None].view(np.uint8)
        path = self.folder / f"{shard}.{name.replace('/', '-')}.marks"
        write_bytes(path, np.concatenate([rows, values[order]], axis=1).tobytes())
        edges = np.searchsorted(bucket[order], np.arange(BUCKETS + 1)).tolist()
        for number in range(BUCKETS):
            start, stop = edges[number : number + 2]
            if stop > start:
                yield (
                    f"{name}/{number:02d}",
                    {"shard": shard, "file": str(path), "start": start, "stop": stop},
                )


def _marks(entry: dict[str, Any]) -> np.ndarray:
    """A bucket's part of a shard, uint8 `[n, 4 + 16]`: the row, and its digest or signature."""
    with Path(entry["file"]).open("rb") as stream:
        stream.seek(entry["start"] * WIDTH)
        return np.frombuffer(stream.read((entry["stop"] - entry["start"]) * WIDTH), np.uint8).reshape(
            -1, WIDTH
        )


class Examine:
    """One bucket → its equal records, or its pairs that may be alike; other results pass through."""

    def __call__(self, name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
        """See the class."""
        if not name.startswith(PREFIX):
            yield from ((name, value) for value in values)
            return
        entries = sorted(values, key=lambda entry: entry["shard"])
        marks = [_marks(entry) for entry in entries]
        places = _Places(
            [entry["shard"] for entry in entries],
            np.repeat(np.arange(len(entries)), [len(some) for some in marks]),
            np.concatenate([some[:, :4].copy().view("<u4")[:, 0] for some in marks]),
        )
        given = np.concatenate([some[:, 4:] for some in marks])
        if name.startswith(EXACT):
            yield name, _equal(places, given)
        else:
            yield name, _alike(places, given, int(name.split("/")[2]))


class _Places:
    """Where records lie: shard and row of each."""

    def __init__(self, shards: list[str], which: np.ndarray, rows: np.ndarray) -> None:
        self.shards, self.which, self.rows = shards, which, rows
        splits = [shard.split("-", 1)[0] for shard in shards]
        self.split = np.array(splits, dtype=object)[which]
        self.train = np.array([split == "train" for split in splits])[which]

    def of(self, index: int) -> list[Any]:
        return [self.shards[self.which[index]], int(self.rows[index])]


def _equal(places: _Places, digests: np.ndarray) -> dict[str, Any]:
    order = np.lexsort(digests.T[::-1])
    sorted_digests = digests[order]
    new = np.ones(len(order), bool)
    new[1:] = (sorted_digests[1:] != sorted_digests[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    counts = np.diff([*starts, len(order)])
    groups, leaked = 0, {"validation": 0, "test": 0}
    first: list[list[list[Any]]] = []
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        members = order[start : start + count]
        splits = places.split[members]
        groups += 1
        if places.train[members].any():
            for split in leaked:
                leaked[split] += int((splits == split).sum())
        if len(first) < SHOWN:
            first.append([places.of(member) for member in sorted(members)[:5]])
    return {
        "groups": groups,
        "records": int(counts.sum() - len(counts)),
        "leaked": leaked,
        "first": first,
    }


def _alike(places: _Places, signatures: np.ndarray, band: int) -> dict[str, Any]:
    """Pairs across splits whose signatures agree in this band, in no earlier one, and in most bits."""
    bands = signatures.view(np.uint32)
    order = np.argsort(bands[:, band], kind="stable")
    value, train = bands[order, band], places.train[order]
    left = np.flatnonzero(np.append(value[1:] == value[:-1], False))  # those that have a follower
    found = [np.empty((0, 3), np.int64)]
    for step in range(1, MOST_ALIKE + 1):
        if not len(left):
            break
        across = train[left] != train[left + step]
        a, b = order[left[across]], order[left[across] + step]
        bits = distance(signatures[a], signatures[b]).astype(np.int64)
        mine = (bits <= MOST_BITS) & ~(bands[a, :band] == bands[b, :band]).any(axis=1)
        found.append(np.stack([bits[mine], a[mine], b[mine]], axis=1))
        left = left[left + step + 1 < len(order)]
        left = left[value[left + step + 1] == value[left]]
    pairs = np.concatenate(found)
    nearest = pairs[np.lexsort(pairs.T[::-1])][:MOST_CANDIDATES]
    sides = [(a, b) if places.train[a] else (b, a) for _, a, b in nearest]
    return {
        "pairs": [[places.of(a), places.of(b)] for a, b in sides],
        "not_compared": len(pairs) - len(nearest) + len(left),
    }


def gather(found: list[tuple[str, Any]], folder: Path, modality: str) -> dict[str, Any]:
    """What all buckets say together, with the keys of the first; `folder` holds the shards."""
    exact = [result for name, result in sorted(found, key=lambda pair: pair[0]) if name.startswith(EXACT)]
    candidates = [result for name, result in sorted(found, key=lambda pair: pair[0]) if name.startswith(NEAR)]
    first = [group for result in exact for group in result["first"]][:SHOWN]
    keys = _Rows(folder, ["key"])
    told: dict[str, Any] = {
        "exact": {
            "groups": sum(result["groups"] for result in exact),
            "records": sum(result["records"] for result in exact),
            "leaked": {
                split: sum(result["leaked"][split] for result in exact) for split in ("validation", "test")
            },
            "first": [[_named(keys, place) for place in group] for group in first],
        },
        "near": None,
    }
    if hasattr(modalities()[modality], "signatures"):
        told["near"] = _near(candidates, folder, modality)
    return told


def _near(candidates: list[dict[str, Any]], folder: Path, modality: str) -> dict[str, Any]:
    module = modalities()[modality]
    pairs = sorted(pair for result in candidates for pair in result["pairs"])
    rows = _Rows(folder, None)
    alike = []
    for start in range(0, len(pairs), 256):
        some = pairs[start : start + 256]
        a, b = rows.take([pair[0] for pair in some]), rows.take([pair[1] for pair in some])
        differ = np.array(a.column("digest").to_pylist(), object) != np.array(
            b.column("digest").to_pylist(), object
        )
        alike += [pair for pair, same in zip(some, module.alike(a, b) & differ, strict=True) if same]
    return {
        "pairs": len(alike),
        "leaked": {
            split: len({tuple(b) for _, b in alike if b[0].startswith(split)})
            for split in ("validation", "test")
        },
        "first": [[_named(rows, place) for place in pair] for pair in alike[:SHOWN]],
        "not_compared": sum(result["not_compared"] for result in candidates),
    }


def _named(rows: _Rows, place: list[Any]) -> list[str]:
    return [place[0].split("-", 1)[0], rows.take([place]).column("key")[0].as_py()]


class _Rows:
    """Records by their places; a few shards are held at a time."""

    HELD = 4

    def __init__(self, folder: Path, columns: list[str] | None) -> None:
        self.folder, self.columns = folder, columns
        self.held: dict[str, Gathered] = {}

    def take(self, places: list[list[Any]]) -> pa.Table:
        """The records at `places`, in their order."""
        parts, at = [], np.empty(len(places), np.int64)
        count = 0
        for shard in sorted({shard for shard, _ in places}):
            mine = [i for i, place in enumerate(places) if place[0] == shard]
            parts.append(self._shard(shard).take(np.array([places[i][1] for i in mine])))
            at[mine] = np.arange(count, count + len(mine))
            count += len(mine)
        return pa.concat_tables(parts).take(at)

    def _shard(self, name: str) -> Gathered:
        import pyarrow.parquet as pq

        if name not in self.held:
            while len(self.held) >= self.HELD:
                self.held.pop(next(iter(self.held)))
            table = pq.read_table(self.folder / f"{name}.parquet", columns=self.columns)
            self.held[name] = Gathered([pa.Table.from_batches([piece]) for piece in table.to_batches()])
        return self.held[name]
