"""Rows of time series from CSV and Parquet: times, values and ids as arrays, each row with its place."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components import storage, tables
from components.errors import DataError
from components.modalities import Rejected
from components.series_fields import moments, numbers, texts_of
from components.splits import hashes

SAMPLE = 200  # rows that tell what the columns hold
MOST_VALUES = 50_000_000  # in memory at a time
MEND_NUMBER = "write a finite number, or leave the field empty where the value is missing"
MEND_TIME = "write its time as 2024-05-31 or 2024-05-31T12:30:00, or as data.read.time_format says"


@dataclass(frozen=True)
class Head:
    """What a file begins with: its columns, and some values of each."""

    path: str
    columns: list[str]
    sample: dict[str, Any]
    chunks: list[dict[str, Any]]


def head(path: str) -> Head:
    """The columns of a table, checked, and its first rows.

    Raises:
        DataError: no table, or two columns of one name.
    """
    if path.lower().endswith(".parquet"):
        chunks = tables.parquet_chunks(path)
        columns = _parquet_columns(path)
    else:
        chunks = tables.csv_chunks(path)
        columns = tables.csv_columns(path)
    first = next(_blocks(chunks[:1], columns, SAMPLE), None)
    sample = {} if first is None else {name: values[:SAMPLE] for name, values in first.columns.items()}
    return Head(path, columns, sample, chunks)


def _parquet_columns(path: str) -> list[str]:
    import pyarrow.parquet as pq

    with storage.opened(path) as stream:
        columns = pq.ParquetFile(stream).schema_arrow.names
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise DataError(f"'{path}': two columns are called '{twice[0]}': give each a name of its own")
    return list(columns)


# -- blocks of rows


@dataclass(frozen=True)
class _Block:
    """Some rows of a file: their lines, values by column (texts or an Arrow array), and broken ones."""

    lines: np.ndarray
    columns: dict[str, Any]
    bad: list[tables.Bad]


def _blocks(chunks: list[dict[str, Any]], columns: list[str], rows: int = 50_000) -> Iterator[_Block]:
    for chunk in chunks:
        if "groups" in chunk:
            for first, table in tables.parquet_tables(chunk, columns):
                lines = np.arange(first + 1, first + 1 + table.num_rows)
                yield _Block(lines, {name: table.column(name) for name in columns}, [])
        else:
            for found, values, bad in tables.csv_blocks(chunk, rows):
                yield _Block(np.array(found, np.int64), {name: values[name] for name in columns}, bad)


# -- rows of series ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The rows of one series (long) or of one file (wide), as they stand.

    Attributes:
        name: the id, or what the file is called.
        columns: of `values` and `covariates`, float64 `[n, columns]`.
        times: microseconds since 1970, int64 `[n]`; zeros where they are not read.
        places: `file#line` of row i is `place(i)`.
    """

    name: str
    columns: list[str]
    times: np.ndarray
    values: np.ndarray
    lines: np.ndarray
    file: np.ndarray
    files: list[str]

    def place(self, row: int) -> str:
        """file#line of a row."""
        return f"{self.files[self.file[row]]}#{self.lines[row]}"


@dataclass
class _Gathered:
    """Columns of rows, block after block."""

    codes: list[np.ndarray] = field(default_factory=list)
    times: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    lines: list[np.ndarray] = field(default_factory=list)
    file: list[np.ndarray] = field(default_factory=list)


