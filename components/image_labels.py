"""What a CSV says of image files: a class, attributes, a caption.

The column of the file's name is called file, filename, file_name, image, image_id, path or id. A name is
meant as seen from the images' folder, from the archive's single top folder or from the CSV's own folder,
with or without its suffix. The class is in a column label or class. Where there is none, and no caption is
asked for, every other column is an attribute: 1 has it, 0 or -1 has it not (as in CelebA).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from typing import Any

from components import storage
from components.errors import DataError, did_you_mean
from components.modalities import Rejected

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path", "id")
CLASS_COLUMNS = ("label", "class")
HAS = {"1": True, "0": False, "-1": False}

Said = dict[str, Any]  # label, attributes, caption: those that the CSV tells


def labels_of(path: str, captions: str) -> tuple[dict[str, Said], list[Rejected]]:
    """File name → what is said of it, and the rows that cannot be read.

    Raises:
        DataError: a column is missing, a file stands in two rows, an attribute is not 0, 1 or -1.
    """
    from components import tables

    if not storage.exists(path):
        raise DataError(f"data.read.labels: there is no file '{path}' (seen from {os.getcwd()})")
    columns = tables.csv_columns(path)
    file = _column(path, columns, FILE_COLUMNS, "of the files' names")
    label = next((name for name in CLASS_COLUMNS if name in columns), None)
    if captions and captions not in columns:
        raise DataError(
            f"data.read.captions '{captions}': '{path}' has no such column{did_you_mean(captions, columns)}"
        )
    attributes = [] if label or captions else [name for name in columns if name != file]
    rows: dict[str, Said] = {}
    numbers: dict[str, int] = {}
    bad: list[Rejected] = []
    for chunk in tables.csv_chunks(path):
        for row in tables.csv_rows(chunk):
            place = f"{storage.last_part(path)}#{row.number}"
            if isinstance(row, tables.Bad):
                bad.append(Rejected(place, row.rule, row.reason, row.remedy))
                continue
            name = posixpath.normpath((row.values[file] or "").strip())
            if name in rows:
                raise DataError(
                    f"'{path}': the file '{name}' stands in lines {numbers[name]} and {row.number}: "
                    "keep one line for each file"
                )
            numbers[name] = row.number
            rows[name] = _said(path, row, label, captions, attributes)
    return rows, bad


def _column(path: str, columns: list[str], names: Iterable[str], what: str) -> str:
    for name in names:
        if name in columns:
            return name
    raise DataError(f"'{path}' has no column {what}: call one of {', '.join(columns)} '{next(iter(names))}'")


def _said(path: str, row: Any, label: str | None, captions: str, attributes: list[str]) -> Said:
    said: Said = {}
    if label:
        said["label"] = (row.values[label] or "").strip() or None
    if captions:
        said["caption"] = (row.values[captions] or "").strip() or None
    if attributes:
        said["attributes"] = [name for name in attributes if _has(path, row, name)]
    return said


def _has(path: str, row: Any, name: str) -> bool:
    value = (row.values[name] or "").strip()
    if value not in HAS:
        raise DataError(
            f"'{path}', line {row.number}: the attribute '{name}' is '{value}', and 0, 1 or -1 are meant; "
            "a column of classes is called label, one of captions is named by data.read.captions"
        )
    return HAS[value]


def joined(
    names: Iterable[str], rows: dict[str, Said], top: str, folder: str
) -> tuple[dict[str, Said], list[str]]:
    """File → what is said of it, for those that have a row; and the names in `rows` that have no file.

    Args:
        top: an archive's single top folder; folder: where the images' root lies, seen from the CSV's folder.
    """
    found: dict[str, Said] = {}
    used = set()
    for name in names:
        for form in _forms(name, top, folder):
            if form in rows:
                found[name] = rows[form]
                used.add(form)
                break
    return found, sorted(rows.keys() - used)


def _forms(name: str, top: str, folder: str) -> Iterable[str]:
    """The ways in which a CSV may write a file's name."""
    forms = [name]
    if top:
        forms.append(name[len(top) + 1 :])
    if folder:
        forms.append(posixpath.normpath(f"{folder}/{name}"))
    yield from forms
    yield from (posixpath.splitext(form)[0] for form in forms)
