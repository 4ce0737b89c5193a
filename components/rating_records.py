"""Rows of ratings → records: values are checked, each row gets its key and its part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from components import rating_files, storage, tables
from components.errors import DataError
from components.modalities import Block, Rejected
from components.settings import Settings

BINS = 65_536  # of a histogram of times
LATEST = 253_402_300_800.0  # seconds since 1970 of the year 10000
MILLISECONDS = 1e11  # a number from here on counts them, as tables.moment has it

Columns = dict[str, tuple[str, ...]]


class Read(Settings):
    """How rows become records, and what decides their split."""

    split: Literal["key", "user", "time", "fold"] = Field(
        "key",
        description="key: each rating by itself; user: all of a user on one side; time: the latest are "
        "validation and test; fold: u{fold}.base and u{fold}.test of MovieLens, or the CSV's column fold",
    )
    fold: int = Field(1, ge=0, le=1000, description="the fold that is the test split")
    validation: float = Field(0.1, gt=0, lt=0.5, description="share by time that is the validation split")
    test: float = Field(0.1, gt=0, lt=0.5, description="share by time, the latest, that is the test split")
    user: str = Field("", description="column of the user, where its name does not tell")
    item: str = Field("", description="column of the item")
    rating: str = Field("", description="column of the rating")
    time: str = Field("", description="column of the time")
    lowest: float | None = Field(None, description="a rating below is set aside")
    highest: float | None = Field(None, description="a rating above is set aside")


# -- when validation and test begin --------------------------------------------------------------------


def cuts(source: str, chunks: list[dict[str, Any]], options: Read) -> list[float]:
    """The times at which validation and test begin, each to a thousandth of the records or to the second.

    The file is read again for each histogram, so that times are never held.

    Raises:
        DataError: no column or no row has a time.
    """

    def times() -> Iterator[np.ndarray]:
        for chunk in chunks:
            for _, values, _ in rating_files.columns(chunk):
                if "time" not in values:
                    raise DataError(
                        f"data.source '{source}': split by time needs a time, and there is no such column: "
                        "name it in data.read.time or choose another data.read.split"
                    )
                found = times_of(values["time"])
                yield found[np.isfinite(found)]

    bounds = [(found.min(), found.max()) for found in times() if len(found)]
    if not bounds:
        raise DataError(f"data.source '{source}': no row has a time: choose another data.read.split")
    low, high = min(first for first, _ in bounds), max(last for _, last in bounds)
    edges = np.linspace(low, np.nextafter(high, np.inf), BINS + 1)
    counts = _histogram(times(), edges)
    starts = (1 - options.test - options.validation, 1 - options.test)
    return [_quantile(times, edges, counts, share) for share in starts]


def _histogram(times: Iterator[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """How many lie in [edge, next edge)."""
    counts = np.zeros(len(edges) - 1, np.int64)
    for found in times:
        inside = found[(found >= edges[0]) & (found < edges[-1])]
        counts += np.bincount(np.searchsorted(edges, inside, "right") - 1, minlength=len(counts))
    return counts


def _quantile(
    times: Callable[[], Iterator[np.ndarray]], edges: np.ndarray, counts: np.ndarray, share: float
) -> float:
    """The edge below which `share` of the times lie, in ever finer bins around it."""
    total, below = counts.sum(), 0
    while True:
        bin_ = int(np.searchsorted(below + np.cumsum(counts), share * total))
        width = edges[bin_ + 1] - edges[bin_]
        if counts[bin_] <= total / 1000 or width <= 1:
            return float(edges[bin_ + 1])
        below += int(counts[:bin_].sum())
        edges = np.linspace(edges[bin_], edges[bin_ + 1], BINS + 1)
        counts = _histogram(times(), edges)


# -- rows → records ------------------------------------------------------------------------------------


def records(chunk: dict[str, Any], options: Read) -> Iterator[Block | Rejected]:
    """The ratings of a chunk; a row that is none is set aside with its line."""
    name = storage.last_part(chunk["path"])
    for lines, values, bad in rating_files.columns(chunk):
        for row in bad:
            yield Rejected(f"{name}#{row.number}", row.rule, row.reason, row.remedy)
        if lines:
            yield from _checked(name, lines, values, chunk, options)


def _checked(
    name: str, lines: list[int], values: Columns, chunk: dict[str, Any], options: Read
) -> Iterator[Block | Rejected]:
    users, items = (pc.utf8_trim_whitespace(pa.array(values[column])) for column in ("user", "item"))
    rating = numbers_of(values["rating"])
    time = times_of(values["time"]) if "time" in values else None
    wrong = _wrong(values, users, items, rating, time, options)
    for row, (rule, reason, remedy) in sorted(wrong.items()):
        yield Rejected(f"{name}#{lines[row]}", rule, f"line {lines[row]}: {reason}", remedy)
    good = np.ones(len(lines), bool)
    good[list(wrong)] = False
    parts = _parts(values, time, chunk, options, len(lines))
    for part in sorted(set(parts[good].tolist())):
        rows = np.flatnonzero(good & (parts == part))
        mine = users.take(pa.array(rows))
        theirs = items.take(pa.array(rows))
        stamps = None if time is None else time[rows]
        yield Block(
            _keys(mine, theirs, stamps),
            {
                "user": mine,
                "item": theirs,
                "rating": pa.array(rating[rows]),
                "time": None if stamps is None else pa.array(stamps),
            },
            part or None,
            mine.to_pylist() if options.split == "user" else None,
        )


def _keys(users: pa.Array, items: pa.Array, time: np.ndarray | None) -> list[str]:
    """user/item or user/item/time, with slashes in names written as %2F."""
    names = []
    for ids in (users, items):
        ids = pc.replace_substring(ids, "%", "%25")
        names.append(pc.replace_substring(ids, "/", "%2F"))
    if time is not None:
        whole = time.astype(np.int64)
        stamps = pa.array(whole).cast(pa.string())
        if (whole != time).any():
            stamps = pa.array(
                [str(w) if w == t else repr(t) for w, t in zip(whole.tolist(), time.tolist(), strict=True)]
            )
        names.append(stamps)
    found: list[str] = pc.binary_join_element_wise(*names, "/").to_pylist()
    return found


def _parts(
    values: Columns, time: np.ndarray | None, chunk: dict[str, Any], options: Read, count: int
) -> np.ndarray:
    """The official split of each row, "" where the hash decides."""
    if options.split == "time" and time is not None:
        return np.array(["train", "validation", "test"])[np.searchsorted(chunk["cuts"], time, side="right")]
    if options.split == "fold" and not chunk["part"]:
        if "fold" not in values:
            raise DataError(
                f"'{chunk['path']}': split by fold needs a column fold, or u{options.fold}.base and "
                f"u{options.fold}.test in the folder"
            )
        mine = np.array([fold.strip() == str(options.fold) for fold in values["fold"]])
        return np.where(mine, "test", "development")
    return np.full(count, chunk["part"])


def _wrong(
    values: Columns,
    users: pa.Array,
    items: pa.Array,
    rating: np.ndarray,
    time: np.ndarray | None,
    options: Read,
) -> dict[int, tuple[str, str, str]]:
    """Row → rule, reason and remedy of what is no rating."""
    found: dict[int, tuple[str, str, str]] = {}
    if time is not None:
        for row in np.flatnonzero(~np.isfinite(time)).tolist():
            said = values["time"][row]
            found[row] = ("no-time", f"'{said[:40]}' is no time", "write it as 2024-05-31 or in seconds")
    low = -np.inf if options.lowest is None else options.lowest
    high = np.inf if options.highest is None else options.highest
    for row in np.flatnonzero((rating < low) | (rating > high)).tolist():
        told = f"a rating of {rating[row]:g} is not in {low:g} to {high:g}"
        found[row] = ("out-of-scale", told, "mend it or change data.read.lowest and highest")
    for row in np.flatnonzero(~np.isfinite(rating)).tolist():
        said = values["rating"][row]
        found[row] = ("no-rating", f"'{said[:40]}' is no finite number", "give the rating as a number")
    for column, ids in (("user", users), ("item", items)):
        for row in np.flatnonzero(pc.equal(ids, "").to_numpy(zero_copy_only=False)).tolist():
            found[row] = ("missing-id", f"it names no {column}", f"name the {column}")
    return found


# -- values --------------------------------------------------------------------------------------------


def numbers_of(values: tuple[str, ...]) -> np.ndarray:
    """float64 `[n]`, NaN where there is no finite number."""
    return _parsed(values, tables.number)


def times_of(values: tuple[str, ...]) -> np.ndarray:
    """Seconds since 1970, float64 `[n]`, NaN where there is no time. A plain number counts seconds, from
    twelve digits on milliseconds; all else is as `tables.moment` has it."""
    found = _parsed(values, _time)
    found = np.where(np.abs(found) >= MILLISECONDS, found / 1000, found)
    return np.where(np.abs(found) < LATEST, found, np.nan)


def _time(text: str) -> float | None:
    try:
        return tables.number(text)
    except ValueError:
        return tables.moment(text).timestamp()


def _parsed(values: tuple[str, ...], one: Callable[[str], float | None]) -> np.ndarray:
    """By Arrow at once where every value is a plain number, else one by one: the same numbers."""
    try:
        quick: np.ndarray = pa.array(values, pa.string()).cast(pa.float64()).to_numpy()
        if np.isfinite(quick).all():
            return quick
    except pa.ArrowInvalid:
        pass
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            told = one(value)
        except ValueError:
            continue
        if told is not None:
            found[row] = told
    return found
