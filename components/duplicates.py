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

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from components.dataflow import write_bytes
from components.likeness import BYTES
from components.modalities import modalities

PREFIX = "twins"
EXACT, NEAR = f"{PREFIX}/exact", f"{PREFIX}/near"
BUCKETS = 16
WIDTH = 4 + 16  # bytes of a mark: the row, and a digest or a signature
BANDS = 4
MOST_BITS = 8  # of 128: an angle of 11 degrees
MOST_ALIKE = 500  # followers of a record, among those with its band value, that it is compared with
PAIRS = 200_000  # compared at once
LOOKED_AT = 16_000_000  # bytes of records that are held to be compared
MOST_CANDIDATES = 64  # pairs of one bucket that are looked at, the nearest first
SHOWN, MEMBERS = 20, 5  # groups of copies that are told, those across splits first, and records of each


class Marks:
    """Gathers what a search for duplicates needs of one shard: a digest a record, and a signature."""

    def __init__(self, module: ModuleType, folder: Path) -> None:
        self.module, self.folder = module, folder
        self.digests: list[np.ndarray] = []
        self.signatures: list[np.ndarray] = []

    def add(self, table: pa.Table) -> None:
        """Takes the next records of the shard."""
        for piece in table.column("digest").chunks:
            memory = np.frombuffer(piece.buffers()[1], np.uint8).reshape(-1, 16)
            self.digests.append(memory[piece.offset : piece.offset + len(piece)])
        if hasattr(self.module, "signatures"):
            self.signatures.append(self.module.signatures(table))

    def traces(self, shard: str) -> Iterator[tuple[str, Any]]:
        """Rows with their digests, and with their signatures, sorted by bucket on the disk; yields where
        in which file a bucket is."""
        digest = np.concatenate(self.digests)
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
            told = _equal(places, given)
        else:
            told = _alike(places, given, int(name.split("/")[2]))
        yield name, json.dumps(told)  # one value: Beam looks into every list that it is handed


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
    crossing: list[list[list[Any]]] = []
    within: list[list[list[Any]]] = []
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        members = np.sort(order[start : start + count])
        splits = places.split[members]
        groups += 1
        if places.train[members].any():
            for split in leaked:
                leaked[split] += int((splits == split).sum())
        _, one_of_each = np.unique(splits.astype(str), return_index=True)
        first = crossing if len(one_of_each) > 1 else within
        if len(first) < SHOWN:
            others = np.delete(members, one_of_each)[: MEMBERS - len(one_of_each)]
            first.append([places.of(member) for member in np.sort([*members[one_of_each], *others])])
    return {
        "groups": groups,
        "records": int(counts.sum() - len(counts)),
        "leaked": leaked,
        "first": (crossing + within)[:SHOWN],
    }


def _alike(places: _Places, signatures: np.ndarray, band: int) -> dict[str, Any]:
    """Pairs across splits whose signatures agree in this band, in no earlier one, and in most bits."""
    bands = signatures.view(np.uint32)
    order = np.argsort(bands[:, band], kind="stable")
    bands, train = bands[order], places.train[order]
    halves = [np.ascontiguousarray(half) for half in signatures.view(np.uint64)[order].T]
    followers = _followers(bands[:, band])
    found = [np.empty((0, 3), np.int64)]
    for a, b in _pairs(np.minimum(followers, MOST_ALIKE)):
        across = train[a] != train[b]
        a, b = a[across], b[across]
        bits = sum(np.bitwise_count(half[a] ^ half[b]) for half in halves)
        near = np.flatnonzero(bits <= MOST_BITS)
        near = near[~(bands[a[near], :band] == bands[b[near], :band]).any(axis=1)]
        found.append(np.stack([bits[near], order[a[near]], order[b[near]]], axis=1))
    pairs = np.concatenate(found)
    nearest = pairs[np.lexsort(pairs.T[::-1])][:MOST_CANDIDATES]
    sides = [(a, b) if places.train[a] else (b, a) for _, a, b in nearest]
    return {
        "pairs": [[places.of(a), places.of(b)] for a, b in sides],
        "not_compared": len(pairs) - len(nearest) + int((followers > MOST_ALIKE).sum()),
    }


