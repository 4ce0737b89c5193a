"""Text: blocks of whole lines, windows that cover every character once, bad bytes set aside with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.accumulators import merged
from components.errors import DataError
from components.modalities import Record, Rejected, Summary, text

LINES = (
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=30)
    .map("\n".join)
    .filter(lambda text: text.strip("\ufeff"))
)


def read(path: Path, block: int = 16) -> list[Any]:
    options = text.Read(block=block)
    chunks = text.plan(f"text:{path}", options)
    return [found for chunk in chunks for found in text.read(chunk, options)]


def table(blocks: list[str]) -> pa.Table:
    return pa.Table.from_pylist([{"text": block} for block in blocks], pa.schema(text.RECORD))


def encoding_of(train: list[str], length: int) -> dict[str, Any]:
    records = table(train)
    summaries = {"train": Summary(records.num_rows, text.summarise(records))}
    return text.fit(summaries, text.Encode(length=length), lambda: [records])


@settings(max_examples=60, deadline=None)
@given(content=LINES, block=st.integers(16, 80))
def test_blocks_joined_are_the_file_without_its_byte_order_mark(
    tmp_path_factory: pytest.TempPathFactory, content: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks.txt"
    path.write_bytes(content.encode())
    blocks = read(path, block)
    assert all(isinstance(found, Record) for found in blocks)
    assert "".join(found.fields["text"] for found in blocks) == content.removeprefix("\ufeff")
    assert len({found.key for found in blocks}) == len(blocks)
    for found in blocks[:-1]:
        assert found.fields["text"].endswith("\n")


@settings(max_examples=60, deadline=None)
@given(old=LINES, new=LINES, block=st.integers(16, 60))
def test_a_file_that_grows_keeps_its_old_blocks(
    tmp_path_factory: pytest.TempPathFactory, old: str, new: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "grows.txt"
    path.write_bytes(old.encode())
    before = read(path, block)
    path.write_bytes((old + new).encode())
    after = read(path, block)
    assert after[: max(0, len(before) - 1)] == before[:-1]
    assert [found.key for found in after[: len(before)]] == [found.key for found in before]


def test_the_byte_order_mark_goes_only_from_the_file_s_beginning(tmp_path: Path) -> None:
    path = tmp_path / "marked.txt"
    first, second = "\ufefffirst line, long enough\n", "\ufeffsecond line, long enough\n"
    path.write_bytes((first + second).encode())
    assert [found.fields["text"] for found in read(path)] == [first[1:], second]


def test_carriage_returns_are_characters_like_others(tmp_path: Path) -> None:
    path = tmp_path / "dos.txt"
    path.write_bytes(b"one line of text\r\nand another of it\r\n")
    assert [found.fields["text"] for found in read(path)] == ["one line of text\r\n", "and another of it\r\n"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
@pytest.mark.parametrize("block", [0, 1])
def test_a_block_that_is_not_utf_8_is_set_aside_with_the_byte_s_place(
    tmp_path: Path, mark: bytes, bad: bytes, block: int
) -> None:
    lines = [mark + b"some words, long enough: \n", b"others, and long as well: \n"]
    lines[block] = lines[block][:-1] + bad + b"\n"
    path = tmp_path / "bad.txt"
    path.write_bytes(b"".join(lines))
    found = read(path)
    rejected = [one for one in found if isinstance(one, Rejected)]
    assert len(rejected) == 1
    assert len(found) == 2
    place = path.read_bytes().index(bad)
    assert rejected[0].reason.startswith(f"not UTF-8 at byte {place}: ")


@settings(max_examples=100, deadline=None)
@given(blocks=st.lists(st.text(), max_size=8), length=st.integers(2, 20))
def test_windows_cover_every_character_exactly_once(blocks: list[str], length: int) -> None:
    encoding = encoding_of(blocks, length)
    arrays = text.encode(table(blocks), encoding)
    x, lengths = arrays["x"], arrays["length"]
    assert x.dtype == lengths.dtype == np.int32
    assert x.shape == (len(lengths), length)
    assert (lengths >= 1).all()
    decoded = text.decode(x, encoding)
    assert "".join(row[:n] for row, n in zip(decoded, lengths, strict=True)) == "".join(blocks)
    assert (x[np.arange(length) >= lengths[:, None]] == 0).all()
    spec = text.spec(encoding)
    assert (x < spec.vocabulary).all()
    assert spec.shape == (length,)


def test_a_character_that_the_training_split_lacks_is_the_symbol_0() -> None:
    encoding = encoding_of(["ab"], 4)
    assert encoding["vocabulary"] == ["\ufffd", "a", "b"]
    arrays = text.encode(table(["bzab"]), encoding)
    assert arrays["x"].tolist() == [[2, 0, 1, 2]]
    assert text.decode(arrays["x"], encoding) == ["b\ufffdab"]


def test_the_replacement_character_itself_is_no_second_symbol() -> None:
    assert encoding_of(["a\ufffdb"], 2)["vocabulary"] == ["\ufffd", "a", "b"]


@given(a=st.text(), b=st.text())
def test_the_statistics_of_two_parts_merge_to_those_of_the_whole(a: str, b: str) -> None:
    found = merged([text.summarise(table([a])), text.summarise(table([b]))])
    whole = text.summarise(table([a, b]))
    assert found["character"] == whole["character"]
    assert found["length"].as_json() == whole["length"].as_json()


def test_samples_are_written_as_utf_8(tmp_path: Path) -> None:
    encoding = encoding_of(["aé\n"], 3)
    arrays = text.encode(table(["éa\n", "aaa"]), encoding)
    out = text.write_samples(arrays["x"], encoding, tmp_path / "samples.png")
    assert out == tmp_path / "samples.txt"
    first, second = out.read_text("utf-8").split("\n" + "-" * 40 + "\n")
    assert (first, second) == ("éa\n", "aaa\n")


@pytest.mark.parametrize("source", ["text:", "text:nowhere.txt", "text:nowhere/"])
def test_a_missing_file_is_said(source: str) -> None:
    with pytest.raises(DataError, match="there is no file"):
        text.preflight(source, text.Read())


def test_an_empty_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="is empty"):
        text.preflight(f"text:{tmp_path / 'empty.txt'}", text.Read())
