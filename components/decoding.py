"""Image files to pixels, as a person would see them.

Pillow is the only decoder (TensorFlow's narrows 16 bits and ignores EXIF). Policy: EXIF orientation
applied, alpha laid on white, 16 bits scaled to 8, the first frame of an animation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

MAX_PIXELS = 50_000_000  # a larger image is an error, not a warning: decompression bombs


def pixels_of(path: Path, colour: Literal["grey", "rgb"], side: int | None) -> np.ndarray:
    """The picture in a file, uint8 `[height, width, 1 or 3]`; a square of `side` where it is given.

    Raises:
        Exception: whatever Pillow raises on a file that is damaged or foreign; ValueError: too large.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"{opened.width}x{opened.height} pixels; the most is {MAX_PIXELS:,}")
        opened.load()
        image: Any = ImageOps.exif_transpose(opened)
        if image.mode.startswith(("I", "F")):  # 16 bits and more: scale, where Pillow would clip
            wide = np.asarray(image, np.float64)
            narrow = np.rint(wide / max(wide.max(), 65535) * 255).astype(np.uint8)
            if "transparency" in image.info:
                narrow[wide == image.info["transparency"]] = 255
            image = Image.fromarray(narrow)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        pixels = np.asarray(image.convert("L" if colour == "grey" else "RGB"), np.uint8)
    return resized(pixels[..., None] if pixels.ndim == 2 else pixels, side)


def resized(image: np.ndarray, side: int | None) -> np.ndarray:
    """Centre crop to a square, then an antialiased resize to `side`."""
    if side is None or image.shape[:2] == (side, side):
        return image
    from PIL import Image, ImageOps

    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    fitted = np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS), np.uint8)
    return fitted.reshape(side, side, image.shape[-1])