def _followers(values: np.ndarray) -> np.ndarray:
    """How many of the sorted values behind each are equal to it."""
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True)) + 1
    return np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(len(values)) - 1


def _pairs(followers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each place with each of its followers, a bounded number of pairs at a time."""
    total = np.cumsum(followers)
    most = np.arange(0, total[-1] + PAIRS if len(total) else 0, PAIRS)
    for start, stop in itertools.pairwise([0, *np.searchsorted(total, most, side="right").tolist()]):
        some = followers[start:stop]
        a = np.repeat(np.arange(start, stop), some)
        yield a, a + 1 + np.arange(len(a)) - np.repeat(np.cumsum(some) - some, some)


def _crosses(group: list[list[Any]]) -> bool:
    """Whether the places `[shard, row]` lie in more than one split."""
    return len({shard.split("-", 1)[0] for shard, _ in group}) > 1


def gather(found: list[tuple[str, str]], folder: Path, modality: str) -> dict[str, Any]:
    """What all buckets say together, with the keys of the first; `folder` holds the shards."""
    results = [(name, json.loads(result)) for name, result in sorted(found)]
    exact = [result for name, result in results if name.startswith(EXACT)]
    candidates = [result for name, result in results if name.startswith(NEAR)]
    equal = [group for result in exact for group in result["first"]]
    first = sorted(equal, key=lambda group: not _crosses(group))[:SHOWN]
    rows = _Rows(folder)
    told: dict[str, Any] = {
        "exact": {
            "groups": sum(result["groups"] for result in exact),
            "records": sum(result["records"] for result in exact),
            "leaked": {
                split: sum(result["leaked"][split] for result in exact) for split in ("validation", "test")
            },
            "first": [[rows.named(place) for place in group] for group in first],
        },
        "near": None,
    }
    if hasattr(modalities()[modality], "signatures"):
        told["near"] = _near(candidates, rows, modalities()[modality])
    return told


def _near(candidates: list[dict[str, Any]], rows: _Rows, module: ModuleType) -> dict[str, Any]:
    pairs = sorted(pair for result in candidates for pair in result["pairs"])
    alike = []
    step = max(1, LOOKED_AT // max(1, rows.weight([place for pair in pairs[:1] for place in pair])))
    for start in range(0, len(pairs), step):
        some = pairs[start : start + step]
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
        "first": [[rows.named(place) for place in pair] for pair in alike[:SHOWN]],
        "not_compared": sum(result["not_compared"] for result in candidates),
    }


class _Rows:
    """Records by their places, read from their row groups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def weight(self, places: list[list[Any]]) -> int:
        """Bytes of records in the shards of `places`, on average."""
        import pyarrow.parquet as pq

        told = [pq.read_metadata(self._file(shard)) for shard, _ in places]
        size = sum(one.row_group(i).total_byte_size for one in told for i in range(one.num_row_groups))
        return size // max(1, sum(one.num_rows for one in told))

    def named(self, place: list[Any]) -> list[str]:
        """The split and the key of the record at `place`."""
        return [place[0].split("-", 1)[0], self.take([place], ["key"]).column("key")[0].as_py()]

    def take(self, places: list[list[Any]], columns: list[str] | None = None) -> pa.Table:
        """The records at `places`, in their order."""
        parts, order = [], []
        for shard in sorted({shard for shard, _ in places}):
            mine = np.array([i for i, place in enumerate(places) if place[0] == shard])
            rows = np.array([places[i][1] for i in mine])
            for which, part in self._groups(shard, rows, columns):
                parts.append(part)
                order.append(mine[which])
        return pa.concat_tables(parts).take(np.argsort(np.concatenate(order)))

    def _groups(
        self, shard: str, rows: np.ndarray, columns: list[str] | None
    ) -> Iterator[tuple[np.ndarray, pa.Table]]:
        """Of each row group that holds some of `rows`: which of them, and they."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._file(shard)) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            at = np.searchsorted(ends, rows, side="right")
            for number in np.unique(at).tolist():
                which = np.flatnonzero(at == number)
                group = file.read_row_group(number, columns, use_threads=False)
                yield which, group.take(rows[which] - (ends[number] - sizes[number]))

    def _file(self, shard: str) -> Path:
        return self.folder / f"{shard}.parquet"
