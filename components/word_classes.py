"""Classes of unknown words, by shape and suffix: what a tagger has to go by where it never met the word.

A word that the training split has once is rare: a third of those keep a symbol of their own, and the others
teach the classes what unknown words are like. A class is a shape (small letters, a capital, all capitals;
digits, a hyphen) with the longest suffix of up to three letters that ten rare words of that shape share, or the
shape alone. (After Thede & Harper 1999; Brants 2000, TnT.) A word that is known in small letters only is that
word, and no unknown one.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable

from components.text_blocks import UNKNOWN

MOST_WORDS = 1_000_000  # counted at a time
LONGEST_SUFFIX = 3
FEWEST = 10  # rare words that make a class of a suffix
NUMBER = re.compile(r"[\d.,:/%$+-]*\d[\d.,:/%$+-]*")
ADDRESS = re.compile(r"@|://|www\.")


def learnt(sentences: Iterable[Iterable[str]], size: int) -> tuple[list[str], int]:
    """The vocabulary of Words with classes at its end, and their number: at most `size` symbols."""
    counts = most_common(sentences)
    rare = [word for word, count in counts if count == 1]
    taught = Counter(name for word in rare for name in names(word))
    shapes = {names(word)[-1] for word in rare}
    classes = sorted(shapes | {name for name, count in taught.items() if count >= FEWEST})[: size - 2]
    known = [word for word, count in counts if count > 1 or zlib.crc32(word.encode()) % 3 == 0]
    return [UNKNOWN, "", *known[: size - 2 - len(classes)], *classes], len(classes)


def most_common(sentences: Iterable[Iterable[str]]) -> list[tuple[str, int]]:
    """Words and how often they occur, the commonest first, of equals the first by name."""
    counts: Counter[str] = Counter()
    for words in sentences:
        counts.update(words)
        if len(counts) > 2 * MOST_WORDS:
            counts = Counter(dict(_by_count(counts)[:MOST_WORDS]))
    counts.pop(UNKNOWN, None)
    return _by_count(counts)


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def names(word: str) -> list[str]:
    """The classes that a word may fall into, the narrowest first."""
    shape = shape_of(word)
    if shape in ("number", "sign", "address"):
        return [f"<{shape}>"]
    longest = min(LONGEST_SUFFIX, len(word) - 1)
    return [*(f"<{shape} -{word[-n:].lower()}>" for n in range(longest, 0, -1)), f"<{shape}>"]


def shape_of(word: str) -> str:
    """What a word looks like, as a name."""
    if NUMBER.fullmatch(word):
        return "number"
    if not any(letter.isalnum() for letter in word):
        return "sign"
    if ADDRESS.search(word):
        return "address"
    capitals = "XX" if word.isupper() and len(word) > 1 else "Xx" if word[0].isupper() else "x"
    return capitals + ("1" if any(letter.isdigit() for letter in word) else "") + ("-" if "-" in word else "")
