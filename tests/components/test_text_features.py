"""What texts are summarised by, and which of them are odd."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from components.accumulators import merged
from components.modalities import Summary, text


def summary_of(*texts: str) -> Summary:
    table = pa.Table.from_pylist([{"text": one} for one in texts], pa.schema(text.RECORD))
    return Summary(len(texts), text.summarise(table))


def anomalies_of(*texts: str) -> list[tuple[str, str]]:
    return [(one.severity, one.rule) for one in text.anomalies({"train": summary_of(*texts)})]


def test_what_makes_a_text_odd() -> None:
    assert anomalies_of("some words\n", "and more\n") == []
    assert anomalies_of("aaa", "aa") == [("error", "one-symbol")]
    assert anomalies_of("bad \ufffd bytes\n") == [("warning", "replaced-characters")]
    assert anomalies_of("unix\n", "dos\r\n") == [("warning", "mixed-newlines")]
    assert anomalies_of("unix\n" * 200, "dos\r\n") == [], "one stray end of a line is no second kind"


def test_ends_of_lines_are_counted_by_their_kind() -> None:
    found = summary_of("a\nb\r\nc\rd\n").features
    assert found["newline"].counts == {"LF": 2, "CRLF": 1, "CR": 1}
    assert found["lines"].max == 4
    assert summary_of("no end").features["newline"].counts == {}


def test_tagged_sentences_have_words_and_tags_beside_their_text() -> None:
    rows = [{"text": "the cat", "words": ["the", "cat"], "tags": ["DET", "NOUN"]}, {"text": "plain"}]
    found = text.summarise(pa.Table.from_pylist(rows, pa.schema(text.RECORD)))
    assert (found["words"].count, found["words"].max) == (1, 2)
    assert found["tag"].counts == {"DET": 1, "NOUN": 1}
    assert found["length"].count == 2
    assert "words" not in summary_of("plain").features


SENTENCES = st.lists(
    st.lists(st.sampled_from(["a/DET", "cat/NOUN", "sat/VERB"]), min_size=1, max_size=4), max_size=5
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(a=SENTENCES, b=SENTENCES)
def test_two_parts_merge_to_the_whole(a: list[list[str]], b: list[list[str]]) -> None:
    def summarised(sentences: list[list[str]]) -> dict:
        pairs = [[pair.split("/") for pair in sentence] for sentence in sentences]
        rows = [
            {
                "text": " ".join(sentence),
                "words": [word for word, _ in found],
                "tags": [tag for _, tag in found],
            }
            for sentence, found in zip(sentences, pairs, strict=True)
        ]
        return text.summarise(pa.Table.from_pylist(rows, pa.schema(text.RECORD)))

    parts, whole = merged([summarised(a), summarised(b)]), summarised(a + b)
    assert parts.keys() == whole.keys()
    for name in {"character", "newline", "tag"} & whole.keys():
        assert parts[name] == whole[name]
    for name in {"length", "lines", "words"} & whole.keys():
        assert (parts[name].count, parts[name].min, parts[name].max) == (
            whole[name].count,
            whole[name].min,
            whole[name].max,
        )
