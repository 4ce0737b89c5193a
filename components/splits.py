"""Splits: which side a record is on, by a stable hash, so that it stays there when data grow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from components.settings import Split

SPLITS = ("train", "validation", "test")


def hashes(names: Iterable[str | bytes], purpose: str) -> np.ndarray:
    """A stable uint64 for each name; another purpose gives an independent one."""
    keyed = hashlib.blake2b(digest_size=8, key=purpose.encode())
    digests = []
    for name in names:
        hashed = keyed.copy()
        hashed.update(name if isinstance(name, bytes) else name.encode())
        digests.append(hashed.digest())
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def units(names: Iterable[str | bytes], purpose: str) -> np.ndarray:
    """`hashes` as numbers in [0, 1)."""
    return hashes(names, purpose).astype(np.float64) / 2.0**64


def split_codes(names: Sequence[str | bytes], split: Split, part: str | None) -> np.ndarray:
    """The index in SPLITS of each name, int8. An official part stays what it is; `development` is
    shared between train and validation."""
    if part in SPLITS:
        return np.full(len(names), SPLITS.index(part), np.int8)
    at = units(names, "split")
    if part == "development":
        return (at >= split.train / (split.train + split.validation)).astype(np.int8)
    return (at >= split.train).astype(np.int8) + (at >= split.train + split.validation).astype(np.int8)
