"""What an evaluation has to show, ready for a page: pictures as `data:` addresses, texts as pieces."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

PICTURE_BYTES = 150_000  # a larger picture is made smaller: the page stays below 1 MB
TEXT_CHARACTERS = 1_200  # of samples, and as many of real text


def show(evaluation: Path) -> dict[str, Any]:
    """Samples and real examples of the folder `evaluation/`.

    Returns `pictures` and `texts`, each by `samples` and `real`, and `neighbours`: sixteen samples over
    the training images nearest to them, empty for what is no image.
    """
    shown: dict[str, Any] = {"pictures": {}, "texts": {}, "neighbours": ""}
    for part in ("samples", "real"):
        for file in evaluation.glob(f"{part}.*"):
            if file.suffix == ".png":
                shown["pictures"][part] = data_url(file.read_bytes())
            else:
                shown["texts"][part] = text_pieces(file.read_text("utf-8", errors="replace"))
    if (evaluation / "pictures.npz").is_file():
        shown["neighbours"] = _neighbours(evaluation / "pictures.npz")
    return shown


def text_pieces(text: str) -> list[str]:
    """The first examples of a file of texts apart by a ruled line."""
    pieces: list[str] = []
    length = 0
    for piece in text[: 2 * TEXT_CHARACTERS].split("\n" + "-" * 40 + "\n"):
        if length + len(piece) > TEXT_CHARACTERS and pieces:
            break
        pieces.append(piece[:TEXT_CHARACTERS])
        length += len(piece)
    return pieces


def _neighbours(file: Path) -> str:
    """Sixteen samples over the training images nearest to them; empty for what is no image."""
    import numpy as np

    with np.load(file) as arrays:
        if "nearest" not in arrays:
            return ""
        nearest = arrays["nearest"]
        pairs = np.concatenate([arrays["samples"][: len(nearest)], nearest])
    from components.modalities.images import grid

    stream = io.BytesIO()
    grid(pairs, columns=len(nearest)).save(stream, "PNG")
    return data_url(stream.getvalue())


def data_url(png: bytes) -> str:
    """A PNG as a `data:` address; a large one is made smaller first."""
    from PIL import Image

    data, kind = png, "png"
    for side in (960, 640, 400, 240):
        if len(data) <= PICTURE_BYTES:
            break
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        picture.thumbnail((side, side))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=85)
        data, kind = stream.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
