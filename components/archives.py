"""Archives, read in place and with bounds: nothing is ever unpacked onto the disk.

One bad member refuses the whole archive: an absolute name or one with `..`, a link, a device, a name
that stands twice, or sizes that promise more than an honest archive holds.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from components import storage
from components.errors import DataError

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SINGLE = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
MOST_MEMBERS = 1_000_000
MOST_MEMBER_BYTES = 1_000_000_000
MOST_RATIO = 200  # bytes for each compressed one, beyond FREE_BYTES
FREE_BYTES = 1_000_000_000
BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    ValueError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Member:
    """A regular file of an archive."""

    name: str
    bytes: int


def is_archive(path: str) -> bool:
    """Whether the name is that of a zip or tar archive."""
    return path.lower().endswith(ZIP + TAR)


def members(path: str) -> list[Member]:
    """The regular files of an archive, sorted by name.

    Raises:
        DataError: it cannot be read, or holds what no honest archive holds.
    """
    try:
        with storage.opened(path) as stream:
            found = _zip_members(path, stream) if path.lower().endswith(ZIP) else _tar_members(path, stream)
            packed = stream.seek(0, 2)
    except DataError:
        raise
    except Exception as error:  # zipfile and tarfile raise anything on damaged headers
        raise DataError(
            f"archive '{path}' cannot be read: {error or type(error).__name__}: pack it again"
        ) from error
    total = sum(member.bytes for member in found)
    if total > FREE_BYTES and total > MOST_RATIO * packed:
        raise DataError(
            f"archive '{path}' of {packed} bytes promises {total}: more than {MOST_RATIO} times, refused"
        )
    return sorted(found, key=lambda member: member.name)


def _refuse(path: str, name: str, why: str) -> DataError:
    return DataError(f"archive '{path}' is refused: its member '{name[:100]}' {why}")


def _checked(path: str, found: Iterable[Member]) -> list[Member]:
    seen: set[str] = set()
    out: list[Member] = []
    for member in found:
        name = member.name
        if len(out) >= MOST_MEMBERS:
            raise DataError(f"archive '{path}' is refused: it holds more than {MOST_MEMBERS:,} members")
        if name.startswith(("/", "\\")) or name[1:2] == ":" or "\0" in name:
            raise _refuse(path, name, "has an absolute name")
        if ".." in name.replace("\\", "/").split("/"):
            raise _refuse(path, name, "leaves the folder ('..')")
        if name in seen:
            raise _refuse(path, name, "stands twice")
        if member.bytes > MOST_MEMBER_BYTES:
            raise _refuse(path, name, f"is of {member.bytes} bytes; the most is {MOST_MEMBER_BYTES:,}")
        seen.add(name)
        out.append(member)
    return out


def _zip_members(path: str, stream: BinaryIO) -> list[Member]:
    with zipfile.ZipFile(stream) as opened:
        entries = opened.infolist()
    for entry in entries:
        kind = (entry.external_attr >> 16) & 0o170000
        if kind not in (0, 0o100000, 0o040000):
            raise _refuse(path, entry.filename, "is a link or a device")
    return _checked(path, (Member(e.filename, e.file_size) for e in entries if not e.is_dir()))


def _tar_members(path: str, stream: BinaryIO) -> list[Member]:
    def walk() -> Iterator[Member]:
        with _tar(path, stream) as opened:
            for entry in opened:
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    raise _refuse(path, entry.name, "is a link, a device or a sparse file")
                yield Member(entry.name, entry.size)

    return _checked(path, walk())


def _tar(path: str, stream: BinaryIO) -> tarfile.TarFile:
    """Read once from its beginning to its end, so that nothing is looked for far back."""
    bounded: Any = _Bounded(path, _unpacked(path, stream), stream)
    return tarfile.open(fileobj=bounded, mode="r|")


def contents(path: str, names: Iterable[str]) -> Iterator[tuple[str, bytes | Exception]]:
    """The bytes of the named members, in the archive's order; an Exception where one is damaged."""
    wanted = set(names)
    with storage.opened(path) as stream:
        if path.lower().endswith(ZIP):
            with zipfile.ZipFile(stream) as opened:
                for entry in opened.infolist():
                    if entry.filename in wanted:
                        yield entry.filename, _zip_bytes(opened, entry)
            return
        left = len(wanted)
        with _tar(path, stream) as opened:
            for member in opened:
                if member.name in wanted and member.isreg():
                    yield member.name, _tar_bytes(opened, member)
                    left -= 1
                    if not left:
                        return


def _zip_bytes(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | Exception:
    try:
        with opened.open(entry) as stream:
            body = stream.read(entry.file_size + 1)
        if len(body) != entry.file_size:
            return ValueError(f"holds other than the {entry.file_size} bytes that it states")
        return body
    except Exception as error:  # a bad checksum, an encrypted member, an unknown method
        return error


def _tar_bytes(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | Exception:
    try:
        stream = opened.extractfile(member)
        body = b"" if stream is None else stream.read(member.size)
        return body if len(body) == member.size else ValueError("is cut short")
    except Exception as error:
        return error


def decompressed(path: str) -> BinaryIO:
    """A .gz, .bz2 or .xz file as the stream of what it holds, bounded; any other file as it is."""
    stream = storage.opened(path)
    unpacked = _unpacked(path, stream)
    return stream if unpacked is stream else _Bounded(path, unpacked, stream)  # type: ignore[return-value]


def _unpacked(path: str, stream: BinaryIO) -> Any:
    for suffix, opener in {**SINGLE, ".tgz": gzip.GzipFile}.items():
        if path.lower().endswith(suffix):
            return opener(fileobj=stream) if opener is gzip.GzipFile else opener(stream)  # type: ignore[operator]
    return stream


class _Bounded:
    """A stream that refuses to expand without end."""

    def __init__(self, path: str, stream: Any, packed: BinaryIO) -> None:
        self.path, self.stream, self.packed, self.given = path, stream, packed, 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes.

        Raises:
            DataError: damaged, or more than an honest file of this size holds.
        """
        return self._taken(self.stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        """A line of at most `size` bytes, and never of more than FREE_BYTES. Raises as `read` does."""
        return self._taken(self.stream.readline, size if 0 <= size < FREE_BYTES else FREE_BYTES)

    def _taken(self, take: Callable[[int], bytes], size: int) -> bytes:
        try:
            body = take(size)
        except BROKEN as error:
            raise DataError(
                f"'{self.path}' cannot be unpacked: {error}: it is damaged or cut short"
            ) from error
        self.given += len(body)
        if self.given > FREE_BYTES and self.given > 5 * MOST_RATIO * max(self.packed.tell(), 1):
            raise DataError(f"'{self.path}' expands to more than {5 * MOST_RATIO} times its size: refused")
        return body

    def close(self) -> None:
        """Closes both."""
        self.stream.close()
        self.packed.close()

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *told: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line
