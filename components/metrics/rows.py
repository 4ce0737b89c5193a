"""Sets of feature rows, read block by block, and the frame in which their pairs are looked at.

Distances do not change when rows are shifted and scaled together: rows are taken about the middle of the
reference set, where products cancel least, and scaled by a power of two, so that nothing overflows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from components.errors import DataError

BLOCK = 1024  # rows: two blocks of 2,048 features, and all their distances, take 20 MB
WIDE = 256  # features: from here on a product of two blocks takes most of the time
MIDDLE = 257  # rows whose median is taken
ROUNDING = 1e-12  # of the two rows' squared sizes: squared distances that differ by less are equal

FLOOR = 1e-30  # of squared sizes in the frame, below which products in float32 may vanish


class Rows(Protocol):
    """Rows `[n, d]` that are read in blocks; the last block may be shorter."""

    @property
    def block(self) -> int:
        """Rows in a block."""

    @property
    def width(self) -> int:
        """Features of a row."""

    def __len__(self) -> int: ...

    def read(self, number: int) -> np.ndarray:
        """Block `number`, float32 or float64 `[rows, d]`."""

    def take(self, index: np.ndarray) -> np.ndarray:
        """The rows at `index`, float32 or float64 `[len(index), d]`."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """An array of any shape `[n, ...]` as rows."""

    array: np.ndarray
    block: int = BLOCK

    @property
    def width(self) -> int:
        """See Rows.width."""
        return math.prod(self.array.shape[1:])

    def __len__(self) -> int:
        return len(self.array)

    def read(self, number: int) -> np.ndarray:
        """See Rows.read."""
        return _floats(self.array[number * self.block : (number + 1) * self.block])

    def take(self, index: np.ndarray) -> np.ndarray:
        """See Rows.take."""
        return _floats(self.array[index])


def _floats(rows: np.ndarray) -> np.ndarray:
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    return flat if flat.dtype == np.float32 else flat.astype(np.float64, copy=False)


def rows_of(given: np.ndarray | Rows) -> Rows:
    """An array as rows; rows as they are."""
    return InMemory(given) if isinstance(given, np.ndarray) else given


def blocks(rows: Rows) -> int:
    """How many blocks there are."""
    return -(-len(rows) // rows.block)


def read_all(rows: Rows) -> Iterator[np.ndarray]:
    """All blocks in order."""
    return (rows.read(number) for number in range(blocks(rows)))


def distinct(rows: Rows, sizes: np.ndarray) -> int:
    """How many different rows there are: exact repeats count once, and -0 is 0. Only rows of about one
    size, of `sizes` `[n]`, can be equal."""
    order = np.argsort(sizes)
    close = np.diff(sizes[order]) <= 1e-9 * sizes[order[1:]]
    twins = np.sort(order[np.append(close, False) | np.append(False, close)])
    seen: set[bytes] = set()
    for start in range(0, len(twins), rows.block):
        part = rows.take(twins[start : start + rows.block]) + 0
        seen.update(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in part)
    return len(rows) - len(twins) + len(seen)


@dataclass(frozen=True, eq=False)
class Frame:
    """Rows are looked at as (x - centre) · scale; block products are float32 where `single`."""

    centre: np.ndarray  # float64 [d]
    scale: float
    single: bool

    @classmethod
    def of(cls, reference: Rows, *others: Rows) -> Self | None:
        """The frame about the median of some rows of `reference`, which no outlier moves; None where a
        value is not finite.

        Raises:
            DataError: sets without rows, or of different numbers of features.
        """
        for other in others:
            if other.width != reference.width:
                raise DataError(
                    f"rows of {other.width} features cannot be compared with rows of {reference.width}: take both "
                    "from one feature network"
                )
        if not all(len(rows) and rows.width for rows in (reference, *others)):
            raise DataError("a set without rows or without features has no neighbours")
        largest = 0.0
        for rows in (reference, *others):
            for part in read_all(rows):
                if not np.isfinite(part).all():
                    return None
                largest = max(largest, float(part.max()), -float(part.min()))
        some = np.linspace(0, len(reference) - 1, min(len(reference), MIDDLE)).astype(np.int64)
        middle = np.median(reference.take(some), axis=0).astype(np.float64)
        single = reference.width >= WIDE and 1e-30 < largest < 1e30
        if single:  # the same centre in both precisions
            middle = middle.astype(np.float32).astype(np.float64)
        return cls(middle, 2.0 ** -np.frexp(largest)[1], single)

    def double(self) -> Frame:
        """The same frame with products in float64."""
        return replace(self, single=False)

    @property
    def error(self) -> float:
        """Most by which -|x - y|²/2 from a block product is off, as a share of |x|² + |y|² + FLOOR.

        Float32: a sum of d + 2 rounded products of twice rounded entries (Higham 2002, §3.1), whatever
        the order of summation. Float64: within what counts as equal.
        """
        return 1.01 * (len(self.centre) + 8) * 2.0**-24 if self.single else ROUNDING / 2

    def of_rows(self, rows: np.ndarray, spare: int = 0) -> np.ndarray:
        """`rows` `[r, d]` in the frame, followed by `spare` columns of ones."""
        dtype = np.float32 if self.single else np.float64
        placed = np.empty((len(rows), rows.shape[1] + spare), dtype)
        placed[:, rows.shape[1] :] = 1
        inner = placed[:, : rows.shape[1]]
        centre = self.centre if rows.dtype == np.float64 else self.centre.astype(dtype)
        np.subtract(rows, centre, out=inner, casting="same_kind")
        inner *= dtype(self.scale)
        return placed

    def sizes(self, rows: Rows) -> np.ndarray:
        """|x|² of every row in the frame, float64 `[n]`."""
        exact = self.double()
        return np.concatenate([_squares(exact.of_rows(part)) for part in read_all(rows)])

    def apart(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """|x - y|² of pairs of rows `[p, d]`, float64 `[p]` in the frame, by subtraction: nothing cancels."""
        difference = np.subtract(first, second, dtype=np.float64)
        difference *= self.scale
        return _squares(difference)

    def distance(self, squared: np.ndarray) -> np.ndarray:
        """Squared distances in the frame → distances in the rows' own units."""
        return np.sqrt(squared) / self.scale


def _squares(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)
