"""Texts cut into windows: apart, so that none crosses from one record into another, or packed.

Packed, the records of a shard are one stream. The blocks of a document that lie one behind the other are
joined again, and a symbol of its own stands wherever what follows is something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from components.text_units import NO_TAG, Unit, Words, unit_of

Sequences = Iterator[tuple[np.ndarray, np.ndarray | None]]


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` int32 `[n, length]`, `length` int32 `[n]`, and of tagged words `tags` int32 `[n, length]`."""
    unit = unit_of(encoding)
    apart = _sequences(table, encoding, unit)
    found = [_packed(table, encoding, unit)] if encoding["pack"] else list(apart)
    length, stride = encoding["length"], encoding["stride"]
    cuts = [
        (number, start) for number, (x, _) in enumerate(found) for start in _starts(len(x), length, stride)
    ]
    arrays = {
        "x": np.full((len(cuts), length), unit.padding, np.int32),
        "length": np.zeros(len(cuts), np.int32),
    }
    if encoding["tags"]:
        arrays["tags"] = np.zeros((len(cuts), length), np.int32)
    for row, (number, start) in enumerate(cuts):
        x, tags = found[number]
        piece = x[start : start + length]
        arrays["x"][row, : len(piece)] = piece
        arrays["length"][row] = len(piece)
        if tags is not None:
            arrays["tags"][row, : len(piece)] = tags[start : start + length]
    return arrays


def _starts(size: int, length: int, stride: int) -> range:
    """Where windows begin: every token is in one, and there is none without a token of its own."""
    return range(0, max(size - length + stride, 1), stride) if size else range(0)


def _sequences(table: pa.Table, encoding: dict[str, Any], unit: Unit) -> Sequences:
    """The tokens of each record, and their tags where they have some."""
    if not (isinstance(unit, Words) and encoding["tags"]):
        for text in table.column("text").to_pylist():
            yield unit.tokens(text), None
        return
    index = {tag: i for i, tag in enumerate(encoding["tags"])}
    columns = table.column("words").to_pylist(), table.column("tags").to_pylist()
    for words, tags in zip(*columns, strict=True):
        yield unit.of_words(words), np.array([index.get(tag, 0) for tag in tags], np.int32)


def _packed(table: pa.Table, encoding: dict[str, Any], unit: Unit) -> tuple[np.ndarray, np.ndarray | None]:
    """All records as one stream, those of a document in their order."""
    found = list(_sequences(table, encoding, unit))
    names = [key.split("@")[0] for key in table.column("key").to_pylist()]
    groups = table.column("group").to_pylist() if "group" in table.column_names else [None] * len(names)
    documents = [name if group is None else group for name, group in zip(names, groups, strict=True)]
    starts, stops = (table.column(name).to_pylist() for name in ("start", "stop"))
    order = sorted(range(len(found)), key=lambda i: (documents[i], starts[i] or 0, i))
    x: list[np.ndarray] = []
    tags: list[np.ndarray] = []
    boundary = np.array([unit.size], np.int32)
    for at, i in enumerate(order):
        sequence, marks = found[i]
        x.append(sequence)
        tags.append(np.empty(0, np.int32) if marks is None else marks)
        after = order[at + 1] if at + 1 < len(order) else None
        joined = after is not None and documents[after] == documents[i] and starts[after] is not None
        if not (joined and starts[after] == stops[i]):
            x.append(boundary)
            tags.append(np.zeros(1, np.int32))
    if not x:
        return np.empty(0, np.int32), None
    return np.concatenate(x), np.concatenate(tags) if encoding["tags"] else None


def tags_of(found: set[str]) -> list[str]:
    """The symbols of tags: 0 is none that the training split has."""
    return [NO_TAG, *sorted(found - {NO_TAG})]
