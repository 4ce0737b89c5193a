"""scikit-learn's digits: 1,797 scans of 8x8 with 17 grey levels, labelled, inside the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from components import storage
from components.image_arrays import block
from components.image_sources import Read
from components.modalities import Block

SOURCES = {"digits": "digits                scikit-learn's 1,797 scans of 8x8, labelled, no network"}


def preflight(source: str, read: Read) -> None:
    """Always there."""


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """None: the data are part of scikit-learn."""
    return []


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """One chunk."""
    return [{"scheme": "digits"}]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Block]:
    """All of them, stretched to 0..255."""
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.rint(data.images * (255 / 16)).astype(np.uint8)
    keys = [f"digits/{i:05d}" for i in range(len(grey))]
    yield block(keys, grey[..., None], [str(label) for label in data.target], None, options)
