"""Where music comes from: MIDI files in a folder, a glob or an archive, and chorales in a JSON file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from components import midi
from components.chorales import PARTS, layout_of, pieces_of, score_of
from components.errors import DataError
from components.modalities import Record, Rejected, location
from components.scores import fields
from components.settings import Settings

if TYPE_CHECKING:
    from components.storage import Entry

SOURCES = {
    "music": "music:FOLDER          .mid and .midi files, or one of them, a glob, an archive of them",
    "chorales": "chorales:FILE         a .json file with the keys train, valid and test: pitches step by step",
}
SUFFIXES = (".mid", ".midi")
CHUNK_BYTES, CHUNK_FILES, CHUNK_PIECES = 4_000_000, 200, 500
STEPS = {"quarter": 1, "8th": 2, "16th": 4, "32nd": 8}  # in a quarter, by what the file's name says


class Read(Settings):
    """How files become records."""

    group: Literal["file", "folder"] = Field(
        "file", description="music: what stays on one side of the split, e.g. folder: a composer's files"
    )
    most_bytes: int = Field(
        midi.MOST_BYTES, ge=1000, le=4_000_000, description="music: bytes beyond which a file is set aside"
    )
    most_events: int = Field(
        midi.MOST_EVENTS,
        ge=1000,
        le=1_000_000,
        description="music: events beyond which a file is set aside; 100,000 take half a second",
    )
    steps_per_quarter: Literal[1, 2, 4, 8] | None = Field(
        None,
        description="chorales: time steps in a quarter note; by default as the file's name says (quarter, 16th)",
    )
    repeats: Literal["held", "struck"] = Field(
        "held",
        description="chorales: equal pitches in successive steps are one long note, or each is struck; the "
        "file does not say",
    )


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the source is plainly not there, or no archive or file can be meant."""
    from components import storage

    path = location(source)
    if not path:
        raise DataError(f"data.source '{source}' names no file: write {source.split(':')[0]}:path/to/it")
    if not storage.is_remote(path) and not re.search(r"[*?\[]", path) and not storage.exists(path):
        raise DataError(f"data.source '{source}': there is no file or folder '{path}'")
    if source.startswith("chorales:"):
        if storage.is_folder(path):
            raise DataError(f"data.source '{source}': '{path}' is a folder; name the .json file in it")
        _steps(path, read)


def files(source: str, read: Read | None = None) -> list[Entry]:
    """The files behind a source, for its fingerprint."""
    from components import archives, storage

    path = location(source)
    if source.startswith("chorales:") or archives.is_archive(path):
        return storage.listing(path)
    return storage.listing(path, SUFFIXES)


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of some 4 MB: names of files, members of an archive, or ranges of pieces.

    Raises:
        DataError: there is no MIDI file, or the JSON file is not one of chorales.
    """
    from components import archives, storage

    path = location(source)
    if source.startswith("chorales:"):
        return _plan_chorales(path, read)
    if archives.is_archive(path):
        members = [m for m in archives.members(path) if m.name.lower().endswith(SUFFIXES)]
        chunks = _cut([(m.name, m.bytes) for m in members], {"archive": path})
    else:
        chunks = _cut([(e.path, e.bytes) for e in storage.listing(path, SUFFIXES)], {"root": _root(path)})
    if not chunks:
        raise DataError(f"data.source '{source}': there is no .mid or .midi file in '{path}'")
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The pieces of one chunk."""
    yield from _chorales(chunk, options) if "part" in chunk else _midi_files(chunk, options)


# -- MIDI ----------------------------------------------------------------------------------------------


def _cut(named: list[tuple[str, int]], base: dict[str, Any]) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = []
    weight = CHUNK_BYTES
    for name, size in named:
        if weight + size > CHUNK_BYTES or len(chunks[-1]["names"]) >= CHUNK_FILES:
            chunks.append({**base, "names": [], "sizes": []})
            weight = 0
        chunks[-1]["names"].append(name)
        chunks[-1]["sizes"].append(size)
        weight += size
    return chunks


def _root(path: str) -> str:
    """The folder that keys are seen from: the given one, or the last one before a wildcard or a file."""
    from components import storage

    if storage.is_folder(path):
        return path
    return re.split(r"[*?\[]", path, maxsplit=1)[0].rpartition("/")[0] or ("/" if path[:1] == "/" else ".")


def _midi_files(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    for key, body in _bodies(chunk, options.most_bytes):
        try:
            if isinstance(body, Exception):
                raise midi.Unreadable(
                    "cannot-open", f"it cannot be opened: {body}", "mend it or leave it out"
                )
            score = midi.read_midi(body, options.most_bytes, options.most_events)
        except midi.Unreadable as error:
            yield Rejected(key, error.rule, f"{key}: {error}", error.remedy)
            continue
        folder = key.rpartition("/")[0] or "."
        yield Record(key, fields(score), group=folder if options.group == "folder" else None)


def _bodies(chunk: dict[str, Any], most_bytes: int) -> Iterator[tuple[str, bytes | Exception]]:
    """Key and content of each file, of a file that is too long no more than shows it."""
    from components import archives, storage

    if "archive" in chunk:
        sizes = dict(zip(chunk["names"], chunk["sizes"], strict=True))
        yield from ((name, bytes(most_bytes + 1)) for name, size in sizes.items() if size > most_bytes)
        yield from archives.contents(chunk["archive"], [n for n, size in sizes.items() if size <= most_bytes])
        return
    for path in chunk["names"]:
        try:
            with storage.opened(path) as stream:
                body: bytes | Exception = stream.read(most_bytes + 1)
        except (OSError, DataError) as error:
            body = error
        yield storage.relative(path, chunk["root"]), body


# -- chorales ------------------------------------------------------------------------------------------


def _steps(path: str, read: Read) -> int:
    from components import storage

    if read.steps_per_quarter is not None:
        return read.steps_per_quarter
    name = storage.last_part(path).lower()
    for word, steps in STEPS.items():
        if word in name:
            return steps
    raise DataError(
        f"data.source: the name of '{path}' does not say how long a time step is (quarter, 8th, 16th): "
        "set data.read.steps_per_quarter"
    )


def _plan_chorales(path: str, read: Read) -> list[dict[str, Any]]:
    from components import storage

    with storage.opened(path) as stream:
        found = pieces_of(stream, path)
    base = {"path": path, "steps_per_quarter": _steps(path, read), "layout": layout_of(found)}
    return [
        {**base, "part": part, "start": start, "stop": min(start + CHUNK_PIECES, len(pieces))}
        for part, pieces in sorted(found.items())
        for start in range(0, len(pieces), CHUNK_PIECES)
    ]


def _chorales(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    from components import storage

    path, part = chunk["path"], chunk["part"]
    with storage.opened(path) as stream:
        pieces = pieces_of(stream, path)[part]
    for number in range(chunk["start"], chunk["stop"]):
        key = f"{storage.last_part(path)}#{part}/{number}"
        try:
            score = score_of(pieces[number], chunk["layout"], chunk["steps_per_quarter"], options.repeats)
        except midi.Unreadable as error:
            yield Rejected(key, error.rule, f"{key}: {error}", error.remedy)
            continue
        yield Record(key, fields(score), part=PARTS[part])
