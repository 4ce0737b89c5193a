"""Texts cut into windows, none of which crosses from one record into another."""

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
    length, stride = encoding["length"], encoding["stride"]
    found = list(_sequences(table, encoding, unit))
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


def tags_of(found: set[str]) -> list[str]:
    """The symbols of tags: 0 is none that the training split has."""
    return [NO_TAG, *sorted(found - {NO_TAG})]
