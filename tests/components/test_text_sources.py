"""Sources of text: files, folders, archives, rows and treebanks; names that stay, groups, parts and rejects."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from components.errors import DataError
from components.ingest import ingest, shards_of
from components.modalities import Record, Rejected, text
from components.settings import DataSettings
from components.text_sources import official_parts

POEM = "".join(f"line {i} of some length\n" for i in range(10))


def read(source: str, **options: Any) -> list[Record | Rejected]:
    settings = text.Read(**options)
    text.preflight(source, settings)
    return [found for chunk in text.plan(source, settings) for found in text.read(chunk, settings)]


def records(source: str, **options: Any) -> list[Record]:
    found = read(source, **options)
    assert [one for one in found if isinstance(one, Rejected)] == []
    return [one for one in found if isinstance(one, Record)]


def rejected(source: str, **options: Any) -> list[Rejected]:
    return [one for one in read(source, **options) if isinstance(one, Rejected)]


def said(found: list[Record]) -> dict[str, str]:
    """The text of each document, by its group."""
    texts: dict[str, str] = {}
    for one in found:
        texts[one.group or ""] = texts.get(one.group or "", "") + one.fields["text"]
    return texts


# -- one file ------------------------------------------------------------------------------------------


def test_a_single_file_is_split_among_its_blocks_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text(POEM)
    (tmp_path / "poem.txt.gz").write_bytes(gzip.compress(POEM.encode()))
    plain = records(f"text:{tmp_path / 'poem.txt'}", block=40)
    assert [one.key for one in plain[:3]] == [f"poem.txt@{place:012d}" for place in (0, 44, 88)]
    assert {(one.group, one.part) for one in plain} == {(None, None)}
    packed = records(f"text:{tmp_path / 'poem.txt.gz'}", block=40)
    assert [one.fields for one in packed] == [one.fields for one in plain]


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "notes[1].log").write_text(POEM)
    assert said(records(f"text:{tmp_path / 'notes[1].log'}")) == {"": POEM}


def test_a_large_file_is_read_in_ranges_as_if_it_were_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poem.txt").write_text(POEM * 20)
    source = f"text:{tmp_path / 'poem.txt'}"
    whole = records(source, block=40)
    monkeypatch.setattr("components.text_sources.CHUNK_BYTES", 500)
    assert len(text.plan(source, text.Read(block=40))) == 9
    assert records(source, block=40) == whole


def test_a_line_of_some_megabytes_becomes_bounded_blocks(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes("é".encode() * 1_500_000)
    found = records(f"text:{tmp_path / 'long.txt'}", longest=100_001)
    assert max(len(one.fields["text"].encode()) for one in found) == 100_000
    assert "".join(one.fields["text"] for one in found) == "é" * 1_500_000


def test_a_large_file_in_utf_16_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "poem.txt").write_text(POEM, "utf-16")
    monkeypatch.setattr("components.text_sources.CHUNK_BYTES", 100)
    assert [(one.key, one.rule) for one in rejected(f"text:{tmp_path / 'poem.txt'}")] == [
        ("poem.txt", "utf-16")
    ]


def test_only_the_bad_block_is_set_aside_or_mended(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_bytes(POEM.encode().replace(b"line 4", b"line \xff"))
    source = f"text:{tmp_path / 'poem.txt'}"
    found = read(source, block=20)
    assert [one.rule for one in found if isinstance(one, Rejected)] == ["not-utf8"]
    assert len(found) == 10
    assert said(records(source, block=20, errors="replace")) == {"": POEM.replace("line 4", "line \ufffd")}


def test_a_damaged_packed_file_that_is_named_itself_stops_the_line(tmp_path: Path) -> None:
    (tmp_path / "poem.txt.gz").write_bytes(gzip.compress(POEM.encode() * 500)[:-20])
    with pytest.raises(DataError, match="damaged or cut short"):
        read(f"text:{tmp_path / 'poem.txt.gz'}")


# -- many files ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents, an empty one, one that is no text and one that is not meant."""
    place = tmp_path / "texts"
    (place / "b").mkdir(parents=True)
    (place / "one.txt").write_text(POEM)
    (place / "b/two.md").write_text("# Two\n")
    (place / "b/three.TXT.gz").write_bytes(gzip.compress(b"three\n"))
    (place / "empty.txt").touch()
    (place / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    (place / "words.txt").write_text("words", "utf-16")
    (place / "picture.png").write_bytes(b"\x89PNG")
    return place


def test_files_of_a_folder_are_documents_whose_blocks_are_a_group(folder: Path) -> None:
    found = [one for one in read(f"text:{folder}", block=50) if isinstance(one, Record)]
    assert said(found) == {"one.txt": POEM, "b/two.md": "# Two\n", "b/three.TXT.gz": "three\n"}
    assert {one.key.split("@")[0] for one in found} == {one.group for one in found}
    bad = rejected(f"text:{folder}")
    assert [(one.key, one.rule) for one in bad] == [
        ("empty.txt", "empty"),
        ("mark.txt", "empty"),
        ("words.txt", "utf-16"),
    ]


def test_a_pattern_means_all_that_it_names(folder: Path) -> None:
    assert said(records(f"text:{folder}/b/*")) == {"two.md": "# Two\n", "three.TXT.gz": "three\n"}
    assert list(said(records(f"text:{folder}/**/t*"))) == ["b/three.TXT.gz", "b/two.md"]


def test_other_suffixes_are_text_where_asked(folder: Path) -> None:
    (folder / "code.py").write_text("print()\n")
    assert list(said(records(f"text:{folder}", suffixes=(".py",)))) == ["code.py"]


def test_a_folder_without_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    with pytest.raises(DataError, match=r"there is no text in .*\.txt, \.md"):
        read(f"text:{tmp_path}")


def test_a_damaged_file_among_many_is_set_aside(folder: Path) -> None:
    (folder / "cut.txt.gz").write_bytes(gzip.compress(POEM.encode())[:-9])
    damaged = [one for one in rejected(f"text:{folder}") if one.rule == "damaged"]
    assert [one.key for one in damaged] == ["cut.txt.gz"]
    assert "damaged or cut short" in damaged[0].reason


def test_an_archive_is_like_the_folder_in_it(folder: Path, tmp_path: Path) -> None:
    (folder / "b/three.TXT.gz").unlink()
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
        archive.writestr("__MACOSX/one.txt", "a twin of macOS")
        archive.writestr("rows.jsonl", "{}")
    packed = read(f"text:{tmp_path / 'texts.zip'}")
    assert [one.key for one in packed if isinstance(one, Rejected) and one.rule == "packed-twice"] == [
        "rows.jsonl"
    ]
    assert sorted((one for one in packed if one.key != "rows.jsonl"), key=lambda one: one.key) == sorted(
        read(f"text:{folder}"), key=lambda one: one.key
    )


# -- rows ----------------------------------------------------------------------------------------------

ROWS = [{"text": "first\n", "name": "a"}, {"text": POEM, "name": "b"}, {"text": "third", "name": "c"}]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The same rows as JSONL, packed JSONL and Parquet."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(lines)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    return tmp_path


@pytest.mark.parametrize(("file", "first"), [("rows.jsonl", 1), ("rows.jsonl.gz", 1), ("rows.parquet", 0)])
def test_rows_are_documents_called_by_their_row_or_by_a_field(tables: Path, file: str, first: int) -> None:
    source = f"text:{tables / file}"
    assert said(records(source)) == {f"{file}#{first + i}": row["text"] for i, row in enumerate(ROWS)}
    named = records(source, id="name", block=100)
    assert [one.key for one in named] == ["a", "b@000000000000", "b@000000000110", "c"]
    assert said(named) == {row["name"]: row["text"] for row in ROWS}


@pytest.mark.parametrize("file", ["rows.jsonl", "rows.parquet"])
def test_another_field_may_be_the_text(tables: Path, file: str) -> None:
    assert list(said(records(f"text:{tables / file}", field="name")).values()) == ["a", "b", "c"]


def test_a_column_that_is_not_there_is_said(tables: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'body' \(data.read.field\): it has text, name"):
        read(f"text:{tables / 'rows.parquet'}", field="body")
    pq.write_table(pa.table({"text": [1, 2]}), tables / "numbers.parquet")
    with pytest.raises(DataError, match="column 'text' is of int64"):
        read(f"text:{tables / 'numbers.parquet'}")


def test_rows_that_are_no_text_are_set_aside_by_their_line(tmp_path: Path) -> None:
    lines = [
        b'{"text": "sound"}',
        b'{"other": "x"}',
        b'{"text": 3}',
        b'{"text": ""}',
        b'{"text": null}',
        b'{"text": "half \\ud800"}',
        b'{"text": "nul \\u0000"}',
        b'{"text": "cut',
        b'{"text": "caf\xe9"}',
        b'["text"]',
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    source = f"text:{tmp_path / 'rows.jsonl'}"
    found = rejected(source)
    assert [(one.key.split("#")[1], one.rule) for one in found] == [
        ("2", "no-text"),
        ("3", "no-text"),
        ("4", "empty"),
        ("5", "no-text"),
        ("6", "not-utf8"),
        ("7", "nul"),
        ("8", "not-json"),
        ("9", "not-utf8"),
        ("10", "not-an-object"),
    ]
    assert "at byte 5" in found[4].reason
    mended = [one for one in read(source, errors="replace") if isinstance(one, Record)]
    assert [one.fields["text"] for one in mended] == ["sound", "half \ufffd\ufffd\ufffd", "nul \ufffd"]


def test_a_row_without_its_name_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "id": 7}\n{"text": "b"}\n{"text": "c", "id": ""}\n')
    found = read(f"text:{tmp_path / 'rows.jsonl'}", id="id")
    assert [one.key for one in found if isinstance(one, Record)] == ["7"]
    assert [one.rule for one in found if isinstance(one, Rejected)] == ["no-id", "no-id"]


def test_strings_of_parquet_that_are_not_utf_8_are_set_aside(tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9", b"sound"]).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "rows.parquet")
    found = read(f"text:{tmp_path / 'rows.parquet'}")
    assert [type(one) for one in found] == [Rejected, Record]


# -- treebanks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("x-train x-dev x-test", "train validation test"),
        ("x-dev x-test", "development test"),
        ("x-train x-test", "development test"),
        ("x-train x-dev", ""),
        ("x-test", ""),
        ("dev test other", "development test"),
        ("x-contest x-dev", ""),
    ],
)
def test_official_parts_are_those_of_the_files_names(names: str, parts: str) -> None:
    assert " ".join(official_parts([f"{name}.conllu" for name in names.split()]).values()) == parts


def test_sentences_are_called_by_their_name_or_number_and_documents_are_groups(tmp_path: Path) -> None:
    word = "1\tHello\t_\tINTJ\t_\t_\t_\t_\t_\t_\n\n"
    (tmp_path / "a.conllu").write_text(f"# sent_id = s1\n{word}# newdoc id = d\n{word}broken\n\n")
    found = read(f"conllu:{tmp_path}")
    assert [(one.key, getattr(one, "group", "rejected")) for one in found] == [
        ("s1", None),
        ("a.conllu#2", "a.conllu#d"),
        ("a.conllu#3", "rejected"),
    ]
    assert read(f"text:{tmp_path}") == found


def test_a_file_without_a_sentence_or_in_utf_16_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "empty.conllu").write_text("\n\n")
    (tmp_path / "wide.conllu").write_text("1\tHello", "utf-16")
    assert [(one.key, one.rule) for one in rejected(f"conllu:{tmp_path}")] == [
        ("empty.conllu", "empty"),
        ("wide.conllu", "utf-16"),
    ]


