"""Tables: every row arrives whole or is told with its line; no column ever shifts."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import csv_tables, tables
from components.errors import DataError
from components.tables import Bad, Row

CELLS = st.text(st.sampled_from('ab",;\t\n\r é\u2028x1'), max_size=8)
FRAMES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=20)
)


def rows_of(file: Path, size: int = tables.CHUNK_BYTES, delimiter: str = "") -> list[Row | Bad]:
    chunks = tables.csv_chunks(str(file), size, delimiter)
    return [row for chunk in chunks for row in tables.csv_rows(chunk)]


def of_bytes(folder: Path, body: bytes) -> list[Row | Bad]:
    file = folder / "table.csv"
    file.write_bytes(body)
    return rows_of(file)


def told(rows: list[Row | Bad]) -> list[Any]:
    return [(r.number, r.rule) if isinstance(r, Bad) else (r.number, *r.values.values()) for r in rows]


# -- what is whole -------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=FRAMES,
    size=st.integers(1, 60),
    newline=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_the_csv_module_writes_reads_back_under_any_size_of_chunks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], size: int, newline: str, delimiter: str
) -> None:
    file = tmp_path_factory.mktemp("csv") / "t.csv"
    width = len(rows[0]) if rows else 2
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([[f"c{i}" for i in range(width)], *rows])
    file.write_bytes(text.getvalue().encode())
    read = rows_of(file, size, delimiter)
    assert [list(r.values.values()) for r in read if isinstance(r, Row)] == rows
    assert not any(isinstance(row, Bad) for row in read)
    assert [row.number for row in read] == [row.number for row in rows_of(file, 10**9, delimiter)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    body=st.lists(
        st.sampled_from([b"a", b'"', b",", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3\xa9", b" "])
    ),
    size=st.integers(1, 20),
)
def test_the_rows_of_any_file_are_the_same_whatever_the_size_of_chunks(
    tmp_path_factory: pytest.TempPathFactory, body: list[bytes], size: int
) -> None:
    file = tmp_path_factory.mktemp("csv") / "t.csv"
    file.write_bytes(b"a,b\n" + b"".join(body))
    read = rows_of(file, size)
    assert read == rows_of(file, 10**9)
    for row in read:
        assert isinstance(row, Bad) or (set(row.values) == {"a", "b"} and None not in row.values.values())
    chunks = tables.csv_chunks(str(file), size)
    ends = [4, *(chunk["stop"] for chunk in chunks)]
    assert [chunk["start"] for chunk in chunks] == ends[:-1]
    assert ends[-1] == file.stat().st_size


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body=st.binary(max_size=200), size=st.integers(1, 50), name=st.sampled_from(["t.csv", "t.csv.gz"]))
def test_any_bytes_are_rows_bad_rows_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, size: int, name: str
) -> None:
    file = tmp_path_factory.mktemp("csv") / name
    file.write_bytes(body)
    try:
        read = rows_of(file, size)
    except DataError:
        return
    columns = tables.csv_columns(str(file))
    assert all(isinstance(row, Bad) or list(row.values) == columns for row in read)


def test_blocks_hold_the_same_rows(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b\n" + "".join(f"{i},{i * i}\n" + "odd\n" * (i % 7 == 0) for i in range(100)), "utf-8")
    (chunk,) = tables.csv_chunks(str(file))
    blocks = list(tables.csv_blocks(chunk, rows=9))
    good = [pair for lines, columns, _ in blocks for pair in zip(lines, *columns.values(), strict=True)]
    assert good == [(r.number, *r.values.values()) for r in rows_of(file) if isinstance(r, Row)]
    assert [bad for *_, some in blocks for bad in some] == [r for r in rows_of(file) if isinstance(r, Bad)]


# -- what people have ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbfa,b\n1,2\n", [(2, "1", "2")]),
        (b"a,b\r\n1,2\r\n", [(2, "1", "2")]),
        (b"a,b\r1,2\r3,4\r", [(2, "1", "2"), (3, "3", "4")]),
        (b"a,b\n1,2", [(2, "1", "2")]),
        (b"a,b\n\n\n1,2\n\n", [(4, "1", "2")]),
        (b"a;b\n1,5;2\n", [(2, "1,5", "2")]),
        (b"a\tb\n1\t2\n", [(2, "1", "2")]),
        (b'a,b\n"x, y","say ""hi"""\n', [(2, "x, y", 'say "hi"')]),
        (b'a,b\n"two\nlines",2\n3,4\n', [(2, "two\nlines", "2"), (4, "3", "4")]),
        (b"a,b\n1,2,3\n4,5\n", [(2, "ragged-row"), (3, "4", "5")]),
        (b"a,b\n1\n4,5\n", [(2, "ragged-row"), (3, "4", "5")]),
        (b"a,b\n,\n", [(2, "", "")]),
        (b"a,b\n1,\0\n4,5\n", [(2, "nul"), (3, "4", "5")]),
        (b"a,b\n1,caf\xe9\n4,5\n", [(2, "not-utf8"), (3, "4", "5")]),
        (b"a,b\nNA,null\n", [(2, "NA", "null")]),
        (b"a,b\n12345678901234567890,1e999\n", [(2, "12345678901234567890", "1e999")]),
        (
            b"a,b\n1,2\n4,5" + b"x" * 200_000 + b"\n6,7\n",
            [(2, "1", "2"), (3, "unreadable-row"), (4, "6", "7")],
        ),
        (b'a,b\n1,5" pipe\n3,4\n', [(2, "1", '5" pipe'), (3, "3", "4")]),
        (b'a,b\n1,"x"y\n3,4\n', [(2, "unreadable-row"), (3, "3", "4")]),
        (b'a,b\n1,2\n3,"4\n5,6\n', [(2, "1", "2"), (3, "open-quote")]),
        (b'a,b\n3,"4\n5,6\n7,"8"\n9,0\n', [(2, "unreadable-row"), (5, "9", "0")]),
        (
            b'a,b\n3,"4\n' + b"5,6\n" * 40_000,
            [(2, "open-quote"), *[(i, "5", "6") for i in range(32771, 40003)]],
        ),
        (b'"a\nb",c\n1,2\n', [(3, "1", "2")]),
        (b'"a,b,c";d\n1;2\n', [(2, "1", "2")]),
        (b" a , b \n1,2\n", [(2, "1", "2")]),
        (b"a\n1\n \n2\n\n", [(2, "1"), (3, " "), (4, "2")]),
    ],
)
def test_one_policy_for_what_people_have(tmp_path: Path, body: bytes, expected: list[Any]) -> None:
    assert told(of_bytes(tmp_path, body)) == expected


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "is empty: a CSV begins with the names"),
        (b"\n1,2\n", "is empty: a CSV begins with the names"),
        (b"a,a\n1,2\n", "two columns are called 'a'"),
        (b"a,,c\n1,2,3\n", "column 2 of the header has no name"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b"caf\xe9,b\n1,2\n", "the header is not UTF-8"),
        (b"PK\x03\x04\0\0\0", "is not UTF-8 but UTF-16, or no text"),
        (b'a,"b\n1,2\n', r"the header cannot be read \(unexpected end of data\)"),
        (b"x" * 2_000_000, r"the header cannot be read \(field larger than field limit"),
        (b"x," * 1_000_000, "the header is longer than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_table_is_one_sentence(tmp_path: Path, body: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as error:
        of_bytes(tmp_path, body)
    assert "table.csv" in str(error.value)


def test_an_open_quote_says_which_lines_it_takes(tmp_path: Path) -> None:
    *_, bad = of_bytes(tmp_path, b'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert bad == Bad(3, "open-quote", "lines 3 to 5: a quote is opened and not closed", "close it")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl"])
def test_a_line_without_end_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(csv_tables, "BLOCK_BYTES", 500)
    monkeypatch.setattr(csv_tables, "RECORD_BYTES", 1000)
    body = b"a,b\n" + b"1" * 5000 + b"\n"
    (tmp_path / name).write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    read = objects_of if name == "t.jsonl" else rows_of
    with pytest.raises(DataError, match=f"{name}': a line of more than 1,000 bytes: this is no table"):
        read(tmp_path / name, 100)


def objects_of(file: Path, size: int) -> list[Any]:
    return [row for chunk in tables.jsonl_chunks(str(file), size) for row in tables.jsonl_rows(chunk)]


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv' cannot be opened: No such file"):
        rows_of(tmp_path / "none.csv")


def test_a_compressed_table_is_the_same(tmp_path: Path) -> None:
    body = b"a,b\n" + b'1,"x\ny"\n' * 1000 + b"1\n"
    (tmp_path / "t.csv").write_bytes(body)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(body))
    assert rows_of(tmp_path / "t.csv.gz") == rows_of(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(body)[:-20])
    with pytest.raises(DataError, match=r"t\.csv\.gz' cannot be unpacked"):
        rows_of(tmp_path / "t.csv.gz")


# -- values --------------------------------------------------------------------------------------------


def test_numbers() -> None:
    for text in ("", " ", "NA", "nan", "NULL", "None", "-", "?", None):
        assert tables.number(text) is None
    assert [tables.number(text) for text in ("1", " -2.5 ", "1e3", "12345678901234567890")] == [
        1,
        -2.5,
        1e3,
        1.2345678901234567e19,
    ]
    for text in ("inf", "-inf", "1e999"):
        with pytest.raises(ValueError, match="is not finite"):
            tables.number(text)
    for text in ("five", "1,5", "1 2", "0x10", "1_000"):
        with pytest.raises(ValueError, match="is no number"):
            tables.number(text)


def test_times() -> None:
    noon = datetime(2024, 5, 31, 12, tzinfo=UTC)
    for text in (
        "2024-05-31T12:00:00",
        "2024-05-31 12:00",
        "2024/05/31 12:00",
        "2024-05-31T14:00+02:00",
        "1717156800",
        "1717156800000",
    ):
        assert tables.moment(text) == noon
    assert tables.moment("1949-01") == datetime(1949, 1, 1, tzinfo=UTC)
    assert tables.moment("1749") == datetime(1749, 1, 1, tzinfo=UTC)
    for text in (
        "1-01",
        "soon",
        "2024-13-01",
        "2024-+5",
        "",
        "99999999999999999999",
        "0001-01-01T00:00+14:00",
        "05/31/2024",
    ):
        with pytest.raises(ValueError, match="is no time"):
            tables.moment(text)


# -- JSONL and Parquet ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 30, 10**6])
def test_jsonl(tmp_path: Path, size: int) -> None:
    file = tmp_path / "t.jsonl"
    file.write_bytes(
        b'\xef\xbb\xbf{"a": 1}\n\n{"a": "x\\ny"}\n[1]\n{"a": \nnull\n{"a": "\xff"}\n{"a": 2}\n{"a": "\\ud83d"}\n'
    )
    read = [row for chunk in tables.jsonl_chunks(str(file), size) for row in tables.jsonl_rows(chunk)]
    assert [(r.number, r.rule) if isinstance(r, Bad) else r for r in read] == [
        (1, {"a": 1}),
        (3, {"a": "x\ny"}),
        (4, "not-an-object"),
        (5, "not-json"),
        (6, "not-an-object"),
        (7, "not-utf8"),
        (8, {"a": 2}),
        (9, {"a": "\ud83d"}),
    ]


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    table = pa.table({"a": np.arange(1000), "b": [str(i) for i in range(1000)]})
    pq.write_table(table, file, row_group_size=64)
    for size in (1, 3000, 10**9):
        chunks = tables.parquet_chunks(str(file), size)
        parts = [part for chunk in chunks for part in tables.parquet_tables(chunk, ["a"])]
        assert pa.concat_tables([part for _, part in parts]).equals(table.select(["a"]))
        assert all(part.column("a")[0].as_py() == row for row, part in parts)
    assert len(tables.parquet_chunks(str(file), 1)) == 16
    body = file.read_bytes()
    file.write_bytes(body[:-100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        tables.parquet_chunks(str(file))
    file.write_bytes(body[:50] + bytes(200) + body[250:])
    with pytest.raises(DataError, match=r"is damaged near row \d+|cannot be read"):
        list(tables.parquet_tables(tables.parquet_chunks(str(file))[0]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_parquet_file_is_one_sentence_or_its_rows(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    file = tmp_path_factory.mktemp("parquet") / "t.parquet"
    pq.write_table(pa.table({"a": range(100), "b": [str(i) for i in range(100)]}), file, row_group_size=30)
    body = bytearray(file.read_bytes())
    for place, value in changes:
        body[-1 - place % len(body)] = value
    file.write_bytes(body)
    with contextlib.suppress(DataError):
        for chunk in tables.parquet_chunks(str(file), 500):
            for first, table in tables.parquet_tables(chunk):
                assert first >= 0
                assert table.num_rows > 0
