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
MIXED = 0.01  # share from which a second kind of newline is told


def summarise(table: pa.Table) -> dict[str, Any]:
    """Each character; the characters and lines of a record; how lines end; and of tagged sentences the words
    and each tag."""
    counts: Counter[str] = Counter()
    newlines: Counter[str] = Counter()
    lengths, lines = [], []
    for text in table.column("text").to_pylist():
        counts.update(text)
        lengths.append(len(text))
        both = text.count("\r\n")
        feeds, returns = text.count("\n") - both, text.count("\r") - both
        newlines.update({"LF": feeds, "CRLF": both, "CR": returns})
        lines.append(feeds + both + returns)
    found: dict[str, Any] = {
        "character": Categorical.of(counts),
        "length": Numeric.of(np.array(lengths, np.int64)),
        "lines": Numeric.of(np.array(lines, np.int64)),
        "newline": Categorical.of(newlines),
    }
    words, tags = table.column("words"), table.column("tags")
    if words.null_count < len(words):
        found["words"] = Numeric.of(pc.list_value_length(words).drop_null().to_numpy().astype(np.int64))
        found["tag"] = Categorical.of(pc.list_flatten(tags))
    return found


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """A training text of one character, one that was decoded wrongly before it came here, or one whose lines
    end in two ways."""
    train = summaries["train"].features
    characters, newlines = train["character"], train["newline"]
    if len(characters.counts) == 1:
        message = "the training text repeats one single character: there is nothing to learn"
        return [Anomaly("error", "one-symbol", message)]
    found = []
    if characters.share(UNKNOWN) > MOST_REPLACED:
        message = (
            f"{characters.share(UNKNOWN):.1%} of the training text are U+FFFD, which stands for bytes that could "
            "not be decoded: save the source as UTF-8"
        )
        found.append(Anomaly("warning", "replaced-characters", message))
    common = [name for name in sorted(newlines.counts) if newlines.share(name) > MIXED]
    if len(common) > 1:
        message = f"lines of the training text end in {' and '.join(common)}: set data.read.newlines to unix"
        found.append(Anomaly("warning", "mixed-newlines", message))
    return found
