"""CIFAR-10 and CIFAR-100 in their binary version: a byte or two of labels, then 3,072 of red, green, blue.

The version for Python is pickled, and unpickling a file runs what is in it: it is refused. The official
training part is `development`, which train and validation share by hash. Krizhevsky 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components import archives, storage
from components.errors import DataError
from components.image_arrays import block
from components.image_sources import Read
from components.modalities import Block, Part, location

SOURCES = {"cifar": "cifar:FOLDER|TAR.GZ   CIFAR-10 or CIFAR-100, the binary version"}
SIDE = 32
PIXELS = 3 * SIDE * SIDE
BLOCK_ROWS = 2600  # about 8 MB


@dataclass(frozen=True)
class Layout:
    """One of the two data sets: bytes of labels before the pixels, which of them is meant, and names."""

    label_bytes: int
    classes: int
    names: str
    files: dict[str, Part]  # name → part

    @property
    def record(self) -> int:
        """Bytes of one image with its labels."""
        return self.label_bytes + PIXELS


LAYOUTS = {
    "cifar10": Layout(
        1,
        10,
        "batches.meta.txt",
        {**{f"data_batch_{i}.bin": "development" for i in range(1, 6)}, "test_batch.bin": "test"},
    ),
    "cifar100": Layout(2, 100, "fine_label_names.txt", {"train.bin": "development", "test.bin": "test"}),
}


def preflight(source: str, read: Read) -> None:
    """Raises DataError where there is no binary file, or one that is not whole."""
    _found(location(source))


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The archive, or the binary files and the names of the classes."""
    return storage.listing(location(source), None if _packed(location(source)) else (".bin", ".txt"))


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB; an archive, which can only be read from its start, is one."""
    where = location(source)
    name, members, names_file = _found(where)
    chunk = {"scheme": "cifar", "where": where, "layout": name, "names": names_file}
    if _packed(where):
        return [{**chunk, "members": list(members)}]
    rows = {path: size // LAYOUTS[name].record for path, size in members.items()}
    return [
        {**chunk, "file": path, "start": start, "stop": min(start + BLOCK_ROWS, count)}
        for path, count in rows.items()
        for start in range(0, count, BLOCK_ROWS)
    ]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block]:
    """The records of one chunk, in blocks of about 8 MB."""
    layout = LAYOUTS[chunk["layout"]]
    if "members" in chunk:
        yield from _read_archive(chunk, layout, options)
        return
    names = _names(storage.opened(chunk["names"]).read(), layout) if chunk["names"] else None
    with storage.opened(chunk["file"]) as stream:
        stream.seek(chunk["start"] * layout.record)
        body = stream.read((chunk["stop"] - chunk["start"]) * layout.record)
    yield _block(body, storage.last_part(chunk["file"]), chunk["start"], layout, names, options)


def _read_archive(chunk: dict[str, Any], layout: Layout, options: Read) -> Iterator[Block]:
    names = None
    if chunk["names"]:
        ((_, text),) = archives.contents(chunk["where"], [chunk["names"]])
        names = _names(_whole(text), layout)
    for member, content in archives.contents(chunk["where"], chunk["members"]):
        body, step = memoryview(_whole(content)), BLOCK_ROWS * layout.record
        for start in range(0, len(body), step):
            rows = body[start : start + step]
            yield _block(rows, storage.last_part(member), start // layout.record, layout, names, options)


def _whole(content: bytes | Exception) -> bytes:
    if isinstance(content, Exception):
        raise DataError(str(content)) from content
    return content


def _block(body: Any, file: str, start: int, layout: Layout, names: list[str] | None, options: Read) -> Block:
    """Rows of a file → records; the last of the labels before the pixels is the fine one."""
    rows = np.frombuffer(body, np.uint8).reshape(-1, layout.record)
    labels = rows[:, layout.label_bytes - 1]
    if len(wrong := np.flatnonzero(labels >= layout.classes)):
        raise DataError(
            f"'{file}': image {start + wrong[0]} is of class {labels[wrong[0]]} and there are "
            f"{layout.classes}: this is not CIFAR's binary version, or the file is damaged"
        )
    images = rows[:, layout.label_bytes :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    stem = file.removesuffix(".bin")
    keys = [f"{stem}/{i:05d}" for i in range(start, start + len(rows))]
    words = pa.array(names or [str(i) for i in range(layout.classes)]).take(pa.array(labels))
    return block(keys, images, words, layout.files[file], options)


def _names(text: bytes, layout: Layout) -> list[str]:
    """The names of the classes, one a line.

    Raises:
        DataError: fewer or more of them than classes, or one twice.
    """
    names = text.decode("utf-8", "replace").split()
    if len(set(names)) != layout.classes or len(names) != layout.classes:
        raise DataError(f"'{layout.names}' names {len(set(names))} classes and there are {layout.classes}")
    return names


def _packed(where: str) -> bool:
    return archives.is_archive(where)


def _found(where: str) -> tuple[str, dict[str, int], str | None]:
    """Which data set, its binary files with their sizes, and the file of the classes' names.

    Raises:
        DataError: none is there, only the pickled version is, or a file is not whole.
    """
    listed = archives.members(where) if _packed(where) else storage.listing(where)
    sizes = {one.name if isinstance(one, archives.Member) else one.path: one.bytes for one in listed}
    for name, layout in LAYOUTS.items():
        members = {path: size for path, size in sizes.items() if storage.last_part(path) in layout.files}
        if not members:
            continue
        for path, size in members.items():
            if not size or size % layout.record:
                raise DataError(
                    f"'{path}' in '{where}' holds {size} bytes, which is no multiple of {layout.record}: "
                    "it is cut short, or not of CIFAR's binary version"
                )
        _check_unique(where, members)
        text = [path for path in sizes if storage.last_part(path) == layout.names]
        return name, members, text[0] if text else None
    raise DataError(_advice(where, {storage.last_part(path) for path in sizes}))


def _check_unique(where: str, members: dict[str, int]) -> None:
    if len({storage.last_part(path) for path in members}) < len(members):
        raise DataError(f"'{where}' holds the same files twice: {', '.join(sorted(members))}")


def _advice(where: str, names: set[str]) -> str:
    if names & {"data_batch_1", "test_batch", "batches.meta"} or {"train", "test", "meta"} <= names:
        return (
            f"'{where}' is the version for Python, which is pickled and could run anything: "
            "use the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)"
        )
    return f"'{where}' holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)"
