"""Units of text: what is encoded comes back exactly, tags stay with their words, learning is repeatable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.errors import DataError
from components.modalities import Summary, text

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=6)
PROSE = ["the cat sat on the mat, the cat sat.\n" * 20, "a mat on the cat — naïve 猫 🐈\n" * 10]
UNITS = ("characters", "bytes", "bpe", "words")


def table(texts: list[str]) -> pa.Table:
    return pa.Table.from_pylist([{"text": said} for said in texts], pa.schema(text.RECORD))


def tagged(*sentences: str) -> pa.Table:
    """Sentences of `word/TAG word/TAG`."""
    rows = []
    for sentence in sentences:
        words, tags = zip(*(pair.split("/") for pair in sentence.split()), strict=True)
        rows.append({"text": " ".join(words), "words": list(words), "tags": list(tags)})
    return pa.Table.from_pylist(rows, pa.schema(text.RECORD))


def summary(records: pa.Table) -> Summary:
    return Summary(records.num_rows, text.summarise(records))


def fitted(train: pa.Table, **options: Any) -> dict[str, Any]:
    return text.fit({"train": summary(train)}, text.Encode.parse(options), lambda: [train])


def back(records: pa.Table, encoding: dict[str, Any]) -> list[list[int]]:
    """The tokens of each window without what fills it."""
    arrays = text.encode(records, encoding)
    return [row[:n].tolist() for row, n in zip(arrays["x"], arrays["length"], strict=True)]


# -- there and back ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encodings() -> dict[str, dict[str, Any]]:
    """Longer than any text below, so that no window cuts one."""
    return {unit: fitted(table(PROSE), unit=unit, length=4000) for unit in UNITS}


@pytest.mark.parametrize("unit", ["bytes", "bpe"])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts=TEXTS)
def test_bytes_and_pieces_give_back_every_text(
    encodings: dict[str, dict[str, Any]], unit: str, texts: list[str]
) -> None:
    arrays = text.encode(table(texts), encodings[unit])
    assert text.decode(arrays["x"], encodings[unit]) == [said for said in texts if said]
    assert (arrays["x"] < text.spec(encodings[unit]).vocabulary).all()


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_the_training_split_holds_comes_back_whole(
    encodings: dict[str, dict[str, Any]], unit: str, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(st.sampled_from("".join(PROSE).splitlines(True)), min_size=1, max_size=5))
    arrays = text.encode(table(lines), encodings[unit])
    assert [said[:n] for said, n in zip(text.decode(arrays["x"], encodings[unit]), map(len, lines))] == lines


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=TEXTS, length=st.integers(2, 20), data=st.data())
def test_windows_cover_each_record_and_never_two(
    encodings: dict[str, dict[str, Any]], unit: str, texts: list[str], length: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(-(-length // 16), length))
    encoding = {**encodings[unit], "length": length, "stride": stride}
    whole = {**encodings[unit], "length": 4000}
    left = back(table(texts), encoding)
    for record in back(table(texts), whole):
        joined: list[int] = []
        for at in range(0, max(len(record) - length, 0) + stride, stride):
            window = left.pop(0)
            assert window == record[at : at + length]
            joined += window[len(joined) - at :]
        assert joined == record
    assert not left


def test_a_cut_character_is_shown_as_such(encodings: dict[str, dict[str, Any]]) -> None:
    encoding = {**encodings["bytes"], "length": 2, "stride": 2}
    assert text.decode(text.encode(table(["aé"]), encoding)["x"], encoding) == ["a\ufffd", "\ufffd"]


def test_a_word_that_the_training_split_lacks_is_the_symbol_0() -> None:
    encoding = fitted(
        tagged("a/DET cat/NOUN sat/VERB", "a/DET cat/NOUN"), unit="words", length=4, vocabulary_size=4
    )
    assert encoding["vocabulary"][2:] == ["a", "cat"]
    assert back(tagged("a/DET dog/NOUN sat/VERB"), encoding) == [[2, 0, 0]]


# -- tags ----------------------------------------------------------------------------------------------


def test_tags_are_aligned_with_their_words_window_by_window() -> None:
    train = tagged("the/DET cat/NOUN sat/VERB on/ADP mats/NOUN", "the/DET mats/NOUN")
    encoding = fitted(train, unit="words", length=3, stride=2)
    spec = text.spec(encoding)
    arrays = text.encode(train, encoding)
    assert arrays["tags"].dtype == np.int32
    assert arrays["tags"].shape == arrays["x"].shape == (3, 3)
    assert spec.tags == 5
    assert spec.vocabulary == 7
    shown = [
        [(encoding["vocabulary"][x], encoding["tags"][t]) for x, t in zip(*row, strict=True)][:n]
        for *row, n in zip(arrays["x"], arrays["tags"], arrays["length"], strict=True)
    ]
    assert shown[0] == [("the", "DET"), ("cat", "NOUN"), ("sat", "VERB")]
    assert shown[1] == [("sat", "VERB"), ("on", "ADP"), ("mats", "NOUN")]
    assert shown[2] == [("the", "DET"), ("mats", "NOUN")]


def test_a_tag_that_the_training_split_lacks_is_the_symbol_0() -> None:
    encoding = fitted(tagged("a/DET cat/NOUN"), unit="words", length=4)
    assert text.encode(tagged("oh/INTJ a/DET"), encoding)["tags"].tolist() == [[0, 1, 0, 0]]


def test_tagged_words_are_written_as_word_and_tag(tmp_path: Path) -> None:
    train = tagged("the/DET cat/NOUN sat/VERB", "a/DET mat/NOUN")
    encoding = fitted(train, unit="words", length=4)
    out = text.write_samples(text.encode(train, encoding), encoding, tmp_path / "samples")
    assert out.read_text("utf-8") == "the/DET cat/NOUN sat/VERB\na/DET mat/NOUN\n"
    plain = text.write_samples(text.encode(train, encoding)["x"], encoding, tmp_path / "plain")
    assert plain.read_text("utf-8").split("\n" + "-" * 40 + "\n") == ["the cat sat", "a mat\n"]


def test_words_of_sentences_and_of_plain_text_are_not_mixed() -> None:
    mixed = pa.concat_tables([tagged("a/DET cat/NOUN"), table(["a text"])])
    with pytest.raises(DataError, match="1 of 2 records of the train split are tagged sentences"):
        fitted(mixed, unit="words")


# -- what is learnt ------------------------------------------------------------------------------------

TRAIN_AGAIN = """
import json, sys
from components.text_units import trained_tokenizer
print(trained_tokenizer(json.loads(sys.stdin.read()), 400))
"""


def test_pieces_learnt_in_other_processes_are_the_same() -> None:
    texts = [
        f"{word} {other} {i % 7} " for i, word in enumerate(PROSE[0].split()) for other in PROSE[1].split()
    ]
    told = [
        subprocess.run(
            [sys.executable, "-c", TRAIN_AGAIN],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(3)
    ]
    assert told[0] == told[1] == told[2]
    assert len(json.loads(told[0])["model"]["vocab"]) > 256


def test_pieces_are_learnt_from_the_training_records_alone() -> None:
    train = table(["zebra zebra zebra"] * 50)
    encoding = fitted(train, unit="bpe", vocabulary_size=300)
    assert text.spec(encoding).vocabulary <= 300
    (window,) = back(table(["zebra"]), encoding)
    assert len(window) == 1
    (window,) = back(table(["quagga"]), encoding)
    assert len(window) == 6


def test_pieces_shorten_english(test_data: Path) -> None:
    said = (test_data / "tinyshakespeare/input.txt").read_text("utf-8")[:200_000]
    encoding = fitted(table([said]), unit="bpe", vocabulary_size=1000, length=65_536)
    tokens = text.encode(table([said]), encoding)["length"].sum()
    assert tokens < 0.5 * len(said)
    assert "".join(text.decode(text.encode(table([said]), encoding)["x"], encoding)) == said


def test_an_encoding_travels_as_json(encodings: dict[str, dict[str, Any]]) -> None:
    for encoding in encodings.values():
        again = json.loads(json.dumps(encoding, sort_keys=True))
        assert back(table(PROSE), again) == back(table(PROSE), encoding)
        assert text.spec(again) == text.spec(encoding)


def test_an_encoding_of_a_model_that_knew_characters_only_is_still_read() -> None:
    old = {"modality": "text", "length": 3, "vocabulary": ["\ufffd", "a", "b"]}
    assert text.decode(np.array([[1, 2, 0]]), old) == ["ab\ufffd"]


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"length": 64, "buckets": [16, 16, 64]}, "buckets rise"),
        ({"length": 64, "buckets": [32, 16, 64]}, "buckets rise"),
        ({"length": 64, "buckets": [16, 32]}, "the last of buckets is length"),
        ({"length": 64, "buckets": [0, 64]}, "buckets"),
        ({"length": 64, "stride": 3}, "stride"),
        ({"length": 64, "stride": 65}, "stride"),
        ({"unit": "bpe", "vocabulary_size": 256}, "257"),
        ({"unit": "letters"}, "unit"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        text.Encode.parse(options)


def test_buckets_are_carried_to_the_examples() -> None:
    encoding = fitted(table(PROSE), length=64, buckets=[16, 64])
    assert encoding["buckets"] == [16, 64]
    assert "buckets" not in fitted(table(PROSE), length=64)


@pytest.mark.parametrize("unit", ["characters", "bytes"])
@pytest.mark.parametrize("stride", [None, 5])
def test_the_least_number_of_examples_is_no_more_than_there_are(unit: str, stride: int | None) -> None:
    records = table([*PROSE, "short", "x"])
    options = {"unit": unit, "length": 16, "stride": stride}
    there = len(text.encode(records, fitted(records, **options))["x"])
    least = text.examples(summary(records), text.Encode.parse(options))
    assert 0.8 * there < least <= there
