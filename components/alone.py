"""One retraining of a name at a time on this machine: a lock that a killed process lets go of by itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from components.artifacts import read_json, write_json
from components.errors import GateRefused, ResourceError
from components.provenance import now


@contextlib.contextmanager
def alone(home: Path, name: str) -> Iterator[None]:
    """Holds the lock of a name, or names who does.

    Raises:
        GateRefused: another process retrains it. ResourceError: the folder cannot be written.
    """
    folder = home / "locks"
    holder = folder / f"{name}.json"
    lock = FileLock(folder / f"{name}.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise GateRefused(
            f"'{name}' is being retrained already{_who(holder)}: this time is left out"
        ) from None
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        write_json(holder, {"process": os.getpid(), "since": now()})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        said = read_json(holder)
        return f" by process {said['process']} since {said['since']}"
    except (OSError, ValueError, KeyError):  # it has the lock, and is about to write this
        return ""
