"""Images: a record keeps the pixels as they are stored; an example is uint8 `[height, width, channels]`.

A model is given float32 in [0, 1] on a grid of `levels`, binary where the recipe says so. Where images
come from: components.image_sources. What they are summarised by: components.image_features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from components import image_sources
from components.errors import ConfigError, DataError
from components.image_arrays import images_of
from components.image_features import anomalies, summarise
from components.image_likeness import alike, signatures
from components.image_sources import CONTENT, RECORD, Read
from components.modalities import Block, Record, Rejected, Summary
from components.settings import Settings
from keras_models.spec import Spec

if TYPE_CHECKING:
    from components.named import Named
    from components.storage import Entry

__all__ = ["CONTENT", "RECORD", "Augment", "Encode", "Read", "alike", "anomalies", "signatures", "summarise"]

KIND = "image"
SOURCES = image_sources.described()
PADDING, UNKNOWN = 0, 1  # ids of captions; characters follow


class Encode(Settings):
    """How records become examples."""

    binarise: Literal["none", "threshold", "sample"] = Field(
        "none",
        description="none: grey levels; threshold: above half is 1; sample: 1 with the grey's "
        "probability, drawn afresh each epoch (dynamic binarisation)",
    )
    caption_length: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="characters of a caption, longer ones are cut; by default the longest of the training split",
    )


class Augment(Settings):
    """Changes drawn afresh for each training image; an image y gets the same as its x."""

    flip: bool = Field(False, description="mirror left and right, every second time")
    shift: int = Field(0, ge=0, le=64, description="move by at most so many pixels; the border is repeated")
    brightness: float = Field(
        0.0, ge=0, le=1, description="add at most so much, of 1 (not with data.encode.binarise)"
    )


# -- source → records ----------------------------------------------------------------------------------


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the source is plainly not there."""
    _module(source).preflight(source, read)


def files(source: str, read: Read | None = None) -> list[Entry]:
    """The files behind a source, for its fingerprint; with `read` also those that its options name."""
    return _module(source).files(source, read)


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB that a worker reads by itself."""
    return _module(source).plan(source, read)


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected | Block]:
    """The records of one chunk; what cannot be read is set aside with the reason."""
    yield from image_sources.modules()[chunk["scheme"]].read(chunk, options)


def named_records(chunks: list[dict[str, Any]], options: Read) -> Named | None:
    """The keys of all records, where they are known before anything is read (see components.named)."""
    module = image_sources.modules()[chunks[0]["scheme"]]
    return module.named_records(chunks, options) if hasattr(module, "named_records") else None


def _module(source: str) -> Any:
    return image_sources.modules()[source.split(":", 1)[0]]


# -- records → examples --------------------------------------------------------------------------------


def fit(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The encoding, from the training split only: sizes, classes, how values are scaled."""
    train = summaries["train"].features
    found: dict[str, Any] = {"modality": "images", "binarise": encode.binarise, "size": _sides(train["size"])}
    found["classes"] = sorted(train["class"].counts) if "class" in train else []
    if all(name.isdecimal() for name in found["classes"]):
        found["classes"].sort(key=int)
    if "attribute" in train and train["attribute"].count:
        found["attributes"] = sorted(train["attribute"].counts)
    if "size_y" in train:
        found |= {"size_y": _sides(train["size_y"]), "paired": "domain" not in train}
        if not found["paired"]:
            found["independent"] = ["y"]
    if "caption_length" in train:
        found["caption_length"] = encode.caption_length or max(1, int(train["caption_length"].max))
        found["caption_characters"] = sorted(train["caption_character"].counts)
    return found


def _sides(sizes: Any) -> list[int]:
    (size,) = sizes.counts
    return [int(side) for side in size.split("x")]


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `image`."""
    captioned = "caption_length" in encoding
    return Spec(
        kind="image",
        shape=tuple(encoding["size"]),
        levels=256 if encoding["binarise"] == "none" else 2,
        classes=tuple(encoding["classes"]),
        attributes=tuple(encoding.get("attributes", ())),
        condition=tuple(encoding.get("size_y", ())),
        paired=encoding.get("paired", True),
        caption=encoding["caption_length"] if captioned else 0,
        caption_vocabulary=len(encoding["caption_characters"]) + 2 if captioned else 0,
    )


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` uint8 `[n, H, W, C]`; where there are some: `label` int32 `[n]`, `attributes` float32 `[n, k]`,
    `caption` int32 `[n, length]` (0 pads, 1 is unknown) and `y`, uint8 like x, whose first axis is that
    of x for pairs and the number of images of domain B otherwise.

    Raises:
        DataError: a class that the training split lacks.
    """
    arrays = {}
    if encoding.get("paired", True):
        if "size_y" in encoding:
            arrays["y"] = images_of(table, encoding["size_y"], "_y")
    else:
        second = pc.equal(table.column("domain"), "B")
        arrays["y"] = images_of(table.filter(second), encoding["size_y"])
        table = table.filter(pc.invert(second))
    arrays["x"] = images_of(table, encoding["size"])
    if encoding["classes"]:
        arrays["label"] = _labels(table, encoding["classes"])
    if "attributes" in encoding:
        arrays["attributes"] = _attributes(table.column("attributes"), encoding["attributes"])
    if "caption_length" in encoding:
        arrays["caption"] = _captions(table, encoding)
    return arrays


