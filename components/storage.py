"""Files wherever they are: on this machine, or in S3 (s3://) and Google Cloud Storage (gs://) by Beam.

Remote files need an extra: `pip install 'mozart[s3]'` or `'mozart[gs]'`. Credentials, region and endpoint
come from the environment as ever: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, GOOGLE_APPLICATION_CREDENTIALS.
"""

from __future__ import annotations

import glob
import logging
import os
import posixpath
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from components.artifacts import explain_os_error
from components.errors import ConfigError, DataError

T = TypeVar("T")
EXTRAS = {"s3": "s3", "gs": "gs"}
CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS, of someone who may "
    "read it"
)
PIECE = 8 << 20  # bytes copied at a time
REACH_SECONDS = 10  # for a server's answer, before anything is asked of it


@dataclass(frozen=True)
class Entry:
    """A file: where, how many bytes, and its state (the time of its last change)."""

    path: str
    bytes: int
    state: str


def is_remote(path: str) -> bool:
    """Whether it is an address such as s3://bucket/name."""
    return "://" in path


def exists(path: str) -> bool:
    """Whether there is a file or a folder."""
    if not is_remote(path):
        return os.path.exists(path)
    return bool(_matches([path])) or is_folder(path)


def is_folder(path: str) -> bool:
    """Whether there is a folder; in a store, whether anything lies below."""
    if not is_remote(path):
        return os.path.isdir(path)
    return not has_magic(path) and bool(_matches([f"{path.rstrip('/')}/**"], most=1))


def has_magic(path: str) -> bool:
    """Whether it is a pattern (*, ?, [...])."""
    return glob.has_magic(path)


def listing(path: str, suffixes: Iterable[str] | None = None) -> list[Entry]:
    """The files that a path names, sorted: one file, all below a folder, or those of a pattern (`**` goes
    into folders). Hidden ones are left out; `suffixes` are small letters, with their dot.

    Raises:
        DataError: nothing is there, or something that may not be read; the store cannot be reached.
    """
    try:
        found = _remote_listing(path) if is_remote(path) else _local_listing(path)
    except PermissionError as error:
        raise DataError(f"'{error.filename}' may not be read: see to its permissions") from error
    if suffixes is not None:
        wanted = tuple(suffixes)
        found = [entry for entry in found if entry.path.lower().endswith(wanted)]
    return sorted(found, key=lambda entry: entry.path)


def _local_listing(path: str) -> list[Entry]:
    if os.path.isfile(path):
        return [_entry(path, os.stat(path))]
    if os.path.isdir(path):
        return list(walk(path))
    if has_magic(path):
        return [
            _entry(file, os.stat(file)) for file in glob.glob(path, recursive=True) if os.path.isfile(file)
        ]
    raise DataError(f"there is no file or folder '{path}' (seen from {Path.cwd()})")


def _entry(path: str, told: os.stat_result) -> Entry:
    return Entry(path, told.st_size, str(told.st_mtime_ns))


def walk(folder: str) -> Iterator[Entry]:
    """The files below a folder of this machine, one by one in any order; hidden ones are left out.

    Raises:
        PermissionError: a folder may not be read.
    """
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)
            elif entry.is_file():  # a link that leads nowhere is none
                yield _entry(entry.path, entry.stat())


def _remote_listing(path: str) -> list[Entry]:
    patterns = [path] if has_magic(path) else [path, f"{path.rstrip('/')}/**"]
    found = {
        told.path: Entry(told.path, told.size_in_bytes, str(told.last_updated_in_seconds))
        for told in _matches(patterns)
        if not told.path.endswith("/") and not last_part(told.path).startswith(".")
    }
    if not found and not has_magic(path):
        raise DataError(f"there is no file or folder '{path}'")
    return list(found.values())


def opened(path: str) -> BinaryIO:
    """The file's bytes as they are, seekable.

    Raises:
        DataError: a store's file is not there or may not be read. OSError: a local one.
    """
    if not is_remote(path):
        return open(path, "rb")
    from apache_beam.io.filesystem import CompressionTypes

    raw = CompressionTypes.UNCOMPRESSED
    return _asked(path, lambda: _filesystems(path).open(path, compression_type=raw))


