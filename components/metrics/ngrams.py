"""n-grams of integer sequences: which there are, how they are distributed, and what occurs in training.

An n-gram is known by a hash of 64 bits (two of a million differ without notice with a chance of 1e-7).
What is common with training is found exactly and without hashes: sequences and training are sorted
together by what follows each place (a suffix array; Manber & Myers 1993), so that the longest run that
begins at a place and occurs in training is one shared with a neighbour in that order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate
from components.metrics.overlap import Without, compared, jensen_shannon, variation

PIECE = 2**20  # tokens of training, and of sequences, that are sorted at once, in about 400 MB
OVERLAPS = (4, 8, 16)
QUANTILE = 0.99  # of held-out sequences: what shares a longer run with training is a copy


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences one after another: `tokens` int64 `[tokens]` and the `lengths` int64 `[n]`."""

    tokens: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray | Sequence[Any], length: np.ndarray | None = None) -> Sequences:
        """From an array `[n, L]`, of whose rows the first `length` `[n]` tokens count, or from lists.

        Raises:
            DataError: tokens are not integers, or a length is not in 0..L.
        """
        if not isinstance(x, np.ndarray):
            rows = [np.asarray(row).reshape(-1) for row in x]
            lengths = np.array([len(row) for row in rows], np.int64)
            tokens = np.concatenate([np.zeros(0, np.int64), *(row for row in rows if len(row))])
        elif x.ndim != 2:
            raise DataError(f"sequences are lists or an array [n, length], and this is {list(x.shape)}")
        else:
            wide = x.shape[1]
            lengths = np.full(len(x), wide) if length is None else np.asarray(length)
            if lengths.shape != (len(x),) or ((lengths < 0) | (lengths > wide)).any():
                raise DataError(f"each of {len(x)} sequences needs a length from 0 to {wide}")
            tokens = x[np.arange(wide) < lengths[:, None]]
        if tokens.dtype.kind not in "iub" or lengths.dtype.kind not in "iu":
            raise DataError(f"tokens and lengths are integers, and these are {tokens.dtype}")
        return cls(tokens.astype(np.int64), lengths.astype(np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def owner(self) -> np.ndarray:
        """The sequence of each token, int64 `[tokens]`."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: np.ndarray) -> Sequences:
        """The sequences `rows`, in that order."""
        lengths = self.lengths[rows]
        first = (np.cumsum(self.lengths) - self.lengths)[rows] - (np.cumsum(lengths) - lengths)
        return Sequences(self.tokens[np.repeat(first, lengths) + np.arange(lengths.sum())], lengths)


def grams(sequences: Sequences, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash uint64 `[grams]` and sequence int64 `[grams]` of all n-grams, none of which crosses an end."""
    owner = sequences.owner
    size = max(len(owner) - n + 1, 0)
    found = np.zeros(size, np.uint64)
    for place in range(n if size else 0):
        found = _mixed(found ^ sequences.tokens[place : place + size].astype(np.uint64))
    whole = owner[:size] == owner[n - 1 :] if size else np.zeros(0, bool)
    return found[whole], owner[:size][whole]


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """A good hash of uint64 (the finaliser of splitmix64; Steele, Lea & Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


# -- distributions -------------------------------------------------------------------------------------


def gram_distances(samples: Sequences, real: Sequences, n: int) -> tuple[Estimate, Estimate]:
    """Total variation and Jensen–Shannon divergence (bits) of the n-grams of two sets of sequences."""
    (own, of_own), (other, of_other) = grams(samples, n), grams(real, n)
    cells, place = np.unique(np.concatenate([own, other]), return_inverse=True)

    def side(cell: np.ndarray, owner: np.ndarray) -> Without:
        shard = owner % SHARDS  # see shard_of
        whole = np.bincount(cell, minlength=len(cells))
        return lambda k: whole - np.bincount(cell[shard == k], minlength=len(cells))

    sides = side(place[: len(own)], of_own), side(place[len(own) :], of_other)
    rows = min(len(samples), len(real))
    return variation(*sides, rows), compared(jensen_shannon, *sides, rows)


# -- runs that occur in training -----------------------------------------------------------------------


def against_training(
    samples: Sequences, real: Sequences, training: Sequences, sizes: Sequence[int] = OVERLAPS
) -> dict[str, Estimate]:
    """What the samples share with training, with the same of held-out sequences (`real`) beside it.

    * `training_overlap_N`: the share of the samples' N-grams that occur in training.
    * `longest_training_run`: the longest run of a sample that occurs in training, in tokens, on average.
    * `copy_rate`: the share of samples that are copies. A sequence is one if its longest run, divided by
      its length, exceeds what 99 % of held-out sequences have, or if all of it occurs in training. One
      shorter than half the median held-out length counts as that long: the whole of a few tokens always
      occurs somewhere.
    * `copy_excess`: the copy rate less that of held-out sequences by the same rule, about 1 %. Its interval
      (Newcombe 1998, of two independent shares) has the error of the 99 % quantile in it.

    Raises:
        DataError: no samples, no held-out sequences or no training sequences.
    """
    if not (len(samples) and len(real) and len(training)):
        counts = f"{len(samples)} samples, {len(real)} held-out and {len(training)} training sequences"
        raise DataError(f"a copy rate needs all three, and there are {counts}")
    matches = [longest_matches(part, training) for part in (samples, real)]
    found = {}
    for n in sizes:
        own, other = (_overlap(part, match, n) for part, match in zip((samples, real), matches, strict=True))
        found[f"training_overlap_{n}"] = replace(own, extra={**own.extra, "real": other.value})
    runs = [_longest(part, match) for part, match in zip((samples, real), matches, strict=True)]
    extra = {"real": float(runs[1].mean()), "longest": int(runs[0].max())}
    mean = intervals.mean(runs[0].astype(np.float64))
    return {
        **found,
        "longest_training_run": replace(mean, extra={**mean.extra, **extra}),
        **_copies(runs[0], samples.lengths, runs[1], real.lengths),
    }


def _overlap(sequences: Sequences, matches: np.ndarray, n: int) -> Estimate:
    shared = np.bincount(sequences.owner[matches >= n], minlength=len(sequences))
    every = np.maximum(sequences.lengths - n + 1, 0)
    if not every.any():
        return Estimate(math.nan, why=f"no sequence has {n} tokens")
    if shared.sum() in (0, every.sum()):  # the jackknife sees no spread where all are alike
        full = int((every > 0).sum())
        return intervals.wilson(full if shared.any() else 0, full)
    return intervals.ratio(shared, every)


def _longest(sequences: Sequences, matches: np.ndarray) -> np.ndarray:
    found = np.zeros(len(sequences), np.int64)
    full = sequences.lengths > 0
    starts = (np.cumsum(sequences.lengths) - sequences.lengths)[full]
    if full.any():
        found[full] = np.maximum.reduceat(matches, starts)
    return found


def _copies(
    runs: np.ndarray, lengths: np.ndarray, held_runs: np.ndarray, held_lengths: np.ndarray
) -> dict[str, Estimate]:
    shortest = max(float(np.median(held_lengths)) / 2, 1.0)
    own, held = (
        run / np.maximum(length, shortest) for run, length in ((runs, lengths), (held_runs, held_lengths))
    )
    threshold = float(np.quantile(held, QUANTILE))
    flags, expected = ((part > threshold) | (part == 1) for part in (own, held))
    extra = {"threshold": threshold, "held_out": len(held), "expected": float(expected.mean())}
    rate = replace(intervals.share(flags), extra=extra)
    other = intervals.wilson(int(expected.sum()), len(expected))
    # Not as a pair: `without` of a share near 0 has no spread, where Wilson's interval has one.
    excess = intervals.difference(replace(rate, without=()), other)
    without = tuple(value - other.value for value in rate.without)
    return {"copy_rate": rate, "copy_excess": replace(excess, extra=extra, without=without)}


def longest_matches(queries: Sequences, training: Sequences) -> np.ndarray:
    """int64 `[tokens of queries]`: how long the longest run is that begins at each token, ends in its own
    sequence and occurs in a training sequence. In pieces of PIECE tokens: the memory is bounded, the time
    goes with the product of the numbers of pieces."""
    found = np.zeros(len(queries.tokens), np.int64)
    if not len(found):
        return found
    known = np.unique(queries.tokens)
    # Tokens from 2. What no query has cannot match: it reads as the end of a training sequence, 0; the end
    # of a query is 1, so that no run crosses either.
    place = np.minimum(np.searchsorted(known, training.tokens), len(known) - 1)
    seen = np.where(known[place] == training.tokens, place + 2, 0)
    asked = np.searchsorted(known, queries.tokens) + 2
    corpus = _with_ends(seen, training.lengths, 0)
    longest = int(queries.lengths.max())
    for first, stop in _row_pieces(queries.lengths):
        before = int(queries.lengths[:first].sum())
        lengths = queries.lengths[first:stop]
        rows = slice(before, before + int(lengths.sum()))
        text = _with_ends(asked[rows], lengths, 1)
        inside = text != 1
        for start in range(0, len(corpus), PIECE):
            runs = _matches(text, corpus[start : start + PIECE + longest], len(known) + 2, int(lengths.max()))
            found[rows] = np.maximum(found[rows], runs[inside])
    return found


def _with_ends(tokens: np.ndarray, lengths: np.ndarray, end: int) -> np.ndarray:
    return np.insert(tokens, np.cumsum(lengths), end)


def _row_pieces(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """First row and row behind the last of pieces of about PIECE tokens."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        before = int(ends[first - 1]) if first else 0
        stop = max(int(np.searchsorted(ends, before + PIECE, side="right")), first + 1)
        yield first, stop
        first = stop


def _matches(queries: np.ndarray, training: np.ndarray, symbols: int, longest: int) -> np.ndarray:
    """The longest match at each place of `queries`, both with ends behind their sequences."""
    both = np.concatenate([training, [0], queries])
    border = len(training) + 1
    order, levels = _sorted_suffixes(both, border, symbols, longest)
    in_training = order < border
    place = np.arange(len(both))
    before = np.maximum.accumulate(np.where(in_training, place, -1))
    after = np.minimum.accumulate(np.where(in_training, place, len(both))[::-1])[::-1]
    own = order[~in_training]
    found = np.zeros(len(queries), np.int64)
    for neighbour in (before[~in_training], after[~in_training]):
        exists = (neighbour >= 0) & (neighbour < len(both))
        here, there = own[exists], order[neighbour[exists]]
        run = np.zeros(len(here), np.int64)
        for size, block in reversed(levels):
            run += size * (block[here + run] == block[there + run])
        found[here - border] = np.maximum(found[here - border], run)
    return found


def _sorted_suffixes(
    both: np.ndarray, border: int, symbols: int, longest: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """The places of `both` sorted by what follows, as far as training and queries have it in common; and
    for sizes 1, 2, 4 ... numbers by which blocks of training and queries of that size are equal or not."""
    bits, size, ids = max((symbols - 1).bit_length(), 1), 1, both.astype(np.int64)
    levels: list[tuple[int, np.ndarray]] = []
    while 2 * size * bits <= 63:  # as many symbols as one number holds
        levels.append((size, ids))
        ids = (ids << (size * bits)) | _moved(ids, size, 0)
        size *= 2
    order = np.argsort(ids)
    ordered = ids[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    count = len(both)
    rank = np.empty(count, np.int32)
    rank[order] = np.maximum.accumulate(np.where(fresh, np.arange(count), 0))
    levels.append((size, rank))
    while size <= longest:
        where = _mixed_groups(fresh, order < border)
        if not len(where):
            break
        items = order[where]
        following = _moved(rank, size, -1)[items].astype(np.int64)
        key = rank[items] * np.int64(count + 1) + following + 1
        inner = np.argsort(key)
        items, key = items[inner], key[inner]
        apart = np.concatenate([[True], key[1:] != key[:-1]])
        order[where], fresh[where] = items, apart
        rank = rank.copy()
        rank[items] = where[np.maximum.accumulate(np.where(apart, np.arange(len(where)), 0))]
        size *= 2
        levels.append((size, rank))
    return order, levels


def _moved(values: np.ndarray, by: int, beyond: int) -> np.ndarray:
    found = np.full_like(values, beyond)
    found[: max(len(values) - by, 0)] = values[by:]
    return found


def _mixed_groups(fresh: np.ndarray, in_training: np.ndarray) -> np.ndarray:
    """The places in groups of equals that hold both training and queries: only these are sorted further."""
    group = np.cumsum(fresh) - 1
    sizes = np.bincount(group)
    inside = np.bincount(group, in_training)
    return np.flatnonzero(((inside > 0) & (inside < sizes))[group])
