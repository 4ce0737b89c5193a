"""Which texts are nearly the same: a few letters changed, spaces or capitals written otherwise.

Texts are compared by their sets of five characters in a row. Alike is a Jaccard index of 0.8. A signature
has one bit of each of 128 minima, all of one hash (one permutation: Li, Owen & Zhang 2012; empty bins borrow
from their neighbour: Shrivastava & Li 2014; one bit: Li & König 2010). Of two texts with index J about
(1 - J) / 2 of the bits differ, so those of near copies differ in few.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.likeness import BITS, BYTES, jaccard

SHINGLE = 5
ALIKE = 0.8
LEAST = 20  # different shingles: shorter texts, and rulers of dashes, resemble each other by chance
PIECE = 2_000_000  # characters worked on at once
EMPTY = np.uint64(2**64 - 1)


def signatures(table: pa.Table) -> np.ndarray:
    """uint8 `[n, 16]`, near for texts that are alike (see components.duplicates)."""
    texts = [_plain(text) for text in table.column("text").to_pylist()]
    found = [np.zeros((0, BYTES), np.uint8)]
    start = weight = 0
    for stop, text in enumerate(texts, 1):
        weight += len(text)
        if weight > PIECE or stop == len(texts):
            found.append(_bits(texts[start:stop]))
            start, weight = stop, 0
    return np.concatenate(found)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _bits(texts: list[str]) -> np.ndarray:
    """Signatures of some texts, each padded with spaces to five characters at least."""
    texts = [text.ljust(SHINGLE) for text in texts]
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE + 1, np.uint64)
    for place in range(SHINGLE):
        hashes = _mixed(hashes ^ codes[place : len(codes) - SHINGLE + 1 + place])
    sizes = np.array([len(text) for text in texts])
    owner = np.repeat(np.arange(len(texts)), sizes)[: len(hashes)]
    ends = np.repeat(np.cumsum(sizes), sizes)[: len(hashes)]
    whole = np.arange(len(hashes)) + SHINGLE <= ends  # none from one text into the next
    least = np.full(len(texts) * BITS, EMPTY)
    bins = owner * BITS + (hashes % np.uint64(BITS)).astype(np.int64)
    np.minimum.at(least, bins[whole], hashes[whole] >> np.uint64(7))
    least = _lent(least.reshape(-1, BITS))
    return np.packbits((least & np.uint64(1)).astype(bool), axis=1)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """A good hash of uint64 (the finaliser of splitmix64)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _lent(least: np.ndarray) -> np.ndarray:
    """Empty bins `[n, 128]` take what the next full one has, mixed with how far it is."""
    count = len(least)
    around = np.concatenate([least, least], axis=1)
    place = np.where(around != EMPTY, np.arange(2 * BITS), 4 * BITS)
    nearest = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1][:, :BITS]
    distance = (nearest - np.arange(BITS)).astype(np.uint64)
    lent = least[np.arange(count)[:, None], nearest % BITS]
    return np.where(distance == 0, lent, _mixed(lent + (distance << np.uint64(58))))


def alike(a: pa.Table, b: pa.Table) -> np.ndarray:
    """Whether row i of `a` and row i of `b` are nearly the same text; bool `[n]`."""
    texts = zip(a.column("text").to_pylist(), b.column("text").to_pylist(), strict=True)
    pairs = ((_shingles(first), _shingles(second)) for first, second in texts)
    return np.array(
        [min(len(one), len(two)) >= LEAST and jaccard(one, two) >= ALIKE for one, two in pairs], bool
    )


def _shingles(text: str) -> set[bytes]:
    plain = _plain(text).ljust(SHINGLE)
    return {plain[i : i + SHINGLE].encode() for i in range(len(plain) - SHINGLE + 1)}
