"""Fields of time series as arrays: texts or Arrow columns → numbers and times, and what is wrong with any."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from components import tables
from components.errors import DataError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])")
PLAIN, PLAIN_WIDTHS = "0000-00-00T00:00:00", (7, 10, 16, 19)
APART = re.compile(r"year|month|day|hour|minute|second", re.IGNORECASE)


def numbers(column: Any) -> tuple[np.ndarray, dict[int, str]]:
    """float64 `[n]`, NaN where missing or wrong, and what is wrong by row."""
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            found = column.cast(pa.float64(), safe=False).to_numpy()
            bad = {int(row): "it is not finite" for row in np.flatnonzero(np.isinf(found))}
            return np.where(np.isinf(found), np.nan, found), bad
        column = texts_of(column)
    try:
        found = np.array(column, dtype=np.str_).astype(np.float64) if len(column) else np.empty(0)
        if np.isfinite(found).all():
            return found, {}
    except (ValueError, TypeError):
        pass
    found, bad = np.full(len(column), np.nan), {}
    for row, text in enumerate(column):
        try:
            value = tables.number(text)
        except ValueError as error:
            bad[row] = str(error)
            continue
        if value is not None:
            found[row] = value
    return found, bad


def moments(
    columns: Sequence[Any], names: Sequence[str], written: str = ""
) -> tuple[np.ndarray, dict[int, str]]:
    """Microseconds since 1970, int64 `[n]`, of one column of times, a date and a time, or year, month ...
    apart; and what is wrong by row."""
    only = columns[0]
    if len(columns) == 1 and isinstance(only, pa.ChunkedArray) and pa.types.is_temporal(only.type):
        return _timestamps(only)
    parts = [texts_of(column) if isinstance(column, pa.ChunkedArray) else column for column in columns]
    if len(parts) == 1 and not written:
        plain = _plain(parts[0])
        if plain is not None:
            return plain, {}
    apart = len(parts) > 1 and all(APART.fullmatch(name) for name in names)
    read = _of_numbers([name.lower() for name in names]) if apart else _of_text(written)
    known: dict[tuple[Any, ...], int | ValueError] = {}
    times, bad = np.zeros(len(parts[0]), np.int64), {}
    for row, said in enumerate(zip(*parts, strict=True)):
        if said not in known:
            if len(known) > 100_000:
                known.clear()
            known[said] = _tried(read, said)
        found = known[said]
        if isinstance(found, ValueError):
            bad[row] = str(found)
        else:
            times[row] = found
    return times, bad


def _plain(texts: Sequence[str | None]) -> np.ndarray | None:
    """The times of texts all written like 2024-05-31T12:30:00, or as much of it; None where one is not."""
    found = np.array(texts, np.str_)
    width = found.dtype.itemsize // 4
    if not found.size or width not in PLAIN_WIDTHS:
        return None
    symbols = found.view(np.uint32).reshape(len(found), width)
    for at, symbol in enumerate(symbols.T):
        lowest, highest = (ord("0"), ord("9")) if PLAIN[at] == "0" else (ord(PLAIN[at]),) * 2
        fits = (symbol >= lowest) & (symbol <= highest)
        if not (fits | ((symbol == ord(" ")) & (PLAIN[at] == "T"))).all():
            return None
    if (symbols[:, :4] == ord("0")).all(1).any():  # a year that datetime does not know
        return None
    try:
        return found.astype("datetime64[us]").astype(np.int64)
    except ValueError:  # a 31st of February
        return None


def _tried(read: Callable[..., datetime], said: tuple[Any, ...]) -> int | ValueError:
    if any(part is None or not part.strip() for part in said):
        return ValueError("it has no time")
    try:
        return (read(*said) - EPOCH) // MICROSECOND
    except (ValueError, OverflowError, re.error) as error:  # re.error: a pattern that cannot be meant
        return ValueError(str(error))


def _of_text(written: str) -> Callable[..., datetime]:
    """One text → its time; a date and a time are joined by a blank."""

    def read(*said: str) -> datetime:
        text = " ".join(part.strip() for part in said)
        if written:
            found = datetime.strptime(text, written)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        quarter = QUARTER.fullmatch(text)
        if quarter:
            return datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1, tzinfo=UTC)
        return tables.moment(text)

    return read


def _of_numbers(names: list[str]) -> Callable[..., datetime]:
    """Year, month, day, hour ... → their time."""

    def read(*said: str) -> datetime:
        parts = dict(zip(names, said, strict=True))
        try:
            whole = {name: int(part.removesuffix(".0")) for name, part in parts.items()}
            return datetime(**{"month": 1, "day": 1, **whole}, tzinfo=UTC)  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            told = ", ".join(f"{name} {part}" for name, part in parts.items())
            raise ValueError(f"{told} is no time") from error

    return read


def _timestamps(column: pa.ChunkedArray) -> tuple[np.ndarray, dict[int, str]]:
    """Arrow's dates and timestamps."""
    try:
        whole = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    except pa.ArrowException as error:
        raise DataError(f"a column of type {column.type} is no time: write timestamps or dates") from error
    bad = {int(row): "it has no time" for row in np.flatnonzero(column.is_null().to_numpy())}
    return whole.cast(pa.int64()).fill_null(0).to_numpy(), bad


def texts_of(column: pa.ChunkedArray) -> list[str | None]:
    """The values of an Arrow column as texts."""
    return [None if value is None else str(value) for value in column.to_pylist()]