def _labels(table: pa.Table, classes: list[str]) -> np.ndarray:
    found = pc.index_in(table.column("label"), pa.array(classes, pa.string()))
    if found.null_count:
        row = int(np.flatnonzero(found.is_null().to_numpy())[0])
        raise DataError(
            f"record '{table.column('key')[row]}' is of class {table.column('label')[row]}, of which the training "
            "split has no example: give more data"
        )
    return found.to_numpy().astype(np.int32)


def _attributes(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    out = np.zeros((len(column), len(names)), np.float32)
    column = column.combine_chunks()
    place = pc.index_in(pc.list_flatten(column), pa.array(names, pa.string()))
    rows, known = pc.list_parent_indices(column).to_numpy(), place.is_valid().to_numpy(False)
    out[rows[known], place.drop_null().to_numpy()] = 1
    return out


def _captions(table: pa.Table, encoding: dict[str, Any]) -> np.ndarray:
    ids = {character: UNKNOWN + 1 + i for i, character in enumerate(encoding["caption_characters"])}
    length = encoding["caption_length"]
    out = np.full((table.num_rows, length), PADDING, np.int32)
    for row, caption in enumerate(table.column("caption").to_pylist()):
        cut = (caption or "")[:length]
        out[row, : len(cut)] = [ids.get(character, UNKNOWN) for character in cut]
    return out


# -- examples → batches --------------------------------------------------------------------------------


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`x` and `y` float32 in [0, 1]; dynamic binarisation draws from `rng`."""
    found = dict(arrays)
    for name in ("x", "y"):
        if name in arrays:
            values = arrays[name].astype(np.float32) / np.float32(255)
            if encoding["binarise"] == "threshold":
                values = (values > 0.5).astype(np.float32)
            elif encoding["binarise"] == "sample":
                values = (rng.random(values.shape, np.float32) < values).astype(np.float32)
            found[name] = values
    return found


def augment(
    batch: dict[str, np.ndarray], options: Augment, encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`x`, and `y` alike, mirrored, moved and made brighter or darker.

    Raises:
        ConfigError: brightness for images of 0 and 1.
    """
    if options.brightness and encoding["binarise"] != "none":
        raise ConfigError(
            "data.augment.brightness changes grey levels, and data.encode.binarise leaves none: set one of them off"
        )
    count, height, width = batch["x"].shape[:3]
    mirrored = (rng.random(count) < 0.5) & np.full(count, options.flip)
    moved = rng.integers(-options.shift, options.shift + 1, (2, count))
    light = (2 * rng.random((count,), np.float32) - 1) * np.float32(options.brightness)
    found = dict(batch)
    for name in ("x", "y"):
        if name not in batch:
            continue
        images = batch[name]
        high, wide = images.shape[1:3]
        if options.flip or options.shift:
            rows = np.arange(high) - np.rint(moved[0] * high / height).astype(np.int64)[:, None]
            columns = np.arange(wide) - np.rint(moved[1] * wide / width).astype(np.int64)[:, None]
            columns = np.where(mirrored[:, None], wide - 1 - columns, columns)
            rows, columns = np.clip(rows, 0, high - 1), np.clip(columns, 0, wide - 1)
            images = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        if options.brightness:
            images = np.clip(images + light[:, None, None, None], 0, 1)
        found[name] = images
    return found


# -- samples → something a person opens ----------------------------------------------------------------


def grid(samples: np.ndarray, columns: int = 0, scale: int = 0) -> Any:
    """`[n, H, W, C]` in [0, 1] as one Pillow image, a near-square grid, small images magnified."""
    from PIL import Image

    n, height, width, channels = samples.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    scale = scale or max(1, 32 // max(height, width))
    sheet = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), np.float32)
    for i, image in enumerate(samples):
        top, left = 1 + (i // columns) * (height + 1), 1 + (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = image
    pixels = np.rint(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A PNG grid of `[n, H, W, C]` samples in [0, 1]."""
    out = out if out.suffix.lower() == ".png" else out.with_suffix(".png")
    grid(samples).save(out, optimize=False)
    return out
