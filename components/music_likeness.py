"""Which pieces are nearly the same: their notes in order, each by its distance from the one before.

So a transposed copy, or one at another tempo, is alike. Pieces are compared as texts are: a letter a note.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components import text_likeness

FIRST = 0x4E00  # of a long run of letters, none of which is a capital or a space


def signatures(table: pa.Table) -> np.ndarray:
    """uint8 `[n, 16]`, near for pieces that are alike (see components.duplicates)."""
    return text_likeness.signatures(_as_texts(table))


def alike(a: pa.Table, b: pa.Table) -> np.ndarray:
    """Whether row i of `a` and row i of `b` are nearly the same piece; bool `[n]`."""
    return text_likeness.alike(_as_texts(a), _as_texts(b))


def _as_texts(table: pa.Table) -> pa.Table:
    texts = []
    columns = (table.column(name).to_pylist() for name in ("onset", "pitch"))
    for onsets, pitches in zip(*columns, strict=True):
        order = np.lexsort((pitches, onsets))
        steps = np.diff(np.asarray(pitches, np.int64)[order]) + 128
        texts.append("".join(chr(FIRST + int(step)) for step in steps))
    return pa.table({"text": texts})
