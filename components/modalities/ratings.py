"""Ratings: who gave which item how much, and when.

A record is one rating. Its key is user/item/time, so that it stays on its side when data grow; without
times a user rates an item once, and ingest refuses a file in which one does so twice. An example is
x = (user, item) as numbers and the rating as it was given; the encoding has its scale. Users and items are
those of the training split; 0 is one that it does not have.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components import rating_files, rating_records
from components.accumulators import Categorical, Feature, Numeric
from components.errors import DataError
from components.modalities import Anomaly, Block, Rejected, Summary, location
from components.rating_records import Read
from components.settings import Settings
from components.storage import Entry
from keras_models.spec import Spec

__all__ = ["Read"]

KIND = "ratings"
SOURCES = {"ratings": "ratings:FILE|FOLDER   a CSV of user, item, rating and time, or a folder of MovieLens"}
RECORD = [
    pa.field("user", pa.string()),
    pa.field("item", pa.string()),
    pa.field("rating", pa.float64()),
    pa.field("time", pa.float64()),  # seconds since 1970
]
CONTENT = ("user", "item", "rating", "time")
COLD = 0.2  # share of ratings of users or items unknown to training from which it is told


class Encode(Settings):
    """How records become examples: there is nothing to choose."""


# -- source → records ----------------------------------------------------------------------------------


def preflight(source: str, options: Read) -> None:
    """Raises DataError where the file is not there."""
    _chosen(source, options)


def files(source: str, options: Read | None = None) -> list[Entry]:
    """The files behind a source, for its fingerprint."""
    return rating_files.all_of(location(source))


def _chosen(source: str, options: Read) -> list[tuple[Entry, str]]:
    if not location(source):
        raise DataError(f"data.source '{source}': name a file or a folder, as in {SOURCES['ratings']}")
    return rating_files.chosen(location(source), options.fold if options.split == "fold" else None)


def plan(source: str, options: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB, with the times at which validation and test begin where time decides."""
    named = options.model_dump(include={"user", "item", "rating", "time"})
    chunks = [
        {**chunk, "part": part}
        for entry, part in _chosen(source, options)
        for chunk in rating_files.chunks_of(entry.path, named)
    ]
    if options.split == "time":
        cuts = rating_records.cuts(source, chunks, options)
        chunks = [{**chunk, "cuts": cuts} for chunk in chunks]
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block | Rejected]:
    """The ratings of a chunk; a row that is none is set aside with its line."""
    return rating_records.records(chunk, options)


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
            if train[column].capped:  # who is rare is not known any more
                continue
            counts = summaries[split].features[column].counts
            strange = sum(count for name, count in counts.items() if name not in train[column].counts)
            share = strange / max(sum(counts.values()), 1)
            if share > COLD:
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
