"""Files of ratings: CSVs with a header, and the layouts of MovieLens without one.

| file                    | separator | columns                       |
| *.csv *.csv.gz *.tsv    | , ; tab   | by their names in the header  |
| ratings.dat (1M)        | ::        | user item rating time         |
| u.data, u1.base (100K)  | tab       | user item rating time         |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from components import storage, tables
from components.errors import DataError
from components.storage import Entry
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
IN_FOLDER = ("ratings.csv", "ratings.csv.gz", "ratings.dat", "u.data")  # the first of them is read
FOLD = re.compile(r"u\d+\.(base|test)")


# -- which files ---------------------------------------------------------------------------------------


def all_of(where: str) -> list[Entry]:
    """Every file that a path names and that some option reads; DataError where there is none."""
    entries = storage.listing(where)
    if storage.is_folder(where):
        entries = [e for e in entries if _name(e) in IN_FOLDER or FOLD.fullmatch(_name(e))]
        if not entries:
            raise DataError(f"the folder '{where}' holds none of {', '.join(IN_FOLDER)}")
    if not entries:
        raise DataError(f"no file matches '{where}'")
    return entries


def chosen(where: str, fold: int | None) -> list[tuple[Entry, str]]:
    """The files to read, each with the part that all of it is, if any. `fold` is the one that tests.

    Raises:
        DataError: none, or two of one name.
    """
    entries = all_of(where)
    if not storage.is_folder(where):
        return [(entry, "") for entry in entries]
    by_name: dict[str, Entry] = {}
    for entry in entries:
        if _name(entry) in by_name:
            raise DataError(f"the folder '{where}' holds two files called {_name(entry)}: name one of them")
        by_name[_name(entry)] = entry
    base, test = f"u{fold}.base", f"u{fold}.test"
    if fold is not None and base in by_name and test in by_name:
        return [(by_name[base], "development"), (by_name[test], "test")]
    found = next((by_name[name] for name in IN_FOLDER if name in by_name), None)
    if found is None:
        raise DataError(
            f"the folder '{where}' holds only folds: choose data.read.split: fold, and one that is there"
        )
    return [(found, "")]


def _name(entry: Entry) -> str:
    return storage.last_part(entry.path)


# -- what they hold ------------------------------------------------------------------------------------


def chunks_of(path: str, named: dict[str, str]) -> list[dict[str, Any]]:
    """Chunks of about 8 MB, with what the columns mean. `named`: meaning → column, "" where not said.

    Raises:
        DataError: a column is missing; see also tables.csv_columns.
    """
    separator = next((PLAIN[suffix] for suffix in PLAIN if path.lower().endswith(suffix)), "")
    if separator:
        whole_lines = tables.jsonl_chunks(path)
        return [{**chunk, "separator": separator} for chunk in whole_lines]
    meanings = _meanings(path, named)
    return [{**chunk, "meanings": meanings} for chunk in tables.csv_chunks(path)]


def _meanings(path: str, named: dict[str, str]) -> dict[str, str]:
    """user, item, rating, and time and fold where there are some → the column of the file."""
    columns = tables.csv_columns(path)
    found: dict[str, str] = {}
    for meaning, names in NAMES.items():
        wanted = named.get(meaning, "")
        if wanted and wanted not in columns:
            raise DataError(
                f"'{path}' has no column '{wanted}' (data.read.{meaning}): it has {', '.join(columns)}"
            )
        match = wanted or next((name for name in columns if name.lower() in names), "")
        if match:
            found[meaning] = match
        elif meaning in ("user", "item", "rating"):
            raise DataError(
                f"'{path}' has no column for the {meaning}: it has {', '.join(columns)}; "
                f"name it in data.read.{meaning}"
            )
    return found


def columns(chunk: dict[str, Any]) -> Iterator[tuple[list[int], dict[str, tuple[str, ...]], list[Bad]]]:
    """Lines, values by meaning, and the bad rows, many at a time."""
    if "separator" in chunk:
        yield from tables.blocks_of(_plain_rows(chunk), ORDER)
        return
    for lines, values, bad in tables.csv_blocks(chunk):
        yield lines, {meaning: values[name] for meaning, name in chunk["meanings"].items()}, bad


def _plain_rows(chunk: dict[str, Any]) -> Iterator[tuple[int, list[str] | Bad]]:
    """(line, fields) of a file without quotes, or the line and what is wrong with it."""
    separator = chunk["separator"]
    for line, text in enumerate(tables.lines_of(chunk), chunk["line"]):
        text = text.rstrip("\r\n")
        fields = text.split(separator)
        if len(fields) == len(ORDER):
            yield line, tables.doubt(line, text) or fields
        elif text.strip():
            said = f"line {line} has {len(fields)} fields, not user, item, rating and time"
            yield line, Bad(line, "ragged-row", said, "give it all four")
