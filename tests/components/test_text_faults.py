"""Texts that are not what they should be (row F of the fault plan): each has one written outcome, through ingest
and gate 1, with the place of the byte; never a crash, and nothing is dropped unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.anomalies import rejections
from components.errors import DataError
from components.ingest import SPLITS, ingest, shards_of
from components.settings import DataSettings

GOOD = b"a line of good text\n"


def ingested(
    folder: Path, content: bytes, name: str = "text.txt", **read: Any
) -> tuple[dict, list[dict], str]:
    """Manifest, what was rejected, and the text of all records in the order of their keys."""
    file = folder / name
    file.write_bytes(content)
    data = DataSettings(source=f"text:{file}", read={"block": 16, **read})
    manifest = ingest(data, folder / "records")
    told = (folder / "records/rejected/rejected.jsonl").read_text("utf-8").splitlines()
    rows = [row for split in SPLITS for shard in shards_of(folder / "records", split)
            for row in pq.read_table(shard).to_pylist()]  # fmt: skip
    said = "".join(row["text"] for row in sorted(rows, key=lambda row: row["key"]))
    return manifest, [json.loads(line) for line in told], said


BAD = [
    ("a byte that is never in UTF-8", b"some \xff bytes and more\n", "not-utf8", 5, "\ufffd"),
    (
        "another encoding",
        "caf\xe9 au lait, s'il vous pla\xeet\n".encode("latin-1"),
        "not-utf8",
        3,
        "\ufffd" * 2,
    ),
    ("a character cut short", b"some more \xf0\x9f\x98 bytes\n", "not-utf8", 10, "\ufffd"),
    ("an overlong form", b"some more \xc0\xaf bytes\n", "not-utf8", 10, "\ufffd\ufffd"),
    ("half of a surrogate pair", b"some more \xed\xa0\x80 bytes\n", "not-utf8", 10, "\ufffd\ufffd\ufffd"),
    ("beyond Unicode", b"some more \xf4\x90\x80\x80 bytes\n", "not-utf8", 10, "\ufffd" * 4),
    ("a NUL", b"some more \0 bytes\n", "nul", 10, "\ufffd"),
]


@pytest.mark.parametrize(
    ("line", "rule", "place", "shown"), [case[1:] for case in BAD], ids=[c[0] for c in BAD]
)
def test_bad_bytes_stop_the_line_with_their_place_or_are_replaced(
    tmp_path: Path, line: bytes, rule: str, place: int, shown: str
) -> None:
    content = 3 * GOOD + line + 2 * GOOD
    (tmp_path / "strict").mkdir()
    manifest, rejected, said = ingested(tmp_path / "strict", content)
    assert manifest["rejected"] == {rule: 1}
    assert said == (5 * GOOD).decode()
    assert f"at byte {3 * len(GOOD) + place}:" in rejected[0]["reason"]
    assert rejected[0]["remedy"]
    (anomaly,) = rejections(manifest["counts"], tmp_path / "strict/records", 0.01)
    assert anomaly.severity == "error"
    assert f"at byte {3 * len(GOOD) + place}:" in anomaly.message

    (tmp_path / "replaced").mkdir()
    manifest, rejected, said = ingested(tmp_path / "replaced", content, errors="replace")
    assert rejected == []
    assert said.count("\ufffd") == shown.count("\ufffd")
    assert said.replace("\ufffd", "").startswith((3 * GOOD).decode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("errors", ["reject", "replace"])
def test_another_width_of_letters_is_set_aside_whole(tmp_path: Path, encoding: str, errors: str) -> None:
    content = ("\ufeff" * encoding.endswith("e") + "some words in two bytes each\n" * 9).encode(encoding)
    manifest, rejected, said = ingested(tmp_path, content, errors=errors)
    assert manifest["rejected"] == {"utf-16": 1}
    assert rejected[0]["key"] == "text.txt"
    assert "UTF-8" in rejected[0]["remedy"]
    assert said == ""


def test_a_line_of_megabytes_is_cut_and_nothing_of_it_lost(tmp_path: Path) -> None:
    line = "Übermut 猫 🐈 " * 20_000
    manifest, rejected, said = ingested(tmp_path, line.encode(), longest=1000)
    assert rejected == []
    assert said == line
    assert manifest["counts"]["read"] >= len(line.encode()) / 1000


def test_all_ends_of_lines_are_kept_or_made_one(tmp_path: Path) -> None:
    content = b"one line of text\r\nanother of it\ran old one\nthe last\r\n"
    for newlines, expected in (
        ("keep", content),
        ("unix", b"one line of text\nanother of it\nan old one\nthe last\n"),
    ):
        (tmp_path / newlines).mkdir()
        assert ingested(tmp_path / newlines, content, newlines=newlines)[2] == expected.decode()


def test_the_mark_of_utf_8_is_no_character(tmp_path: Path) -> None:
    _, rejected, said = ingested(tmp_path, b"\xef\xbb\xbf" + GOOD)
    assert (rejected, said) == ([], GOOD.decode())


def test_an_empty_file_stops_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"text\.txt' is empty"):
        ingested(tmp_path, b"")


def test_a_mark_alone_is_no_text(tmp_path: Path) -> None:
    manifest, *_ = ingested(tmp_path, b"\xef\xbb\xbf")
    assert manifest["rejected"] == {"empty": 1}
    (anomaly,) = rejections(manifest["counts"], tmp_path / "records", 0.01)
    assert anomaly.severity == "error"


def test_half_of_a_pair_in_json_is_set_aside_with_its_line(tmp_path: Path) -> None:
    content = b'{"text": "a good row"}\n{"text": "half \\ud800 of a pair"}\n{"text": "\\ud83d\\ude00"}\n'
    manifest, rejected, said = ingested(tmp_path, content, "rows.jsonl")
    assert manifest["rejected"] == {"not-utf8": 1}
    assert rejected[0]["key"] == "rows.jsonl#2"
    assert said == "a good row\U0001f600"
