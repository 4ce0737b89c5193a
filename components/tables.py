"""Tables, read strictly: every row of a CSV, JSONL or Parquet file arrives whole or is told with its place.

CSV: UTF-8 with or without its mark; comma, semicolon or tab, as the header shows; a field in double quotes
may hold them doubled, and newlines. A row with another number of fields than the header is set aside,
never padded and never shifted. Values stay text: `number` and `moment` read them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from components import archives, storage
from components.errors import DataError

CHUNK_BYTES = 8_000_000
RECORD_BYTES = 64_000_000  # a longer one is a quote that was never closed
HEAD_BYTES = 1_000_000
PACKED = (".gz", ".bz2", ".xz")
MARK = b"\xef\xbb\xbf"
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})


@dataclass(frozen=True)
class Row:
    """A row: the line it begins on (the header's is 1) and its values by column."""

    number: int
    values: dict[str, str | None]


@dataclass(frozen=True)
class Bad:
    """A row that cannot be read: its line, by which rule, why and what would help."""

    number: int
    rule: str
    reason: str
    remedy: str


# -- CSV -----------------------------------------------------------------------------------------------


def csv_columns(path: str, delimiter: str = "") -> list[str]:
    """The names of the columns.

    Raises:
        DataError: no header, a name that is empty or stands twice, another encoding than UTF-8.
    """
    return _header(path, delimiter)[0]


def _header(path: str, delimiter: str = "") -> tuple[list[str], str, int, bytes]:
    """Columns, delimiter, the bytes that the header takes, and what ends a line."""
    with archives.decompressed(path) as stream:
        head = stream.read(HEAD_BYTES)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head[:64].split(b"\n")[0]:
        raise DataError(f"'{path}' is not UTF-8 but UTF-16, or no text: save it as UTF-8")
    body = head.removeprefix(MARK)
    newline = b"\n" if b"\n" in body or b"\r" not in body else b"\r"
    end = int(next(iter(_ends(body, newline)), len(body)))
    try:
        line = body[:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}': the header is not UTF-8 (byte {error.start}): save it as UTF-8"
        ) from error
    delimiter = delimiter or max(",;\t", key=line.count)
    rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter))
    columns = [name.strip() for name in rows[0]] if rows else []
    if not any(columns):
        raise DataError(f"'{path}' is empty: a CSV begins with the names of its columns")
    for name in columns:
        if not name:
            raise DataError(
                f"'{path}': column {columns.index(name) + 1} of the header has no name: give it one"
            )
        if columns.count(name) > 1:
            raise DataError(f"'{path}': two columns are called '{name}': give each a name of its own")
    return columns, delimiter, len(head) - len(body) + end, newline


def _ends(body: bytes, newline: bytes, inside: bool = False) -> np.ndarray:
    """Where records may end: behind each newline that is not between quotes."""
    data = np.frombuffer(body, np.uint8)
    quoted = (np.cumsum(data == ord('"')) + inside) % 2
    return np.flatnonzero((data == newline[0]) & (quoted == 0)) + 1


def csv_chunks(path: str, bytes_: int = CHUNK_BYTES, delimiter: str = "") -> list[dict[str, Any]]:
    """Byte ranges that begin at a record, about `bytes_` long; one for a compressed file.

    Raises:
        DataError: see `csv_columns`; or a record without end.
    """
    columns, delimiter, start, newline = _header(path, delimiter)
    common = {"path": path, "columns": columns, "delimiter": delimiter, "newline": newline.decode()}
    if path.lower().endswith(PACKED):
        return [{**common, "start": start, "stop": -1, "line": 2}]
    chunks = []
    with storage.opened(path) as stream:
        first_lines = 1 + max(0, stream.read(start).count(newline) - 1)
        line, begin, position = first_lines + 1, start, start
        inside, pending, last_end, lines_to_end = False, 0, start, 0
        while block := stream.read(bytes_):
            ends = _ends(block, newline, inside)
            newlines = block.count(newline)
            if len(ends):
                last_end = position + int(ends[-1])
                lines_to_end = pending + block.count(newline, 0, int(ends[-1]))
            pending += newlines
            position += len(block)
            inside ^= block.count(b'"') % 2 == 1
            if last_end - begin >= bytes_:
                chunks.append({**common, "start": begin, "stop": last_end, "line": line})
                line, begin = line + lines_to_end, last_end
                pending -= lines_to_end
                lines_to_end = 0
            if position - last_end > RECORD_BYTES:
                raise DataError(
                    f"'{path}': the record at line {line + lines_to_end} has no end for {RECORD_BYTES:,} bytes: "
                    "a quote is not closed"
                )
    if position > begin:
        chunks.append({**common, "start": begin, "stop": position, "line": line})
    return chunks


