"""Where text comes from: files as documents, rows of JSONL and Parquet, sentences of CoNLL-U.

A document is cut into blocks of whole lines (components.text_blocks), each a record: `name@000000002000`
begins at byte 2,000. The blocks of a document stay on one side of the split; those of a single file
that is named itself are split among each other.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from components import text_rows
from components.errors import DataError
from components.modalities import Record, Rejected, location
from components.settings import Settings
from components.text_blocks import UTF16_MARKS, Policy, blocks
from components.text_documents import sentences_of, whole_document

if TYPE_CHECKING:
    from components.storage import Entry

SOURCES = {
    "text": "text:FILE             a text in UTF-8; or a folder, glob or archive of them; .jsonl, .parquet, "
    ".conllu; .gz",
    "conllu": "conllu:FILE           tagged sentences of Universal Dependencies; or a folder, glob or archive",
}
CONLLU = (".conllu", ".conll")
ROWS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
PACKED = (".gz", ".bz2", ".xz")
CHUNK_BYTES, CHUNK_FILES = 4_000_000, 500
MEMBER_BYTES = 256_000_000  # an archive's member is held in memory whole
OFFICIAL = {"train": "train", "dev": "validation", "test": "test"}


class Read(Settings):
    """How files become records."""

    block: int = Field(2000, ge=16, le=1_000_000, description="least bytes of a block of whole lines")
    longest: int = Field(
        1_000_000,
        ge=16,
        le=16_000_000,
        description="most bytes of a block: a line that is longer is cut between two characters",
    )
    errors: Literal["reject", "replace"] = Field(
        "reject",
        description="a block with bytes that are not UTF-8, or NUL, is set aside with the byte's place; or each "
        "of them becomes U+FFFD",
    )
    newlines: Literal["keep", "unix"] = Field(
        "keep", description="ends of lines as they are, or \\r\\n and \\r become \\n"
    )
    normalise: Literal["none", "NFC"] = Field(
        "none", description="Unicode's normal form: NFC writes é as one character where a file has two"
    )
    suffixes: tuple[str, ...] = Field(
        (".txt", ".md"), min_length=1, description="files of a folder or archive that are text, packed or not"
    )
    field: str = Field("text", min_length=1, description="JSONL and Parquet: where the text is")
    id: str = Field(
        "", description="JSONL and Parquet: where the record's own name is; by default its row names it"
    )
    tag: Literal["upos", "xpos"] = Field("upos", description="CoNLL-U: the column of the tags")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.longest < self.block:
            raise ValueError("longest is at least block")
        if not all(re.fullmatch(r"\.[a-z0-9_.+-]+", suffix) for suffix in self.suffixes):
            raise ValueError("suffixes are small letters and begin with a dot")
        return self

    @property
    def policy(self) -> Policy:
        """What becomes of the bytes."""
        return Policy(self.errors, self.newlines, self.normalise)


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the source is plainly not there, or one empty file."""
    from components import storage

    path = location(source)
    if not path:
        raise DataError(f"data.source '{source}': there is no file: write {source.split(':')[0]}:path/to/it")
    if storage.is_remote(path) or _is_glob(path) or storage.is_folder(path):
        return
    if storage.listing(path)[0].bytes == 0:
        raise DataError(f"data.source '{source}': the file '{path}' is empty")


def files(source: str, read: Read | None = None) -> list[Entry]:
    """The files behind a source, for its fingerprint."""
    from components import storage

    return storage.listing(location(source))


# -- what is there -------------------------------------------------------------------------------------


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of some 4 MB: ranges of a large file, many small ones, rows of a table.

    Raises:
        DataError: there is no text, or a table has no such column.
    """
    from components import archives, storage

    path = location(source)
    named = alone = False
    base: dict[str, Any] = {"archive": None}
    if storage.is_folder(path):
        found = [(storage.relative(e.path, path), e.path, e.bytes) for e in storage.listing(path)]
    elif archives.is_archive(path):
        base = {"archive": path}
        found = [(m.name, m.name, m.bytes) for m in archives.members(path) if not _is_hidden(m.name)]
    else:
        named, alone = True, not _is_glob(path)
        root = _root(path) if not alone else path.rpartition("/")[0]
        found = [(_below(root, e.path), e.path, e.bytes) for e in storage.listing(path)]
    conllu = source.startswith("conllu:")
    pieces: list[dict[str, Any]] = []
    for name, place, size in found:
        kind = _format(name, conllu, named, read)
        if kind:
            pieces.append({"name": name, "path": place, "bytes": size, "format": kind, "alone": alone})
    if not pieces:
        wanted = ", ".join(CONLLU if conllu else (*read.suffixes, *CONLLU, *ROWS))
        raise DataError(f"data.source '{source}': there is no text in '{path}' ({wanted}, .gz)")
    parts = official_parts([p["name"] for p in pieces if p["format"] == "conllu"])
    return _chunks([{**p, "part": parts.get(p["name"])} for p in pieces], base, read)


def _is_glob(path: str) -> bool:
    from components import storage

    return storage.has_magic(path) and not storage.exists(path)


def _is_hidden(name: str) -> bool:
    """What a folder's listing leaves out too, and the twins that macOS packs beside each file."""
    return name.startswith("__MACOSX/") or any(part.startswith(".") for part in name.split("/"))


