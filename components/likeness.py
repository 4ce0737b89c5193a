"""Likeness: signatures of 128 bits that are near for things that are alike.

Two signatures differ in a share of bits that is the angle between what they stand for, over pi
(Charikar 2002). `projected` makes them of vectors, `of_shingles` of sets, as of the words of a text.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

BITS = 128
BYTES = BITS // 8


def projected(vectors: np.ndarray) -> np.ndarray:
    """Signs of random projections of the centred rows of `[n, d]`; uint8 `[n, 16]`."""
    rows = np.asarray(vectors, np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.packbits(rows @ _directions(rows.shape[1]) > 0, axis=1)


@cache
def _directions(width: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (width, BITS))


def of_shingles(items: list[list[bytes]]) -> np.ndarray:
    """SimHash of the distinct items of each list; uint8 `[n, 16]`."""
    known: dict[bytes, np.ndarray] = {}
    out = np.zeros((len(items), BYTES), np.uint8)
    for row, some in enumerate(items):
        weight = np.zeros(BITS, np.int32)
        for item in dict.fromkeys(some):
            if item not in known:
                digest = hashlib.blake2b(item, digest_size=BYTES).digest()
                known[item] = 2 * np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.int32) - 1
            weight += known[item]
        out[row] = np.packbits(weight > 0)
        if len(known) > 200_000:
            known.clear()
    return out


def thumbnails(images: np.ndarray, side: int) -> np.ndarray:
    """Grey means over a `side` x `side` grid of images `[n, H, W, C]`, float32 `[n, side * side]`."""
    count, height, width, channels = images.shape
    across = np.repeat(_cells(width, side), channels, axis=0) / channels
    rows = images.reshape(count * height, width * channels).astype(np.float32) @ across
    grid = _cells(height, side).T @ rows.reshape(count, height, side)
    return grid.reshape(count, -1)


@cache
def _cells(length: int, side: int) -> np.ndarray:
    """Which of `length` places belong to which of `side` cells: float32 `[length, side]`, columns of sum 1.
    Fewer places than cells are each of several."""
    if length < side:
        return np.eye(length, dtype=np.float32)[:, np.arange(side) * length // side]
    begins = np.arange(side) * length // side
    cell = np.searchsorted(begins, np.arange(length), side="right") - 1
    member = (cell[:, None] == np.arange(side)).astype(np.float32)
    return member / member.sum(axis=0)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which signatures differ, `[n, 16]` and `[n, 16]` → `[n]`."""
    return np.bitwise_count(np.bitwise_xor(a, b)).sum(axis=-1)


def jaccard(a: set[bytes], b: set[bytes]) -> float:
    """Share of common items of two sets; 0 for two empty ones."""
    return len(a & b) / len(a | b) if a or b else 0.0
