"""A decoded picture as a person would see it: upright, 8 bits, on its background, in the size that is asked for.

The policy for every odd file stands in components.decoding; here is how it is done with Pillow's pictures.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any, Literal

import numpy as np

from components.unreadable import Unreadable

Policy = Literal["crop", "fit", "pad", "stretch"]
Alpha = Literal["white", "black", "keep"]


@cache
def pillow() -> Any:
    """Pillow's Image module; what it murmurs about odd files stays out of the log: the policy is above."""
    from PIL import Image

    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


@cache
def operations() -> ModuleType:
    """Pillow's ImageOps."""
    from PIL import ImageOps

    return ImageOps


def upright(picture: Any) -> Any:
    """Turned as its EXIF or XMP says; Pillow does so by itself for TIFF."""
    info = picture.info
    if "exif" in info or "xmp" in info or "XML:com.adobe.xmp" in info or "Raw profile type exif" in info:
        with suppress(Exception):  # a damaged EXIF block says nothing about the pixels
            operations().exif_transpose(picture, in_place=True)
    return picture


def eight_bits(picture: Any) -> Any:
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
        return pillow().fromarray(grey)
    return pillow().fromarray(np.stack([grey, np.where(wide == clear, 0, 255).astype(np.uint8)], -1))


def converted(picture: Any, colour: str, alpha: str) -> Any:
    """In grey or RGB; alpha laid on the background, or kept."""
    goal = "L" if colour == "grey" else "RGB"
    if picture.mode == "CMYK" and picture.format in ("JPEG", "MPO") and "adobe" not in picture.info:
        picture = picture.point(lambda ink: 255 - ink)  # Pillow takes all inks to be inverted, as Adobe's are
    transparent = picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
    if alpha == "keep":
        picture = picture if transparent else picture.convert("RGB")  # not every mode becomes RGBA at once
        return picture.convert("RGBA").convert("LA" if goal == "L" else "RGBA")
    if transparent:
        above = picture.convert("RGBA")
        picture = pillow().new("RGBA", above.size, alpha)
        picture.alpha_composite(above)
    if picture.mode == goal:
        return picture
    return (
        picture.convert(goal) if picture.mode in ("L", "1", "RGB") else picture.convert("RGB").convert(goal)
    )


def sides(resize: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    return (resize, resize) if isinstance(resize, int) else (resize[0], resize[1])


def in_size(picture: Any, sides: tuple[int, int], policy: Policy, alpha: str) -> Any:
    """To (height, width) as `policy` says. LANCZOS averages over all pixels that fall into one."""
    height, width = sides
    lanczos = pillow().Resampling.LANCZOS
    if picture.size == (width, height):
        return picture
    if policy == "crop":
        return operations().fit(picture, (width, height), lanczos)
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
    canvas = pillow().new(picture.mode, (width, height), fill)
    canvas.paste(picture, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
