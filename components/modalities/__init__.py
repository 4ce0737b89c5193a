"""The kinds of data, one module each. The module's `SOURCES` say which sources are its own.

A module of this folder offers:

    KIND                          the spec kind its examples have
    SOURCES                       scheme → what a person writes, e.g. {"idx": "idx:FOLDER ..."}
    Read, Encode                  its options, as Settings
    RECORD                        the columns of one record beside key and split, as Arrow fields
    preflight(source)             DataError where the source is plainly not there
    plan(source, read)            → chunks: small JSON-like descriptions that workers can read
    read(chunk, read)             → Record or Rejected, one by one
    summarise(table) merge(a, b)  mergeable statistics of records, JSON-like
    anomalies(statistics, ...)    → sentences that stop the line at gate 1
    examples(statistics, encode)  → how many at least, only where a record is not just one
    fit(statistics, encode)       → encoding, JSON-like: all that encode and decode need
    spec(encoding)                → Spec
    encode(table, encoding)       → arrays of examples
    batch(arrays, encoding, rng)  → what a model is given: scaled, and noise drawn afresh
    write_samples(samples, ...)   samples → a file that a person opens
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from components.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Record:
    """One thing read from a source. `part` is the official split it comes with, if any."""

    key: str
    fields: dict[str, Any]
    part: str | None = None


@dataclass(frozen=True)
class Rejected:
    """One thing that could not be read, set aside with the reason."""

    key: str
    reason: str


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
