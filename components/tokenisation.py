"""Text to symbols and back: characters, bytes, pieces of words (BPE), or words with their tags.

Characters and words have a vocabulary, of which index 0 is what the training split lacks. Bytes need none.
BPE begins with the 256 bytes (Sennrich et al. 2016; Hugging Face `tokenizers`), so nothing is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNKNOWN = "\ufffd"  # shown for what the training split does not have
WORD = re.compile(r"\w+|[^\w\s]")  # of text that nobody has split into words
MOST_WORDS = 2_000_000  # distinct ones counted at a time


def words_of(table: pa.Table) -> Iterator[list[str]]:
    """The words of each record: as the source has them, else letters and digits, or one other mark."""
    for given, text in zip(table.column("words").to_pylist(), table.column("text").to_pylist(), strict=True):
        yield WORD.findall(text) if given is None else given


# -- learnt on the training split ----------------------------------------------------------------------


def commonest_words(tables: Iterable[pa.Table], size: int) -> list[str]:
    """The unknown word, and the commonest words in the order of their number; of equals the first by name."""
    counts: Counter[str] = Counter()
    for table in tables:
        for words in words_of(table):
            counts.update(words)
        if len(counts) > MOST_WORDS:
            counts = Counter(dict(_by_count(counts)[: MOST_WORDS // 2]))
    counts.pop(UNKNOWN, None)
    return [UNKNOWN, *(word for word, _ in _by_count(counts)[: size - 1])]


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def byte_pairs(tables: Iterable[pa.Table], size: int) -> str:
    """A byte-level BPE of at most `size` symbols, as the JSON that `tokenizers` reads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (batch.column("text").to_pylist() for table in tables for batch in table.to_batches(1024))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


@lru_cache(maxsize=4)
def _tokenizer(told: str) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(told)


# -- records → symbols ---------------------------------------------------------------------------------


def size_of(encoding: dict[str, Any]) -> int:
    """The number of symbols."""
    unit = encoding.get("unit", "characters")
    if unit == "bytes":
        return 256
    return _tokenizer(encoding["bpe"]).get_vocab_size() if unit == "bpe" else len(encoding["vocabulary"])


def symbols(table: pa.Table, encoding: dict[str, Any]) -> Iterator[np.ndarray]:
    """The symbols of each record, int32 `[n]`."""
    unit = encoding.get("unit", "characters")
    if unit == "words":
        yield from indices(words_of(table), encoding["vocabulary"])
        return
    texts = table.column("text").to_pylist()
    if unit == "bytes":
        for text in texts:
            yield np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    elif unit == "bpe":
        tokenizer = _tokenizer(encoding["bpe"])
        for text in texts:
            yield np.array(tokenizer.encode(text).ids, np.int32)
    else:
        yield from _characters(texts, encoding["vocabulary"])


def indices(sequences: Iterable[list[str]], vocabulary: list[str]) -> Iterator[np.ndarray]:
    """Where each name of each sequence stands in the vocabulary, 0 where it does not."""
    index = {symbol: i for i, symbol in enumerate(vocabulary)}
    for names in sequences:
        yield np.array([index.get(name, 0) for name in names], np.int32)


def _characters(texts: list[str], vocabulary: list[str]) -> Iterator[np.ndarray]:
    known = np.array([ord(symbol) for symbol in vocabulary[1:]], np.uint32)  # in order
    for text in texts:
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        place = np.minimum(np.searchsorted(known, codes), max(len(known) - 1, 0))
        found = known[place] == codes if len(known) else np.zeros(len(codes), bool)
        yield np.where(found, place + 1, 0).astype(np.int32)


def windows(sequences: Iterable[np.ndarray], length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """int32 `[n, length]` and how much of each is filled `[n]`: windows that cover each sequence, the next
    one `stride` further, and none crosses from one sequence into another. 0 is behind the end."""
    pieces = [
        sequence[start : start + length]
        for sequence in sequences
        if len(sequence)
        for start in range(0, max(len(sequence) - length, 0) + stride, stride)
    ]
    out = np.zeros((len(pieces), length), np.int32)
    for row, piece in zip(out, pieces, strict=True):
        row[: len(piece)] = piece
    return out, np.array([len(piece) for piece in pieces], np.int32)


# -- symbols → text ------------------------------------------------------------------------------------


def text_of(ids: np.ndarray, encoding: dict[str, Any]) -> str:
    """The text of symbols `[n]`. Of bytes and BPE exactly what was encoded, as long as no character is cut
    in two; of words with a space between them."""
    unit = encoding.get("unit", "characters")
    if unit == "bytes":
        return ids.astype(np.uint8).tobytes().decode("utf-8", "replace")
    if unit == "bpe":
        return _tokenizer(encoding["bpe"]).decode(ids.tolist(), skip_special_tokens=False)
    names = [encoding["vocabulary"][i] for i in ids]
    return (" " if unit == "words" else "").join(names)
