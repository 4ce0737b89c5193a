"""Shards: rows gathered from several tables, and files compressed where a sample says that it helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gathering import LONG, Gathered, long_columns
from components.shards import codec_of, repeated, shard_writer

VALUES = st.one_of(st.binary(max_size=2 * LONG), st.none())


@given(
    tables=st.lists(
        st.lists(st.tuples(VALUES, st.text(max_size=9), st.integers(0, 9)), max_size=9), min_size=1
    ),
    sparse=st.booleans(),
    data=st.data(),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_rows_are_those_of_the_tables_joined(tables: list[Any], sparse: bool, data: st.DataObject) -> None:
    kinds = {"pixels": pa.binary(), "words": pa.string(), "number": pa.int32()}
    made = []
    for rows in tables:
        columns = [
            [(value if sparse else (value or b"") + bytes(LONG)), 50 * word, number]
            for value, word, number in rows
        ]
        sides = list(zip(*columns, strict=True)) or [()] * len(kinds)
        arrays = [pa.array(side, kind) for side, kind in zip(sides, kinds.values(), strict=True)]
        whole = pa.Table.from_arrays(arrays, list(kinds))
        made.append(whole.slice(len(rows) // 3))  # as of a run: what lies before is not the table's
    joined = pa.concat_tables(made)
    some = data.draw(st.lists(st.integers(0, joined.num_rows - 1), max_size=20)) if joined.num_rows else []
    rows = np.array(some, np.int64)
    assert Gathered(made).take(rows).equals(joined.take(rows))


def test_long_values_are_found_by_their_mean() -> None:
    table = pa.table(
        {"short": [b"x" * (LONG // 2)] * 2, "long": [b"", b"x" * 2 * LONG], "none": [None, b"x" * 999]}
    )
    assert long_columns(table) == ["long"]
    assert long_columns(table.slice(0, 0)) == []


def stretches(seed: int, levels: int, length: int) -> bytes:
    """A picture of 3,000 pixels whose levels lie in stretches."""
    return np.repeat(
        np.random.default_rng(seed).integers(0, levels, 3000 // length, np.uint8), length
    ).tobytes()


CODECS = {
    "none": [np.random.default_rng(i).bytes(3000) for i in range(20)],
    "lz4": [stretches(i, levels=64, length=3) for i in range(20)],
    "zstd": [stretches(i, levels=4, length=8) for i in range(20)],
}


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_is_compressed_as_far_as_it_helps(codec: str, tmp_path: Path) -> None:
    table = pa.table({"pixels": CODECS[codec], "label": ["a"] * 20})
    assert codec_of(table) == codec
    with shard_writer(tmp_path / "train.parquet", table) as writer:
        writer.write_table(table)
    told = pq.read_metadata(tmp_path / "train.parquet").row_group(0).column(0).compression
    assert told == {"none": "UNCOMPRESSED", "lz4": "LZ4", "zstd": "ZSTD"}[codec]
    assert pq.read_table(tmp_path / "train.parquet").equals(table)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_short_values_are_compressed_always() -> None:
    assert codec_of(pa.table({"key": ["a", "b"], "pixels": [b"12", b"34"]})) == "zstd"


def test_keys_that_stand_twice() -> None:
    keys = [pa.array(["a", "b", "b"]), pa.array(["b", "c", "d"]), pa.array(["d"])]
    assert repeated(pa.chunked_array(keys)) == ["b", "d"]
    assert repeated(pa.chunked_array(keys[:1])[:2]) == []
