"""The frozen validation split: what champion and challenger of a recurring recipe are both measured on.

Each window of spans has a validation split of its own. Were tonight's the yardstick, a broken week would be
judged by its own broken records, and numbers of two nights would be of two things. So the validation
records of the first window that passes gate 1 are kept, and stand in for those of every later window. The
test split stays the window's: what is published says how a model does on the newest data.

None of these records is ever learnt from: the split is a stable hash of the key, so a record that is on the
validation side once is there in every window. That holds as long as source, reading and split are the same,
which is checked.

    <home>/frozen/<name>/    validation-*.parquet, as ingest wrote them
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from components.artifacts import MANIFEST, fingerprint_of, read_json, reading, writing
from components.errors import ConfigError
from components.ingest import shards_of
from components.settings import DataSettings
from components.spans import has_spans

SPLIT = "validation"


def frozen_folder(home: Path, name: str) -> Path:
    """Where the frozen split of a name lies."""
    return home / "frozen" / name


def freeze(records: Path, home: Path, name: str, data: DataSettings) -> bool:
    """Keeps the validation records of `records` for `name`, unless some are kept already."""
    folder = frozen_folder(home, name)
    if not has_spans(data) or folder.is_dir():
        return False
    source = reading(records)
    with writing(folder, "freeze") as (temporary, manifest):
        for shard in shards_of(records, SPLIT):
            shutil.copyfile(shard, temporary / shard.name)
        manifest["fingerprint"] = fingerprint_of_split(records)
        manifest["records"] = source["fingerprint"]
        manifest["agreed"] = _agreed(data)
        manifest["spans"] = data.spans.only if data.spans else ""
    return True


def frozen_split(home: Path, name: str, data: DataSettings) -> Path | None:
    """The folder of the frozen split of `name`, or None.

    Raises:
        ConfigError: source, reading or split are not those it was frozen with.
    """
    folder = frozen_folder(home, name)
    if not has_spans(data) or not (folder / MANIFEST).is_file():
        return None
    now = _agreed(data)
    changed = [what for what, value in read_json(folder / MANIFEST)["agreed"].items() if now[what] != value]
    if changed:
        raise ConfigError(
            f"data.{changed[0]} is not what it was when the validation split of '{name}' was frozen: the two "
            "cannot be kept apart from what is learnt; publish under another name, or move "
            f"{folder} away and this run's validation split is frozen in its place"
        )
    return folder


def fingerprint_of_split(folder: Path) -> str:
    """By the bytes of the validation shards in a folder of records."""
    files = read_json(folder / MANIFEST)["files"]
    return fingerprint_of([files[shard.name]["sha256"] for shard in shards_of(folder, SPLIT)])


def _agreed(data: DataSettings) -> dict[str, Any]:
    """On which side of the split a record is depends on these."""
    values = data.model_dump(mode="json")
    return {what: values[what] for what in ("source", "read", "split")}
