"""Series as records: rows on their grid, cut into train, validation and test, or kept whole.

A record is a part of one series: `steps` steps of all its channels, NaN where a value is missing. Its
first `context` steps repeat the end of the part before. A part of more than a million values is several
records.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components.modalities import Block, Rejected
from components.series_rows import Reader, Rows
from components.series_sources import ROWS, Read
from components.time_steps import Frequency, Placed, Unplaceable, iso, place

RECORD = [
    pa.field("series", pa.string()),
    pa.field("channels", pa.list_(pa.string())),
    pa.field("covariate_names", pa.list_(pa.string())),
    pa.field("frequency", pa.string()),  # "1 hour", "rows"; null where there is one time only
    pa.field("start", pa.string()),  # ISO 8601, of the first step; null with frequency rows
    pa.field("offset", pa.int64()),  # of the first step in the series
    pa.field("context", pa.int64()),  # leading steps that the part before has too
    pa.field("steps", pa.int64()),  # context included
    pa.field("length", pa.int64()),  # steps of the whole series
    pa.field("unsorted", pa.int64()),  # rows that stood behind a later time
    pa.field("values", pa.list_(pa.float64())),  # [steps, channels]
    pa.field("covariates", pa.list_(pa.float64())),  # [steps, covariates]
]
CONTENT = ("channels", "values", "covariates")
MOST_CELLS = 2**20  # values of one record
BLOCK_CELLS = 2**20  # values gathered before they are handed on
UNIVARIATE = "value"  # what the channel of a series of one channel is called
PARTS = ("train", "validation", "test")


def read(chunk: dict[str, Any], read: Read) -> Iterator[Block | Rejected]:
    """The series of a chunk, as parts; rows and series that cannot be used are set aside with the reason."""
    files = chunk["files"]
    groups = [files] if files[0]["id"] else [[file] for file in files]
    gathered = _Parts()
    for group in groups:
        reader = Reader(group, chunk["bucket"], chunk["buckets"], read.time_format, read.frequency != ROWS)
        yield from reader.rejected()
        found = False
        for rows in reader.series():
            found = True
            for one in _series(rows, group[0], read):
                if isinstance(one, Rejected):
                    yield one
                    continue
                yield from gathered.add(one)
        if not found and not files[0]["id"] and group[0]["first"]:
            name = group[0]["name"]
            yield Rejected(
                name, "empty", f"'{name}' has no row that can be used", "remove it, or mend its rows"
            )
    yield from gathered.flush()


@dataclass(frozen=True)
class Part:
    """A record to be."""

    key: str
    part: str | None
    group: str
    fields: dict[str, Any]
    values: np.ndarray  # float64 [steps, channels]
    covariates: np.ndarray  # float64 [steps, covariates]


def _series(rows: Rows, file: dict[str, Any], read: Read) -> Iterator[Part | Rejected]:
    """The rows of one id or one file → its series, each in parts."""
    try:
        placed = _placed(rows, read)
    except Unplaceable as error:
        if file["first"]:
            said = f"series '{rows.name}' ({rows.place(0)} and on): {error.reason}"
            yield Rejected(rows.name, error.rule, said, error.remedy)
        return
    if file["first"]:
        yield from _left_out(rows, placed, placed.grid.frequency if placed.grid else None)
    steps = int(placed.steps[-1]) + 1
    grid = np.full((steps, rows.values.shape[1]), np.nan)
    grid[placed.steps] = rows.values[placed.rows]
    late = np.zeros(steps, np.int64)
    late[placed.steps] = placed.unsorted[placed.rows]
    width = len(file["columns"])
    covariates = grid[:, width:]
    if read.channels:
        yield from _parts(rows.name, list(read.channels), grid[:, :width], covariates, late, placed, read)
        return
    for number, column in enumerate(file["columns"]):
        alone = bool(file["id"]) and width == 1
        name = rows.name if alone else f"{rows.name}/{column}"
        values = grid[:, number : number + 1]
        yield from _parts(name, [UNIVARIATE], values, covariates, late, placed, read)


def _placed(rows: Rows, read: Read) -> Placed:
    if read.frequency == ROWS:
        every = np.arange(len(rows.times))
        return Placed(every, every, every[:0], every[:0], np.zeros(len(every), bool), None, 0)
    return place(rows.times, Frequency.parse(read.frequency) if read.frequency else None, read.longest_gap)


def _left_out(rows: Rows, placed: Placed, frequency: Frequency | None) -> Iterator[Rejected]:
    for row in placed.repeated.tolist():
        said = f"line {rows.lines[row]}: series '{rows.name}' has the time {iso(rows.times[row])} already"
        yield Rejected(rows.place(row), "repeated-time", said, "keep one row for each time of a series")
    for row in placed.off_grid.tolist():
        said = f"line {rows.lines[row]}: the time {iso(rows.times[row])} is between two steps of {frequency}"
        yield Rejected(rows.place(row), "off-grid", said, "mend its time, or name data.read.frequency")


def _parts(
    name: str,
    channels: list[str],
    values: np.ndarray,
    covariates: np.ndarray,
    late: np.ndarray,
    placed: Placed,
    read: Read,
) -> Iterator[Part | Rejected]:
    """One series `[steps, channels]` → its parts, in pieces of bounded size."""
    length = len(values)
    try:
        cuts = cuts_of(length, read)
    except ValueError as error:
        remedy = "give more steps, or set data.read.test_steps and validation_steps lower"
        yield Rejected(name, "too-short", f"series '{name}': {error}", remedy)
        return
    frequency = ROWS if read.frequency == ROWS else str(placed.grid.frequency) if placed.grid else None
    most = max(1, MOST_CELLS // max(values.shape[1], covariates.shape[1]))
    for part, begin, end in cuts:
        for start in range(begin, end, most):
            stop = min(start + most, end)
            context = min(read.context, start) if part in PARTS[1:] and start == begin else 0
            first = start - context
            piece = f"+{start}" if start > begin else ""
            yield Part(
                f"{name}@{part or 'whole'}{piece}",
                part,
                name,
                {
                    "series": name,
                    "channels": channels,
                    "covariate_names": list(read.covariates),
                    "frequency": frequency,
                    "start": None if read.frequency == ROWS else placed.start(first),
                    "offset": first,
                    "context": context,
                    "steps": stop - first,
                    "length": length,
                    "unsorted": int(late[start:stop].sum()),
                },
                values[first:stop],
                covariates[first:stop],
            )


def cuts_of(steps: int, read: Read) -> list[tuple[str | None, int, int]]:
    """(part, first step, behind its last step). Each part has a step at least; a series of fewer than
    three steps is for training only.

    Raises:
        ValueError: nothing is left to train on.
    """
    if read.split == "series":
        return [(None, 0, steps)]
    test = read.test_steps or max(1, math.floor(steps * read.test + 1e-9))
    validation = read.validation_steps or max(1, math.floor(steps * read.validation + 1e-9))
    if test + validation >= steps:
        if read.test_steps or read.validation_steps:
            raise ValueError(f"{steps} steps are too few for {validation} of validation and {test} of test")
        return [("train", 0, steps)]
    edges = (0, steps - test - validation, steps - test, steps)
    return [(part, edges[i], edges[i + 1]) for i, part in enumerate(PARTS)]


class _Parts:
    """Gathers parts and hands them on as blocks, one for each side."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.cells = 0

    def add(self, part: Part) -> Iterator[Block]:
        self.parts.append(part)
        self.cells += part.values.size + part.covariates.size
        if self.cells >= BLOCK_CELLS or len(self.parts) >= 50_000:
            yield from self.flush()

    def flush(self) -> Iterator[Block]:
        for side in (*PARTS, None):
            mine = [part for part in self.parts if part.part == side]
            if mine:
                columns: dict[str, Any] = {name: [p.fields[name] for p in mine] for name in mine[0].fields}
                columns["values"] = _lists([part.values for part in mine])
                columns["covariates"] = _lists([part.covariates for part in mine])
                yield Block([p.key for p in mine], columns, side, [p.group for p in mine])  # type: ignore[arg-type]
        self.parts, self.cells = [], 0


