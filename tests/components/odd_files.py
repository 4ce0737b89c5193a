"""Odd and broken image files, made byte by byte: what is in each, and by which rule it is rejected if so."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA, PALETTE = 0, 2, 4, 6, 3  # PNG's colour types


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    values: np.ndarray, kind: int, *extra: bytes, depth: int = 8, sides: tuple[int, int] | None = None
) -> bytes:
    """A PNG of `[H, W]` or `[H, W, C]` levels; `sides` is what its header claims, height first."""
    rows = values.astype(">u2" if depth == 16 else np.uint8).reshape(len(values), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = sides or values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(width: int, height: int, data: bytes, **tags: int) -> bytes:
    """A little-endian TIFF of one strip, or of one tile where `tile` gives its side."""
    tile = tags.pop("tile", 0)
    bits, sample_format = tags.pop("bits", 8), tags.pop("sample_format", 1)
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (277, 1), (339, sample_format)]
    if tile:
        entries += [(322, tile), (323, tile), (324, 0), (325, len(data))]
    else:
        entries += [(273, 0), (278, height), (279, len(data))]
    at = 8 + 2 + 12 * len(entries) + 4
    packed = b"".join(
        struct.pack("<HHII", tag, 4, 1, at if tag in (273, 324) else value) for tag, value in sorted(entries)
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", 0) + data


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def photo(height: int = 24, width: int = 32) -> Image.Image:
    """Something with edges, slopes and noise."""
    values = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    values[..., 0] += np.linspace(0, 190, width).astype(int)
    values[: height // 2, : width // 2, 1] += 150
    return Image.fromarray(values.astype(np.uint8))


def gif_bomb() -> bytes:
    """65,535 x 65,535 pixels in 43 bytes."""
    return (
        b"GIF89a"
        + struct.pack("<HH", 1, 1)
        + b"\x80\0\0"
        + b"\0\0\0\xff\xff\xff"
        + b"\x2c"
        + struct.pack("<HHHH", 0, 0, 65535, 65535)
        + b"\0\x02\x02\x4c\x01\0;"
    )


def webp_bomb() -> bytes:
    """An animation of one pixel on a canvas of 16,383 x 16,383."""
    frame = saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    header = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + 2 * (16_382).to_bytes(3, "little")
    loop = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    still = b"ANMF" + struct.pack("<I", 16 + len(frame)) + bytes(12) + b"\x64\0\0\0" + frame
    body = b"WEBP" + header + loop + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def crafted() -> dict[str, tuple[bytes, str | None]]:
    """Name → (bytes, rule by which it is rejected; None where it is an image)."""
    picture = photo()
    whole = {
        "png": saved(picture, "PNG"),
        "jpg": saved(picture, "JPEG"),
        "gif": saved(picture, "GIF"),
        "tif": saved(picture, "TIFF"),
        "webp": saved(picture, "WEBP"),
        "bmp": saved(picture, "BMP"),
        "ppm": saved(picture, "PPM"),
    }
    ramp = np.arange(64).reshape(8, 8) * 1000
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    moving = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    huge = png(np.zeros((1, 1)), GREY, sides=(60_000, 60_000))
    text_bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))
    files: dict[str, tuple[bytes, str | None]] = {
        **{f"whole.{end}": (data, None) for end, data in whole.items()},
        **{f"half.{end}": (data[: len(data) // 2], "truncated") for end, data in whole.items()},
        **{f"late.{end}": (data[: len(data) * 9 // 10], "truncated") for end, data in whole.items()},
        "signature only.png": (whole["png"][:8], "truncated"),
        "signature only.jpg": (whole["jpg"][:3], "truncated"),
        "zero bytes.png": (b"", "empty-file"),
        "zeros.png": (bytes(200), "foreign-format"),
        "jpeg named.png": (whole["jpg"], None),
        "png named.jpg": (whole["png"], None),
        "trailing junk.png": (whole["png"] + b"<script>" * 9, None),
        "trailing junk.jpg": (whole["jpg"] + b"<script>" * 9, None),
        "huge header.png": (huge, "too-many-pixels"),
        "long.png": (png(np.zeros((1, 70_000)), GREY), "too-many-pixels"),
        "bomb.gif": (gif_bomb(), "too-many-pixels"),
        "bomb.webp": (webp_bomb(), "too-many-pixels"),
        "tile bomb.tif": (tiff(10, 10, bytes(100), tile=30_000), "too-many-pixels"),
        "text bomb.png": (png(ramp % 256, GREY, text_bomb), "unreadable"),
        "wrong checksum.png": (whole["png"][:29] + bytes(4) + whole["png"][33:], "unreadable"),
        "noise inside.png": (whole["png"][:60] + b"\xff" * 40 + whole["png"][100:], "unreadable"),
        "one pixel.png": (png(np.array([[7]]), GREY), None),
        "one column.png": (png(np.arange(200).reshape(200, 1), GREY), None),
        "one row.png": (png(np.arange(200).reshape(1, 200), GREY), None),
        "grey16.png": (png(ramp, GREY, depth=16), None),
        "colour16.png": (png(np.stack([ramp] * 3, -1), COLOUR, depth=16), None),
        "alpha16.png": (png(np.stack([ramp] * 4, -1), COLOUR_ALPHA, depth=16), None),
        "cmyk with adobe.jpg": (saved(cmyk, "JPEG"), None),
        "cmyk without adobe.jpg": (without_adobe(saved(cmyk, "JPEG")), None),
        "progressive.jpg": (saved(picture, "JPEG", progressive=True), None),
        "moving.gif": (saved(moving[0], "GIF", save_all=True, append_images=moving[1:]), None),
        "moving.png": (saved(moving[0], "PNG", save_all=True, append_images=moving[1:]), None),
        "moving.webp": (saved(moving[0], "WEBP", save_all=True, append_images=moving[1:]), None),
        "pages.tif": (saved(moving[0], "TIFF", save_all=True, append_images=moving[1:]), None),
        "lzw.tif": (saved(picture, "TIFF", compression="tiff_lzw"), None),
        "grey16.tif": (saved(Image.fromarray(ramp.astype(np.uint16)), "TIFF"), None),
        "float.tif": (saved(Image.fromarray(ramp.astype(np.float32)), "TIFF"), "unclear-range"),
        "signed.tif": (tiff(8, 8, bytes(128), bits=16, sample_format=2), "unclear-range"),
        "icon.png": (saved(picture, "ICO"), "foreign-format"),
        "vector.png": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "foreign-format"),
        "page.png": (b"<!DOCTYPE html><html>404</html>", "foreign-format"),
        "photoshop.png": (b"8BPS" + bytes(60), "foreign-format"),
        "telephone.jpg": (b"\0\0\0\x18ftypheic" + bytes(60), "foreign-format"),
    }
    return files


def without_adobe(jpeg: bytes) -> bytes:
    """The same file without the marker that says that its inks are stored inverted."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]
