"""Text cut into blocks of whole lines, and their bytes read by one written policy.

A block ends at the first end of a line from `least` bytes on, so that a file that grows keeps its old
blocks. Where a line has no end for `longest` bytes it is cut between two characters: however the file
is made, no more than one block is in memory.

| the file has                     | what happens                                                              |
|----------------------------------|---------------------------------------------------------------------------|
| bytes that are not UTF-8         | `not-utf8`, the block is rejected with the byte's place; or shown U+FFFD  |
| NUL                              | `nul`, likewise                                                           |
| the mark of UTF-16 or UTF-32     | `utf-16`, the whole file is rejected                                      |
| the mark of UTF-8                | removed from the beginning; elsewhere it is a character                   |
| ends of lines CR, CR LF or both  | kept, or made LF; statistics count them                                   |
| a line longer than `longest`     | cut into several blocks                                                   |
| nothing                          | `empty`, rejected                                                         |
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UNKNOWN = "\ufffd"
READ_BYTES = 1_000_000

Errors = Literal["reject", "replace"]


class Unfit(Exception):
    """What is wrong with bytes that were to be text: by which rule, the reason, and the remedy."""

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.remedy = rule, reason, remedy


@dataclass(frozen=True)
class Policy:
    """How bytes become text: see `decoded`."""

    errors: Errors = "reject"
    newlines: Literal["keep", "unix"] = "keep"
    normalise: Literal["none", "NFC"] = "none"


def blocks(stream: Any, least: int, longest: int, position: int = 0) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of each block; joined they are what the stream holds.

    Args:
        stream: has `read(size)`; its first byte is at `position` of the document.
        least: 1 gives single lines.
        longest: at least 16, and no less than `least`.
    """
    buffer, offset, ended = b"", 0, False
    while True:
        cut = buffer.find(b"\n", offset + least - 1, offset + longest) + 1
        if not cut:
            if not ended and len(buffer) - offset <= longest:
                more = stream.read(READ_BYTES)
                buffer, offset, ended = buffer[offset:] + more, 0, not more
                continue
            if offset == len(buffer):
                return
            cut = len(buffer)
            if cut - offset > longest:
                cut = offset + _whole_characters(buffer[offset : offset + longest])
        yield position, buffer[offset:cut]
        position += cut - offset
        offset = cut


def _whole_characters(piece: bytes) -> int:
    """How many bytes of `piece` to keep so that no character, and no \\r\\n, is cut in two."""
    cut = len(piece)
    for back in range(1, 4):
        byte = piece[-back]
        if byte >= 0xC0:  # the first byte of a character of two to four
            cut -= back if 2 + (byte >= 0xE0) + (byte >= 0xF0) > back else 0
            break
        if byte < 0x80:
            break
    return cut - 1 if piece[:cut].endswith(b"\r") else cut


def refuse_utf16(head: bytes) -> None:
    """Raises Unfit where a document begins with the mark of UTF-16."""
    if head.startswith(UTF16_MARKS):
        raise Unfit(
            "utf-16",
            "it begins with the mark of UTF-16 at byte 0",
            "save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8",
        )


def decoded(body: bytes, place: int, policy: Policy) -> str:
    """The text of a block that begins at byte `place` of its document; a mark at byte 0 is left out.

    With errors "replace" each bad sequence, and NUL, becomes U+FFFD.

    Raises:
        Unfit: not UTF-8 (surrogates and overlong forms are not), or NUL; with the byte's place.
    """
    try:
        text = body.decode("utf-8", "strict" if policy.errors == "reject" else "replace")
    except UnicodeDecodeError as error:
        raise Unfit(
            "not-utf8",
            f"not UTF-8 at byte {place + error.start}: {error.reason}",
            "save it as UTF-8, or set data.read.errors to replace",
        ) from error
    if "\0" in text:
        if policy.errors == "reject":
            raise Unfit(
                "nul",
                f"NUL at byte {place + body.index(0)}: no text holds it",
                "see whether it is text in UTF-8; if it is, set data.read.errors to replace",
            )
        text = text.replace("\0", UNKNOWN)
    return tidied(text if place else text.removeprefix("\ufeff"), policy)


def tidied(text: str, policy: Policy) -> str:
    """The text with the newlines and the normal form that the policy asks for."""
    if policy.newlines == "unix" and "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text) if policy.normalise == "NFC" else text
