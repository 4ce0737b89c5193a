"""Count, mean and scatter of features: moments that add up, as a whole and by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from components.errors import DataError
from components.metrics.intervals import SHARDS

ROWS = 16  # of a scatter


class Moments:
    """Count, mean `[d]` and scatter `[d, d]` (sum of outer products about the mean), in float64.

    Batches and shards merge exactly (Chan, Golub & LeVeque 1983): raw sums of squares would lose
    the covariance of features whose mean is large beside their spread.
    """

    def __init__(self, dimensions: int) -> None:
        self.n = 0
        self.mean = np.zeros(dimensions)
        self.scatter = np.zeros((dimensions, dimensions))

    @classmethod
    def of(cls, features: np.ndarray) -> Self:
        """The moments of `features` `[n, d]`."""
        return cls(np.shape(features)[-1]).add(features)

    @classmethod
    def joined(cls, parts: Sequence[Moments]) -> Self:
        """The moments of all `parts`, one or more, which stay as they are."""
        made = cls(len(parts[0].mean))
        for part in parts:
            made.merge(part)
        return made

    def add(self, features: np.ndarray, room: np.ndarray | None = None) -> Self:
        """Takes in a batch `[n, d]`, which may be empty, and returns itself.

        `room` float64 `[d, d]` is memory for the batch's scatter: new pages cost as much as the product.

        Raises:
            DataError: another shape than `[n, d]`.
        """
        features = np.asarray(features, np.float64)
        check_shape(features, len(self.mean))
        if len(features):
            batch = Moments(0) if self.n else self
            batch.n = len(features)
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite becomes NaN, and stays so
                batch.mean = features.mean(axis=0)
                centred = features - batch.mean
                batch.scatter = np.matmul(centred.T, centred, out=room)
            if batch is not self:
                self._take(batch)
        return self

    def merge(self, other: Moments) -> Self:
        """Takes in the moments of other examples, which stay as they are, and returns itself.

        Raises:
            DataError: another number of features.
        """
        if other.mean.shape != self.mean.shape:
            raise DataError(f"{len(other.mean)} features cannot be merged with {len(self.mean)}")
        if other.n and self.n:
            self._take(other)
        elif other.n:
            self.n, self.mean, self.scatter = other.n, other.mean.copy(), other.scatter.copy()
        return self

    def _take(self, other: Moments) -> None:
        total = self.n + other.n
        with np.errstate(invalid="ignore", over="ignore"):
            shift = other.mean - self.mean
            rise = shift * np.sqrt(self.n * other.n / total)
            for start in range(0, len(rise), ROWS):  # a few rows at a time stay in the processor's cache
                part = slice(start, start + ROWS)
                self.scatter[part] += other.scatter[part]
                self.scatter[part] += rise[part, None] * rise
            self.mean += shift * (other.n / total)
        self.n = total

    def covariance(self) -> np.ndarray:
        """The unbiased covariance `[d, d]` (divides by n - 1, as the reference implementations do).

        Raises:
            DataError: fewer than two examples.
        """
        if self.n < 2:
            raise DataError(f"a covariance needs two examples, and there are {self.n}")
        return self.scatter / (self.n - 1)


class ShardedMoments:
    """The moments of each shard of rows 0, 1, 2, ...: row i is of shard i mod `shards`.

    The same rows give the same bits on one kind of machine, in whatever batches they are added and in
    whatever parts and order these are merged: rows wait until a block of 256 of every shard is complete,
    blocks join two by two as in a binary counter, and what is left over joins by row number. Memory: one
    block of rows, and for each shard at most log2(n / 5,120) + 1 scatters (20 shards of 2,048 features:
    0.7 GB each).
    """

    BLOCK = 256  # rows of a shard that one product takes in

    def __init__(self, dimensions: int, shards: int = SHARDS) -> None:
        self.dimensions, self.shards = dimensions, shards
        self.n = 0
        self._next = 0
        self._blocks: dict[tuple[int, int], list[Moments]] = {}  # first block and how many, 2^j → shards
        self._waiting: dict[int, dict[int, np.ndarray]] = {}  # block → first row → rows
        self._room: list[np.ndarray] = []  # scatters that are in others now: memory for the next ones

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_room": []}

    @classmethod
    def of(cls, features: np.ndarray, shards: int = SHARDS) -> Self:
        """The moments by shard of `features` `[n, d]`, rows 0 to n - 1."""
        return cls(np.shape(features)[-1], shards).add(features)

    def add(self, features: np.ndarray, first: int | None = None) -> Self:
        """Takes in rows `first`, `first` + 1, ... `[n, d]` and returns itself; without `first` these follow
        on those added last.

        Raises:
            DataError: another shape than `[n, d]`, or a row that is here already.
        """
        features = np.asarray(features)
        check_shape(features, self.dimensions)
        row = self._next if first is None else first
        size = self.BLOCK * self.shards
        self._next = row + len(features)
        while len(features):
            block = row // size
            part = features[: (block + 1) * size - row]
            self._wait(block, row, part)
            row, features = row + len(part), features[len(part) :]
        return self

    def merge(self, other: ShardedMoments) -> Self:
        """Takes in other rows of the same set, whose moments stay as they are, and returns itself.

        Raises:
            DataError: other features or shards, or a row that is here already.
        """
        if (other.dimensions, other.shards) != (self.dimensions, self.shards):
            raise DataError(
                f"{other.dimensions} features in {other.shards} shards cannot be merged with "
                f"{self.dimensions} in {self.shards}"
            )
        for (first, count), parts in sorted(other._blocks.items()):
            self._keep(first, count, [Moments.joined([part]) for part in parts])
        for block, pieces in sorted(other._waiting.items()):
            for row, rows in pieces.items():
                self._wait(block, row, rows)
        self._next = max(self._next, other._next)
        return self

    def parts(self) -> list[Moments]:
        """The moments of each shard."""
        found = [(first, parts) for (first, _), parts in self._blocks.items()]
        found += [(block, self._folded(pieces)) for block, pieces in self._waiting.items()]
        found.sort(key=lambda one: one[0])
        empty = [Moments(self.dimensions) for _ in range(self.shards)]
        return [Moments.joined(shard) for shard in zip(empty, *(parts for _, parts in found), strict=True)]

    def whole(self) -> Moments:
        """The moments of all rows."""
        return Moments.joined(self.parts())

    def without_each(self) -> Iterator[Moments]:
        """The moments of all rows but those of shard 0, then of shard 1, ...

        The other shards are merged, never one subtracted from the whole, which would cancel digits.
        """
        return _without_each(Moments(self.dimensions), self.parts())

    def _wait(self, block: int, row: int, rows: np.ndarray) -> None:
        self._refuse_twice(block, 1, waiting=False)
        pieces = self._waiting.setdefault(block, {})
        if any(start < row + len(rows) and row < start + len(there) for start, there in pieces.items()):
            raise DataError(f"row {row} of the features was added twice")
        if sum(map(len, pieces.values())) + len(rows) == self.BLOCK * self.shards:
            del self._waiting[block]
            self.n -= sum(map(len, pieces.values()))
            self._keep(block, 1, self._folded({**pieces, row: rows}))
        else:
            pieces[row] = rows.copy()  # the caller may use its buffer again
            self.n += len(rows)

    def _keep(self, first: int, count: int, parts: list[Moments]) -> None:
        self._refuse_twice(first, count)
        self.n += count * self.BLOCK * self.shards
        while (first ^ count, count) in self._blocks:  # the neighbour with which it makes the next power
            other = self._blocks.pop((first ^ count, count))
            pairs = zip(other, parts, strict=True) if first & count else zip(parts, other, strict=True)
            parts = [self._joined(left, right) for left, right in pairs]
            first, count = first & ~count, 2 * count
        self._blocks[first, count] = parts

    def _joined(self, left: Moments, right: Moments) -> Moments:
        self._room.append(right.scatter)
        return left.merge(right)

    def _refuse_twice(self, first: int, count: int, waiting: bool = True) -> None:
        held = list(self._blocks) + [(block, 1) for block in self._waiting if waiting]
        if any(start < first + count and first < start + length for start, length in held):
            raise DataError(f"row {first * self.BLOCK * self.shards} of the features was added twice")

    def _folded(self, pieces: dict[int, np.ndarray]) -> list[Moments]:
        made = []
        for shard in range(self.shards):
            rows = [pieces[row][(shard - row) % self.shards :: self.shards] for row in sorted(pieces)]
            room = self._room.pop() if self._room else None
            made.append(Moments(self.dimensions).add(np.concatenate(rows), room))
        return made


def _without_each(outside: Moments, parts: list[Moments]) -> Iterator[Moments]:
    """By halves: K log2 K merges, and log2 K matrices held."""
    if len(parts) == 1:
        yield outside
        return
    left, right = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    yield from _without_each(Moments.joined([outside, *right]), left)
    yield from _without_each(Moments.joined([outside, *left]), right)


def check_shape(features: np.ndarray, dimensions: int | None = None) -> None:
    """Refuses features that are not `[n, d]`, where d is given not those of another d.

    Raises:
        DataError: another shape.
    """
    wanted = "d" if dimensions is None else dimensions
    if features.ndim != 2 or features.shape[1] != (dimensions or features.shape[1]):
        raise DataError(f"features are [n, {wanted}], and these are {list(features.shape)}")
