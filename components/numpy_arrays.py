"""Arrays as NumPy saves them, read by their header in pieces: never unpickled, never whole in memory."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components import storage
from components.errors import DataError

DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
BOMB_BYTES, BOMB_RATIO = 1_000_000_000, 200


@dataclass(frozen=True)
class Saved:
    """One array: in which file, or member of a zip file, of what type and shape, and where it begins."""

    path: str
    member: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def where(self) -> str:
        """What a message calls it."""
        return f"'{self.path}'" + (f", array '{self.member.removesuffix('.npy')}'," if self.member else "")

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry of the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, start: int, stop: int, block: int) -> Iterator[np.ndarray]:
        """Rows [start, stop), at most `block` at a time, read as they are asked for.

        Raises:
            DataError: the file is damaged or cut short.
        """
        with _reading(self.path), storage.opened(self.path) as file, _member(file, self.member) as stream:
            stream.seek(self.offset + start * self.row_bytes)
            for first in range(start, stop, block):
                count = min(block, stop - first)
                body = stream.read(count * self.row_bytes)
                if len(body) != count * self.row_bytes:
                    raise DataError(f"{self.where} ends before row {first + count}: it is cut short")
                yield np.frombuffer(body, self.dtype).reshape(count, *self.shape[1:])


def saved_as(path: str) -> Saved:
    """The array of an .npy file.

    Raises:
        DataError: no such file, or not one whole array of numbers or strings in C order.
    """
    (entry,) = storage.listing(path)
    with _reading(path), storage.opened(path) as stream:
        return _header(stream, path, "", entry.bytes)


def saved_in(path: str) -> dict[str, Saved]:
    """The arrays of an .npz file, by name.

    Raises:
        DataError: no zip file, damaged, a bomb, or one of its arrays is as `saved_as` refuses it.
    """
    found = {}
    with _reading(path), storage.opened(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
        if total > BOMB_BYTES and total > BOMB_RATIO * max(packed, 1):
            raise DataError(
                f"'{path}' expands from {packed:,} to {total:,} bytes: no array is as empty as that"
            )
        if len({member.filename for member in members}) < len(members):
            raise DataError(f"'{path}' holds two arrays of one name")
        for member in members:
            if member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    name = member.filename.removesuffix(".npy")
                    found[name] = _header(stream, path, member.filename, member.file_size)
    return found


def image_shape(saved: Saved) -> tuple[int, int, int, int]:
    """Number, height, width and channels of an array of images.

    Raises:
        DataError: of another shape or type, with the remedy.
    """
    shape, kind = saved.shape, saved.dtype.kind
    if not (saved.dtype == np.uint8 or kind in "bf"):
        raise DataError(
            f"{saved.where} is of {saved.dtype}: images are uint8, bool, or floats in [0, 1]; "
            "save it with .astype('uint8') if its values are 0 to 255"
        )
    if len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 2, 3, 4):
        raise DataError(
            f"{saved.where} is of shape {shape}: channels come last; use numpy.moveaxis(a, 1, -1)"
        )
    if len(shape) not in (3, 4) or 0 in shape or (len(shape) == 4 and shape[3] > 4):
        raise DataError(
            f"{saved.where} is of shape {shape}: images are [n, height, width] or [n, height, width, 1 to 4]"
        )
    return (*shape[:3], shape[3] if len(shape) == 4 else 1)  # type: ignore[return-value]


def check_labels(saved: Saved, count: int) -> None:
    """Raises DataError where an array is no list of `count` labels."""
    if saved.dtype.kind not in "biuUS":
        raise DataError(f"{saved.where} is of {saved.dtype}: labels are whole numbers or strings")
    if saved.shape not in ((count,), (count, 1)):
        hint = "; use .argmax(1) of one-hot labels" if len(saved.shape) == 2 else ""
        raise DataError(f"{saved.where} is of shape {saved.shape}, and there are {count} images{hint}")


def as_bytes(rows: np.ndarray, saved: Saved, first: int) -> np.ndarray:
    """Rows of images as uint8 `[n, H, W, C]`; a float f becomes the nearest of 255 f.

    Raises:
        DataError: a float that is not in [0, 1], by its row.
    """
    images = rows if rows.ndim == 4 else rows[..., None]
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind == "f" and not (images.min() >= 0 and images.max() <= 1):  # also where one is NaN
        wrong = ~((images >= 0) & (images <= 1))
        at = tuple(np.argwhere(wrong)[0])
        raise DataError(
            f"{saved.where} has {images[at]} in image {first + at[0]}: floats are in [0, 1]; "
            "divide by 255, or save it as uint8"
        )
    return np.rint(images.astype(np.float32) * 255).astype(np.uint8)


def as_words(labels: np.ndarray, saved: Saved, first: int) -> pa.Array:
    """Rows of labels as strings.

    Raises:
        DataError: one below 0, empty or no UTF-8, by its row.
    """
    labels = labels.reshape(len(labels))
    if labels.dtype.kind in "biu":
        numbers = labels.astype(np.int64)
        if len(wrong := np.flatnonzero(numbers < 0)):
            at = first + int(wrong[0])
            raise DataError(f"{saved.where} says {labels[wrong[0]]} of image {at}: labels count from 0")
        return pa.array(numbers).cast(pa.string())
    words = []
    for i, label in enumerate(labels.tolist()):
        try:
            word = label.decode("utf-8") if isinstance(label, bytes) else label
            word.encode("utf-8")
        except UnicodeError as error:
            raise DataError(f"{saved.where} has a label that is no text, of image {first + i}") from error
        if not word:
            raise DataError(f"{saved.where} has an empty label, of image {first + i}: give it a name")
        words.append(word)
    return pa.array(words, pa.string())


def _header(stream: Any, path: str, member: str, size: int) -> Saved:
    """Reads the header and checks that what follows is what it says."""
    form = np.lib.format
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    try:
        version = form.read_magic(stream)
        if version not in readers:
            raise ValueError(
                f"version {version[0]}.{version[1]} of the format is for records: save plain arrays"
            )
        shape, fortran, dtype = readers[version](stream)
    except Exception as error:  # whatever NumPy's own reader raises on a damaged header
        raise DataError(f"'{path}' cannot be read as an array of NumPy: {error}") from error
    saved = Saved(path, member, dtype, tuple(map(int, shape)), stream.tell())
    if dtype.hasobject:
        raise DataError(
            f"{saved.where} holds Python objects, which are pickled and could run anything: save numbers"
        )
    if dtype.kind not in "biufUSc" or dtype.itemsize == 0:
        raise DataError(f"{saved.where} is of {dtype}: save plain numbers or strings")
    if fortran and len(saved.shape) > 1:
        raise DataError(f"{saved.where} lies in Fortran's order: save numpy.ascontiguousarray of it")
    if min(saved.shape, default=0) < 0 or saved.offset + math.prod(saved.shape) * dtype.itemsize != size:
        held = size - saved.offset
        raise DataError(
            f"{saved.where} says {saved.shape} of {dtype} and holds {held} bytes: it is cut short or too long"
        )
    return saved


@contextlib.contextmanager
def _member(file: Any, member: str) -> Iterator[Any]:
    if not member:
        yield file
        return
    with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
        yield stream


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise DataError(f"'{path}' cannot be read as an array of NumPy: {error}") from error
