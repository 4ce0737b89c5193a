"""Numbers in English words and in digits: pairs to translate, with an answer that is known.

python tests/learning/number_words.py numbers.jsonl       writes 4,000 pairs, for the recipe numbers-transformer
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
COUNT, MOST = 4000, 10_000


def words(number: int) -> str:
    """`number` below 10,000 in words: 206 is "two hundred six"."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        return TENS[number // 10 - 2] + (" " + UNITS[number % 10] if number % 10 else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = " " + words(number % size) if number % size else ""
    return f"{words(number // size)} {name}{rest}"


def write(file: Path, *, shuffled: bool = False) -> Path:
    """JSONL of pairs of words, a tab and digits, each number once; `shuffled`: the digits of another one."""
    random = np.random.default_rng(0)
    numbers = random.permutation(MOST)[:COUNT].tolist()
    others = random.permutation(numbers).tolist() if shuffled else numbers
    rows = [{"text": f"{words(number)}\t{other}"} for number, other in zip(numbers, others, strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


if __name__ == "__main__":
    write(Path(sys.argv[1]))
