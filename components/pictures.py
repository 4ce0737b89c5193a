"""What an evaluation has to show, ready for a page: pictures as `data:` addresses, texts as pieces."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICTURE_BYTES = 150_000  # a larger picture is made smaller: the page stays below 1 MB
TEXT_CHARACTERS = 1_200  # of samples, and as many of real text
WIDE = 1.2  # times its height: a picture that takes the whole width of a page
PARTS = ("samples", "real", "reconstructions", "interpolations", "traversals", "forecasts", "residuals")


def show(evaluation: Path) -> dict[str, Any]:
    """What the folder `evaluation/` has to show.

    Returns `pictures` (by `samples`, `real` and the other PARTS), `texts` (by the same), `neighbours` (see
    `Neighbours`; None for what is no image), `traversed`, the numbers of the latent dimensions, and `wide`, whether
    the samples' picture wants the whole width.
    """
    shown: dict[str, Any] = {"pictures": {}, "texts": {}, "neighbours": None, "traversed": [], "wide": False}
    for part in PARTS:
        for file in evaluation.glob(f"{part}.*"):
            if file.suffix == ".png":
                shown["pictures"][part] = data_url(file.read_bytes())
            else:
                shown["texts"][part] = text_pieces(file.read_text("utf-8", errors="replace"))
    if (evaluation / "samples.png").is_file():
        from PIL import Image

        with Image.open(evaluation / "samples.png") as picture:
            shown["wide"] = picture.width > WIDE * picture.height
    if (evaluation / "pictures.npz").is_file():
        import numpy as np

        with np.load(evaluation / "pictures.npz") as arrays:
            shown["neighbours"] = _neighbours(arrays)
            shown["traversed"] = arrays["traversed"].tolist() if "traversed" in arrays else []
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


@dataclass(frozen=True)
class Neighbours:
    """Sixteen samples over the training images nearest to them, how far each is, and whether that is nearer
    than any real image is to its own; `usual` are quantiles (5, 50, 95 %) of the distances of real ones."""

    picture: str
    distances: list[tuple[float, bool]]
    usual: list[float]


def _neighbours(arrays: Any) -> Neighbours | None:
    import numpy as np

    if "nearest" not in arrays:
        return None
    nearest = arrays["nearest"]
    pairs = np.concatenate([arrays["samples"][: len(nearest)], nearest])
    from components.modalities.images import grid

    stream = io.BytesIO()
    grid(pairs, columns=len(nearest)).save(stream, "PNG")
    if "distances" not in arrays or not np.isfinite(arrays["real_distances"]).all():
        return Neighbours(data_url(stream.getvalue()), [], [])
    real = arrays["real_distances"]
    distances = [(float(one), bool(one < real.min())) for one in arrays["distances"]]
    return Neighbours(data_url(stream.getvalue()), distances, np.quantile(real, [0.05, 0.5, 0.95]).tolist())


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
