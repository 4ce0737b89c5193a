"""A few records as a page can show them: images as a grid, text as it stands, others as a table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from components.pictures import data_url

IMAGES, TEXTS, RECORDS = 32, 4, 3
CELL = 96  # pixels of an image's place in the grid
CHARACTERS = 400  # of a text
SHORT = 60  # characters of a value in a table
HIDDEN = ("digest", "group")


def shown_records(shard: Path) -> dict[str, Any]:
    """`picture` (a data address), `texts` or `table` (a row a field) of the first records, which a
    hash has put into no order."""
    import pyarrow.parquet as pq

    batches = pq.ParquetFile(shard).iter_batches(batch_size=IMAGES)
    records = next(batches, None)
    rows = records.to_pylist() if records is not None else []
    if not rows:
        return {}
    if {"pixels", "height", "width", "channels"} <= rows[0].keys():
        return {"picture": _grid(rows)}
    if isinstance(rows[0].get("text"), str):
        return {"texts": [row["text"][:CHARACTERS] for row in rows[:TEXTS]]}
    fields = [name for name in rows[0] if name not in HIDDEN]
    return {"table": [[name, *(_short(row[name]) for row in rows[:RECORDS])] for name in fields]}


def _grid(rows: list[dict[str, Any]]) -> str:
    """Images of any sizes in places of one size, small ones magnified without a blur."""
    from PIL import Image

    columns = 8
    sheet = Image.new("RGB", (columns * (CELL + 4) - 4, -(-len(rows) // columns) * (CELL + 4) - 4), "white")
    for i, row in enumerate(rows):
        shape = (row["height"], row["width"], row["channels"])
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(shape)
        pixels = pixels.squeeze(-1) if shape[-1] == 1 else pixels[..., :3]
        image = Image.fromarray(pixels).convert("RGB")
        times = max(1, CELL // max(image.size))
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
        image.thumbnail((CELL, CELL))
        left, top = i % columns * (CELL + 4), i // columns * (CELL + 4)
        sheet.paste(image, (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return data_url(stream.getvalue())


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        inside = ", ".join(_short(one) for one in value[:8])
        value = f"[{inside}{', …' if len(value) > 8 else ''}] ({len(value):,})"
    text = "—" if value is None else str(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"
