"""What texts are summarised by, and what makes them odd."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.accumulators import Categorical, Numeric
from components.modalities import Anomaly, Summary
from components.tokenisation import UNKNOWN, words_of

MOST_REPLACED = 0.001  # share of U+FFFD beyond which a text was not written like this


def summarise(table: pa.Table) -> dict[str, Any]:
    """Each character; the characters, lines and words of a record; and where there are some, each tag."""
    counts: Counter[str] = Counter()
    lengths, lines = [], []
    for text in table.column("text").to_pylist():
        counts.update(text)
        lengths.append(len(text))
        lines.append(text.count("\n"))
    found = {
        "character": Categorical.of(counts),
        "length": Numeric.of(np.array(lengths, np.int64)),
        "lines": Numeric.of(np.array(lines, np.int64)),
        "words": Numeric.of(np.array([len(words) for words in words_of(table)], np.int64)),
    }
    tags = table.column("tags")
    if tags.null_count < len(tags):
        found["tag"] = Categorical.of(pc.list_flatten(tags))
    return found


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """A training text of one character, or one that was decoded wrongly before it came here."""
    characters = summaries["train"].features["character"]
    if len(characters.counts) == 1:
        message = "the training text repeats one single character: there is nothing to learn"
        return [Anomaly("error", "one-symbol", message)]
    if characters.share(UNKNOWN) > MOST_REPLACED:
        message = (
            f"{characters.share(UNKNOWN):.1%} of the training text are U+FFFD, which stands for bytes that could "
            "not be decoded: save the source as UTF-8"
        )
        return [Anomaly("warning", "replaced-characters", message)]
    return []
