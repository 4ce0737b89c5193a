"""Images between numpy and Arrow: no Python loop over images of one size, and no copy where none is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from components.decoding import Look, resized
from components.errors import DataError
from components.image_sources import RECORD
from components.modalities import Block, Part


def block(
    keys: Sequence[str],
    images: np.ndarray,
    labels: Sequence[str | None] | pa.Array | None,
    part: Part | None,
    look: Look,
) -> Block:
    """Records of uint8 images `[n, H, W, C]`, resized as `look` says.

    Raises:
        DataError: they are smaller than `look.min_side`.
    """
    if min(images.shape[1:3]) < look.min_side:
        raise DataError(f"the images are {images.shape[1]}x{images.shape[2]}: lower data.read.min_side")
    if look.resize is not None and len(images):
        images = np.stack([resized(image, look.resize, look.policy, look.alpha) for image in images])
    count, height, width, channels = images.shape
    columns: dict[str, Any] = {field.name: pa.nulls(count, field.type) for field in RECORD}
    columns["pixels"] = packed(images)
    for name, side in (("height", height), ("width", width), ("channels", channels)):
        columns[name] = pa.array(np.full(count, side, np.int32))
    if labels is not None:
        columns["label"] = labels if isinstance(labels, pa.Array) else pa.array(labels, pa.string())
    return Block(keys, columns, part)


def packed(images: np.ndarray) -> pa.Array:
    """uint8 `[n, ...]` → an Arrow array of n binaries over the same memory (a copy only where it has gaps).

    Raises:
        OverflowError: 2 GiB or more, which Arrow's 32-bit offsets cannot tell.
    """
    images = np.ascontiguousarray(images)
    if images.nbytes >= 2**31:
        raise OverflowError(f"{images.nbytes} bytes of pixels in one block; the most is 2 GiB")
    size = images[0].size if len(images) else 0
    offsets = np.arange(len(images) + 1, dtype=np.int32) * np.int32(size)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(images)]
    return pa.Array.from_buffers(pa.binary(), len(images), buffers)


def by_size(batch: pa.RecordBatch, suffix: str = "") -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows, images uint8 `[n, H, W, C]`) of a record batch, one pair for each size; nulls are left out.

    Images that lie one after another are a view of Arrow's memory.
    """
    column = batch.column(f"pixels{suffix}")
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return
    sides = [batch.column(f"{side}{suffix}").take(rows) for side in ("height", "width", "channels")]
    sizes = np.stack([side.to_numpy() for side in sides], axis=1)
    unique, which = (
        np.unique(sizes, axis=0, return_inverse=True) if np.ptp(sizes, 0).any() else (sizes[:1], None)
    )
    data, offsets = _memory(column)
    for i, size in enumerate(unique):
        mine = rows if which is None else rows[which.ravel() == i]
        yield mine, _gathered(data, offsets, mine).reshape(len(mine), *size)


def images_of(table: pa.Table, size: Sequence[int], suffix: str = "") -> np.ndarray:
    """All images of a table whose images have one size: uint8 `[n, H, W, C]`.

    Raises:
        ValueError: an image of another size.
    """
    parts = []
    for batch in table.to_batches():
        for _, images in by_size(batch, suffix):
            if images.shape[1:] != tuple(size):
                raise ValueError(f"an image of {'x'.join(map(str, images.shape[1:]))} among {tuple(size)}")
            parts.append(images)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, *size), np.uint8)


def _memory(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes behind a binary array, and where each of its values begins and ends in them."""
    wide = pa.types.is_large_binary(column.type)
    _, starts, data = column.buffers()
    offsets = np.frombuffer(starts, np.int64 if wide else np.int32)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return bytes_, offsets[column.offset : column.offset + len(column) + 1]


def _gathered(data: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The bytes of `rows`, in their order: a view where nothing lies between them."""
    start, stop = offsets[rows[0]], offsets[rows[-1] + 1]
    if (offsets[rows + 1] - offsets[rows]).sum() == stop - start:
        return data[start:stop]
    return np.concatenate([data[offsets[row] : offsets[row + 1]] for row in rows])