class Reader:
    """The rows of the series of a chunk. Iterate over `rejected` first, then over `series`.

    Args:
        files: as the plan describes them; their columns are alike.
        bucket, buckets: of long files, only ids whose hash lies in this bucket are kept.
    """

    def __init__(
        self, files: list[dict[str, Any]], bucket: int, buckets: int, written: str, timed: bool
    ) -> None:
        self.files, self.bucket, self.buckets = files, bucket, buckets
        self.written, self.timed = written, timed
        self.long = bool(files[0]["id"])
        self.known: dict[str, int] = {}  # id → number, -1 where it is another bucket's
        self.names: list[str] = []
        self.kept = _Gathered()
        self.size = 0

    def rejected(self) -> Iterator[Rejected]:
        """Reads all rows, keeps them, and yields what is wrong with any."""
        for number, file in enumerate(self.files):
            if not self.long:
                self.names = [file["name"]]
            columns = list(dict.fromkeys([*file["time"] * self.timed, *self._of_values(file)]))
            columns += [file["id"]] * self.long
            for block in _blocks(file["chunks"], columns):
                if file["first"] and not self.bucket:
                    for row in block.bad:
                        yield Rejected(f"{file['name']}#{row.number}", row.rule, row.reason, row.remedy)
                if len(block.lines):
                    yield from self._add(number, file, block)

    @staticmethod
    def _of_values(file: dict[str, Any]) -> list[str]:
        return [*file["columns"], *file["covariates"]]

    def _add(self, number: int, file: dict[str, Any], block: _Block) -> Iterator[Rejected]:
        name, lines = file["name"], block.lines
        codes = np.zeros(len(lines), np.int64)
        if self.long:
            ids = block.columns[file["id"]]
            codes = self._codes(texts_of(ids) if isinstance(ids, pa.ChunkedArray) else ids)
            for row in np.flatnonzero(codes == -2).tolist():
                said = f"line {lines[row]} names no series in column '{file['id']}'"
                yield Rejected(f"{name}#{lines[row]}", "missing-id", said, "name its series")
        times, wrong = np.zeros(len(lines), np.int64), dict[int, str]()
        if self.timed:
            times, wrong = moments([block.columns[c] for c in file["time"]], file["time"], self.written)
        for row, why in wrong.items():
            if codes[row] >= 0 and file["first"]:
                said = f"line {lines[row]}, column '{' '.join(file['time'])}': {why}"
                yield Rejected(f"{name}#{lines[row]}", "no-time", said, MEND_TIME)
        codes[list(wrong)] = -1
        values = []
        for column in self._of_values(file):
            found, bad = numbers(block.columns[column])
            values.append(found)
            if column in file["covariates"] and not file["first"]:
                continue
            for row, why in bad.items():
                if codes[row] >= 0:
                    said = f"line {lines[row]}, column '{column}': {why}"
                    yield Rejected(f"{name}#{lines[row]}/{column}", "no-number", said, MEND_NUMBER)
        self._keep(number, codes, times, np.stack(values, 1), lines, file)

    def _codes(self, ids: Sequence[str | None]) -> np.ndarray:
        """The number of each row's series; -1 of another bucket, -2 where there is no id (told once)."""
        codes = np.empty(len(ids), np.int64)
        for row, said in enumerate(ids):
            name = (said or "").strip()
            if name not in self.known:
                mine = self.buckets == 1 or int(hashes([name], "bucket")[0]) % self.buckets == self.bucket
                self.known[name] = len(self.names) if mine else -1
                if not name:
                    self.known[name] = -1 if self.bucket else -2
                elif mine:
                    self.names.append(name)
            codes[row] = self.known[name]
        return codes

    def _keep(
        self,
        number: int,
        codes: np.ndarray,
        times: np.ndarray,
        values: np.ndarray,
        lines: np.ndarray,
        file: dict[str, Any],
    ) -> None:
        mine = codes >= 0
        kept = self.kept
        kept.codes.append(codes[mine])
        kept.times.append(times[mine])
        kept.values.append(values[mine])
        kept.lines.append(lines[mine])
        kept.file.append(np.full(int(mine.sum()), number, np.int32))
        self.size += int(mine.sum()) * values.shape[1]
        if self.size > MOST_VALUES:
            raise DataError(
                f"'{file['path']}' holds more than {MOST_VALUES:,} values to be read at once: name fewer columns in "
                "data.read, or cut the file"
            )

    def series(self) -> Iterator[Rows]:
        """Each series with all its rows, in the order of their files and lines."""
        kept = self.kept
        if not kept.codes:
            return
        codes, times, values, lines, file = (
            np.concatenate(part) for part in (kept.codes, kept.times, kept.values, kept.lines, kept.file)
        )
        self.kept = kept = _Gathered()
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(self.names) + 1))
        names = [one["name"] for one in self.files]
        columns = self._of_values(self.files[0])
        for code, (start, stop) in enumerate(itertools.pairwise(starts.tolist())):
            rows = order[start:stop]
            if len(rows):
                name = self.names[code]
                yield Rows(name, columns, times[rows], values[rows], lines[rows], file[rows], names)
