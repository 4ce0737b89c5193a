"""Which images are nearly the same picture: signatures of small grey copies, and the comparison of two.

It finds copies that were compressed again, resized, or made a little brighter or noisier; not crops,
mirrors and rotations.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.image_arrays import by_size
from components.likeness import BYTES, projected, thumbnails
from components.one_thread import one_thread

COARSE, FINE = 8, 16  # sides of the grey copies: of the signature, of the comparison
MOST = 0.12  # difference of two fine copies, as a share of their own contrast
PIECE_BYTES = 125_000  # pixels worked on at once: what a cache holds


def signatures(table: pa.Table) -> np.ndarray:
    """uint8 `[n, 16]`, near for pictures that are alike (see components.likeness)."""
    found = []
    with one_thread():
        for batch in table.to_batches():
            out = np.zeros((batch.num_rows, BYTES), np.uint8)
            for rows, images in by_size(batch):
                step = max(1, PIECE_BYTES // images[0].size)
                for start in range(0, len(rows), step):
                    piece = slice(start, start + step)
                    out[rows[piece]] = projected(_edges(thumbnails(images[piece], COARSE)))
            found.append(out)
    return np.concatenate(found) if found else np.zeros((0, BYTES), np.uint8)


def _edges(grey: np.ndarray) -> np.ndarray:
    """Differences of neighbours in `[n, 64]` grey copies: unlike the greys, those of two pictures of one
    kind (two digits, two faces) have little in common."""
    square = grey.reshape(-1, COARSE, COARSE)
    count = len(square)
    across, down = np.diff(square, axis=2), np.diff(square, axis=1)
    return np.concatenate([across.reshape(count, -1), down.reshape(count, -1)], axis=1)


def alike(a: pa.Table, b: pa.Table) -> np.ndarray:
    """Whether row i of `a` and row i of `b` show nearly the same picture; bool `[n]`."""
    first, second = _fine(a), _fine(b)
    contrast = np.maximum(np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1))
    return np.linalg.norm(first - second, axis=1) <= MOST * contrast


def _fine(table: pa.Table) -> np.ndarray:
    out = np.zeros((table.num_rows, FINE * FINE), np.float32)
    start = 0
    for batch in table.to_batches():
        for rows, images in by_size(batch):
            grey = thumbnails(images, FINE)
            out[start + rows] = grey - grey.mean(axis=1, keepdims=True)
        start += batch.num_rows
    return out
