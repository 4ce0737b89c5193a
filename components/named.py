"""Records whose keys are known before they are read: a chunk of them is a shard at once.

Split and order come from the key. Where a key is the name of a file, what a shard holds is known when the
files are listed; its records are read in their order and need not pass through runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.settings import Split
from components.shards import SHARD_BYTES
from components.splits import SPLITS, hashes, split_codes


@dataclass(frozen=True)
class Named:
    """What a source tells of its records before they are read; none of them has a group or an official part."""

    keys: Sequence[str]  # sorted
    weight: float  # bytes of a record, about
    chunk: Callable[[Sequence[int]], Any]  # numbers of keys → a chunk that gives these records in this order
    rest: Sequence[Any]  # chunks that give no record: what is rejected unread


def shard_chunks(named: Named, split: Split) -> Iterator[tuple[str, Any]]:
    """(name, chunk) of every shard: the same ranges of the order as components.shards.plan_shards."""
    codes, orders = split_codes(named.keys, split, None), hashes(named.keys, "order")
    rows = np.lexsort((orders, codes))
    for code, name in enumerate(SPLITS):
        mine = rows[codes[rows] == code]
        shards = max(1, -(-int(len(mine) * named.weight) // SHARD_BYTES))
        lows = np.array([number * 2**64 // shards for number in range(shards)], np.uint64)
        edges = [*np.searchsorted(orders[mine], lows).tolist(), len(mine)]
        for number in range(shards):
            some = mine[edges[number] : edges[number + 1]].tolist()
            if some:
                yield f"{name}-{number:05d}-of-{shards:05d}", named.chunk(some)
