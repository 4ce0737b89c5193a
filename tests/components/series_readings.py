"""Series as their sources are read, without Beam: the tables of the parts, whole series, fitted encodings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.accumulators import merged
from components.modalities import Block, Rejected, Summary, series
from components.series_records import Piece, pieces


def table_of(block: Block) -> pa.Table:
    columns = {f.name: pa.array(block.columns[f.name], f.type) for f in series.RECORD}
    return pa.table(columns, pa.schema(series.RECORD))


def read_all(source: Path | str, **options: Any) -> tuple[dict[str, pa.Table], list[Rejected]]:
    """Part → its records ("whole" where a hash decides), and what was set aside."""
    options_ = series.Read.parse(options)
    tables: dict[str, list[pa.Table]] = {}
    rejected = []
    for chunk in series.plan(f"series:{source}", options_):
        json.dumps(chunk)
        for found in series.read(chunk, options_):
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                assert isinstance(found, Block)
                tables.setdefault(found.part or "whole", []).append(table_of(found))
    return {part: pa.concat_tables(some) for part, some in tables.items()}, rejected


def whole(source: Path | str, **options: Any) -> tuple[dict[str, Piece], list[Rejected]]:
    """Name → the series, not cut."""
    tables, rejected = read_all(source, split="series", **options)
    found = [piece for table in tables.values() for piece in pieces(table)]
    assert len({piece.series for piece in found}) == len(found)
    return {piece.series: piece for piece in found}, rejected


def only(source: Path | str, **options: Any) -> Piece:
    found, rejected = whole(source, **options)
    assert not rejected
    (piece,) = found.values()
    return piece


def summaries_of(tables: dict[str, pa.Table]) -> dict[str, Summary]:
    return {part: Summary(t.num_rows, merged([series.summarise(t)])) for part, t in tables.items()}


def fitted(tables: dict[str, pa.Table], **options: Any) -> dict[str, Any]:
    encode = series.Encode.parse(options)
    found = series.fit(summaries_of(tables), encode, lambda: [tables["train"]])
    return json.loads(json.dumps(found))


def daily(values: list[Any], first: str = "2024-01-01") -> str:
    days = np.datetime64(first) + np.arange(len(values))
    return "date,value\n" + "".join(f"{day},{value}\n" for day, value in zip(days, values, strict=True))
