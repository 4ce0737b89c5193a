"""CoNLL-U: words and tags as the format says, and each way to break it told with its line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.conllu import UPOS, Malformed, Sentence, sentences
from components.text_blocks import Policy, Unfit


def line(number: str, form: str = "word", upos: str = "NOUN", misc: str = "_") -> str:
    return "\t".join([number, form, "_", upos, "XP", "_", "_", "_", "_", misc])


def parsed(*lines: str, tag: str = "upos", end: str = "\n") -> list[Any]:
    content = "".join(said + end for said in lines).encode()
    return list(sentences(io.BytesIO(content), tag, Policy()))  # type: ignore[arg-type]


SENTENCE = [
    "# newdoc id = first",
    "# sent_id = s1",
    "# newpar",
    line("1", "She", "PRON"),
    line("2-3", "doesn't", "_", "SpaceAfter=No"),
    line("2", "does", "AUX"),
    line("3", "n't", "PART"),
    line("3.1", "understood", "VERB"),
    line("4", ",", "PUNCT"),
    line("5", "New York", "PROPN", "Lang=en|SpaceAfter=No"),
    line("6", "!", "PUNCT"),
    "",
]


def test_a_sentence_is_its_words_and_not_its_ranges_or_empty_nodes() -> None:
    (found,) = parsed(*SENTENCE)
    assert isinstance(found, Sentence)
    assert found.words == ["She", "does", "n't", ",", "New York", "!"]
    assert found.tags == ["PRON", "AUX", "PART", "PUNCT", "PROPN", "PUNCT"]
    assert (found.name, found.document, found.number) == ("s1", "first", 1)
    assert found.text == "She doesn't, New York!"


def test_the_text_is_that_of_its_comment_where_there_is_one() -> None:
    (found,) = parsed("# text = as  it  was", line("1"))
    assert found.text == "as  it  was"


def test_a_document_goes_on_until_the_next_even_behind_a_broken_sentence() -> None:
    broken = "not ten fields"
    found = parsed(line("1"), "", "# newdoc id = a", broken, "", line("1"), "", "# newdoc", line("1"))
    assert [one.document for one in found] == [None, "a", "a", "document 2"]
    assert isinstance(found[1], Malformed)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_last_empty_line_may_be_missing_and_others_be_too_many(end: str) -> None:
    found = parsed("", line("1", "a"), "", "", line("1", "b"), end=end)
    assert [one.words for one in found] == [["a"], ["b"]]


def test_a_mark_of_utf_8_is_left_out() -> None:
    content = "\ufeff# sent_id = x\n" + line("1") + "\n\n"
    (found,) = sentences(io.BytesIO(content.encode()), "upos", Policy())
    assert found.name == "x"


def test_the_tags_of_another_column() -> None:
    assert parsed(line("1"), tag="xpos")[0].tags == ["XP"]


BROKEN = {
    "nine fields": ([line("1").rsplit("\t", 1)[0]], "not-ten-fields", "line 2: 9 fields"),
    "spaces for tabs": ([line("1").replace("\t", " ")], "not-ten-fields", "line 2: 1 fields"),
    "an empty form": ([line("1", form="")], "not-ten-fields", "line 2: an empty field"),
    "it begins at 0": ([line("0")], "bad-number", "'0' cannot follow word 0"),
    "a word is left out": ([line("1"), line("3")], "bad-number", "line 3: '3' cannot follow word 1"),
    "a word stands twice": ([line("1"), line("1")], "bad-number", "'1' cannot follow word 1"),
    "no number": ([line("one")], "bad-number", "'one' cannot follow"),
    "a range backwards": ([line("1"), line("2-1")], "bad-number", "no range"),
    "ranges that overlap": ([line("1-3"), line("1"), line("2-4")], "bad-number", "no range"),
    "a range without its end": ([line("1-3"), line("1")], "bad-number", "a range ends at word 3"),
    "an empty node elsewhere": ([line("1"), line("2.1")], "bad-number", "'2.1' cannot follow word 1"),
    "a comment among words": ([line("1"), "# late", line("2")], "not-ten-fields", "line 3"),
    "comments only": (["# alone"], "no-words", "line 2: no word"),
    "an empty node only": ([line("0.1")], "no-words", "no word"),
    "no tag": ([line("1", upos="_")], "no-tag", "'word' has no UPOS"),
    "another tag": ([line("1", upos="NN")], "unknown-tag", "'NN' is none of the 17"),
    "a long line": ([line("1", form="x" * 100_001)], "too-long", "line 2: more than 100,000 bytes"),
    "NUL": ([line("1", form="a\0b")], "nul", "NUL at byte 15"),
}


@pytest.mark.parametrize(("lines", "rule", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_sentence_is_told_with_its_line_and_its_neighbours_stay(
    lines: list[str], rule: str, reason: str
) -> None:
    found = parsed("# sent_id=s", *lines, "", line("1"), "")
    assert [type(one) for one in found] == [Malformed, Sentence]
    assert isinstance(found[0], Malformed)
    assert found[0].rule == rule
    assert reason in found[0].reason
    assert found[0].remedy


def test_too_many_lines_without_an_empty_one_are_one_broken_sentence() -> None:
    found = parsed(*(line(str(i)) for i in range(1, 20_100)), "", line("1"))
    assert [getattr(one, "rule", "") for one in found] == ["too-long", ""]


def test_bytes_that_are_not_utf_8_are_told_with_their_place() -> None:
    content = (line("1") + "\n\n").encode() + line("1", "caf\xe9").encode("latin-1") + b"\n"
    second: Any
    first, second = sentences(io.BytesIO(content), "upos", Policy())
    assert isinstance(first, Sentence)
    assert second.reason.startswith(f"not UTF-8 at byte {content.index(0xE9)}")
    first, second = sentences(io.BytesIO(content), "upos", Policy(errors="replace"))
    assert second.words == ["caf\ufffd"]


def test_utf_16_is_refused_whole() -> None:
    with pytest.raises(Unfit, match="UTF-16"):
        list(sentences(io.BytesIO(line("1").encode("utf-16")), "upos", Policy()))


FORM = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda form: form.strip() == form
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.tuples(FORM, st.sampled_from(sorted(UPOS))), min_size=1), max_size=5))
def test_what_is_written_is_read(written: list[list[tuple[str, str]]]) -> None:
    lines = [
        said
        for sentence in written
        for said in [*(line(str(i), *pair) for i, pair in enumerate(sentence, 1)), ""]
    ]
    found = parsed(*lines)
    assert [list(zip(one.words, one.tags, strict=True)) for one in found] == written


PIECES = st.sampled_from(
    [*(said + "\n" for said in SENTENCE), "\n", "\t", "1", "2-3", ".", "#", "\r", "_", "x", "\xe9", "\ufeff"]
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=4)), max_size=40).map(b"".join))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return  # UTF-16, see above
    for found in sentences(io.BytesIO(content), "upos", Policy()):
        if isinstance(found, Sentence):
            assert len(found.words) == len(found.tags) > 0
            assert set(found.tags) <= UPOS


@pytest.mark.parametrize(("part", "count", "words"), [("dev", 2001, 25_147), ("test", 2077, 25_094)])
def test_the_english_web_treebank(test_data: Path, part: str, count: int, words: int) -> None:
    with (test_data / "ud_english_ewt" / f"en_ewt-ud-{part}.conllu").open("rb") as stream:
        found: list[Any] = list(sentences(stream, "upos", Policy()))
    assert [one for one in found if isinstance(one, Malformed)] == []
    assert len(found) == count
    assert sum(len(one.words) for one in found) == words
    assert {tag for one in found for tag in one.tags} == UPOS
    assert len({one.name for one in found}) == count
