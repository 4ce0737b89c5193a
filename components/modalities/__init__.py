"""The kinds of data, one module each. The module's `SOURCES` say which sources are its own.

A module of this folder offers:

    KIND                          the spec kind its examples have; kind_of(encode) where Encode decides
    SOURCES                       scheme → what a person writes, e.g. {"idx": "idx:FOLDER ..."}
    Read, Encode, Augment         its options, as Settings; Augment only where there is an `augment`
    RECORD                        the columns of one record beside key, group and digest, as Arrow fields
    CONTENT                       the names of those by which two records are identical
    preflight(source, read)       DataError where the source is plainly not there
    files(source, read)           → the files behind a source (storage.Entry), for its fingerprint
    plan(source, read)            → chunks: small JSON-like descriptions that workers can read
    read(chunk, read)             → Record, Rejected or Block, one by one
    named_records(chunks, read)   → Named or None, only where keys may be known unread (components.named)
    summarise(table)              → feature → Numeric or Categorical (components.accumulators)
    anomalies(summaries)          → what is wrong with these data, beyond schema and drift
    examples(summary, encode)     → how many at least, only where a record is not just one
    rows(summaries)               → how many rows the records hold, only where what is rejected is a row
    fit(summaries, encode, tables)→ encoding, JSON-like: all that encode and decode need;
                                    `tables()` reads the training records again
    spec(encoding)                → Spec
    encode(table, encoding)       → arrays of examples
    batch(arrays, encoding, rng)  → what a model is given: scaled, and noise drawn afresh
    augment(batch, options, encoding, rng) → a training batch, augmented (optional)
    signatures(table) alike(a, b) → near duplicates (optional; see components.duplicates)
    write_samples(samples, ...)   samples → a file that a person opens, and maybe a picture beside it
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any, Literal

from components.errors import ConfigError, did_you_mean

Part = Literal["train", "validation", "test", "development"]


@dataclass(frozen=True)
class Record:
    """One thing read from a source.

    `part` is the official split it comes with: train, validation or test, or `development`, which train
    and validation share. Without one a stable hash of the group, or else of the key, decides.
    """

    key: str
    fields: dict[str, Any]
    part: Part | None = None
    group: str | None = None


@dataclass(frozen=True)
class Block:
    """Many records as columns: what a source of arrays yields, much faster than one by one.

    `columns` holds an Arrow array or a list for every field of the kind's RECORD.
    """

    keys: Sequence[str]
    columns: dict[str, Any]
    part: Part | None = None
    groups: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Rejected:
    """One thing that could not be read, set aside: by which rule, why and what would help."""

    key: str
    rule: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Anomaly:
    """Something odd about the data. An error stops the line at gate 1; a warning is told."""

    severity: Literal["error", "warning"]
    rule: str
    message: str


@dataclass(frozen=True)
class Summary:
    """What one split holds: the number of records and, by feature, its Numeric or Categorical."""

    records: int
    features: dict[str, Any] = field(default_factory=dict)


@cache
def modalities() -> dict[str, ModuleType]:
    """Name → module of every kind of data."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}") for name in sorted(names)}


def sources() -> dict[str, str]:
    """Scheme → how a person writes such a source."""
    return {scheme: text for module in modalities().values() for scheme, text in module.SOURCES.items()}


def modality_of(source: str) -> ModuleType:
    """The kind of data that reads `source`.

    Raises:
        ConfigError: an unknown scheme.
    """
    scheme = source.split(":", 1)[0]
    for module in modalities().values():
        if scheme in module.SOURCES:
            return module
    if source.startswith(f"{scheme}://"):
        raise ConfigError(f"data.source '{source}': say what it holds first, e.g. images:{source}")
    raise ConfigError(f"data.source '{source}': unknown source{did_you_mean(scheme, sources())}")


def name_of(module: ModuleType) -> str:
    """`images` for components.modalities.images."""
    return module.__name__.rsplit(".", 1)[-1]


def location(source: str) -> str:
    """What follows the scheme: a folder or a file."""
    return source.split(":", 1)[1] if ":" in source else ""


def each_row(table: Any) -> Iterator[dict[str, Any]]:
    """Rows of an Arrow table as dicts, a batch at a time."""
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()