def csv_rows(chunk: dict[str, Any]) -> Iterator[Row | Bad]:
    """The rows of a chunk, whole or with the reason; blank lines are none."""
    columns = chunk["columns"]
    for number, fields in _records(chunk):
        if isinstance(fields, Bad):
            yield fields
        else:
            yield Row(number, dict(zip(columns, fields, strict=True)))


def csv_blocks(
    chunk: dict[str, Any], rows: int = 50_000
) -> Iterator[tuple[list[int], dict[str, tuple[str, ...]], list[Bad]]]:
    """The rows of a chunk as columns, many at a time: lines, values by column, and the bad ones."""
    numbers: list[int] = []
    good: list[list[str]] = []
    bad: list[Bad] = []
    for number, fields in _records(chunk):
        if isinstance(fields, Bad):
            bad.append(fields)
        else:
            numbers.append(number)
            good.append(fields)
        if len(good) >= rows or len(bad) >= rows:
            yield numbers, _columns(chunk, good), bad
            numbers, good, bad = [], [], []
    if good or bad:
        yield numbers, _columns(chunk, good), bad


def _columns(chunk: dict[str, Any], rows: list[list[str]]) -> dict[str, tuple[str, ...]]:
    values = zip(*rows, strict=True) if rows else ((),) * len(chunk["columns"])
    return dict(zip(chunk["columns"], values, strict=True))


def _records(chunk: dict[str, Any]) -> Iterator[tuple[int, list[str] | Bad]]:
    """(line, fields) of each record, or the line and what is wrong with it."""
    width = len(chunk["columns"])
    reader = csv.reader(_lines(chunk), delimiter=chunk["delimiter"])
    first = chunk["line"]
    while True:
        number = first + reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, Bad(number, "unreadable-row", f"line {number}: {error}", "close its quotes")
            continue
        if not fields:
            continue
        if len(fields) != width:
            if len(fields) == 1 and not fields[0].strip():
                continue
            said = f"line {number} has {len(fields)} fields, the header {width}"
            yield (
                number,
                Bad(number, "ragged-row", said, "give it a value for each column, or quote its commas"),
            )
            continue
        joined = "".join(fields)
        if not joined.isascii() and any("\ud800" <= symbol <= "\udfff" for symbol in joined):
            yield number, Bad(number, "not-utf8", f"line {number} is not UTF-8", "save the file as UTF-8")
        elif "\0" in joined:
            yield number, Bad(number, "nul", f"line {number} holds a NUL byte", "remove it")
        else:
            yield number, fields


def _lines(chunk: dict[str, Any]) -> Iterable[str]:
    """The chunk's lines with their ends, so that a quoted newline stays what it is."""
    if chunk["stop"] >= 0:
        with storage.opened(chunk["path"]) as stream:
            stream.seek(chunk["start"])
            body = stream.read(chunk["stop"] - chunk["start"])
        yield from io.StringIO(body.decode("utf-8", "surrogateescape"), newline=chunk.get("newline", "\n"))
        return
    with archives.decompressed(chunk["path"]) as packed:
        packed.read(chunk["start"])
        yield from _decoded(packed)


def _decoded(stream: Any) -> Iterator[str]:
    """Lines of a stream of bytes, a block at a time."""
    rest = b""
    while block := stream.read(1_000_000):
        body = rest + block
        cut = body.rfind(b"\n") + 1
        rest = body[cut:]
        if len(rest) > RECORD_BYTES:
            raise DataError(f"a line of more than {RECORD_BYTES:,} bytes: this is no table")
        yield from io.StringIO(body[:cut].decode("utf-8", "surrogateescape"), newline="\n")
    yield from io.StringIO(rest.decode("utf-8", "surrogateescape"), newline="\n")