def _root(glob: str) -> str:
    """The folder before the first wildcard."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0].rpartition("/")[0]


def _below(root: str, file: str) -> str:
    from components import storage

    return storage.relative(file, root) if root else file.lstrip("/")


def _format(name: str, conllu: bool, named: bool, read: Read) -> str | None:
    """text, conllu, jsonl or parquet by the suffix; None for a file that is not meant."""
    lower = name.lower()
    for packed in PACKED:
        lower = lower.removesuffix(packed)
    if conllu:
        return "conllu" if named or lower.endswith(CONLLU) else None
    if lower.endswith(CONLLU):
        return "conllu"
    rows = next((kind for suffix, kind in ROWS.items() if lower.endswith(suffix)), None)
    return rows or ("text" if named or lower.endswith(read.suffixes) else None)


def official_parts(names: list[str]) -> dict[str, str]:
    """Name → official part, of treebank files called ...-train, -dev, -test. Without a file for training or
    one for validation the other is the development part, which the two share. Without a test file
    there are no official parts.
    """
    found = {}
    for name in names:
        match = re.search(r"(?:^|[-_./])(train|dev|test)\.conllu?(?:\.\w+)?$", name.lower())
        if match:
            found[name] = OFFICIAL[match[1]]
    there = set(found.values())
    if "test" not in there or len(there) < 2:
        return {}
    if len(there) < 3:
        return {name: part if part == "test" else "development" for name, part in found.items()}
    return found


def _chunks(pieces: list[dict[str, Any]], base: dict[str, Any], read: Read) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = []
    small: list[dict[str, Any]] = []
    for piece in pieces:
        if piece["format"] in ("jsonl", "parquet") and not base["archive"]:
            chunks += text_rows.plan(piece, read.field, read.id)
        elif piece["format"] == "text" and not base["archive"] and _is_large(piece):
            chunks += [{**base, "pieces": [part]} for part in _ranges(piece, read)]
        else:
            if small and (
                sum(p["bytes"] for p in small) + piece["bytes"] > CHUNK_BYTES or len(small) >= CHUNK_FILES
            ):
                chunks.append({**base, "pieces": small})
                small = []
            small.append(piece)
    return [*chunks, {**base, "pieces": small}] if small else chunks


def _is_large(piece: dict[str, Any]) -> bool:
    return piece["bytes"] > CHUNK_BYTES and not piece["name"].lower().endswith(PACKED)


def _ranges(piece: dict[str, Any], read: Read) -> Iterator[dict[str, Any]]:
    """A large file as ranges of whole blocks; as it is where it is UTF-16, which only its beginning shows."""
    from components import storage

    with storage.opened(piece["path"]) as stream:
        if stream.read(2) in UTF16_MARKS:
            yield piece
            return
        stream.seek(0)
        start = stop = 0
        for begin, body in blocks(stream, read.block, read.longest):
            stop = begin + len(body)
            if stop - start >= CHUNK_BYTES:
                yield {**piece, "start": start, "stop": stop}
                start = stop
        if stop > start:
            yield {**piece, "start": start, "stop": stop}


# -- what it says --------------------------------------------------------------------------------------


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of one chunk."""
    if "rows" in chunk:
        yield from text_rows.read(chunk, options.field, options.id, _blocks_of(options))
    elif chunk["archive"]:
        yield from _archived(chunk, options)
    else:
        for piece in chunk["pieces"]:
            yield from _file(piece, options)


def _blocks_of(options: Read) -> dict[str, Any]:
    return {"least": options.block, "longest": options.longest, "policy": options.policy}


def _archived(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    from components import archives

    fit = {}
    for piece in chunk["pieces"]:
        name = piece["name"]
        if piece["format"] in ("jsonl", "parquet") or name.lower().endswith(PACKED):
            yield Rejected(name, "packed-twice", "it is a table or packed file in an archive", "unpack it")
        elif piece["bytes"] > MEMBER_BYTES:
            reason = f"it has {piece['bytes']:,} bytes; the most in an archive is {MEMBER_BYTES:,}"
            yield Rejected(name, "too-large", reason, "unpack the archive")
        else:
            fit[name] = piece
    for name, body in archives.contents(chunk["archive"], fit):
        if isinstance(body, Exception):
            yield Rejected(name, "damaged", f"it cannot be unpacked: {body}", "pack the archive again")
        else:
            yield from _records(fit[name], io.BytesIO(body), 0, options)


def _file(piece: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of one file, or of a range. One of many that cannot be opened, or is damaged from some
    place on, is told as rejected; one that is named itself stops the line."""
    from components import archives, storage

    try:
        if "stop" in piece:
            with storage.opened(piece["path"]) as opened:
                opened.seek(piece["start"])
                stream: Any = io.BytesIO(opened.read(piece["stop"] - piece["start"]))
            yield from _records(piece, stream, piece["start"], options)
        else:
            with archives.decompressed(piece["path"]) as stream:
                yield from _records(piece, stream, 0, options)
    except (DataError, OSError) as error:
        if piece["alone"] or storage.is_remote(piece["path"]):
            raise
        reason = f"it cannot be read to its end: {error}"
        yield Rejected(piece["name"], "damaged", reason, "mend it or leave it out")


def _records(piece: dict[str, Any], stream: Any, start: int, options: Read) -> Iterator[Record | Rejected]:
    if piece["format"] == "conllu":
        yield from sentences_of(stream, piece["name"], piece["part"], options.tag, options.policy)
        return
    group = None if piece["alone"] else piece["name"]
    yield from whole_document(stream, piece["name"], group, start, **_blocks_of(options))
