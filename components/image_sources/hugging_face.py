"""Hugging Face's data sets of images, through their own library: by name, or saved to a folder.

A name is loaded from the library's cache or the hub; a folder is what `save_to_disk` wrote. The library
runs no code of a data set (since 4.0). Its splits are official parts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from components import storage
from components.errors import DataError
from components.image_sources import Read, official_parts
from components.image_tables import columns_of, records_of
from components.modalities import Record, Rejected, location

SOURCES = {"hf": "hf:OWNER/NAME[/CONFIG]|FOLDER   a data set of Hugging Face (extra hf)"}
CHUNK_BYTES = 8_000_000
BATCH_ROWS = 32  # decoded at once


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the library is not installed, or what is named cannot be one of its data sets."""
    if importlib.util.find_spec("datasets") is None:
        raise DataError(f"data.source '{source}' needs Hugging Face's library: pip install 'mozart[hf]'")
    where = location(source)
    if (not Path(where).is_dir() and not 1 <= len(where.strip("/").split("/")) <= 3) or where[:1] in "/.":
        _check_folder(source, where)


def _check_folder(source: str, where: str) -> None:
    if not Path(where).is_dir():
        raise DataError(
            f"data.source '{source}': there is no folder '{where}'; a name is OWNER/NAME[/CONFIG]"
        )


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The files of a folder; none of a name, which stands for itself."""
    where = location(source)
    return storage.listing(where) if Path(where).is_dir() else []


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB of each split."""
    where = location(source)
    chunks = []
    for split, part in official_parts(_loaded(where)).items():
        rows = _loaded(where)[split]
        columns_of(rows.features.arrow_schema, f"{where}, split {split}", read.labels, read.captions)
        step = max(1, CHUNK_BYTES * len(rows) // max(rows.data.nbytes, 1))
        for start in range(0, len(rows), step):
            stop = min(start + step, len(rows))
            span = {"split": split, "part": part, "start": start, "stop": stop}
            chunks.append({"scheme": "hf", "where": where, **span})
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of some rows of a split, decoded a few at a time."""
    split = chunk["split"]
    rows = _loaded(chunk["where"])[split]
    columns = columns_of(rows.features.arrow_schema, chunk["where"], options.labels, options.captions)
    arrow = rows.select_columns(columns.read).with_format("arrow")
    for start in range(chunk["start"], chunk["stop"], BATCH_ROWS):
        stop = min(start + BATCH_ROWS, chunk["stop"])
        keys = [f"{split}/{i:07d}" for i in range(start, stop)]
        yield from records_of(arrow[start:stop], columns, keys, chunk["part"], options, paths=True)


@cache
def _loaded(where: str) -> dict[str, Any]:
    """Split → its rows, memory-mapped.

    Raises:
        DataError: it is not there, or there is no network; with how to prepare it.
    """
    import datasets

    name, _, config = where.strip("/").rpartition("/") if where.count("/") == 2 else (where, "", "")
    try:
        if Path(where).is_dir():
            found = datasets.load_from_disk(where)
        else:
            found = datasets.load_dataset(name, config or None)
    except Exception as error:  # whatever the library, the hub or the network raise
        said = str(error).strip().split("\n")[0] or type(error).__name__
        named = f"'{name}', '{config}'" if config else f"'{name}'"
        raise DataError(
            f"the data set '{where}' of Hugging Face cannot be loaded ({said}). Without network: where there is one, run "
            f"datasets.load_dataset({named}).save_to_disk(FOLDER), and read hf:FOLDER"
        ) from error
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"all": found}
