"""Tables whose rows hold an encoded image: which columns are meant, and rows to records.

An image is bytes, or as Hugging Face writes it a struct of `bytes` and `path`. A label is a string or a
number; Hugging Face's metadata, where they are there, name the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.decoding import Look, Unreadable, pixels_of
from components.errors import DataError
from components.modalities import Part, Record, Rejected

IMAGES = ("image", "img", "picture", "pixels")
LABELS = ("label", "labels", "fine_label", "class")


@dataclass(frozen=True)
class Columns:
    """The columns that are meant; `names` are those of numbered labels."""

    image: str
    label: str | None
    caption: str | None
    names: list[str] = field(default_factory=list)

    @property
    def read(self) -> list[str]:
        """Those that are needed."""
        return [name for name in (self.image, self.label, self.caption) if name]


def columns_of(schema: pa.Schema, where: str, labels: str, captions: str) -> Columns:
    """The columns of images, labels and captions; `labels` and `captions` name them, if not empty.

    Raises:
        DataError: one is not there, of another type, or cannot be told from the rest.
    """
    images = [column.name for column in schema if _is_image(column.type)]
    image = next((name for name in IMAGES if name in images), images[0] if len(images) == 1 else None)
    if image is None:
        raise DataError(
            f"'{where}' has the columns {', '.join(schema.names)}: encoded images are in one of bytes, or of "
            f"struct<bytes, path>{', and more than one is: call it image' if images else ''}"
        )
    for option, name in (("labels", labels), ("captions", captions)):
        if name and name not in schema.names:
            raise DataError(
                f"'{where}' has no column '{name}' (data.read.{option}): {', '.join(schema.names)}"
            )
    label = labels or next((name for name in LABELS if name in schema.names), None)
    if label and not _is_label(schema.field(label).type):
        raise DataError(
            f"'{where}': column '{label}' is of {schema.field(label).type}: labels are numbers or strings; "
            "name their column in data.read.labels"
        )
    if captions and not _is_text(schema.field(captions).type):
        raise DataError(
            f"'{where}': column '{captions}' is of {schema.field(captions).type}: captions are text"
        )
    return Columns(image, label, captions or None, _names(schema, label))


def records_of(
    batch: Any,
    columns: Columns,
    keys: Sequence[str],
    part: Part | None,
    look: Look,
    *,
    paths: bool = False,
) -> Iterator[Record | Rejected]:
    """A record for each row of an Arrow table or batch; what cannot be decoded is set aside with the
    reason. With `paths`, where there are no bytes the file at the struct's `path` is read."""
    images = batch.column(columns.image).to_pylist()
    labels = batch.column(columns.label).to_pylist() if columns.label else [None] * len(images)
    captions = batch.column(columns.caption).to_pylist() if columns.caption else [None] * len(images)
    for key, image, label, caption in zip(keys, images, labels, captions, strict=True):
        try:
            encoded = image["bytes"] if isinstance(image, dict) else image
            if encoded is None and paths and isinstance(image, dict) and image["path"]:
                encoded = Path(image["path"])
            if encoded is None:
                raise Unreadable(
                    "no-image", "the row has no bytes of an image", "put them in, or drop the row"
                )
            word = _word(label, columns.names)
            pixels = pixels_of(encoded, look)
        except Unreadable as error:
            yield Rejected(key, error.rule, str(error), error.remedy)
            continue
        except OSError as error:
            yield Rejected(
                key, "unreadable", f"{error.filename}: {error.strerror}", "load the data set again"
            )
            continue
        sides = dict(zip(("height", "width", "channels"), pixels.shape, strict=True))
        yield Record(key, {"pixels": pixels.tobytes(), **sides, "label": word, "caption": caption}, part)


def _word(label: Any, names: list[str]) -> str | None:
    """A label as a string; None where there is none, which Hugging Face writes as -1."""
    if label is None or (names and label == -1):
        return None
    if not names:
        return str(label)
    if not 0 <= label < len(names):
        raise Unreadable("unknown-class", f"the label is {label} of {len(names)} classes", "mend the label")
    return names[label]


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(
            kind.field(i).name == "bytes" and _is_image(kind.field(i).type) for i in range(kind.num_fields)
        )
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind)


def _names(schema: pa.Schema, label: str | None) -> list[str]:
    """The names of numbered labels, by Hugging Face's metadata."""
    told = (schema.metadata or {}).get(b"huggingface")
    if not told or not label or not pa.types.is_integer(schema.field(label).type):
        return []
    try:
        names = json.loads(told)["info"]["features"][label]["names"]
        return [str(name) for name in names]
    except (ValueError, KeyError, TypeError):
        return []