# -- values --------------------------------------------------------------------------------------------


def number(text: str | None) -> float | None:
    """The number that a field holds; None where it is missing (empty, NA, NaN, null, none, - or ?).

    Raises:
        ValueError: no finite number.
    """
    if text is None or text.strip().lower() in MISSING:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"'{text[:40]}' is not finite")
    return value


def moment(text: str) -> datetime:
    """The time that a field holds, UTC where it names no zone: ISO 8601, YYYY-MM, YYYY, or seconds since
    1970 (nine digits or more; thirteen are milliseconds).

    Raises:
        ValueError: none of these.
    """
    said = text.strip()
    try:
        if said.isdecimal() and len(said) >= 9:
            return datetime.fromtimestamp(int(said) / (1000 if len(said) >= 12 else 1), UTC)
        if said.isdecimal() and len(said) == 4:
            return datetime(int(said), 1, 1, tzinfo=UTC)
        if len(said) == 7 and said[4] in "-/":
            return datetime(int(said[:4]), int(said[5:]), 1, tzinfo=UTC)
        found = datetime.fromisoformat(said.replace("/", "-"))
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"'{text[:40]}' is no time: write it as 2024-05-31 or 2024-05-31T12:30:00"
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


# -- JSONL and Parquet ---------------------------------------------------------------------------------


def jsonl_chunks(path: str, bytes_: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """Byte ranges of whole lines, about `bytes_` long; one for a compressed file."""
    if path.lower().endswith(PACKED):
        return [{"path": path, "start": 0, "stop": -1, "line": 1}]
    chunks: list[dict[str, Any]] = []
    with storage.opened(path) as stream:
        begin = position = 0
        line = 1
        while block := stream.read(bytes_):
            block += stream.readline()
            position += len(block)
            chunks.append({"path": path, "start": begin, "stop": position, "line": line})
            begin, line = position, line + block.count(b"\n")
    return chunks


def jsonl_rows(chunk: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]] | Bad]:
    """(line, object) of each line; blank lines are none."""
    for line, text in enumerate(_lines(chunk), chunk["line"]):
        text = text.removeprefix("\ufeff")
        if not text.strip():
            continue
        if any("\ud800" <= symbol <= "\udfff" for symbol in text):
            yield Bad(line, "not-utf8", f"line {line} is not UTF-8", "save the file as UTF-8")
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Bad(line, "not-json", f"line {line}: {error}", "write one JSON object a line")
            continue
        if isinstance(value, dict):
            yield line, value
        else:
            yield Bad(line, "not-an-object", f"line {line} is no object", "write one JSON object a line")


def parquet_chunks(path: str, bytes_: int = CHUNK_BYTES) -> list[dict[str, Any]]:
    """Row groups, as many together as make about `bytes_`; `row` is the number of the first row.

    Raises:
        DataError: not a Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with storage.opened(path) as stream:
            told = pq.ParquetFile(stream).metadata
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' cannot be read as Parquet: {error}") from error
    chunks: list[dict[str, Any]] = []
    row, size = 0, bytes_
    for group in range(told.num_row_groups):
        if size >= bytes_:
            chunks.append({"path": path, "groups": [], "row": row})
            size = 0
        chunks[-1]["groups"].append(group)
        size += told.row_group(group).total_byte_size
        row += told.row_group(group).num_rows
    return chunks


def parquet_tables(chunk: dict[str, Any], columns: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(number of the first row, Arrow table) of each part of a chunk.

    Raises:
        DataError: a part is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = chunk["row"]
    try:
        with storage.opened(chunk["path"]) as stream:
            file = pq.ParquetFile(stream)
            for batch in file.iter_batches(row_groups=chunk["groups"], columns=columns, batch_size=8192):
                yield row, pa.Table.from_batches([batch])
                row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{chunk['path']}' is damaged near row {row}: {error}") from error
