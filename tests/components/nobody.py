"""Work as a person without rights, for tests of what may not be read: root may read everything."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534


@contextlib.contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder that anyone may enter (pytest's own are closed to others), removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mozart-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Root becomes nobody within; anyone else stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
