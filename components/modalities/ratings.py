"""Ratings: who gave which item how much, and when.

A record is one rating; its key is user/item/time, so that it stays on its side when data grow. An
example is x = (user, item) as numbers and the rating as it was given. Users and items are those of the
training split; 0 is one that it does not have.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from components import rating_files, storage
from components.accumulators import Categorical, Feature, Numeric
from components.errors import DataError
from components.modalities import Anomaly, Block, Rejected, Summary, location
from components.settings import Settings
from components.storage import Entry
from keras_models.spec import Spec

KIND = "ratings"
SOURCES = {"ratings": "ratings:FILE|FOLDER   a CSV of user, item, rating and time, or a folder of MovieLens"}
RECORD = [
    pa.field("user", pa.string()),
    pa.field("item", pa.string()),
    pa.field("rating", pa.float64()),
    pa.field("time", pa.float64()),  # seconds since 1970
]
CONTENT = ("user", "item", "rating", "time")
FOLDER_FILES = ("ratings.csv", "ratings.csv.gz", "ratings.dat", "u.data")
BINS = 1_000_000  # of the range of times, for the cuts of split: time


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


class Encode(Settings):
    """How records become examples: there is nothing to choose."""


# -- source → records ----------------------------------------------------------------------------------


def preflight(source: str, options: Read) -> None:
    """Raises DataError where the file is not there."""
    _files(source, options)


def files(source: str, options: Read | None = None) -> list[Entry]:
    """The files behind a source, for its fingerprint."""
    return [entry for entry, _ in _files(source, options or Read())]


def _files(source: str, options: Read) -> list[tuple[Entry, str]]:
    """The files, each with the part that all of it is, if any."""
    where = location(source)
    if not where or not storage.exists(where):
        raise DataError(
            f"data.source '{source}': there is no file or folder '{where}' (seen from {Path.cwd()})"
        )
    entries = storage.listing(where)
    if not storage.is_folder(where):
        return [(entry, "") for entry in entries]
    by_name = {storage.last_part(entry.path): entry for entry in entries}
    base, test = f"u{options.fold}.base", f"u{options.fold}.test"
    if options.split == "fold" and base in by_name and test in by_name:
        return [(by_name[base], "development"), (by_name[test], "test")]
    for name in FOLDER_FILES:
        if name in by_name:
            return [(by_name[name], "")]
    raise DataError(f"data.source '{source}': the folder '{where}' holds none of {', '.join(FOLDER_FILES)}")


def plan(source: str, options: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB, with the times at which validation and test begin where time decides."""
    named = options.model_dump(include={"user", "item", "rating", "time"})
    chunks = [
        {**chunk, "part": part}
        for entry, part in _files(source, options)
        for chunk in rating_files.chunks_of(entry.path, named)
    ]
    if options.split == "time":
        cuts = _cuts(source, chunks, options)
        chunks = [{**chunk, "cuts": cuts} for chunk in chunks]
    return chunks


def _cuts(source: str, chunks: list[dict[str, Any]], options: Read) -> list[float]:
    """The times at which validation and test begin: two passes, a histogram of a million bins."""

    def times() -> Iterator[np.ndarray]:
        for chunk in chunks:
            for _, values, _ in rating_files.columns(chunk):
                if "time" not in values:
                    raise DataError(
                        f"data.source '{source}': split by time needs a time, and there is no such column: "
                        "name it in data.read.time or choose another data.read.split"
                    )
                parsed = rating_files.times_of(values["time"])
                yield parsed[np.isfinite(parsed)]

    bounds = [(found.min(), found.max()) for found in times() if len(found)]
    if not bounds:
        raise DataError(f"data.source '{source}': no row has a time: choose another data.read.split")
    first, last = min(low for low, _ in bounds), max(high for _, high in bounds)
    counts = np.zeros(BINS, np.int64)
    for found in times():
        counts += np.histogram(found, BINS, (first, last))[0]
    shares = np.cumsum(counts) / counts.sum()
    edges = np.linspace(first, last, BINS + 1)
    wanted = (1 - options.test - options.validation, 1 - options.test)
    return [float(edges[np.searchsorted(shares, share) + 1]) for share in wanted]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block | Rejected]:
    """The ratings of a chunk; a row that is none is set aside with its line."""
    name = storage.last_part(chunk["path"])
    for lines, values, bad in rating_files.columns(chunk):
        for row in bad:
            yield Rejected(f"{name}#{row.number}", row.rule, row.reason, row.remedy)
        if lines:
            yield from _records(name, lines, values, chunk, options)


def _records(
    name: str, lines: list[int], values: dict[str, tuple[str, ...]], chunk: dict[str, Any], options: Read
) -> Iterator[Block | Rejected]:
    rating = rating_files.numbers_of(values["rating"])
    time = rating_files.times_of(values["time"]) if "time" in values else None
    wrong = _wrong(values, rating, time, options)
    for index, (rule, reason, remedy) in wrong.items():
        yield Rejected(f"{name}#{lines[index]}", rule, f"line {lines[index]}: {reason}", remedy)
    good = np.array([index for index in range(len(lines)) if index not in wrong], np.int64)
    part = _parts(values, time, chunk, options, len(lines))
    for which in sorted(set(part[good])):
        rows = good[part[good] == which]
        users, items = ([values[column][row].strip() for row in rows] for column in ("user", "item"))
        stamps = [""] * len(rows) if time is None else [f"/{stamp:.0f}" for stamp in time[rows]]
        yield Block(
            [
                f"{user.replace('/', '%2F')}/{item.replace('/', '%2F')}{stamp}"
                for user, item, stamp in zip(users, items, stamps, strict=True)
            ],
            {
                "user": users,
                "item": items,
                "rating": pa.array(rating[rows]),
                "time": None if time is None else pa.array(time[rows]),
            },
            which or None,
            users if options.split == "user" else None,
        )


