"""CSV, read strictly. See components.tables, by which others read it.

UTF-8 with or without its mark; comma, semicolon or tab, as the header shows; a field in double quotes may
hold them doubled, and newlines. A row with another number of fields than the header is set aside, never
padded and never shifted; so is one with a NUL, with bytes that are not UTF-8, with a field of more than
131,072 characters (the csv module's bound), or with a quote that is not closed.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from components import archives, storage
from components.errors import DataError
from components.table_values import Bad, Row

CHUNK_BYTES = 8_000_000
BLOCK_BYTES, BLOCK_ROWS = 1_000_000, 50_000  # read and given at once
RECORD_BYTES = 64_000_000  # of a line, at most
HEAD_BYTES = 1_000_000
HEADER_LINES = 100  # of a header whose names hold newlines, at most
PACKED = (".gz", ".bz2", ".xz")
MARK, UTF16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
QUOTED = re.compile('"[^"]*"')
SURROGATE = re.compile("[\ud800-\udfff]")

Gathered = tuple[list[int], dict[str, tuple[str, ...]], list[Bad]]


def csv_columns(path: str, delimiter: str = "") -> list[str]:
    """The names of the columns.

    Raises:
        DataError: no header, a name that is empty or stands twice, another encoding than UTF-8.
    """
    return _header(path, delimiter)["columns"]


def _header(path: str, delimiter: str = "") -> dict[str, Any]:
    """What a chunk is without its end: path, columns, delimiter, newline, and where the records begin."""
    try:
        with archives.decompressed(path) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"'{path}' cannot be opened: {error.strerror or error}") from error
    if head[:2] in UTF16 or b"\0" in head.split(b"\n", 1)[0]:
        raise DataError(f"'{path}' is not UTF-8 but UTF-16, or no text: save it as UTF-8")
    body = head.removeprefix(MARK)
    newline = "\n" if b"\n" in body or b"\r" not in body else "\r"
    lines = list(itertools.islice(_lines(io.BytesIO(body), newline, path), HEADER_LINES))
    first = QUOTED.sub("", lines[0]) if lines else ""
    delimiter = delimiter or max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(
            f"'{path}': the header cannot be read ({error}): it is a line of the names of the columns"
        ) from error
    taken = len(head) - len(body) + sum(map(_bytes, lines[: reader.line_num]))
    if taken == HEAD_BYTES:
        raise DataError(f"'{path}': the header is longer than {HEAD_BYTES:,} bytes: this is no table")
    _check_names(path, columns)
    return {
        "path": path,
        "columns": columns,
        "delimiter": delimiter,
        "newline": newline,
        "start": taken,
        "line": 1 + reader.line_num,
    }


def _check_names(path: str, columns: list[str]) -> None:
    if not any(columns):
        raise DataError(f"'{path}' is empty: a CSV begins with the names of its columns")
    for place, name in enumerate(columns, 1):
        if not name:
            raise DataError(f"'{path}': column {place} of the header has no name: give it one")
        if columns.count(name) > 1:
            raise DataError(f"'{path}': two columns are called '{name}': give each a name of its own")
        if SURROGATE.search(name):
            raise DataError(f"'{path}': the header is not UTF-8 (column {place}): save it as UTF-8")


def csv_chunks(path: str, bytes_: int = CHUNK_BYTES, delimiter: str = "") -> list[dict[str, Any]]:
    """Byte ranges that begin and end with a record, about `bytes_` long; one for a compressed file.

    Raises:
        DataError: see `csv_columns`; or a line without end.
    """
    chunk = _header(path, delimiter)
    if path.lower().endswith(PACKED):
        return [{**chunk, "stop": -1}]
    chunks: list[dict[str, Any]] = []
    with storage.opened(path) as stream:
        while True:
            size, lines = _whole_records(stream, bytes_, chunk)
            if not size:
                return chunks
            stop = chunk["start"] + size
            chunks.append({**chunk, "stop": stop})
            chunk = {**chunk, "start": stop, "line": chunk["line"] + lines}


def _whole_records(stream: Any, bytes_: int, chunk: dict[str, Any]) -> tuple[int, int]:
    """Bytes and lines of the records from the chunk's start on that make about `bytes_`.

    Where there is no quote a record is a line. Elsewhere the reader itself tells where records end, the
    same that reads them later: so the rows never depend on the size of the chunks.
    """
    stream.seek(chunk["start"])
    newline = chunk["newline"].encode()
    body = stream.read(bytes_)
    if newline == b"\n" and b'"' not in body:
        rest = stream.readline(RECORD_BYTES)
        if b'"' not in rest and len(rest) < RECORD_BYTES:
            return len(body) + len(rest), (body + rest).count(newline)
    stream.seek(chunk["start"])
    size = 0

    def counted() -> Iterator[str]:
        nonlocal size
        for line in _lines(stream, chunk["newline"], chunk["path"]):
            size += _bytes(line)
            yield line

    reader = csv.reader(counted(), delimiter=chunk["delimiter"], strict=True)
    while size < bytes_:
        try:
            next(reader)
        except StopIteration:
            break
        except csv.Error:  # told when it is read
            continue
    return size, reader.line_num


def csv_rows(chunk: dict[str, Any]) -> Iterator[Row | Bad]:
    """The rows of a chunk, whole or with the reason; blank lines are none."""
    columns = chunk["columns"]
    for line, fields in _records(chunk):
        if isinstance(fields, Bad):
            yield fields
        else:
            yield Row(line, dict(zip(columns, fields, strict=True)))


def csv_blocks(chunk: dict[str, Any], rows: int = BLOCK_ROWS) -> Iterator[Gathered]:
    """The rows of a chunk as columns, many at a time: lines, values by column, and the bad ones."""
    return blocks_of(_records(chunk), chunk["columns"], rows)


def blocks_of(
    records: Iterator[tuple[int, list[str] | Bad]], columns: Sequence[str], rows: int = BLOCK_ROWS
) -> Iterator[Gathered]:
    """(line, fields or what is wrong), one by one → lines, values by column, and the bad ones."""
    lines: list[int] = []
    good: list[list[str]] = []
    bad: list[Bad] = []
    for line, fields in records:
        if isinstance(fields, Bad):
            bad.append(fields)
        else:
            lines.append(line)
            good.append(fields)
        if len(good) >= rows or len(bad) >= rows:
            yield lines, _by_column(columns, good), bad
            lines, good, bad = [], [], []
    if good or bad:
        yield lines, _by_column(columns, good), bad


def _by_column(columns: Sequence[str], rows: list[list[str]]) -> dict[str, tuple[str, ...]]:
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return dict(zip(columns, values, strict=True))


def _records(chunk: dict[str, Any]) -> Iterator[tuple[int, list[str] | Bad]]:
    """(line, fields) of each record, or the line and what is wrong with it."""
    width = len(chunk["columns"])
    reader = csv.reader(lines_of(chunk), delimiter=chunk["delimiter"], strict=True)
    first = chunk["line"]
    while True:
        line = first + reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _unreadable(line, first + reader.line_num - 1, error)
            continue
        if len(fields) != width:
            if fields and (len(fields) > 1 or fields[0].strip()):
                said = f"line {line} has {len(fields)} fields, the header {width}"
                remedy = "give it a value for each column, or quote its commas"
                yield line, Bad(line, "ragged-row", said, remedy)
            continue
        yield line, doubt(line, "".join(fields)) or fields


def doubt(line: int, text: str) -> Bad | None:
    """What is wrong with the symbols of a row, if anything."""
    if not text.isascii() and SURROGATE.search(text):
        return Bad(line, "not-utf8", f"line {line} is not UTF-8", "save the file as UTF-8")
    if "\0" in text:
        return Bad(line, "nul", f"line {line} holds a NUL byte", "remove it")
    return None


def _unreadable(line: int, last: int, error: csv.Error) -> Bad:
    """A record that the csv module refuses takes all lines up to where it was found out."""
    where = f"line {line}" if last <= line else f"lines {line} to {last}"
    if "end of data" in str(error) or (last > line and "field limit" in str(error)):
        return Bad(line, "open-quote", f"{where}: a quote is opened and not closed", "close it")
    return Bad(line, "unreadable-row", f"{where}: {error}", "double the quotes inside a quoted field")


def lines_of(chunk: dict[str, Any]) -> Iterator[str]:
    """The chunk's lines with their ends, so that a quoted newline stays what it is."""
    path, newline = chunk["path"], chunk.get("newline", "\n")
    if chunk["stop"] >= 0:
        with storage.opened(path) as stream:
            stream.seek(chunk["start"])
            body = stream.read(chunk["stop"] - chunk["start"])
        yield from _lines(io.BytesIO(body), newline, path)
        return
    with archives.decompressed(path) as packed:
        packed.read(chunk["start"])
        yield from _lines(packed, newline, path)


def _lines(stream: Any, newline: str, path: str) -> Iterator[str]:
    """Lines of a stream of bytes; what is no UTF-8 is a surrogate, found out later in its row."""
    end, split = newline.encode(), "\n" if newline == "\n" else ""
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        body = rest + block
        cut = body.rfind(end) + 1
        rest = body[cut:]
        if len(rest) > RECORD_BYTES:
            raise DataError(f"'{path}': a line of more than {RECORD_BYTES:,} bytes: this is no table")
        yield from io.StringIO(body[:cut].decode("utf-8", "surrogateescape"), newline=split)
    if rest:
        yield from io.StringIO(rest.decode("utf-8", "surrogateescape"), newline=split)


def _bytes(line: str) -> int:
    return len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
