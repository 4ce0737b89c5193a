"""Text: a record is a block of whole lines, a row of a table or a tagged sentence; an example is a window
of `length` tokens of it.

A token is a character, a byte, a piece of byte-pair encoding or a word (components.text_units). What is
learnt of them comes from the training split, and its JSON is the encoding: nothing else decodes it.
Sources: components.text_sources. Windows: components.text_windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from components.errors import DataError
from components.modalities import Summary
from components.settings import Settings
from components.text_blocks import UNKNOWN
from components.text_documents import CONTENT, RECORD
from components.text_features import anomalies, summarise
from components.text_likeness import alike, signatures
from components.text_sources import SOURCES, Read, files, plan, preflight, read
from components.text_units import WORDS, commonest, trained_tokenizer, unit_of
from components.text_windows import encode, tags_of
from components.word_classes import learnt
from keras_models.spec import Spec

__all__ = [
    "CONTENT",
    "RECORD",
    "SOURCES",
    "Read",
    "anomalies",
    "encode",
    "files",
    "plan",
    "preflight",
    "read",
]
__all__ += ["alike", "signatures", "summarise"]

KIND = "tokens"
RULE = "\n" + "-" * 40 + "\n"
TAB = "\t"
CHARACTERS_PER_PIECE = 4  # of byte-pair encoding, roughly


class Encode(Settings):
    """How records become examples."""

    unit: Literal["characters", "bytes", "bpe", "words"] = Field(
        "characters",
        description="what a token is; bpe: pieces of bytes, learnt; words: of CoNLL-U with their tags, or of text "
        "with the spaces before them",
    )
    length: int = Field(128, ge=2, le=65_536, description="tokens in one example")
    stride: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="tokens from one example of a record to the next, a sixteenth of length at least; by default "
        "length",
    )
    vocabulary_size: int = Field(
        8192,
        ge=2,
        le=1_000_000,
        description="bpe and words: most symbols; of bpe 257 or more, a byte being one",
    )
    unknown: Literal["one", "classes"] = Field(
        "one",
        description="words of CoNLL-U that the training split lacks: one symbol, or classes by shape and suffix, "
        "which rare words teach: what taggers need",
    )
    pairs: bool = Field(
        False, description="records are a source, a tab and its target: what translation learns from"
    )
    buckets: tuple[int, ...] = Field(
        (),
        max_length=64,
        description="rising lengths, the last is length: batches as short as their examples",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.stride is not None and not self.length <= 16 * self.stride <= 16 * self.length:
            raise ValueError("stride is at most length and at least a sixteenth of it")
        if self.buckets:
            if self.buckets[0] < 1 or any(b <= a for a, b in pairwise(self.buckets)):
                raise ValueError("buckets rise from 1 or more")
            if self.buckets[-1] != self.length:
                raise ValueError("the last of buckets is length")
        if self.pairs and self.unit == "words":
            raise ValueError("pairs are of unit characters, bytes or bpe")
        if self.unit == "bpe" and self.vocabulary_size < 257:
            raise ValueError("vocabulary_size of unit bpe is at least 257")
        return self


def examples(summary: Summary, encode: Encode) -> int:
    """The least number of windows of one split; of bpe, and of words of text, about how many."""
    size = summary.features["character"].count
    if encode.unit == "words" and "words" in summary.features:
        words = summary.features["words"]
        size = round(words.mean * words.count)
    elif encode.unit in ("bpe", "words"):
        size //= CHARACTERS_PER_PIECE
    stride = encode.stride or encode.length
    return max(summary.records, (size - (encode.length - stride) * summary.records) // stride)


def fit(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The encoding: the options, and from the training split the symbols.

    Raises:
        DataError: sentences of words and plain text are mixed, and `unit` is words; or `pairs` are not.
    """
    train = summaries["train"]
    if encode.pairs:
        _check_pairs(summaries)
    found: dict[str, Any] = {
        "modality": "text",
        "unit": encode.unit,
        "length": encode.length,
        "stride": encode.stride or encode.length,
        "tags": [],
    }
    if encode.buckets:
        found["buckets"] = list(encode.buckets)
    if encode.unit == "characters":
        characters = set(train.features["character"].counts)
        found["vocabulary"] = [UNKNOWN, *sorted(characters - {UNKNOWN})]
    elif encode.unit == "bpe":
        texts = (text for table in tables() for text in table.column("text").to_pylist())
        found["tokenizer"] = trained_tokenizer(texts, encode.vocabulary_size - 1)
    elif encode.unit == "words":
        found |= _words(summaries, encode, tables)
    if encode.pairs:
        found["separator"] = int(unit_of(found).tokens(TAB)[0])
    return found


