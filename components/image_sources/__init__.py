"""Where images come from: one module for each family of sources, found by this folder's listing.

Each offers SOURCES, preflight, files, plan and read as components.modalities describes them, and yields
the columns of RECORD. A chunk names its `scheme`. What they share is here, so that none imports
components.modalities.images, which imports them.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field

from components.decoding import Look
from components.modalities import Part

RECORD = [
    pa.field("pixels", pa.binary()),  # uint8, height x width x channels
    pa.field("height", pa.int32()),
    pa.field("width", pa.int32()),
    pa.field("channels", pa.int32()),
    pa.field("label", pa.string()),
    pa.field("attributes", pa.list_(pa.string())),
    pa.field("caption", pa.string()),
    pa.field("pixels_y", pa.binary()),  # the second image of a pair
    pa.field("height_y", pa.int32()),
    pa.field("width_y", pa.int32()),
    pa.field("channels_y", pa.int32()),
    pa.field("domain", pa.string()),  # "A" or "B" of two sets that are not paired
]
CONTENT = ("pixels", "height", "width", "channels", "pixels_y", "height_y", "width_y", "channels_y")

HELD_OUT: dict[str, Part] = {
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


class Read(Look):
    """How files become records: what images look like, and for some sources where labels are."""

    labels: str = Field(
        "",
        description="where labels are; npy: an .npy file; npz: an array; parquet, hf, tfds: a column; "
        "images: a CSV (file and label, or a column of 0 and 1 for each attribute)",
    )
    captions: str = Field(
        "",
        description="where captions are; parquet, hf, tfds: a column; images: a column of the CSV of labels",
    )
    class_folders: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(
        (1,),
        description="images: which folders below the root are the class, 1 the first; [1, 2] joins two, [] none",
    )
    unlisted: Literal["reject", "keep"] = Field(
        "reject", description="images: what becomes of a file without a row, label or caption in the CSV"
    )
    side_by_side: Literal["", "ab", "ba"] = Field(
        "", description="pairs: one image holds both halves; ab: the left is A; ba: the right is A"
    )


def official_parts(names: Iterable[str]) -> dict[str, Part | None]:
    """Names such as `train`, `test-00000-of-00001` or `val` → the part that each is.

    Where train and validation are not apart, both are shared out of what is no test; a validation part
    without a test part is the test split. What has another name goes with train.
    """
    words = {name: re.split("[-_.]", name)[0].lower() for name in names}
    held_out = {name: HELD_OUT[word] for name, word in words.items() if word in HELD_OUT}
    rest: Part | None = "train" if len(set(held_out.values())) == 2 else "development" if held_out else None
    alone = "test" not in held_out.values()
    return {name: ("test" if alone else held_out[name]) if name in held_out else rest for name in words}


@cache
def modules() -> dict[str, ModuleType]:
    """Scheme → the module of this folder that reads it."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {scheme: module for module in found for scheme in module.SOURCES}


def described() -> dict[str, str]:
    """Scheme → how a person writes such a source."""
    return {scheme: module.SOURCES[scheme] for scheme, module in modules().items()}