def _parts(
    values: dict[str, tuple[str, ...]],
    time: np.ndarray | None,
    chunk: dict[str, Any],
    options: Read,
    count: int,
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
    values: dict[str, tuple[str, ...]], rating: np.ndarray, time: np.ndarray | None, options: Read
) -> dict[int, tuple[str, str, str]]:
    """Row → rule, reason and remedy of what is no rating."""
    found: dict[int, tuple[str, str, str]] = {}
    for column in ("user", "item"):
        for row, value in enumerate(values[column]):
            if not value.strip():
                found[row] = ("missing-id", f"it names no {column}", f"name the {column}")
    for row in np.flatnonzero(~np.isfinite(rating)).tolist():
        said = values["rating"][row]
        found[row] = ("no-rating", f"'{said[:40]}' is no finite number", "give the rating as a number")
    low = -np.inf if options.lowest is None else options.lowest
    high = np.inf if options.highest is None else options.highest
    for row in np.flatnonzero(np.isfinite(rating) & ((rating < low) | (rating > high))).tolist():
        told = f"a rating of {rating[row]:g} is not in {low:g} to {high:g}"
        found[row] = ("out-of-scale", told, "mend it or change data.read.lowest and highest")
    if time is not None:
        for row in np.flatnonzero(~np.isfinite(time)).tolist():
            said = values["time"][row]
            found[row] = ("no-time", f"'{said[:40]}' is no time", "write it as 2024-05-31 or in seconds")
    return found


# -- records → statistics ------------------------------------------------------------------------------


def summarise(table: pa.Table) -> dict[str, Feature]:
    """Ratings, times, and how many each user gave and each item got."""
    found: dict[str, Feature] = {
        "rating": Numeric.of(table.column("rating").to_numpy()),
        "user": Categorical.of(table.column("user")),
        "item": Categorical.of(table.column("item")),
    }
    if table.column("time").null_count < table.num_rows:
        found["time"] = Numeric.of(table.column("time").to_numpy())
    return found


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """One single rating; users and items of which training knows nothing."""
    found = []
    train = summaries["train"].features
    if train["rating"].min == train["rating"].max:
        said = f"every training rating is {train['rating'].min:g}: there is nothing to learn"
        found.append(Anomaly("error", "constant", said))
    for split in ("validation", "test"):
        for column in ("user", "item"):
            counts = summaries[split].features[column].counts
            strange = sum(count for name, count in counts.items() if name not in train[column].counts)
            share = strange / max(sum(counts.values()), 1)
            if share > 0.2:
                said = f"{share:.0%} of the {split} ratings are of a {column} that training does not have"
                found.append(Anomaly("warning", "cold-start", said))
    return found


# -- records → examples --------------------------------------------------------------------------------


def fit(
    summaries: dict[str, Summary], options: Encode, tables_: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The users and items of the training split, and its scale."""
    train = summaries["train"].features
    names = {}
    for column in ("user", "item"):
        known = set(train[column].counts)
        if train[column].capped:  # more than are counted by themselves
            known = {name for table in tables_() for name in table.column(column).unique().to_pylist()}
        names[f"{column}s"] = sorted(known)
    rating = train["rating"]
    scale = {"lowest": rating.min, "highest": rating.max, "mean": rating.mean, "std": rating.std}
    return {"modality": "ratings", **names, **{name: float(value) for name, value in scale.items()}}


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `ratings`; number 0 is an unknown user or item."""
    return Spec(
        kind="ratings", shape=(2,), users=len(encoding["users"]) + 1, items=len(encoding["items"]) + 1
    )


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` int32 `[n, 2]`, user and item; `rating` float32 `[n, 1]` as it was given."""
    sides = []
    for column in ("user", "item"):
        index = {name: number for number, name in enumerate(encoding[f"{column}s"], 1)}
        sides.append([index.get(name, 0) for name in table.column(column).to_pylist()])
    return {
        "x": np.array(sides, np.int32).T.reshape(-1, 2).copy(),
        "rating": table.column("rating").to_numpy().astype(np.float32)[:, None],
    }


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Ratings are given as they are."""
    return dict(arrays)


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A CSV of user, item and rating of samples `[n, 3]`; number 0 is written as an empty name."""
    out = out if out.suffix.lower() == ".csv" else out.with_suffix(".csv")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["user", "item", "rating"])
    users, items = ["", *encoding["users"]], ["", *encoding["items"]]
    for user, item, rating in samples:
        writer.writerow([users[int(user)], items[int(item)], f"{float(rating):g}"])
    out.write_text(text.getvalue(), "utf-8")
    return out