def _check_pairs(summaries: dict[str, Summary]) -> None:
    """Raises DataError where the records of a split hold more or fewer tabs than one each."""
    for split, summary in summaries.items():
        tabs = summary.features["character"].counts.get(TAB, 0)
        if tabs != summary.records:
            raise DataError(
                f"data.encode.pairs: the {summary.records} records of the {split} split hold {tabs} tabs: each "
                "record is a source, one tab and its target, as a row of JSONL holds them"
            )


def _words(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """Vocabulary and tags of sentences of words; without tags of plain text."""
    tagged = {split: s.features["words"].count for split, s in summaries.items() if "words" in s.features}
    if not tagged:
        words = (WORDS.findall(text) for table in tables() for text in table.column("text").to_pylist())
        return {"vocabulary": commonest(words, encode.vocabulary_size), "space": ""}
    for split, summary in summaries.items():
        if summary.records != tagged.get(split, 0):
            raise DataError(
                f"data.encode.unit 'words': {tagged.get(split, 0)} of {summary.records} records of the {split} split "
                "are tagged sentences and the others plain text: read them as two sources, or set another unit"
            )
    words = (found for table in tables() for found in table.column("words").to_pylist())
    tags = tags_of(set(summaries["train"].features["tag"].counts))
    if encode.unknown == "classes":
        vocabulary, classes = learnt(words, encode.vocabulary_size)
        return {"vocabulary": vocabulary, "classes": classes, "space": " ", "tags": tags}
    return {"vocabulary": commonest(words, encode.vocabulary_size), "space": " ", "tags": tags}


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `tokens`."""
    size = unit_of(encoding).size
    return Spec(
        kind="tokens",
        shape=(encoding["length"],),
        vocabulary=size,
        tags=len(encoding["tags"]),
        separator=encoding.get("separator", 0),
    )


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Tokens are given as they are."""
    return dict(arrays)


# -- samples → text ------------------------------------------------------------------------------------


def decode(samples: np.ndarray, encoding: dict[str, Any]) -> list[str]:
    """`[n, length]` tokens → n strings."""
    unit = unit_of(encoding)
    return [unit.text(row) for row in np.asarray(samples).tolist()]


def write_samples(
    samples: np.ndarray | Mapping[str, np.ndarray], encoding: dict[str, Any], out: Path
) -> Path:
    """A UTF-8 text file: the samples apart by a ruled line, without the padding behind them, or tagged sentences
    as lines of word/TAG.

    Args:
        samples: tokens `[n, length]`; with their tags as {"x", "tags"} and maybe "length".
    """
    out = out if out.suffix.lower() == ".txt" else out.with_suffix(".txt")
    if isinstance(samples, Mapping):
        said = "\n".join(_tagged(samples, encoding))
    else:
        unit = unit_of(encoding)
        rows = (
            np.trim_zeros(row - unit.padding, "b") + unit.padding for row in np.asarray(samples, np.int64)
        )
        said = RULE.join(unit.text(row.tolist()) for row in rows)
    out.write_bytes((said + "\n").encode())
    return out


def _tagged(samples: Mapping[str, np.ndarray], encoding: dict[str, Any]) -> Iterator[str]:
    unit = unit_of(encoding)
    x, tags = np.asarray(samples["x"]), np.asarray(samples["tags"])
    lengths = samples.get("length", np.full(len(x), x.shape[1]))
    for row, marks, length in zip(x.tolist(), tags.tolist(), np.asarray(lengths).tolist(), strict=True):
        pairs = zip(row[:length], marks[:length], strict=True)
        yield " ".join(
            f"{unit.text([token])}/{encoding['tags'][mark]}" for token, mark in pairs if token != unit.padding
        )
