"""Duplicates: records of equal content, by their digests, within and across the splits.

A record that train and test both hold flatters every number measured on test: it is found here,
counted and shown; gate 1 decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

PREFIX = "twins"
BUCKETS = 16
SHOWN = 20


def traces(table: pa.Table, split: str, modality: str) -> Iterator[tuple[str, Any]]:
    """What a search for duplicates needs of one shard, by bucket."""
    buckets: dict[int, list[list[Any]]] = {}
    for key, digest in zip(table.column("key").to_pylist(), table.column("digest").to_pylist(), strict=True):
        buckets.setdefault(digest[0] % BUCKETS, []).append([digest, split, key])
    for number, entries in buckets.items():
        yield f"{PREFIX}/exact/{number:02d}", entries


class Examine:
    """One bucket → its groups of equal records; other results pass through."""

    def __init__(self, modality: str) -> None:
        self.modality = modality

    def __call__(self, name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
        """See the class."""
        if not name.startswith(PREFIX):
            yield from ((name, value) for value in values)
            return
        groups: dict[bytes, list[tuple[str, str]]] = {}
        for entries in values:
            for digest, split, key in entries:
                groups.setdefault(digest, []).append((split, key))
        twins = sorted(sorted(group) for group in groups.values() if len(group) > 1)
        yield name, {"groups": twins}


def gather(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The counts over all buckets, and the first groups."""
    groups = sorted(group for result in found for group in result["groups"])
    leaked = {"validation": 0, "test": 0}
    for group in groups:
        if any(split == "train" for split, _ in group):
            for split, _ in group:
                if split in leaked:
                    leaked[split] += 1
    return {
        "exact": {
            "groups": len(groups),
            "records": sum(len(group) - 1 for group in groups),
            "leaked": leaked,
            "first": [[list(member) for member in group] for group in groups[:SHOWN]],
        }
    }