def _lists(arrays: list[np.ndarray]) -> pa.Array:
    ends = np.cumsum([0, *(array.size for array in arrays)])
    flat = np.concatenate([array.ravel() for array in arrays])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat))


# -- records as arrays ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A record, read: float64 `values` `[steps, channels]` and `covariates` `[steps, covariates]`."""

    series: str
    channels: tuple[str, ...]
    covariate_names: tuple[str, ...]
    frequency: str | None
    offset: int
    context: int
    length: int
    unsorted: int
    values: np.ndarray
    covariates: np.ndarray


def pieces(table: pa.Table) -> Iterator[Piece]:
    """The records of a table."""
    plain = ["series", "channels", "covariate_names", "frequency", "offset", "context", "length", "unsorted"]
    for batch in table.select([*plain, "values", "covariates"]).to_batches():
        rows = batch.select(plain).to_pylist()
        values, covariates = (_split(batch.column(name)) for name in ("values", "covariates"))
        for row, value, covariate in zip(rows, values, covariates, strict=True):
            channels, names = tuple(row.pop("channels")), tuple(row.pop("covariate_names"))
            yield Piece(
                **row,
                channels=channels,
                covariate_names=names,
                values=value.reshape(-1, len(channels)),
                covariates=covariate.reshape(len(value) // len(channels), len(names)),
            )


def _split(column: pa.ListArray) -> Iterator[np.ndarray]:
    ends = column.offsets.to_numpy().tolist()
    flat = column.values.to_numpy(zero_copy_only=False)
    for start, stop in itertools.pairwise(ends):
        yield flat[start:stop]
