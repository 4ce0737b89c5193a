"""The folders that pass between steps: written once, beside, and renamed; the manifest last.

Each folder holds a `manifest.json` with the step, the fingerprint of its inputs and settings, counts
the SHA-256 of every other file and a digest of its own. A reader checks them before it parses anything.

    records/      train-00000-of-00002.parquet ...   rejected/rejected.jsonl
    statistics/   statistics.json  statistics.html
    report/       report.json                         gate 1: verdict, anomalies, drift
    examples/     encoding.json  spec.json  statistics.json  train-00000.x.npy  train-00000.label.npy ...
    model/        weights.safetensors  model.json  encoding.json  statistics.json  history.csv
                  provenance.json  tensorboard/
    evaluation/   evaluation.json  samples.npz  real.npz  classifier/   gate 2: metrics, verdict
    release/      release.json                        what was published, or why not
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import IntegrityError, MozartError, ResourceError

MANIFEST = "manifest.json"
SCHEMA = 1
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (*NO_ROOM, errno.EFBIG, errno.EROFS, errno.EACCES)


def sha256_of(file: Path) -> str:
    """Hex digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_of(*parts: Any) -> str:
    """A short stable digest of JSON-like values: 16 hex digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def writing(folder: Path, step: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A temporary folder to fill and a manifest to add to (`fingerprint`, `counts`, ...).

    On a clean exit every file is digested, the manifest is written last and the folder takes its
    name by a rename; on an error nothing is left.

    Raises:
        ResourceError: the disk is full or not writable.
    """
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    manifest: dict[str, Any] = {"schema": SCHEMA, "step": step}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f".{folder.name}.*.tmp"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        yield temporary, manifest
        for torn in temporary.rglob(".*.tmp"):  # of a worker that died, and whose work another did again
            torn.unlink()
        seal(temporary, manifest)
        if folder.is_dir():
            shutil.rmtree(folder)
        elif folder.exists():
            folder.unlink()
        os.replace(temporary, folder)
    except MozartError:
        raise
    except Exception as error:
        cause = as_os_error(error)
        if cause and cause.errno in UNWRITABLE:
            raise explain_os_error(cause, folder) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def seal(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Writes the manifest of all that `folder` holds, synced to the disk, and returns it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / MANIFEST)
    manifest["files"] = {
        file.relative_to(folder).as_posix(): {"sha256": sha256_of(file), "bytes": file.stat().st_size}
        for file in files
    }
    manifest["digest"] = _digest_of(manifest)
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    return manifest


def _digest_of(manifest: dict[str, Any]) -> str:
    """SHA-256 over a manifest's own entries: a changed count is as bad as a changed file."""
    text = json.dumps({key: manifest[key] for key in manifest if key != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def reading(folder: Path) -> dict[str, Any]:
    """The manifest of `folder`, after every file has been checked against it.

    Raises:
        IntegrityError: no manifest, or a file that is missing, added or changed, by name.
    """
    if not (folder / MANIFEST).is_file():
        raise IntegrityError(f"{folder} has no {MANIFEST}: the step that writes it did not finish; run again")
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        listed = manifest["files"]
        expected = {name: (entry["sha256"], entry["bytes"]) for name, entry in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{folder / MANIFEST} cannot be read as a manifest: {error}") from error
    if manifest.get("digest") != _digest_of(manifest):
        raise IntegrityError(f"{folder / MANIFEST} is not the manifest that was written (its digest differs)")
    present = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() or file.is_symlink()
    }
    for name in sorted(present - expected.keys() - {MANIFEST}):
        raise IntegrityError(
            f"{folder / name} is not in the manifest: the folder was changed after it was written"
        )
    for name, (digest, size) in expected.items():
        file = folder / name
        if name not in present or file.is_symlink():
            raise IntegrityError(f"{file} is missing: the folder was changed after it was written")
        if file.stat().st_size != size or sha256_of(file) != digest:
            raise IntegrityError(f"{file} is not the file that was written (its SHA-256 differs)")
    return manifest


def read_json(file: Path) -> Any:
    """The JSON value in `file`."""
    return json.loads(file.read_text("utf-8"))


def write_json(file: Path, value: Any) -> None:
    """Writes `value` as readable JSON with sorted keys; NaN and infinity are refused."""
    file.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")


def as_os_error(error: Exception) -> OSError | None:
    """The operating system's error behind `error`. TensorFlow, Rust libraries and Beam's workers raise a
    full disk as an error of their own, with the system's words in the message."""
    if isinstance(error, OSError):
        return error
    said = str(error)
    return next((OSError(code, os.strerror(code)) for code in NO_ROOM if os.strerror(code) in said), None)


def explain_os_error(error: OSError, where: Path) -> ResourceError:
    """A full or read-only disk, said in one sentence."""
    if error.errno in NO_ROOM:
        parent = next(folder for folder in [where, *where.parents] if folder.exists())
        free = shutil.disk_usage(parent).free
        return ResourceError(
            f"the disk is full while writing {where} ({free / 1e6:.0f} MB free): make room and run again; "
            "nothing half-written was kept"
        )
    return ResourceError(f"cannot write {where}: {error.strerror or error} ({error.filename or where})")
