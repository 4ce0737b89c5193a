"""PNG files of the plainest kind, decoded by Pillow's decoder without its search through the file.

Of a small picture, finding and naming the parts of its file costs Pillow as much as decoding it. A file
that holds a header, the data and the end and nothing else needs none of that: its data are handed to the
same decoder. Every other file, and one in which anything is odd, is left to Pillow as a whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from components.picture_modes import pillow

MOST_BYTES = 2**20  # of larger files the data are nearly all that costs
BEGIN = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
FIRST = 8 + 4 + 4 + 13 + 4  # where the header ends: signature, length, name, 13 bytes, checksum
HEADER = struct.Struct(">IIBBBBBI")  # width, height, depth, colour, compression, filter, interlace, checksum
CHUNK = struct.Struct(">I4s")
MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}  # 8 bits a channel, no palette


def picture(data: bytes, check: Callable[[int, int], None]) -> Any:
    """Pillow's picture of the file, or None where it is not of the plainest kind.

    Args:
        check: raises where a picture of this width and height is not to be decoded.
    """
    if not FIRST < len(data) <= MOST_BYTES or not data.startswith(BEGIN):
        return None
    width, height, depth, colour, *method, checksum = HEADER.unpack_from(data, len(BEGIN))
    mode = MODES.get(colour)
    if mode is None or depth != 8 or any(method) or not width or not height:
        return None
    if zlib.crc32(data[12 : FIRST - 4]) != checksum or (body := _body(data)) is None:
        return None
    check(width, height)
    try:
        return pillow().frombytes(mode, (width, height), body, "zip", mode, 0)
    except Exception:  # whatever is wrong with it, Pillow's own reading of the file says so
        return None


def _body(data: bytes) -> bytes | None:
    """The compressed pixels; None where the file holds anything beside them."""
    parts: list[bytes] = []
    at = FIRST
    while at + 8 <= len(data):
        length, name = CHUNK.unpack_from(data, at)
        if name == b"IEND":
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if name != b"IDAT" or at + 12 + length > len(data):
            return None
        parts.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    return None
