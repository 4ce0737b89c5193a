"""MNIST's idx files: a header of big-endian sizes, then bytes (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from components.errors import DataError


def pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Part → (images, labels): `train`, and `test` where t10k is there."""
    found = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = sorted(folder.glob(f"{prefix}-images*idx3-ubyte*"))
        labels = sorted(folder.glob(f"{prefix}-labels*idx1-ubyte*"))
        if images and labels:
            found[part] = (images[0], labels[0])
    if "train" not in found:
        raise DataError(
            f"'{folder}' holds no train-images-idx3-ubyte(.gz) with its train-labels-idx1-ubyte(.gz): "
            "idx:FOLDER is a folder with MNIST's files"
        )
    return found


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error


def shape_of(path: Path) -> tuple[int, ...]:
    """The sizes that the file's header states.

    Raises:
        DataError: not an idx file of bytes.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.read(4)
            if len(head) == 4 and head[:3] == b"\x00\x00\x08" and head[3] in (1, 3):
                return struct.unpack(f">{head[3]}I", stream.read(4 * head[3]))
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error
    raise DataError(f"'{path}' is not an idx file of bytes: it starts with {head.hex() or 'nothing'}")


def sizes(images: Path, labels: Path) -> tuple[int, int, int]:
    """Count, height and width of the images, by the two headers.

    Raises:
        DataError: the two files are not images and as many labels.
    """
    shape, label_shape = shape_of(images), shape_of(labels)
    if len(shape) != 3 or 0 in shape:
        raise DataError(f"'{images}' is of shape {shape}: images are [count, height, width], none of them 0")
    if label_shape != shape[:1]:
        raise DataError(f"'{labels}' is of shape {label_shape}: '{images}' holds {shape[0]} images")
    return shape[0], shape[1], shape[2]


def array_of(path: Path) -> np.ndarray:
    """The whole array, uint8.

    Raises:
        DataError: the body has another length than the header states.
    """
    shape = shape_of(path)
    body = np.frombuffer(_bytes(path), np.uint8, offset=4 + 4 * len(shape))
    if body.size != math.prod(shape):
        raise DataError(f"'{path}' says {shape} and holds {body.size} bytes: it is cut short or too long")
    return body.reshape(shape)
