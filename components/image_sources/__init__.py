"""Where images come from: one module for each family of sources, found by this folder's listing.

Each offers SOURCES, preflight, files, plan and read as components.modalities describes them, and yields
the columns of RECORD. A chunk names its `scheme`. What they share is here, so that none imports
components.modalities.images, which imports them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import pyarrow as pa
from pydantic import Field

from components.decoding import Look

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


class Read(Look):
    """How files become records: what images look like, and for some sources where labels are."""

    labels: str = Field(
        "", description="where labels are; npy: an .npy file; npz: an array; parquet, hf, tfds: a column"
    )
    captions: str = Field("", description="where captions are; parquet, hf, tfds: a column")


@cache
def modules() -> dict[str, ModuleType]:
    """Scheme → the module of this folder that reads it."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {scheme: module for module in found for scheme in module.SOURCES}


def described() -> dict[str, str]:
    """Scheme → how a person writes such a source."""
    return {scheme: module.SOURCES[scheme] for scheme, module in modules().items()}
