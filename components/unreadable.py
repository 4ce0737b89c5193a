"""Image files that are set aside: the limits before one is decoded, and the reason when Pillow gives up."""

from __future__ import annotations

import re

MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535  # JPEG's own limit; the tables of a resize grow with the side, not with the pixels
MAX_BYTES = 256 * 2**20


class Unreadable(Exception):
    """An image that is set aside: by which rule, why and what would help."""

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.remedy = rule, reason, remedy


def check_length(length: int) -> None:
    """Raises Unreadable for a file without bytes, or with too many."""
    if length == 0:
        raise Unreadable("empty-file", "the file has no bytes", "copy it again from its origin, or delete it")
    if length > MAX_BYTES:
        raise Unreadable(
            "too-many-bytes", f"the file has more than {MAX_BYTES:,} bytes", "save it smaller, or cut it up"
        )


def check_size(width: int, height: int, min_side: int) -> None:
    """Raises Unreadable for an image with too many pixels, or with a side below `min_side`."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        limits = f"at most {MAX_PIXELS:,} pixels and {MAX_SIDE:,} a side are read"
        raise Unreadable(
            "too-many-pixels",
            f"the image has {width} x {height} pixels; {limits}",
            "scale it down, or tile it",
        )
    if min(width, height) < min_side:
        raise Unreadable(
            "too-small",
            f"the image has {width} x {height} pixels; data.read.min_side is {min_side}",
            "lower data.read.min_side, or leave the image out",
        )


_OURS = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|P[1-7fF][\s#]", re.DOTALL)
_FOREIGN = (
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"\0\0[\1\2]\0"), "an icon"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"....ftyp", re.DOTALL), "HEIC, AVIF or a video"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), "a text such as SVG or HTML"),
)


def diagnosis(data: bytes, error: Exception) -> Unreadable:
    """Why Pillow failed, in a sentence that is the same at every run."""
    if not _OURS.match(data):
        kind = next((name for begins, name in _FOREIGN if begins.match(data)), "an unknown kind of file")
        return Unreadable(
            "foreign-format",
            f"this is {kind}; read are PNG, JPEG, WebP, TIFF, GIF, BMP, PGM and PPM",
            "save it as PNG, or leave it out",
        )
    said = re.sub(r" ?<[^>]*>| at 0x[0-9a-f]+", "", str(error))
    if "DecompressionBomb" in type(error).__name__:
        return Unreadable(
            "too-many-pixels",
            f"the image has far more than {MAX_PIXELS:,} pixels",
            "scale it down, or tile it",
        )
    if _cut_short(data, error):
        return Unreadable("truncated", "the file ends before the image does", "copy it again from its origin")
    if type(error).__name__ == "UnidentifiedImageError":
        said = "its header is damaged"
    return Unreadable(
        "unreadable", f"the image is damaged: {said or type(error).__name__}", "copy it again from its origin"
    )


def _cut_short(data: bytes, error: Exception) -> bool:
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return True
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data
    return data.startswith(b"RIFF") and int.from_bytes(data[4:8], "little") + 8 > len(data)
