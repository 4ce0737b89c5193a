"""Arrays that NumPy saved: `npy:FILE` and `npz:FILE`. Read by their header, never unpickled, never whole.

Images are `[n, H, W]` or `[n, H, W, C]`, uint8, bool, or floats of which all are in [0, 1]. Labels are
whole numbers from 0, or strings: for npy: another .npy file, `data.read.labels`; for npz: an array of the
same file. An npz may hold official parts, as those of Keras and MedMNIST do: x_train with y_train,
test_images with test_labels, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components import storage
from components.errors import DataError
from components.image_arrays import block
from components.image_sources import Read, official_parts
from components.modalities import Block, location
from components.numpy_arrays import Saved, as_bytes, as_words, check_labels, image_shape, saved_as, saved_in

SOURCES = {
    "npy": "npy:FILE.npy          an array of images [n, H, W(, C)]: uint8, or floats in [0, 1]",
    "npz": "npz:FILE.npz          arrays of images and labels, in official parts or not",
}
CHUNK_BYTES = 8_000_000
PARTS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
IMAGES = ("images", "x", "data", "arr_0")
LABELS = ("labels", "label", "y", "arr_1")


def preflight(source: str, read: Read) -> None:
    """Raises DataError where a file is missing, damaged, or not of images and as many labels."""
    for images, labels, _, _ in _arrays(source, read):
        count = image_shape(images)[0]
        if labels is not None:
            check_labels(labels, count)


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The file, and that of the labels."""
    labels = read.labels if read is not None and source.startswith("npy:") else ""
    return [entry for path in (location(source), labels) if path for entry in storage.listing(path)]


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB; an array of an .npz, which is read from its start, is one."""
    chunks = []
    for images, labels, part, name in _arrays(source, read):
        count = images.shape[0]
        rows = max(1, CHUNK_BYTES // images.row_bytes)
        step = count if images.member else rows
        for start in range(0, count, step):
            chunks.append(
                {
                    "scheme": source.split(":", 1)[0],
                    "images": [images.path, images.member],
                    "labels": None if labels is None else [labels.path, labels.member],
                    "part": part,
                    "name": name,
                    "start": start,
                    "stop": min(start + step, count),
                    "block": rows,
                }
            )
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block]:
    """The records of one chunk, in blocks of about 8 MB."""
    start, span = chunk["start"], (chunk["start"], chunk["stop"], chunk["block"])
    images = _saved(*chunk["images"])
    labels = _saved(*chunk["labels"]) if chunk["labels"] else None
    words = labels.rows(*span) if labels is not None else None
    for rows in images.rows(*span):
        keys = [f"{chunk['name']}{i:07d}" for i in range(start, start + len(rows))]
        said = None if labels is None or words is None else as_words(next(words), labels, start)
        yield block(keys, as_bytes(rows, images, start), said, chunk["part"], options)
        start += len(rows)


def _saved(path: str, member: str) -> Saved:
    return saved_in(path)[member.removesuffix(".npy")] if member else saved_as(path)


def _arrays(source: str, read: Read) -> list[tuple[Saved, Saved | None, Any, str]]:
    """(images, labels, part, how keys begin) of each part of a source."""
    path = location(source)
    if source.startswith("npy:"):
        name = f"{storage.last_part(path)}#"
        return [(saved_as(path), saved_as(read.labels) if read.labels else None, None, name)]
    arrays = saved_in(path)
    parts = {part: _of_part(arrays, part) for part in PARTS}
    there = {part: pair for part, pair in parts.items() if pair}
    if "train" in there:
        if read.labels:
            raise DataError(f"'{path}' holds parts with labels of their own: leave data.read.labels out")
        official = official_parts(there)
        return [(images, labels, official[p], f"{p}/") for p, (images, labels) in there.items()]
    return [(*_only_pair(arrays, path, read.labels), None, f"{storage.last_part(path)}#")]


def _of_part(arrays: Mapping[str, Saved], part: str) -> tuple[Saved, Saved | None] | None:
    """x_train or train_images, and y_train or train_labels."""
    for name in PARTS[part]:
        for x, y in ((f"x_{name}", f"y_{name}"), (f"{name}_images", f"{name}_labels")):
            if x in arrays:
                return arrays[x], arrays.get(y)
    return None


def _only_pair(arrays: Mapping[str, Saved], path: str, labels: str) -> tuple[Saved, Saved | None]:
    """The array of images and that of their labels in a file without parts."""
    named = next((arrays[name] for name in IMAGES if name in arrays), None)
    large = [array for array in arrays.values() if len(array.shape) in (3, 4)]
    images = named if named is not None else large[0] if len(large) == 1 else None
    listed = ", ".join(sorted(arrays)) or "nothing"
    if images is None:
        raise DataError(f"'{path}' holds {listed}: call the array of images 'images', or x_train and x_test")
    if labels and labels not in arrays:
        raise DataError(f"'{path}' holds {listed}, and no '{labels}' (data.read.labels)")
    return images, arrays[labels] if labels else next((arrays[n] for n in LABELS if n in arrays), None)