# -- settings and real data ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"block": 2000, "longest": 1000}, "longest is at least block"),
        ({"suffixes": ["txt"]}, "begin with a dot"),
        ({"suffixes": []}, "at least 1 item"),
        ({"errors": "ignore"}, "reject"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        text.Read.parse(options)


def test_every_character_of_tiny_shakespeare_is_in_one_split(test_data: Path, tmp_path: Path) -> None:
    source = f"text:{test_data / 'tinyshakespeare' / 'input.txt'}"
    counts = ingest(DataSettings(source=source), tmp_path / "records")["counts"]
    assert counts == {"train": 444, "validation": 57, "test": 52, "rejected": 0, "read": 553}
    characters: Counter[str] = Counter()
    for split in ("train", "validation", "test"):
        for shard in shards_of(tmp_path / "records", split):
            for part in pq.read_table(shard).column("text").to_pylist():
                characters.update(part)
    assert characters.total() == 1_115_394
    assert len(characters) == 65


def test_a_treebank_without_a_training_file_shares_its_development_file(
    test_data: Path, tmp_path: Path
) -> None:
    source = f"conllu:{test_data / 'ud_english_ewt'}"
    counts = ingest(DataSettings(source=source), tmp_path / "records")["counts"]
    assert counts["test"] == 2077
    assert counts["train"] + counts["validation"] == 2001
    assert counts["rejected"] == 0
    assert 150 < counts["validation"] < 350
