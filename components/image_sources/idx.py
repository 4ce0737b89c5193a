"""MNIST's idx files: a header of big-endian sizes, then bytes (LeCun, Cortes & Burges 1998).

The official training part is `development`, which train and validation share by hash; t10k is the test
split. Without t10k all three are shared by hash.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components import storage
from components.errors import DataError
from components.image_arrays import block
from components.image_sources import Read
from components.modalities import Block, location

SOURCES = {
    "idx": "idx:FOLDER            MNIST's files (*-ubyte or *-ubyte.gz); t10k is the test split",
}
CHUNK_BYTES = 8_000_000


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the folder holds no pair of files."""
    folder = location(source)
    if not folder or not (storage.is_remote(folder) or storage.is_folder(folder)):
        raise DataError(f"data.source '{source}': there is no folder '{folder}' (seen from {Path.cwd()})")
    pairs(folder)


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """Images and labels of both parts."""
    return [entry for pair in pairs(location(source)).values() for entry in pair]


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB; one for each compressed file, which can only be read from its start."""
    chunks = []
    found = pairs(location(source))
    for part, (images, labels) in found.items():
        count, height, width = sizes(images, labels)
        rows = max(1, CHUNK_BYTES // (height * width))
        step = count if _packed(images.path) or _packed(labels.path) else rows
        for start in range(0, count, step):
            chunks.append(
                {
                    "scheme": "idx",
                    "name": part,
                    "part": (part if part == "test" else "development") if "test" in found else None,
                    "images": images.path,
                    "labels": labels.path,
                    "start": start,
                    "stop": min(start + step, count),
                    "block": rows,
                }
            )
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block]:
    """The records of one chunk, in blocks of about 8 MB."""
    name, start, stop = chunk["name"], chunk["start"], chunk["stop"]
    images = rows_of(chunk["images"], start, stop, chunk["block"])
    labels = rows_of(chunk["labels"], start, stop, chunk["block"])
    for pixels, classes in zip(images, labels, strict=True):
        keys = [f"{name}/{i:07d}" for i in range(start, start + len(pixels))]
        words = pa.array(classes).cast(pa.string())
        yield block(keys, pixels[..., None], words, chunk["part"], options)
        start += len(pixels)


def pairs(folder: str) -> dict[str, tuple[storage.Entry, storage.Entry]]:
    """Part → (images, labels): `train`, and `test` where t10k is there."""
    listed = {storage.relative(entry.path, folder): entry for entry in storage.listing(folder)}
    found = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = [entry for name, entry in listed.items() if re.match(f"{prefix}-images.*idx3-ubyte", name)]
        labels = [entry for name, entry in listed.items() if re.match(f"{prefix}-labels.*idx1-ubyte", name)]
        if images and labels:
            found[part] = (images[0], labels[0])
    if "train" not in found:
        raise DataError(
            f"'{folder}' holds no train-images-idx3-ubyte(.gz) with its train-labels-idx1-ubyte(.gz): "
            "idx:FOLDER is a folder with MNIST's files"
        )
    return found


def sizes(images: storage.Entry, labels: storage.Entry) -> tuple[int, int, int]:
    """Count, height and width of the images, by the two headers.

    Raises:
        DataError: the two files are not images and as many labels.
    """
    shape, label_shape = shape_of(images.path), shape_of(labels.path)
    if len(shape) != 3 or 0 in shape:
        raise DataError(
            f"'{images.path}' is of shape {shape}: images are [count, height, width], none of them 0"
        )
    if label_shape != shape[:1]:
        raise DataError(f"'{labels.path}' is of shape {label_shape}: '{images.path}' holds {shape[0]} images")
    for entry, told in ((images, shape), (labels, label_shape)):
        if not _packed(entry.path):
            _check(entry.path, told, entry.bytes - 4 - 4 * len(told))
    return shape[0], shape[1], shape[2]


def shape_of(path: str) -> tuple[int, ...]:
    """The sizes that the file's header states.

    Raises:
        DataError: not an idx file of bytes.
    """
    head = b""
    try:
        with _opened(path) as stream:
            head = stream.read(4)
            if len(head) == 4 and head[:3] == b"\x00\x00\x08" and head[3] in (1, 3):
                return struct.unpack(f">{head[3]}I", stream.read(4 * head[3]))
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error
    raise DataError(f"'{path}' is not an idx file of bytes: it starts with {head.hex() or 'nothing'}")


def rows_of(path: str, start: int, stop: int, block: int) -> Iterator[np.ndarray]:
    """Rows [start, stop) as uint8 `[block, ...]` arrays, read as they are asked for.

    Raises:
        DataError: the file is damaged, or its body has another length than the header states.
    """
    shape = shape_of(path)
    size = math.prod(shape[1:])
    try:
        with _opened(path) as stream:
            stream.seek(4 + 4 * len(shape) + start * size)
            for first in range(start, stop, block):
                rows = min(block, stop - first)
                body = stream.read(rows * size)
                if len(body) != rows * size:
                    _check(path, shape, first * size + len(body))
                yield np.frombuffer(body, np.uint8).reshape(rows, *shape[1:])
            if stop == shape[0]:  # a gzip file's checksum lies behind its last byte
                _check(path, shape, stop * size + len(stream.read(1)))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error


def _packed(path: str) -> bool:
    return path.endswith(".gz")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    with storage.opened(path) as stream:
        yield gzip.GzipFile(fileobj=stream) if _packed(path) else stream


def _check(path: str, shape: tuple[int, ...], held: int) -> None:
    if held != math.prod(shape):
        more = " or more" if held > math.prod(shape) else ""
        raise DataError(f"'{path}' says {shape} and holds {held} bytes{more}: it is cut short or too long")
