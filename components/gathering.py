"""Rows of several Arrow tables in any order, long values copied once: from where they lie into their place.

Arrow's own `take` joins the tables first and copies every value twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

LONG = 256  # bytes of a value on average, from which on copying costs more than finding it


class Gathered:
    """The rows of `tables`, which have one schema, numbered through. They are looked at, not copied."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self.schema = tables[0].schema
        tables = [table.combine_chunks() for table in tables]  # nothing is copied where there is one chunk
        long = [
            name for name in long_columns(tables[0]) if all(_is_long(other.column(name)) for other in tables)
        ]
        self.long = {name: _Values([table.column(name).chunk(0) for table in tables]) for name in long}
        self.short = pa.concat_tables([table.drop_columns(long) for table in tables]).combine_chunks()

    def take(self, rows: np.ndarray) -> pa.Table:
        """The rows with these numbers, in this order."""
        short = self.short.take(rows)
        return pa.Table.from_arrays(
            [
                self.long[name].take(rows) if name in self.long else short.column(name)
                for name in self.schema.names
            ],
            schema=self.schema,
        )


def long_columns(table: pa.Table) -> list[str]:
    """The columns of bytes or text, none of it missing, whose values are long."""
    return [name for name in table.column_names if _is_long(table.column(name))]


def _is_long(column: pa.ChunkedArray) -> bool:
    plain = pa.types.is_binary(column.type) or pa.types.is_string(column.type)
    return plain and not column.null_count and column.nbytes >= LONG * len(column) > 0


def memory_of(array: pa.Array) -> tuple[memoryview, np.ndarray]:
    """The bytes behind a binary or string array that is not empty, and the n + 1 edges of its n values."""
    _, offsets, data = array.buffers()
    edges = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return memoryview(b"" if data is None else data), edges


class _Values:
    """Binary or string arrays one after another."""

    def __init__(self, arrays: list[pa.Array]) -> None:
        self.type = arrays[0].type
        found = [memory_of(array) for array in arrays]
        self.memory, offsets = [memory for memory, _ in found], [edges for _, edges in found]
        self.which = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
        self.begin = np.concatenate([some[:-1] for some in offsets])
        self.end = np.concatenate([some[1:] for some in offsets])

    def take(self, rows: np.ndarray) -> pa.Array:
        which, begin, end = self.which[rows], self.begin[rows], self.end[rows]
        edges = np.concatenate([[0], np.cumsum(end - begin, dtype=np.int64)])
        if edges[-1] >= 2**31:
            raise OverflowError(f"{edges[-1]} bytes in {len(rows)} records; the most is 2 GiB")
        memory = self.memory
        values = b"".join(
            [memory[i][a:b] for i, a, b in zip(which.tolist(), begin.tolist(), end.tolist(), strict=True)]
        )
        buffers = [None, pa.py_buffer(edges.astype(np.int32)), pa.py_buffer(values)]
        return pa.Array.from_buffers(self.type, len(rows), buffers)
