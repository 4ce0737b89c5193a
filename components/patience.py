"""A lock that writers of one home queue for: the system releases it when its holder dies, so waiting is safe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from components.errors import RegistryError

QUEUE_SECONDS = 1800  # twenty publishers take a minute, and on a crowded machine many


@contextlib.contextmanager
def held(file: Path, seconds: float = QUEUE_SECONDS) -> Iterator[None]:
    """Holds the lock `file`, after those who came before.

    Raises:
        RegistryError: another process did not let go of it for so long.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=seconds)
    try:
        lock.acquire()
    except Timeout as error:
        raise RegistryError(
            f"another process has held {file} for {seconds:.0f} s: see what it does, end it and run again"
        ) from error
    try:
        yield
    finally:
        lock.release()
