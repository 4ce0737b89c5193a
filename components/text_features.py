"""What texts are summarised by, and what makes them odd."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.accumulators import Categorical, Numeric
from components.modalities import Anomaly, Summary
from components.text_blocks import UNKNOWN

MOST_REPLACED = 0.001  # share of U+FFFD beyond which a text was not written like this


def summarise(table: pa.Table) -> dict[str, Any]:
    """Each character; the characters and lines of a record; and of tagged sentences the words and each tag."""
    counts: Counter[str] = Counter()
    lengths, lines = [], []
    for text in table.column("text").to_pylist():
        counts.update(text)
        lengths.append(len(text))
        lines.append(text.count("\n"))
    found: dict[str, Any] = {
        "character": Categorical.of(counts),
        "length": Numeric.of(np.array(lengths, np.int64)),
        "lines": Numeric.of(np.array(lines, np.int64)),
    }
    words, tags = table.column("words"), table.column("tags")
    if words.null_count < len(words):
        found["words"] = Numeric.of(pc.list_value_length(words).drop_null().to_numpy().astype(np.int64))
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
