"""CoNLL-U, the format of Universal Dependencies: sentences as words with their part of speech.

A sentence is comments (#), then lines of ten fields apart by tabs, then an empty line. Lines 1, 2, 3 ...
are words. 1-2 is how words 1 and 2 are written as one ("don't"), and 1.1 is a word that is only understood:
both are checked, and are no words. (universaldependencies.org/format.html)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from components.text_blocks import Policy, Unfit, blocks, decoded, refuse_utf16

UPOS = frozenset(
    ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM")
    + ("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X")
)
COLUMNS = {"upos": 3, "xpos": 4}
FORM, MISC, FIELDS = 1, 9, 10
LINE_BYTES = 100_000
MOST_LINES = 20_000
PLACE = re.compile(
    r"(?P<word>[1-9]\d{0,5})(?:-(?P<last>[1-9]\d{0,5}))?|(?P<after>0|[1-9]\d{0,5})\.[1-9]\d{0,5}"
)

Tag = Literal["upos", "xpos"]


@dataclass(frozen=True)
class Sentence:
    """One sentence, the `number`th of its file from 1; `document` is the file's `newdoc` it belongs to."""

    number: int
    name: str | None
    document: str | None
    text: str
    words: list[str]
    tags: list[str]


@dataclass(frozen=True)
class Malformed:
    """A sentence that is not as the format says: the rule, and the reason with its line."""

    number: int
    name: str | None
    document: str | None
    rule: str
    reason: str
    remedy: str


@dataclass
class _Raw:
    """The lines of one sentence: (line number, byte, content); `why` where they are not all there."""

    lines: list[tuple[int, int, bytes]] = field(default_factory=list)
    why: Unfit | None = None


def sentences(stream: Any, tag: Tag, policy: Policy) -> Iterator[Sentence | Malformed]:
    """The sentences of a file, one at a time.

    Raises:
        Unfit: the whole file is UTF-16.
    """
    document, documents = None, 0
    for number, raw in enumerate(_split(stream), 1):
        name = None
        try:
            if raw.why is not None:
                raise raw.why
            lines = [(line, decoded(body, byte, policy)) for line, byte, body in raw.lines]
            comments = dict(_comment(said) for _, said in lines if said.startswith("#"))
            name = comments.get("sent_id") or None
            if "newdoc" in comments or "newdoc id" in comments:
                documents += 1
                document = comments.get("newdoc id") or f"document {documents}"
            words, tags, written = _words(lines, tag)
        except Unfit as error:
            yield Malformed(number, name, document, error.rule, error.reason, error.remedy)
            continue
        yield Sentence(number, name, document, comments.get("text") or written, words, tags)


def _split(stream: Any) -> Iterator[_Raw]:
    """The lines of each sentence, without their ends."""
    raw, line = _Raw(), 0
    whole = True  # whether the last piece ended its line
    for byte, body in blocks(stream, 1, LINE_BYTES):
        if not byte:
            refuse_utf16(body)
        line += whole
        long, whole = not whole or len(body) >= LINE_BYTES - 4, body.endswith(b"\n")
        content = body.rstrip(b"\r\n")
        if not long and not content.strip():
            if raw.lines or raw.why:
                yield raw
            raw = _Raw()
        elif long or len(raw.lines) >= MOST_LINES:
            limit = f"{LINE_BYTES:,} bytes" if long else f"{MOST_LINES:,} lines"
            raw.why = raw.why or Unfit(
                "too-long", f"line {line}: more than {limit}", "see whether it is CoNLL-U"
            )
        else:
            raw.lines.append((line, byte, content))
    if raw.lines or raw.why:
        yield raw


def _comment(line: str) -> tuple[str, str]:
    name, _, value = line[1:].partition("=")
    return name.strip(), value.strip()


def _words(lines: list[tuple[int, str]], tag: Tag) -> tuple[list[str], list[str], str]:
    """The words, their tags, and the sentence as it is written."""
    words: list[str] = []
    tags: list[str] = []
    written = []
    covered = 0  # the last word that a 1-2 has written already
    for line, said in lines:
        if said.startswith("#") and not words and not covered:
            continue
        fields = said.split("\t")
        if len(fields) != FIELDS or not all(fields):
            count = f"{len(fields)} fields" if len(fields) != FIELDS else "an empty field"
            raise _wrong("not-ten-fields", line, f"{count}, and CoNLL-U has {FIELDS} apart by tabs")
        place = PLACE.fullmatch(fields[0])
        expected = int(place["after"]) == len(words) if place and place["after"] else False
        if place and place["word"]:
            expected = int(place["word"]) == len(words) + 1
        if not place or not expected:
            raise _wrong("bad-number", line, f"'{fields[0][:20]}' cannot follow word {len(words)}")
        if place["after"]:
            continue
        if place["last"]:
            if int(place["last"]) < int(place["word"]) or covered > len(words):
                raise _wrong("bad-number", line, f"'{fields[0]}' is no range behind the one before")
            covered = int(place["last"])
        else:
            words.append(fields[FORM])
            tags.append(_tag(fields, tag, line))
        if place["last"] or len(words) > covered:
            written.append(fields[FORM] + ("" if "SpaceAfter=No" in fields[MISC].split("|") else " "))
    if not words or covered > len(words):
        last = lines[-1][0]
        what = f"a range ends at word {covered}, the sentence at {len(words)}" if words else "no word"
        raise _wrong("no-words" if not words else "bad-number", last, what)
    return words, tags, "".join(written).rstrip(" ")


def _tag(fields: list[str], tag: Tag, line: int) -> str:
    found = fields[COLUMNS[tag]]
    if found == "_":
        raise _wrong("no-tag", line, f"'{fields[FORM][:40]}' has no {tag.upper()}")
    if tag == "upos" and found not in UPOS:
        raise _wrong("unknown-tag", line, f"'{found[:20]}' is none of the 17 UPOS tags")
    return found


def _wrong(rule: str, line: int, what: str) -> Unfit:
    return Unfit(rule, f"line {line}: {what}", "mend the line (universaldependencies.org/format.html)")
