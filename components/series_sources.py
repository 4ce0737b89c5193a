"""Sources of time series: which files, and what each of their columns means.

| layout       | columns                                                     | series                        |
| wide         | a time and values                                           | each column, `file/column`    |
| multivariate | a time and values, `channels` named                         | each file, its channels       |
| long         | an id, a time and values                                    | each id (over all the files)  |

The time is one column, a date and a time, or year, month, day, hour ... apart. Covariates are columns
known in advance (a calendar, a price): they come beside the values of every series of their rows.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components import series_fields, series_rows, storage
from components.errors import DataError
from components.modalities import location
from components.settings import Settings
from components.storage import Entry
from components.time_steps import Frequency

SOURCES = {
    "series": "series:FILE|FOLDER|GLOB   CSV or Parquet: a time and a column a series; or id, time and value"
}
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz", ".parquet")
CHUNK_BYTES = 8_000_000  # small files go together
BUCKET_BYTES = 64_000_000  # of files whose series are read in several rounds
ROWS = "rows"  # the frequency that takes rows as they stand

TIMES = ("time", "date", "datetime", "date_time", "timestamp", "ds", "ts")
PERIODS = ("month", "week", "quarter", "year", "day", "period")
APART = ("year", "month", "day", "hour", "minute", "second")
IDS = ("id", "unique_id", "series_id", "series", "item_id")
VALUES = ("value", "y", "target")


class Read(Settings):
    """How rows become series, and series become records."""

    time: str | tuple[str, ...] = Field(
        "",
        description="column of the time, or several: year, month, day, hour ... or a date and a time; by "
        "default found by name",
    )
    time_format: str = Field("", description="how times are written, e.g. %d.%m.%Y; by default ISO 8601")
    id: str = Field("", description="long layout: column that tells the series apart")
    columns: tuple[str, ...] = Field((), description="columns of values, each a series; by default all")
    channels: tuple[str, ...] = Field((), description="columns of values that are one series together")
    covariates: tuple[str, ...] = Field((), description="columns of numbers that are known in advance")
    frequency: str = Field(
        "",
        description="e.g. 15 minutes, day, month: what the times must be; rows: each row is the next step, "
        "as the file stands, and its time is not read; by default the commonest difference",
    )
    longest_gap: int = Field(10_000, ge=0, le=10_000_000, description="most steps missing in a row")
    split: Literal["time", "series"] = Field(
        "time",
        description="time: of each series the beginning is train, then validation, the latest test; series: "
        "each whole series on the side that the hash of its name says (data.split)",
    )
    validation: float = Field(0.1, gt=0, lt=0.5, description="split time: share of the steps")
    test: float = Field(0.1, gt=0, lt=0.5, description="split time: share of the steps, the latest")
    validation_steps: int | None = Field(None, ge=1, description="so many steps in place of the share")
    test_steps: int | None = Field(None, ge=1, description="so many steps in place of the share")
    context: int = Field(
        0,
        ge=0,
        le=100_000,
        description="split time: steps of the past repeated before validation and test, so that forecasts "
        "have a history",
    )

    @field_validator("frequency")
    @classmethod
    def _is_one(cls, text: str) -> str:
        if text not in ("", ROWS):
            Frequency.parse(text)
        return text

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.columns and self.channels:
            raise ValueError("columns are a series each and channels are one together: name either")
        values = [*self.columns, *self.channels, self.id]
        twice = [
            name
            for names in ([*values, *self.times], [*values, *self.covariates])  # an hour may be both
            for name in names
            if name and names.count(name) > 1
        ]
        if twice:
            raise ValueError(f"'{twice[0]}' is named twice")
        if self.context and self.split == "series":
            raise ValueError("context is of split time: with split series each series is whole")
        return self

    @property
    def times(self) -> tuple[str, ...]:
        """The named columns of the time."""
        return (self.time,) * bool(self.time) if isinstance(self.time, str) else self.time


def preflight(source: str, read: Read) -> None:
    """Raises DataError where there is no table."""
    files(source)


def files(source: str, read: Read | None = None) -> list[Entry]:
    """The tables, sorted."""
    where = location(source)
    found = storage.listing(where, SUFFIXES) if where else []
    if not found:
        raise DataError(f"data.source '{source}' names no table: one ends in {', '.join(SUFFIXES)}")
    return found


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks: of wide files one or more whole files, or of a large one some of its columns; of long files
    all of them, with the series that a hash puts into one of a few buckets."""
    where = location(source)
    entries = files(source)
    tables_ = [_described(entry, _name(entry.path, where), read) for entry in entries]
    if len({bool(table["id"]) for table in tables_}) > 1:
        names = ", ".join(table["name"] for table in tables_ if table["id"])
        raise DataError(f"data.source '{source}': {names} have series by id and the others by column")
    total = sum(entry.bytes for entry in entries)
    if tables_[0]["id"]:
        for table in tables_:
            if table["columns"] != tables_[0]["columns"]:
                raise DataError(
                    f"data.source '{source}': the columns of values differ: {', '.join(tables_[0]['columns'])} in "
                    f"{tables_[0]['name']}, {', '.join(table['columns'])} in {table['name']}: name them in data.read.columns"
                )
        buckets = -(-total // BUCKET_BYTES)
        return [{"files": tables_, "bucket": number, "buckets": buckets} for number in range(buckets)]
    chunks: list[dict[str, Any]] = []
    size = CHUNK_BYTES
    for entry, table in zip(entries, tables_, strict=True):
        for part in _columns_apart(table, entry.bytes, bool(read.channels)):
            if size >= CHUNK_BYTES:
                chunks.append({"files": [], "bucket": 0, "buckets": 1})
                size = 0
            chunks[-1]["files"].append(part)
            size += entry.bytes
    return chunks


def _columns_apart(table: dict[str, Any], size: int, together: bool) -> list[dict[str, Any]]:
    """A large file several times, each with some of its columns; the first tells its broken rows."""
    columns = table["columns"]
    rounds = 1 if together else min(len(columns), -(-size // BUCKET_BYTES))
    width = -(-len(columns) // rounds)
    starts = range(0, len(columns), width)
    return [{**table, "columns": columns[at : at + width], "first": at == 0} for at in starts]


def _name(path: str, where: str) -> str:
    """What a file is called in keys: its path below the folder that the source names."""
    if storage.has_magic(where):
        fixed = where[: min(where.find(sign) for sign in "*?[" if sign in where)]
        return storage.relative(path, fixed.rpartition("/")[0] or ".")
    return storage.relative(path, where) if path != where else storage.last_part(path)


def _described(entry: Entry, name: str, read: Read) -> dict[str, Any]:
    """What a worker needs to read one file."""
    head = series_rows.head(entry.path)
    time = _times(head, read)
    id_ = _id(head, time, read)
    _there(head, read.covariates, "covariates")
    rest = [c for c in head.columns if c not in (*time, *read.covariates, id_)]
    asked = "channels" if read.channels else "columns"
    named = read.channels or read.columns
    _there(head, named, asked)
    if not named and id_:
        named = tuple(c for c in rest if c.lower() in VALUES) or tuple(rest)
    values = list(named or rest)
    if not values or set(values) - set(rest):
        raise DataError(f"'{entry.path}' has no column of values beside its time and covariates")
    if not read.channels and not read.columns:
        _numbers(head, values)
    told = {"path": entry.path, "name": name, "time": list(time), "id": id_, "columns": values}
    table = {**told, "covariates": list(read.covariates), "chunks": head.chunks, "first": True}
    if read.frequency != ROWS:
        _datelike(head, time, read)
    return table


def _there(head: series_rows.Head, names: tuple[str, ...], option: str) -> None:
    for name in names:
        if name not in head.columns:
            raise DataError(
                f"'{head.path}' has no column '{name}' (data.read.{option}): it has {', '.join(head.columns)}"
            )


def _times(head: series_rows.Head, read: Read) -> tuple[str, ...]:
    """The columns of the time, as the options name them or by their names."""
    if read.times:
        _there(head, read.times, "time")
        return read.times
    by_name = {column.lower(): column for column in head.columns if column != read.id}
    found = [name for name in TIMES if name in by_name]
    if set(found) == {"date", "time"}:
        return by_name["date"], by_name["time"]
    if not found and "year" in by_name and "month" in by_name:
        found = [name for name in APART if name in by_name]
        return tuple(by_name[name] for name in found)
    found = found or [name for name in PERIODS if name in by_name]
    if len(found) == 1:
        return (by_name[found[0]],)
    if not found and read.frequency == ROWS:
        return ()
    said = (
        f"{', '.join(by_name[one] for one in found)} may each be the time"
        if found
        else "no column is the time"
    )
    raise DataError(
        f"'{head.path}': {said}; it has {', '.join(head.columns)}: name it in data.read.time, or set "
        "data.read.frequency: rows, which takes every row as the next step"
    )


def _id(head: series_rows.Head, time: tuple[str, ...], read: Read) -> str:
    """The column that tells series apart, or nothing."""
    if read.id:
        _there(head, (read.id,), "id")
        return read.id
    if read.columns or read.channels:
        return ""
    ids = [column for column in head.columns if column.lower() in IDS]
    values = [column for column in head.columns if column.lower() in VALUES]
    if not ids or (len(ids) == 1 and len(values) == 1):
        return ids[0] if ids else ""
    raise DataError(
        f"'{head.path}': the column '{ids[0]}' may tell series apart: name it in data.read.id, or name the columns of "
        "values in data.read.columns, which leaves it out"
    )


def _numbers(head: series_rows.Head, columns: list[str]) -> None:
    """Refuses columns taken by default that hold no number."""
    wrong = {}
    for column in columns:
        numbers, bad = series_fields.numbers(head.sample.get(column, ()))
        if bad and len(bad) == len(numbers):
            wrong[column] = next(iter(bad.values()))
    if wrong:
        column, why = next(iter(wrong.items()))
        rest = ", ".join(one for one in columns if one not in wrong)
        raise DataError(
            f"'{head.path}': the column '{column}' holds no numbers ({why}): name those to read, e.g. "
            f"data.read.columns: [{rest}]"
        )


def _datelike(head: series_rows.Head, time: tuple[str, ...], read: Read) -> None:
    """Refuses a time column of which nothing is a time."""
    texts = [head.sample[column] for column in time if column in head.sample]
    if len(texts) < len(time) or not len(texts[0]):
        return
    times, bad = series_fields.moments(texts, time, read.time_format)
    if len(bad) == len(times):
        raise DataError(
            f"'{head.path}': the column '{' '.join(time)}' holds no times ({next(iter(bad.values()))}); say how they "
            "are written in data.read.time_format (e.g. %d.%m.%Y), or set data.read.frequency: rows, which takes every "
            "row as the next step"
        )
