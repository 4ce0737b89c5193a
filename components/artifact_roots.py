"""Where finished artifacts are copied to: a folder, s3://, gs:// or minio://, named by MOZART_ARTIFACTS.

Steps write on this machine. What is finished is copied, its manifest last, so a copy without a manifest
is none; whoever takes it back checks every digest before the folder gets its name.

    <root>/bundles/<digest>/     what is published, signature and all
    <root>/runs/<run>/           run.json and report.html of each run
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from components import storage
from components.artifacts import MANIFEST, explain_os_error, reading
from components.errors import ConfigError, IntegrityError

VARIABLE = "MOZART_ARTIFACTS"
MINIO = "minio://"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def artifact_root() -> str:
    """The address in MOZART_ARTIFACTS without a last slash, empty where nothing is to be copied.

    MinIO is S3 at an address of its own, so minio:// becomes s3://.

    Raises:
        ConfigError: another kind of address, or minio:// without its server's.
    """
    given = os.environ.get(VARIABLE, "").strip().rstrip("/")
    if given.startswith(MINIO):
        if not any(os.environ.get(name) for name in ENDPOINTS):
            raise ConfigError(f"{VARIABLE} '{given}': set {ENDPOINTS[0]} to the address of the MinIO server")
        return f"s3://{given.removeprefix(MINIO)}"
    if not storage.is_remote(given):
        return str(Path(given).expanduser().absolute()) if given else ""
    if given.split("://", 1)[0] not in storage.EXTRAS:
        raise ConfigError(f"{VARIABLE} '{given}': name a folder, s3://, gs:// or minio://")
    return given


def send(folder: Path, address: str) -> None:
    """Copies a finished artifact to `address`, its manifest last; one that is there already stays.

    Raises:
        IntegrityError: another artifact is there.
        DataError, ConfigError, ResourceError: the store cannot be reached or written.
    """
    there = f"{address}/{MANIFEST}"
    if storage.exists(there):
        with storage.opened(there) as stream:
            if stream.read() == (folder / MANIFEST).read_bytes():
                return
        raise IntegrityError(f"{address} holds another artifact: name another root in {VARIABLE}")
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    for name in (*(name for name in names if name != MANIFEST), MANIFEST):
        storage.put(folder / name, f"{address}/{name}")


def fetch(address: str, out: Path, check: Callable[[Path], Any] = reading) -> Path:
    """Takes an artifact from `address`: written beside, checked, renamed to `out`, which is returned.

    Args:
        check: raises IntegrityError where the folder is not what was written.

    Raises:
        IntegrityError: no manifest, or what came is not what was sent; nothing is left.
        DataError, ConfigError: nothing is there, or the store cannot be reached. ResourceError: the disk.
    """
    temporary = out.parent / f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        for entry in storage.listing(address):
            name = PurePosixPath(storage.relative(entry.path, address))
            if name.is_absolute() or ".." in name.parts:
                raise IntegrityError(f"'{entry.path}' leads out of its folder: it is no part of an artifact")
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            with storage.opened(entry.path) as source, (temporary / name).open("wb") as target:
                shutil.copyfileobj(source, target, storage.PIECE)
        if not (temporary / MANIFEST).is_file():
            raise IntegrityError(f"{address} has no {MANIFEST}: it was not copied to its end; send it again")
        check(temporary)
        os.rename(temporary, out)
    except OSError as error:
        raise explain_os_error(error, out) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def send_bundle(bundle: Path) -> None:
    """Copies a published bundle to the root, where there is one. Raises as `send`."""
    if root := artifact_root():
        send(bundle, f"{root}/bundles/{bundle.name}")


def fetch_bundle(digest: str, bundles: Path) -> Path:
    """The bundle of that digest in the folder `bundles`, from the root where it is not here yet.

    Raises:
        IntegrityError: it is neither here nor in a root, or not what was published. DataError: the store.
    """
    from components.bundle import check_bundle

    folder = bundles / digest
    if folder.is_dir():
        return folder
    root = artifact_root()
    if not root:
        raise IntegrityError(f"{folder} is missing: name the root that has a copy in {VARIABLE}")
    return fetch(f"{root}/bundles/{digest}", folder, lambda taken: check_bundle(taken, digest))


def send_run(folder: Path) -> None:
    """Copies a run's verdict and page to the root, where there is one. Raises as `send`."""
    root = artifact_root()
    for name in ("report.html", "run.json") if root else ():  # who finds the verdict finds the page
        if (folder / name).is_file():
            storage.put(folder / name, f"{root}/runs/{folder.name}/{name}")
