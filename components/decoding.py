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
import re
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from components.settings import Settings

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff"),
    *(".gif", ".bmp", ".dib", ".pgm", ".ppm", ".pbm", ".pnm"),
)
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535  # JPEG's own limit; the tables of a resize grow with the side, not with the pixels
MAX_BYTES = 256 * 2**20

Side = Annotated[int, Field(ge=4, le=4096)]
Policy = Literal["crop", "fit", "pad", "stretch"]


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
    alpha: Literal["white", "black", "keep"] = Field(
        "white", description="what shows through, and the border of pad; keep: alpha is the last channel"
    )
    min_side: int = Field(1, ge=1, le=65_535, description="images with a shorter side are rejected")


class Unreadable(Exception):
    """An image that is set aside: by which rule, why and what would help."""

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.remedy = rule, reason, remedy


def pixels_of(source: Path | bytes, look: Look) -> np.ndarray:
    """The picture in a file or in its bytes: uint8 `[height, width, 1 or 3]`, one more with its alpha.

    Raises:
        Unreadable: the file is not as the policy above wants it.
        OSError: a path that cannot be opened.
    """
    data = source if isinstance(source, bytes) else bytes_of(source)
    _check_length(len(data))
    try:
        with _pillow().open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(opened.width, opened.height, look.min_side)
            if opened.format == "TIFF":  # a small image may come in enormous tiles
                _check_size(opened.tag_v2.get(322, 1), opened.tag_v2.get(323, 1), 1)
            if look.resize is not None and opened.format in ("JPEG", "MPO"):
                reach = 2 * max(_sides(look.resize))
                opened.draft(None, (reach, reach))  # decodes at a half, quarter or eighth where that is ample
            opened.load()
            picture = _converted(_eight_bits(_upright(opened)), look)
            if look.resize is not None:
                picture = _resized(picture, _sides(look.resize), look.policy, look.alpha)
            pixels = np.asarray(picture, np.uint8)
    except Unreadable:
        raise
    except Exception as error:  # whatever Pillow raises on a foreign file is a reason, not a crash
        raise _diagnosis(data, error) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def bytes_of(path: Path | str) -> bytes:
    """A file on this machine, if it is not too large.

    Raises:
        Unreadable: it has no bytes or too many; OSError: it cannot be opened.
    """
    with open(path, "rb", buffering=0) as file:
        _check_length(os.fstat(file.fileno()).st_size)
        return file.read()


def resized(
    image: np.ndarray, resize: int | tuple[int, int] | None, policy: Policy = "crop", alpha: str = "white"
) -> np.ndarray:
    """uint8 `[H, W, C]` → `[height, width, C]` (with `fit`: at most that), antialiased. See Look."""
    if resize is None or image.shape[:2] == _sides(resize):
        return image
    channels = image.shape[-1]
    picture = _pillow().fromarray(image.squeeze(-1) if channels == 1 else image)
    smaller = np.asarray(_resized(picture, _sides(resize), policy, alpha), np.uint8)
    return smaller.reshape(*smaller.shape[:2], channels)


@cache
def _pillow() -> Any:
    """Pillow's Image module; what it murmurs about odd files stays out of the log: the policy is above."""
    from PIL import Image

    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


@cache
def _operations() -> ModuleType:
    from PIL import ImageOps

    return ImageOps


# -- before decoding -----------------------------------------------------------------------------------


def _check_length(length: int) -> None:
    if length == 0:
        raise Unreadable("empty-file", "the file has no bytes", "copy it again from its origin, or delete it")
    if length > MAX_BYTES:
        raise Unreadable(
            "too-many-bytes", f"the file has more than {MAX_BYTES:,} bytes", "save it smaller, or cut it up"
        )


def _check_size(width: int, height: int, min_side: int) -> None:
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


# -- as a person would see it --------------------------------------------------------------------------


def _upright(picture: Any) -> Any:
    """Turned as its EXIF or XMP says; Pillow does so by itself for TIFF."""
    info = picture.info
    if "exif" in info or "xmp" in info or "XML:com.adobe.xmp" in info or "Raw profile type exif" in info:
        with suppress(Exception):  # a damaged EXIF block says nothing about the pixels
            _operations().exif_transpose(picture, in_place=True)
    return picture


def _eight_bits(picture: Any) -> Any:
    """A picture of one wide channel as grey (with alpha, where one of its levels is transparent)."""
    mode = picture.mode
    if not mode.startswith(("I", "F")):
        return picture
    if not (mode.startswith("I;16") or (mode == "I" and picture.format == "PPM")):  # a PGM's most is 65535
        raise Unreadable(
            "unclear-range",
            "the pixels are 32-bit, signed or floating point numbers, of which the file does not say what is "
            "black and what is white",
            "save it with 8 or 16 bits, or give the arrays as npy:",
        )
    wide = np.asarray(picture)
    grey = (wide >> 8).astype(np.uint8)
    clear = picture.info.get("transparency")
    if clear is None:
        return _pillow().fromarray(grey)
    return _pillow().fromarray(np.stack([grey, np.where(wide == clear, 0, 255).astype(np.uint8)], -1))


def _converted(picture: Any, look: Look) -> Any:
    """In grey or RGB; alpha laid on the background, or kept."""
    goal = "L" if look.colour == "grey" else "RGB"
    if picture.mode == "CMYK" and picture.format in ("JPEG", "MPO") and "adobe" not in picture.info:
        picture = picture.point(lambda ink: 255 - ink)  # Pillow takes all inks to be inverted, as Adobe's are
    transparent = picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
    if look.alpha == "keep":
        picture = picture if transparent else picture.convert("RGB")  # not every mode becomes RGBA at once
        return picture.convert("RGBA").convert("LA" if goal == "L" else "RGBA")
    if transparent:
        above = picture.convert("RGBA")
        picture = _pillow().new("RGBA", above.size, look.alpha)
        picture.alpha_composite(above)
    if picture.mode == goal:
        return picture
    return (
        picture.convert(goal) if picture.mode in ("L", "1", "RGB") else picture.convert("RGB").convert(goal)
    )


def _sides(resize: int | tuple[int, int]) -> tuple[int, int]:
    return (resize, resize) if isinstance(resize, int) else (resize[0], resize[1])


def _resized(picture: Any, sides: tuple[int, int], policy: Policy, alpha: str) -> Any:
    """To (height, width) as `policy` says. LANCZOS averages over all pixels that fall into one."""
    height, width = sides
    lanczos = _pillow().Resampling.LANCZOS
    if picture.size == (width, height):
        return picture
    if policy == "crop":
        return _operations().fit(picture, (width, height), lanczos)
    if policy == "stretch":
        return picture.resize((width, height), lanczos)
    scale = min(width / picture.width, height / picture.height)
    inner = (
        min(width, max(1, round(picture.width * scale))),
        min(height, max(1, round(picture.height * scale))),
    )
    picture = picture.resize(inner, lanczos)
    if policy == "fit" or inner == (width, height):
        return picture
    level = 255 if alpha == "white" else 0
    fill = level if picture.mode == "L" else (level,) * len(picture.getbands())
    canvas = _pillow().new(picture.mode, (width, height), fill)
    canvas.paste(picture, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


# -- what was wrong ------------------------------------------------------------------------------------

_OURS = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|P[1-7fF][\s#]", re.DOTALL)
_FOREIGN = (
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"\0\0[\1\2]\0"), "an icon"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"....ftyp", re.DOTALL), "HEIC, AVIF or a video"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), "a text such as SVG or HTML"),
)


def _diagnosis(data: bytes, error: Exception) -> Unreadable:
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
