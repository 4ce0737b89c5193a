"""Documents and treebanks as records: what is unfit is set aside by its rule, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from components import conllu
from components.modalities import Part, Record, Rejected
from components.text_blocks import Policy, Unfit, blocks, decoded, refuse_utf16

RECORD = [
    pa.field("text", pa.string()),
    pa.field("words", pa.list_(pa.string())),  # of a tagged sentence; else null
    pa.field("tags", pa.list_(pa.string())),
]
CONTENT = ("text", "tags")


def whole_document(
    stream: Any, name: str, group: str | None, start: int, *, least: int, longest: int, policy: Policy
) -> Iterator[Record | Rejected]:
    """The blocks of a document, or of the range of it that begins at byte `start`."""
    empty = start == 0
    for place, body in blocks(stream, least, longest, start):
        key = f"{name}@{place:012d}"
        try:
            if not place:
                refuse_utf16(body)
            text = decoded(body, place, policy)
        except Unfit as error:
            whole = error.rule == "utf-16"
            yield Rejected(name if whole else key, error.rule, str(error), error.remedy)
            if whole:
                return
            empty = False
            continue
        if text:
            empty = False
            yield Record(key, {"text": text}, group=group)
    if empty:
        yield Rejected(name, "empty", "it holds no text", "leave it out")


def sentences_of(
    stream: Any, name: str, part: Part | None, tag: conllu.Tag, policy: Policy
) -> Iterator[Record | Rejected]:
    """The sentences of a treebank's file; those of one `newdoc` are a group."""
    none = True
    try:
        for found in conllu.sentences(stream, tag, policy):
            none = False
            key = found.name or f"{name}#{found.number}"
            if isinstance(found, conllu.Malformed):
                yield Rejected(key, found.rule, found.reason, found.remedy)
                continue
            fields = {"text": found.text, "words": found.words, "tags": found.tags}
            group = None if found.document is None else f"{name}#{found.document}"
            yield Record(key, fields, part=part, group=group)
    except Unfit as error:
        yield Rejected(name, error.rule, str(error), error.remedy)
        return
    if none:
        yield Rejected(name, "empty", "it holds no sentence", "leave it out")
