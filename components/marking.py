"""Marks on what leaves: which model made it, which version, from which seed, and that it is generated.

A PNG carries text chunks, a MIDI file a text event; beside any file lies `<name>.manifest.json` with its
SHA-256. A mark is a label and no protection: whoever saves the picture anew loses it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.artifacts import sha256_of
from components.registry import Version

MADE_BY = "Mozart"
_PNG = b"\x89PNG\r\n\x1a\n"


def facts_of(version: Version, seed: int) -> dict[str, Any]:
    """What every mark says."""
    return {
        "generated": True,
        "made_by": MADE_BY,
        "model": version.name,
        "version": version.version,
        "bundle": version.digest,
        "seed": seed,
    }


def mark(file: Path, facts: dict[str, Any]) -> None:
    """Writes `facts` into a PNG or a MIDI file. Of other kinds the text is the data: nothing is added."""
    writers = {".png": marked_png, ".mid": marked_midi, ".midi": marked_midi}
    if (writer := writers.get(file.suffix.lower())) is not None:
        file.write_bytes(writer(file.read_bytes(), facts))


def marked_png(body: bytes, facts: dict[str, Any]) -> bytes:
    """The same picture with one tEXt chunk for each fact behind its header (PNG specification, 11.3.3.3).

    Raises:
        ValueError: these bytes are no PNG.
    """
    if body[:8] != _PNG or body[12:16] != b"IHDR":
        raise ValueError("no PNG to mark")
    end = 8 + 12 + struct.unpack(">I", body[8:12])[0]
    return body[:end] + b"".join(_chunk(*fact) for fact in facts.items()) + body[end:]


def _chunk(name: str, value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    content = b"tEXt" + name.encode("latin-1") + b"\0" + text.encode("latin-1", errors="replace")
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def marked_midi(body: bytes, facts: dict[str, Any]) -> bytes:
    """The same music with a text event (FF 01) at the beginning of its first track.

    Raises:
        ValueError: these bytes are no MIDI file.
    """
    at = body.find(b"MTrk", 14)
    if body[:4] != b"MThd" or at < 0:
        raise ValueError("no MIDI file to mark")
    text = json.dumps(facts).encode()
    event = b"\0\xff\x01" + _variable_length(len(text)) + text
    length = struct.unpack(">I", body[at + 4 : at + 8])[0] + len(event)
    return body[: at + 4] + struct.pack(">I", length) + event + body[at + 8 :]


def _variable_length(number: int) -> bytes:
    """Seven bits a byte, the highest bit set on all but the last."""
    found = [number & 0x7F]
    while number := number >> 7:
        found.insert(0, 0x80 | (number & 0x7F))
    return bytes(found)


def manifest_beside(file: Path) -> Path:
    """`grid.png` → `grid.manifest.json`."""
    return file.with_suffix(".manifest.json")


def write_manifest(files: Sequence[Path], facts: dict[str, Any]) -> Path:
    """Writes the manifest of `files`, which belong together, beside the first; returns its path."""
    said = facts | {
        "files": {
            file.name: {"sha256": sha256_of(file), "bytes": file.stat().st_size} for file in sorted(files)
        }
    }
    path = manifest_beside(files[0])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(temporary, path)
    return path
