"""Folders and archives of one small image, and what the source of images finds in them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from components.modalities import Record, Rejected, images
from tests.components.odd_files import RED, saved

DOT = saved(Image.new("RGB", (2, 2), RED), "PNG")


def found(where: Path | str, **options: Any) -> dict[str, Record | Rejected]:
    """Key → what the source yields, each chunk told as JSON would tell it."""
    settings = images.Read.parse(options)
    images.preflight(f"images:{where}", settings)
    chunks = json.loads(json.dumps(images.plan(f"images:{where}", settings)))
    every = [one for chunk in chunks for one in images.read(chunk, settings)]
    by_key = {one.key: one for one in every if isinstance(one, Record | Rejected)}
    assert len(by_key) == len(every)
    return by_key


def said(where: Path | str, field: str, **options: Any) -> dict[str, Any]:
    """Key → a field of its record, or the rule by which it is rejected."""
    return {
        key: one.rule if isinstance(one, Rejected) else one.fields[field]
        for key, one in found(where, **options).items()
    }


def filled(folder: Path, *names: str) -> Path:
    """`folder` with the same small PNG under each name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(DOT)
    return folder


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, DOT)
    return path


def tarred(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(DOT)
            archive.addfile(info, io.BytesIO(DOT))
    return path
