"""Files of ratings: a CSV with a header, and the layouts of MovieLens without one.

| file                    | separator | columns                       |
| *.csv *.csv.gz *.tsv    | , ; tab   | by their names in the header  |
| ratings.dat (1M)        | ::        | user item rating time         |
| u.data, u1.base (100K)  | tab       | user item rating time         |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from components import storage, tables
from components.errors import DataError
from components.tables import Bad

NAMES = {
    "user": ("user", "userid", "user_id", "uid", "customer", "reader"),
    "item": ("item", "itemid", "item_id", "movieid", "movie_id", "movie", "product", "isbn", "iid"),
    "rating": ("rating", "score", "stars", "value"),
    "time": ("time", "timestamp", "datetime", "date", "ts"),
    "fold": ("fold",),
}
PLAIN = {".dat": "::", ".data": "\t", ".base": "\t", ".test": "\t"}
ORDER = ("user", "item", "rating", "time")


def columns_of(path: str, named: dict[str, str]) -> dict[str, str]:
    """user, item, rating, and time and fold where there are some → the column of the file.

    Raises:
        DataError: a column is missing.
    """
    columns = tables.csv_columns(path)
    found: dict[str, str] = {}
    for meaning, names in NAMES.items():
        wanted = named.get(meaning, "")
        if wanted and wanted not in columns:
            raise DataError(
                f"'{path}' has no column '{wanted}' (data.read.{meaning}): it has {', '.join(columns)}"
            )
        match = wanted or next((name for name in columns if name.strip().lower() in names), "")
        if match:
            found[meaning] = match
        elif meaning in ("user", "item", "rating"):
            raise DataError(
                f"'{path}' has no column for the {meaning}: it has {', '.join(columns)}; name it in data.read.{meaning}"
            )
    return found


def chunks_of(path: str, named: dict[str, str]) -> list[dict[str, Any]]:
    """Chunks of about 8 MB, with the meanings of the columns."""
    suffix = next((suffix for suffix in PLAIN if path.lower().endswith(suffix)), "")
    if not suffix:
        meanings = columns_of(path, named)
        return [{**chunk, "meanings": meanings} for chunk in tables.csv_chunks(path)]
    chunks = tables.jsonl_chunks(path)  # byte ranges of whole lines
    return [{**chunk, "separator": PLAIN[suffix]} for chunk in chunks]


def columns(chunk: dict[str, Any]) -> Iterator[tuple[list[int], dict[str, tuple[str, ...]], list[Bad]]]:
    """Lines, values by meaning, and the bad rows, many at a time."""
    if "meanings" in chunk:
        for lines, values, bad in tables.csv_blocks(chunk):
            yield lines, {meaning: values[name] for meaning, name in chunk["meanings"].items()}, bad
        return
    lines, rows, bad = [], [], []
    with storage.opened(chunk["path"]) as stream:
        stream.seek(chunk["start"])
        body = stream.read(chunk["stop"] - chunk["start"])
    for line, text in enumerate(body.decode("utf-8", "replace").split("\n"), chunk["line"]):
        text = text.rstrip("\r")
        if not text:
            continue
        fields = text.split(chunk["separator"])
        if len(fields) != len(ORDER):
            said = f"line {line} has {len(fields)} fields, not user, item, rating and time"
            bad.append(Bad(line, "ragged-row", said, "mend the line"))
        else:
            lines.append(line)
            rows.append(fields)
    values = dict(zip(ORDER, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(ORDER, ())
    yield lines, values, bad


def numbers_of(values: tuple[str, ...]) -> np.ndarray:
    """float64 `[n]`, NaN where there is no finite number."""
    return _parsed(values, lambda text: tables.number(text))


def times_of(values: tuple[str, ...]) -> np.ndarray:
    """Seconds since 1970, float64 `[n]`, NaN where there is no time."""
    return _parsed(
        values, lambda text: float(text) if text.strip().isdecimal() else tables.moment(text).timestamp()
    )


def _parsed(values: tuple[str, ...], one: Callable[[str], float | None]) -> np.ndarray:
    try:
        found = np.array(values).astype(np.float64)
        if np.isfinite(found).all():
            return found
    except ValueError:
        pass
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            told = one(value)
        except ValueError:
            continue
        if told is not None:
            out[row] = told
    return out
