"""Folders of PNG and JPEG, class = first subfolder. In place of files.py until that is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.decoding import Unreadable, pixels_of
from components.errors import DataError
from components.image_sources import Read
from components.modalities import Record, Rejected, location

if TYPE_CHECKING:
    from components.storage import Entry

SOURCES = {"images": "images:FOLDER         PNG and JPEG, class = first subfolder"}
SUFFIXES = {".png", ".jpg", ".jpeg"}


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the folder is not there or holds no image."""
    folder = Path(location(source))
    if not location(source) or not folder.is_dir():
        raise DataError(f"data.source '{source}': there is no folder '{folder}' (seen from {Path.cwd()})")
    if not _paths(source):
        raise DataError(f"data.source '{source}': no {', '.join(sorted(SUFFIXES))} file under '{folder}'")


def files(source: str) -> list[Entry]:
    """The image files."""
    from components.storage import listing

    return [entry for path in _paths(source) if path.exists() for entry in listing(str(path))]


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """256 files a chunk."""
    paths = [str(path) for path in _paths(source)]
    root = location(source)
    return [
        {"scheme": "images", "root": root, "paths": paths[i : i + 256]} for i in range(0, len(paths), 256)
    ]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """One record a file; what cannot be decoded is set aside with the reason."""
    for path in map(Path, chunk["paths"]):
        key = path.relative_to(chunk["root"])
        label = key.parts[0] if len(key.parts) > 1 else None
        name = key.as_posix().encode("utf-8", "backslashreplace").decode()  # a name need not be UTF-8
        try:
            if name != key.as_posix():
                raise Unreadable("name", "the file's name is not UTF-8", "rename it")
            image = pixels_of(path, options)
        except Exception as error:  # whatever Pillow raises on a foreign file is a reason, not a crash
            yield Rejected(
                name, "undecodable", f"{type(error).__name__}: {error}", "replace or remove the file"
            )
            continue
        sides = dict(zip(("height", "width", "channels"), image.shape, strict=True))
        yield Record(name, {"pixels": image.tobytes(), **sides, "label": label})


def _paths(source: str) -> list[Path]:
    found = (file for file in Path(location(source)).rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in found if not file.is_dir())
