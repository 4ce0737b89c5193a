"""What a token is: a character, a byte, a piece of byte-pair encoding, or a word.

Each unit turns text into numbers and back by what the encoding holds alone. `padding` fills a window that
is not full.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from components.text_blocks import UNKNOWN
from components.word_classes import most_common, names

NAMES = ("characters", "bytes", "bpe", "words")
NO_TAG = "_"
WORDS = re.compile(r" ?\w+| ?[^\w\s]+|\s+(?!\S)|\s+")  # joined they are the text


class Unit(Protocol):
    """How text becomes tokens. `size` counts the symbols."""

    size: int
    padding: int

    def tokens(self, text: str) -> np.ndarray:
        """int32 `[n]`."""

    def text(self, tokens: Sequence[int]) -> str:
        """The text that tokens stand for."""


class Characters:
    """Symbol 0 stands for what the training split lacks, and is the padding."""

    padding = 0

    def __init__(self, vocabulary: list[str]) -> None:
        self.vocabulary, self.size = vocabulary, len(vocabulary)
        self.codes = np.array([ord(symbol) for symbol in vocabulary[1:]], np.uint32)  # rising

    def tokens(self, text: str) -> np.ndarray:
        """See Unit."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if not len(self.codes):
            return np.zeros(len(codes), np.int32)
        place = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[place] == codes, place + 1, 0).astype(np.int32)

    def text(self, tokens: Sequence[int]) -> str:
        """See Unit."""
        return "".join(self.vocabulary[token] for token in tokens)


class Bytes:
    """Symbol b + 1 is the byte b of UTF-8; 0 is the padding, and nothing."""

    padding, size = 0, 257

    def tokens(self, text: str) -> np.ndarray:
        """See Unit."""
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32) + 1

    def text(self, tokens: Sequence[int]) -> str:
        """See Unit. Bytes that are not UTF-8, as at the ends of a window, are shown as U+FFFD."""
        return bytes(token - 1 for token in tokens if token).decode("utf-8", "replace")


class PairEncoding:
    """Byte-pair encoding (Gage 1994; Sennrich, Haddow & Birch 2016) of bytes, so that nothing is unknown.
    Symbol t + 1 is the tokenizer's t; 0 is the padding, and nothing."""

    padding = 0

    def __init__(self, tokenizer: str) -> None:
        self.tokenizer = _tokenizer(tokenizer)
        self.size = self.tokenizer.get_vocab_size() + 1

    def tokens(self, text: str) -> np.ndarray:
        """See Unit."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int32) + 1

    def text(self, tokens: Sequence[int]) -> str:
        """See Unit. Bytes that are not UTF-8, as at the ends of a window, are shown as U+FFFD."""
        return self.tokenizer.decode([token - 1 for token in tokens if token], skip_special_tokens=False)


class Words:
    """Symbol 0 is a word that the training split lacks or where it is too rare, 1 the padding, and nothing.

    `space` stands between two words: " " for sentences that come as words, "" where the words of a text
    hold their spaces themselves. The last `classes` symbols are classes of unknown words
    (components.word_classes).
    """

    padding = 1

    def __init__(self, vocabulary: list[str], space: str, classes: int = 0) -> None:
        self.vocabulary, self.space, self.size = vocabulary, space, len(vocabulary)
        self.known = self.size - classes  # symbols from here on are classes
        self.index = {word: i for i, word in enumerate(vocabulary[: self.known]) if i != self.padding}
        self.classes = {name: i for i, name in enumerate(vocabulary) if i >= self.known}

    def tokens(self, text: str) -> np.ndarray:
        """See Unit."""
        return self.of_words(WORDS.findall(text))

    def of_words(self, words: Iterable[str]) -> np.ndarray:
        """int32 `[n]`."""
        return np.array([self._symbol(word) for word in words], np.int32)

    def spelt(self, tokens: np.ndarray) -> np.ndarray:
        """Whether a token says its word, bool of the shape of `tokens`."""
        return (tokens > 0) & (tokens < self.known)

    def _symbol(self, word: str) -> int:
        if not self.classes:
            return self.index.get(word, 0)
        found = self.index.get(word) or self.index.get(word.lower())
        return found or next((self.classes[name] for name in names(word) if name in self.classes), 0)

    def text(self, tokens: Sequence[int]) -> str:
        """See Unit."""
        return self.space.join(self.vocabulary[token] for token in tokens if token != self.padding)


def unit_of(encoding: dict[str, Any]) -> Unit:
    """The unit that an encoding says."""
    unit = encoding.get("unit", "characters")
    if unit == "characters":
        return Characters(encoding["vocabulary"])
    if unit == "bytes":
        return Bytes()
    if unit == "bpe":
        return PairEncoding(encoding["tokenizer"])
    return Words(encoding["vocabulary"], encoding["space"], encoding.get("classes", 0))


@lru_cache(maxsize=4)
def _tokenizer(told: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(told)


# -- learnt from the training split --------------------------------------------------------------------


def trained_tokenizer(texts: Iterable[str], size: int) -> str:
    """The JSON of a byte-level tokenizer of at most `size` symbols; equal texts give equal JSON."""
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # else worker processes forked later warn or hang
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    told = json.loads(tokenizer.to_str())
    told["model"]["vocab"] = dict(sorted(told["model"]["vocab"].items(), key=lambda pair: pair[1]))
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def commonest(words: Iterable[Iterable[str]], size: int) -> list[str]:
    """The vocabulary of Words: unknown, padding, then words by how often they occur, of equals the first by
    name."""
    return [UNKNOWN, "", *(word for word, _ in most_common(words)[: size - 2])]
