"""What a Markov chain is asked about: symbols that it knows, in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def known(symbols: Sequence[int], name: str, vocabulary: int) -> np.ndarray:
    """Symbols as int64 `[n]`.

    Raises:
        ValueError: one is none of the vocabulary; `name` and its place are told.
    """
    array = np.asarray(symbols, np.int64).reshape(-1)
    unknown = np.flatnonzero((array < 0) | (array >= vocabulary))
    if len(unknown):
        raise ValueError(
            f"{name}: symbol {array[unknown[0]]} at place {unknown[0]} is none of the "
            f"{vocabulary} that the model knows"
        )
    return array


def fitting(x: Any, length: Any, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """x `[B, L]` and length `[B]`, the whole of x where it is None.

    Raises:
        ValueError: shapes that do not fit, a length that is not in 1..L, a symbol that is none.
    """
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise ValueError(
            "x is [B, L]: rows of unequal length are padded, and `length` says how long"
        ) from error
    length = np.full(len(x), x.shape[-1]) if length is None else np.asarray(length)
    if x.ndim != 2 or x.dtype.kind not in "iu" or length.shape != x.shape[:1]:
        raise ValueError(
            f"x is whole numbers [B, L] and length [B], and they are {x.dtype} {x.shape} and {length.shape}"
        )
    if np.any((length < 1) | (length > x.shape[1])):
        raise ValueError(f"every length is in 1..{x.shape[1]}, and one is not")
    for row, end in enumerate(length.tolist()):
        known(x[row, :end], f"row {row}", vocabulary)
    return x, length