def put(source: Path, path: str) -> None:
    """Copies a file of this machine to `path`; what was there is replaced.

    Raises:
        DataError, ConfigError: a store that cannot be reached or written. ResourceError: a local disk.
    """
    if is_remote(path):
        _asked(path, lambda: _put(source, path), "written")
        return
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, beside)
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise explain_os_error(error, target) from error


def _put(source: Path, path: str) -> None:
    from apache_beam.io.filesystem import CompressionTypes

    raw = CompressionTypes.UNCOMPRESSED
    with source.open("rb") as stream, _filesystems(path).create(path, compression_type=raw) as there:
        shutil.copyfileobj(stream, there, PIECE)


def relative(path: str, root: str) -> str:
    """`path` as seen from `root`, with slashes."""
    if is_remote(path):
        return path.removeprefix(root.rstrip("/")).lstrip("/")
    return Path(os.path.relpath(path, root)).as_posix()


def last_part(path: str) -> str:
    """The file's name."""
    return posixpath.basename(path.replace(os.sep, "/"))


# -- stores --------------------------------------------------------------------------------------------


def _matches(patterns: list[str], most: int | None = None) -> list[Any]:
    limits = None if most is None else [most] * len(patterns)
    found = _asked(patterns[0], lambda: _filesystems(patterns[0]).match(patterns, limits))
    return [told for result in found for told in result.metadata_list]


def _filesystems(path: str) -> Any:
    """Beam's file systems, after a look whether the store answers at all: they would try for minutes."""
    quiet = logging.getLogger()
    if not quiet.handlers:  # importing Beam logs through the root logger, which installs a handler
        quiet.addHandler(logging.NullHandler())
    scheme = path.split("://", 1)[0]
    if scheme not in EXTRAS:
        raise ConfigError(f"'{path}': Mozart reads local files, s3:// and gs://")
    _reach(scheme)
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if getattr(FileSystems, "_pipeline_options", None) is None:
        FileSystems.set_options(PipelineOptions([]))  # else Beam reads our own command line
    return FileSystems


def _asked(path: str, ask: Callable[[], T], done: str = "read") -> T:
    """What Beam answers; its errors as one sentence."""
    try:
        return ask()
    except (DataError, ConfigError):
        raise
    except Exception as error:  # boto3's, Google's and Beam's errors have no common base
        said = str(getattr(error, "exception_details", "") or error)
        lower = said.lower()
        if (
            "credentials" in lower
            or "403" in said
            or "forbidden" in lower
            or "accessdenied" in lower.replace(" ", "")
        ):
            raise DataError(f"'{path}': the store says no ({_short(said)}): {CREDENTIALS}") from error
        if "404" in said or "not found" in lower or "nosuch" in lower.replace(" ", ""):
            raise DataError(f"'{path}': there is no such bucket, file or folder ({_short(said)})") from error
        raise DataError(f"'{path}' cannot be {done}: {_short(said)}") from error


def _short(said: str) -> str:
    return re.sub(r"\s+", " ", said)[:200]


@cache
def _reach(scheme: str) -> None:
    """Looks whether the store's server answers, once in a process.

    Raises:
        ConfigError: the extra is not installed. DataError: no answer.
    """
    try:
        if scheme == "s3":
            import boto3

            session = boto3.session.Session()
            if session.get_credentials() is None:  # Beam would try again for minutes
                raise DataError(f"s3:// needs credentials, and there are none: {CREDENTIALS}")
            address = session.client("s3", region_name=_region()).meta.endpoint_url
        else:
            import apache_beam.io.gcp.gcsio  # noqa: F401

            address = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com")
    except ImportError as error:
        extra = EXTRAS[scheme]
        raise ConfigError(
            f"{scheme}:// needs an extra that is not installed: pip install 'mozart[{extra}]'"
        ) from error
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return  # the way leads through a proxy, whose answer says nothing
    parts = urlsplit(address if "://" in address else f"http://{address}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), REACH_SECONDS).close()
    except OSError as error:
        raise DataError(
            f"{scheme}://: no answer from {parts.hostname}:{port} ({error}): is there a network, and is the endpoint right? "
            "Offline, give a local folder"
        ) from error


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
