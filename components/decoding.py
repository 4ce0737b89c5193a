"""Image files to pixels, as a person would see them: one policy for every odd file.

Pillow is the only decoder (TensorFlow's narrows 16 bits and ignores EXIF). What becomes of a file:

| the file has                        | what happens                                                              |
|-------------------------------------|---------------------------------------------------------------------------|
| EXIF or XMP orientation             | turned upright; an unreadable EXIF block is ignored                       |
| 16 bits, grey or colour             | scaled to 8: the high byte (never clipped)                                |
| 32 bits, signed or floating point   | rejected `unclear-range`: the file does not say what is white             |
| 1 bit, 2 or 4 bits, a palette       | the levels or colours that they stand for                                 |
| CMYK, YCCK, YCbCr, LAB              | RGB by the standard formula; inks as Adobe's marker says, inverted or not |
| alpha, tRNS, transparent colour     | laid on `alpha: white` or `black`; `keep` adds the alpha as last channel  |
| an ICC profile, gamma, chromaticity | ignored: the stored values are taken as sRGB                              |
| several frames or pages             | the first; an APNG's still picture                                        |
| the wrong extension                 | read by its content                                                       |
| something after its end             | ignored                                                                   |
| another format (PSD, ICO, SVG, PDF) | rejected `foreign-format`                                                 |
| no bytes                            | rejected `empty-file`                                                     |
| an end that is missing              | rejected `truncated`                                                      |
| damage                              | rejected `unreadable`                                                     |
| more than 50 million pixels, a side over 65,535 | rejected `too-many-pixels`, before they are decoded           |
| more than 256 MiB                   | rejected `too-many-bytes`                                                 |
| a side below `min_side`             | rejected `too-small`                                                      |

Memory: while one image is decoded at most about 24 bytes for each of its pixels, its file included.
"""

from __future__ import annotations

import io
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from components import plain_png
from components.picture_modes import Alpha, Policy, converted, eight_bits, in_size, pillow, sides, upright
from components.settings import Settings
from components.unreadable import MAX_BYTES, MAX_PIXELS, Unreadable, check_length, check_size, diagnosis

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "Look",
    "Unreadable",
    "bytes_of",
    "pixels_of",
    "resized",
    "stored_bytes",
]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff"),
    *(".gif", ".bmp", ".dib", ".pgm", ".ppm", ".pbm", ".pnm"),
)

Side = Annotated[int, Field(ge=4, le=4096)]


class Look(Settings):
    """What an image looks like once it is read."""

    resize: Side | tuple[Side, Side] | None = Field(
        None, description="side of a square, or [height, width], in pixels; antialiased"
    )
    policy: Policy = Field(
        "crop",
        description="crop: the centre fills the size; pad: all of it, with a border; stretch: the "
        "proportions give way; fit: all of it, inside the size, which is not filled",
    )
    colour: Literal["grey", "rgb"] = Field("rgb", description="what decoded image files are converted to")
    alpha: Alpha = Field(
        "white", description="what shows through, and the border of pad; keep: alpha is the last channel"
    )
    min_side: int = Field(1, ge=1, le=65_535, description="images with a shorter side are rejected")


def pixels_of(source: Path | bytes, look: Look) -> np.ndarray:
    """The picture in a file or in its bytes: uint8 `[height, width, 1 or 3]`, one more with its alpha.

    Raises:
        Unreadable: the file is not as the policy above wants it.
        OSError: a path that cannot be opened.
    """
    data = source if isinstance(source, bytes) else bytes_of(source)
    check_length(len(data))
    try:
        plain = plain_png.picture(data, partial(check_size, min_side=look.min_side))
        picture = _decoded(data, look) if plain is None else converted(plain, look.colour, look.alpha)
        if look.resize is not None:
            picture = in_size(picture, sides(look.resize), look.policy, look.alpha)
        pixels = np.frombuffer(picture.tobytes(), np.uint8)
    except Unreadable:
        raise
    except Exception as error:  # whatever Pillow raises on a foreign file is a reason, not a crash
        raise diagnosis(data, error) from error
    return pixels.reshape(picture.height, picture.width, len(picture.getbands()))


def _decoded(data: bytes, look: Look) -> Any:
    """The picture as Pillow reads the file."""
    with pillow().open(io.BytesIO(data), formats=FORMATS) as opened:
        check_size(opened.width, opened.height, look.min_side)
        if opened.format == "TIFF":  # a small image may come in enormous tiles
            check_size(opened.tag_v2.get(322, 1), opened.tag_v2.get(323, 1), 1)
        if look.resize is not None and opened.format in ("JPEG", "MPO"):
            reach = 2 * max(sides(look.resize))
            opened.draft(None, (reach, reach))  # decodes at a half, quarter or eighth where that is ample
        opened.load()
        return converted(eight_bits(upright(opened)), look.colour, look.alpha)


def bytes_of(path: Path | str, flags: int = 0) -> bytes:
    """A file on this machine, if it is not too large; `flags` are further ones of os.open.

    Raises:
        Unreadable: it has no bytes or too many; OSError: it cannot be opened.
    """
    file = os.open(path, os.O_RDONLY | flags)
    try:
        length = os.fstat(file).st_size
        check_length(length)
        data = os.read(file, length + 1)
        while len(data) < length and (
            more := os.read(file, length - len(data))
        ):  # one call reads 2 GiB at most
            data += more
        return data
    finally:
        os.close(file)


def stored_bytes(path: str, look: Look) -> int:
    """Bytes of the pixels that `pixels_of` would give, by the file's header; 0 where it cannot be read."""
    try:
        with pillow().open(path, formats=FORMATS) as opened:
            width, height = opened.size
    except Exception:  # why, is said when it is read
        return 0
    if look.resize is not None:
        high, wide = sides(look.resize)
        scale = min(high / height, wide / width) if look.policy == "fit" else 0
        height, width = (round(height * scale), round(width * scale)) if scale else (high, wide)
    return width * height * ((1 if look.colour == "grey" else 3) + (look.alpha == "keep"))


def resized(
    image: np.ndarray, resize: int | tuple[int, int] | None, policy: Policy = "crop", alpha: str = "white"
) -> np.ndarray:
    """uint8 `[H, W, C]` → `[height, width, C]` (with `fit`: at most that), antialiased. See Look."""
    if resize is None or image.shape[:2] == sides(resize):
        return image
    channels = image.shape[-1]
    picture = pillow().fromarray(image.squeeze(-1) if channels == 1 else image)
    smaller = np.asarray(in_size(picture, sides(resize), policy, alpha), np.uint8)
    return smaller.reshape(*smaller.shape[:2], channels)
