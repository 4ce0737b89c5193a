"""Image files where they lie: below a folder, behind a glob or in an archive, here or at an address.

A place is JSON-like, so that a worker elsewhere opens it by itself: {"root": folder} or {"archive": file,
"top": folder}. A file's name is its path below the root, or in the archive: it is the record's key, and
stays the same when data grow. `top` is the one folder in which all of an archive lies, no class.

Links: one to a file below the root is followed. One that leads out of it is rejected, `outside-root`; so
are links to folders, `linked-folder`, and to nothing, `dangling-link`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from components import decoding, storage
from components.decoding import Look, Unreadable
from components.errors import DataError
from components.image_sources import RECORD
from components.modalities import Record, Rejected

CHUNK_BYTES = 8_000_000
CHUNK_FILES = 256
LOOKED_AT = 64  # files whose headers tell how large the pixels of all are
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a link is not opened at once
FOREIGN_SUFFIXES = (  # images that are not read: to be rejected by name, not to be passed over
    *(".psd", ".xcf", ".ico", ".svg", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl"),
    *(".tga", ".pcx", ".exr", ".hdr", ".dds", ".eps"),
)
SUFFIXES = (*decoding.SUFFIXES, *FOREIGN_SUFFIXES)

Place = dict[str, Any]
Found = tuple[str, int]  # name, bytes


# -- what is there -------------------------------------------------------------------------------------


def found(where: str, said: str) -> tuple[Place, list[Found], list[Rejected]]:
    """The place `where`, its image files sorted by name, and those that are not even opened.

    Raises:
        DataError: nothing is at `where`, no image, or what may not be read; `said` is how the recipe says it.
    """
    if not where:
        raise DataError(f"{said}: it names no folder; write for example images:FOLDER")
    place, files, rejected = _in_archive(where) if _is_archive(where) else _below(where)
    for name, size in files:
        if size > decoding.MAX_BYTES:  # not even opened
            reason = f"the file has {size:,} bytes; at most {decoding.MAX_BYTES:,} are read"
            rejected.append(Rejected(readable_name(name), "too-many-bytes", reason, "save it smaller"))
        elif not _is_utf8(name):  # no key, and Beam cannot hand it on
            rejected.append(rejected_as(readable_name(name), _no_utf8()))
    files = [(name, size) for name, size in files if size <= decoding.MAX_BYTES and _is_utf8(name)]
    if not files:
        raise DataError(f"{said}: there is no image in '{where}' ({', '.join(decoding.SUFFIXES[:8])} ...)")
    return place, files, rejected


def need(where: str, said: str) -> None:
    """Raises DataError where `found` would find nothing; a folder is searched for its first image only."""
    if not storage.is_remote(where) and storage.is_folder(where):
        with suppress(OSError):  # what may not be read is said by `found`
            for entry in storage.walk(where):
                if entry.path.lower().endswith(SUFFIXES) and entry.bytes <= decoding.MAX_BYTES:
                    return
    found(where, said)


def entries(where: str) -> list[storage.Entry]:
    """The files behind `where`, for its fingerprint: an archive is one."""
    glob = not _is_archive(where) and not storage.exists(where)
    return storage.listing(where, None if glob or _is_archive(where) else SUFFIXES)


def _is_archive(where: str) -> bool:
    if not where.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")):
        return False
    from components import archives

    return archives.is_archive(where) and not storage.is_folder(where)


def _in_archive(path: str) -> tuple[Place, list[Found], list[Rejected]]:
    from components import archives

    files = [
        (member.name, member.bytes)
        for member in archives.members(path)
        if member.name.lower().endswith(SUFFIXES) and not _is_hidden(member.name)
    ]
    tops = {name.split("/", 1)[0] if "/" in name else "" for name, _ in files}
    return {"archive": path, "top": tops.pop() if len(tops) == 1 else ""}, files, []


def _is_hidden(name: str) -> bool:
    """What a folder's listing leaves out too, and the twins that macOS packs beside each file."""
    return name.startswith("__MACOSX/") or any(part.startswith(".") for part in name.split("/"))


def _below(where: str) -> tuple[Place, list[Found], list[Rejected]]:
    if storage.is_folder(where):
        root = where.rstrip("/") or "/"
        listed = storage.listing(where, SUFFIXES)
    else:  # a glob says itself what it means
        root = _fixed_part(where)
        listed = storage.listing(where)
    start = len(root.rstrip("/")) + 1 if root else 0
    files = sorted((entry.path[start:], entry.bytes) for entry in listed)
    links = [] if storage.is_remote(where) or root.rstrip("/") != where.rstrip("/") else _odd_links(root)
    return {"root": root}, files, links


def _fixed_part(glob: str) -> str:
    """The folders of a path or glob that hold no wildcard."""
    parts = glob.split("/")
    wild = next(
        (i for i, part in enumerate(parts[:-1]) if any(sign in part for sign in "*?[")), len(parts) - 1
    )
    return "/".join(parts[:wild]) or ("/" if glob.startswith("/") else "")


def _odd_links(root: str) -> list[Rejected]:
    """Links to folders and to nothing: a listing leaves them out."""
    rejected = []
    folders = [root or "."]
    while folders:
        with os.scandir(folders.pop()) as inside:
            for entry in inside:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_symlink() and (odd := _odd_link(entry, root)):
                    rejected.append(odd)
    return sorted(rejected, key=lambda one: one.key)


