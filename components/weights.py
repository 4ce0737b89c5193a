"""Weight files of others' networks: where they are published, and fetching one that is exactly the one meant.

A file is what its SHA-256 says, wherever it comes from. A download goes to a file beside its place and takes
its name only when every byte is right, so that what lies in the cache is whole; one that was cut off is
resumed. Mozart ships no weights: their licences are their authors'.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.errors import ConfigError, DataError, IntegrityError, ResourceError

CHUNK = 2**20
LARGEST = 8 * 2**30  # bytes; a server that never ends is no weight file
ATTEMPTS = 3  # times that a connection may break before it is given up
SECONDS = 30.0  # without a byte, until a connection counts as broken
Progress = Callable[[int, int | None], None]  # bytes that are here, bytes in all where they are known


@dataclass(frozen=True)
class Published:
    """A weight file that its authors published: what it is, where, its SHA-256 and its size in bytes."""

    about: str
    address: str
    sha256: str
    bytes: int


PUBLISHED = {
    "inception": Published(
        "InceptionV3 of 2015-12-05, the network of FID, as converted for pytorch-fid and torch-fidelity",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
    ),
    "vgg16": Published(
        "VGG16 of torchvision, trained on ImageNet",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553_433_881,
    ),
    "lpips": Published(
        "linear weights of LPIPS v0.1 for VGG16",
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        7_289,
    ),
}


def fetch(
    source: str | Path,
    sha256: str,
    cache: Path,
    progress: Progress | None = None,
    seconds: float = SECONDS,
) -> Path:
    """The file at `source` (a path, file://, http:// or https://) whose digest is `sha256`.

    A file of this machine is used where it lies; a download is kept in the folder `cache`, from where the
    next call takes it. `progress` is told after each megabyte.

    Raises:
        ConfigError: no digest, or another kind of address.
        DataError: no such file, or it cannot be had from there (offline, refused, cut off).
        IntegrityError: it is another file; a download is removed.
        ResourceError: the disk is full.
    """
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ConfigError(
            f"weights need the SHA-256 of their file, 64 hexadecimal digits (sha256sum FILE), not '{sha256}'"
        )
    source = str(source)
    scheme = urlsplit(source).scheme if "://" in source else "file"
    if scheme in ("http", "https"):
        return _download(source, sha256, cache, progress, seconds)
    if scheme != "file":
        raise ConfigError(f"'{source}': weights come from a path, file://, http:// or https://")
    path = Path(unquote(urlsplit(source).path) if "://" in source else source).expanduser()
    if not path.is_file():
        raise DataError(f"there is no weight file '{path}' (seen from {Path.cwd()}){_remedy(sha256)}")
    found = file_digest(path)
    if found != sha256:
        raise IntegrityError(f"'{path}' is another file than was asked for: SHA-256 {found}, not {sha256}")
    return path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def place(address: str, sha256: str, cache: Path) -> Path:
    """Where the download of `address` is kept: the digest's start keeps equal names apart."""
    name = re.sub(r"[^\w.-]", "_", Path(unquote(urlsplit(address).path)).name) or "weights"
    return cache / f"{sha256[:16]}-{name[-100:]}"


def _download(address: str, sha256: str, cache: Path, progress: Progress | None, seconds: float) -> Path:
    from filelock import FileLock

    kept = place(address, sha256, cache)
    part = kept.with_name(kept.name + ".part")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_name(kept.name + ".lock")):  # two runs that want the same file: one fetches
            if kept.is_file() and file_digest(kept) == sha256:
                return kept
            resumed = part.exists() and part.stat().st_size > 0
            _attempts(address, part, progress, seconds, sha256)
            found = file_digest(part)
            if found != sha256 and resumed:  # what lay there was the start of another file
                part.unlink()
                _attempts(address, part, progress, seconds, sha256)
                found = file_digest(part)
            if found != sha256:
                part.unlink()
                raise IntegrityError(
                    f"{address} holds another file than was asked for: SHA-256 {found}, not {sha256}; "
                    "what was fetched is removed"
                )
            part.replace(kept)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"the disk of {cache} is full: {_megabytes(shutil.disk_usage(cache).free)} are free, and "
                f"{address} needs more; make room or set MOZART_HOME to a folder elsewhere"
            ) from error
        raise ResourceError(f"weights cannot be kept in {cache}: {error.strerror or error}") from error
    return kept


def _attempts(address: str, part: Path, progress: Progress | None, seconds: float, sha256: str) -> None:
    """Fetches what `part` lacks; a connection that breaks is taken up again where it broke."""
    for attempt in range(ATTEMPTS):
        try:
            return _fetch_rest(address, part, progress, seconds)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is nothing behind what is here: its digest will tell
                return None
            if error.code < 500 or attempt == ATTEMPTS - 1:
                raise DataError(
                    f"{address} cannot be had: the server says {error.code} {error.reason}{_remedy(sha256)}"
                ) from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if attempt == ATTEMPTS - 1:
                why = getattr(error, "reason", error)
                raise DataError(
                    f"{address} cannot be had: {str(why) or type(why).__name__}{_remedy(sha256)}"
                ) from error
    return None


def _fetch_rest(address: str, part: Path, progress: Progress | None, seconds: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(address, headers={"User-Agent": "mozart", "Accept-Encoding": "identity"})
    if have:
        asked.add_header("Range", f"bytes={have}-")
    with _opener().open(asked, timeout=seconds) as answer:
        if not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            have = 0  # the server begins anew
        length = answer.headers.get("Content-Length")
        whole = have + int(length) if length and length.isdigit() else None
        _check_size(address, whole or 0, (whole or 0) - have, part)
        with open(part, "ab" if have else "wb") as stream:
            while block := answer.read(CHUNK):
                stream.write(block)
                have += len(block)
                _check_size(address, have, 0, part)
                if progress:
                    progress(have, whole)
    if whole is not None and have < whole:
        raise http.client.HTTPException(f"the connection ended after {have} of {whole} bytes")


def _check_size(address: str, whole: int, missing: int, part: Path) -> None:
    if whole > LARGEST:
        part.unlink(missing_ok=True)
        raise DataError(f"{address} is larger than {LARGEST // 2**30} GiB, and so no weight file")
    if missing > shutil.disk_usage(part.parent).free:
        raise OSError(errno.ENOSPC, "the file is larger than the room that is left")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to http and https only, and never from https back to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request, or a refusal."""
        _check_redirect(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Looks at the target first: the base class has a sentence of its own for some."""
        _check_redirect(req.full_url, headers.get("location") or "")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_redirect(old: str, new: str) -> None:
    scheme = urlsplit(new).scheme or urlsplit(old).scheme
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(old).scheme == "https"):
        raise DataError(f"{old} leads on to '{new[:200]}', and weights are fetched over https or http only")


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, through the environment's proxy where there is one; no file:, ftp: or data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _remedy(sha256: str) -> str:
    """What to do where a file cannot be had from here."""
    known = next((each for each in PUBLISHED.values() if each.sha256 == sha256), None)
    what = f"{known.about}, {_megabytes(known.bytes)}, from {known.address}" if known else "the file"
    return f"; without a network, fetch {what} elsewhere (SHA-256 {sha256}) and give its path instead"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"
