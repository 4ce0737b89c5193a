"""A journal: one JSON line for each thing that happened, synced to the disk, never rewritten."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def append_line(file: Path, entry: dict[str, Any]) -> None:
    """Adds one entry and syncs it; whoever writes holds a lock."""
    line = json.dumps(entry, allow_nan=False).encode() + b"\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":  # a writer was killed within its line
                line = b"\n" + line
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(file: Path, name: str) -> list[dict[str, Any]]:
    """The entries whose `name` is this one, oldest first; half-written lines are left out."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text("utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["name"] == name:
            found.append(entry)
    return found