def _odd_link(entry: os.DirEntry[str], root: str) -> Rejected | None:
    key = readable_name(storage.relative(entry.path, root))
    if entry.is_dir():
        return Rejected(key, "linked-folder", "it is a link to a folder", "copy the folder there")
    if os.path.exists(entry.path) or not entry.name.lower().endswith(SUFFIXES):
        return None
    return Rejected(key, "dangling-link", "it is a link to nothing", "mend or delete it")


def grouped(files: list[Found], place: Place) -> Iterator[list[Found]]:
    """Files for one chunk each: at most 256 of together 8 MB, or one larger file.

    Each chunk of a zip reads its directory again, so there are at most about 64 of them. A tar can only be
    read from its beginning: it is one chunk.
    """
    most_bytes, most_files = CHUNK_BYTES, CHUNK_FILES
    if "archive" in place:
        share = 32 if place["archive"].lower().endswith(".zip") else 1
        most_files = max(most_files, -(-len(files) // share))
        most_bytes = max(most_bytes, -(-sum(size for _, size in files) // share))
    group: list[Found] = []
    total = 0
    for name, size in files:
        if group and (len(group) >= most_files or total + size > most_bytes):
            yield group
            group, total = [], 0
        group.append((name, size))
        total += size
    if group:
        yield group


# -- reading -------------------------------------------------------------------------------------------


def contents(place: Place, names: list[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
    """(name, bytes) of each file, or why it cannot be had. One at a time; an archive's in its own order."""
    if "archive" in place:
        yield from _unpacked(place["archive"], names)
        return
    root = place["root"]
    remote = storage.is_remote(root)
    inside = None if remote else os.path.realpath(root or ".")
    for name in names:
        path = f"{root.rstrip('/')}/{name}" if root else name
        try:
            if inside is None:
                with storage.opened(path) as file:
                    yield name, file.read()
            else:
                yield name, _local_bytes(path, inside)
        except Unreadable as refused:
            yield name, refused
        except (FileNotFoundError, PermissionError) as error:
            yield (
                name,
                Unreadable("no-file", f"it cannot be opened: {error.strerror}", "see to its permissions"),
            )


def _unpacked(archive: str, names: list[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
    from components import archives

    left = set(names)
    for name, data in archives.contents(archive, names):
        left.discard(name)
        if isinstance(data, Exception):
            yield name, Unreadable("damaged-member", f"in the archive it is damaged: {data}", "pack it again")
        else:
            yield name, data
    for name in sorted(left):
        yield (
            name,
            Unreadable("no-file", "it is no longer in the archive", "do not change it while it is read"),
        )


def _local_bytes(path: str, inside: str) -> bytes:
    try:
        return decoding.bytes_of(path, NO_LINK)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    if not os.path.realpath(path).startswith(inside.rstrip("/") + "/"):
        reason = f"it is a link that leads out of '{inside}'"
        raise Unreadable("outside-root", reason, "copy the file there, or name the folder that holds both")
    return decoding.bytes_of(path)


def pixel_bytes(place: Place, names: list[str], look: Look) -> float:
    """Bytes of a record, about, by the headers of a few of the files; 0 where none of them can be read."""
    root = place["root"]
    some = names[:: max(1, len(names) // LOOKED_AT)]
    paths = [f"{root.rstrip('/')}/{name}" if root else name for name in some]
    sizes = [decoding.stored_bytes(path, look) for path in paths if not os.path.islink(path)]
    known = [size for size in sizes if size]
    return sum(known) / len(known) if known else 0.0


def pixels_of(data: bytes | Unreadable, look: Look) -> np.ndarray:
    """See decoding.pixels_of; what could not be had is raised."""
    if isinstance(data, Unreadable):
        raise data
    return decoding.pixels_of(data, look)


# -- records -------------------------------------------------------------------------------------------

_EMPTY: dict[str, Any] = {field.name: None for field in RECORD}


def record_of(key: str, x: np.ndarray, y: np.ndarray | None = None, **said: Any) -> Record:
    """Image x, with image y where there is one, and what is `said` of it: label, caption, ..."""
    fields = {**_EMPTY, **said, "pixels": x.tobytes()}
    fields["height"], fields["width"], fields["channels"] = x.shape
    if y is not None:
        fields["pixels_y"] = y.tobytes()
        fields["height_y"], fields["width_y"], fields["channels_y"] = y.shape
    return Record(key, fields)


def rejected_as(key: str, refused: Unreadable) -> Rejected:
    """What cannot be read, set aside."""
    return Rejected(key, refused.rule, refused.reason, refused.remedy)


def readable_name(name: str) -> str:
    """The name in UTF-8; bytes that are not become escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def checked_name(name: str) -> str:
    """The key of a file.

    Raises:
        Unreadable: the name is not UTF-8.
    """
    if _is_utf8(name):
        return name
    raise _no_utf8()


def _is_utf8(name: str) -> bool:
    return name.isascii() or readable_name(name) == name


def _no_utf8() -> Unreadable:
    return Unreadable("not-utf8-name", "the file's name is not UTF-8", "rename the file")
