"""Files wherever they are: on this machine, in S3 or in Google Cloud Storage."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from components.errors import DataError


@dataclass(frozen=True)
class Entry:
    """A file: where, how many bytes, and its state (time of change or the store's tag)."""

    path: str
    bytes: int
    state: str


def is_remote(path: str) -> bool:
    """Whether it is an address, s3:// or gs://."""
    return "://" in path


def exists(path: str) -> bool:
    """Whether there is a file or a folder."""
    return os.path.exists(path)


def is_folder(path: str) -> bool:
    """Whether there is a folder."""
    return os.path.isdir(path)


def listing(path: str, suffixes: tuple[str, ...] | None = None) -> list[Entry]:
    """The files of a file, a folder (all below it) or a glob, sorted by path; hidden ones are left out."""
    if os.path.isfile(path):
        found = [path]
    elif os.path.isdir(path):
        found = [
            os.path.join(folder, name)
            for folder, folders, names in os.walk(path)
            if not folders.sort()
            for name in names
            if not name.startswith(".")
        ]
    else:
        found = glob.glob(path, recursive=True)
    if not found and not glob.has_magic(path) and not os.path.isdir(path):
        raise DataError(f"there is no file or folder '{path}' (seen from {Path.cwd()})")
    entries = []
    for file in sorted(found):
        if suffixes is not None and not file.lower().endswith(tuple(suffixes)):
            continue
        if os.path.isfile(file):
            told = os.stat(file)
            entries.append(Entry(file, told.st_size, str(told.st_mtime_ns)))
    return entries


def opened(path: str) -> BinaryIO:
    """The file's bytes, seekable."""
    return open(path, "rb")


def relative(path: str, root: str) -> str:
    """`path` as seen from `root`, with slashes."""
    return Path(os.path.relpath(path, root)).as_posix()


def last_part(path: str) -> str:
    """The file's name."""
    return path.rsplit("/", 1)[-1]
