"""images: a folder, a glob or an archive of image files; the class is their folder, or stands in a CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from components import storage
from components.decoding import Unreadable
from components.errors import ConfigError
from components.image_files import (
    Place,
    checked_name,
    contents,
    entries,
    found,
    grouped,
    need,
    pixel_bytes,
    pixels_of,
    readable_name,
    record_of,
    rejected_as,
)
from components.image_labels import Said, joined, labels_of
from components.image_sources import Read
from components.modalities import Record, Rejected, location
from components.named import Named

SOURCES = {
    "images": "images:FOLDER         or a GLOB, ZIP or TAR of PNG, JPEG, WebP, TIFF, GIF, BMP, PPM; class = folder"
}


def preflight(source: str, read: Read) -> None:
    """Raises DataError where there is no image, or no CSV; ConfigError where captions have no CSV."""
    need(location(source), f"data.source '{source}'")
    if read.captions and not read.labels:
        raise ConfigError("data.read.captions: name the CSV with that column in data.read.labels")
    if read.labels:
        labels_of(read.labels, read.captions)


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The image files, and the CSV of their labels."""
    labels = storage.listing(read.labels) if read is not None and read.labels else []
    return [*entries(location(source)), *labels]


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """At most 256 files of together 8 MB a chunk, with what the CSV says of each."""
    place, listed, links = found(location(source), f"data.source '{source}'")
    rejected = list(links)
    rows: dict[str, Said] | None = None
    if read.labels:
        said, bad = labels_of(read.labels, read.captions)
        rows, missing = joined(
            (name for name, _ in listed), said, place.get("top", ""), _seen_from(read.labels, place)
        )
        rejected += bad + [_without_file(name, read.labels) for name in missing]
    chunks: list[dict[str, Any]] = []
    for group in grouped(listed, place):
        names = [name for name, _ in group]
        size = sum(size for _, size in group)
        chunk: dict[str, Any] = {"scheme": "images", "place": place, "names": names, "bytes": size}
        if rows is not None:
            chunk["said"] = [rows.get(name) for name in names]
        chunks.append(chunk)
    if rejected:
        told = [[one.key, one.rule, one.reason, one.remedy] for one in rejected]
        chunks.append({"scheme": "images", "rejected": told})
    return chunks


def named_records(chunks: list[dict[str, Any]], options: Read) -> Named | None:
    """The keys are names: known at once. Not told where files are not read in any order at one price (an
    archive, a store), nor where they are larger than their pixels: decoding them is the work then, and
    chunks of the files' size are shared out better."""
    placed = [chunk for chunk in chunks if "names" in chunk]
    place = placed[0]["place"] if placed else {}
    if storage.is_remote(place.get("root", "s3://")):
        return None
    names = sorted(name for chunk in placed for name in chunk["names"])
    weight = pixel_bytes(place, names, options)
    if not weight or weight * len(names) < sum(chunk["bytes"] for chunk in placed):
        return None
    said = {
        name: told
        for chunk in placed
        for name, told in zip(chunk["names"], chunk.get("said", ()), strict=False)
    }

    def chunk(rows: Sequence[int]) -> dict[str, Any]:
        mine = [names[row] for row in rows]
        told = {"said": [said[name] for name in mine]} if said else {}
        return {"scheme": "images", "place": place, "names": mine, **told}

    return Named(
        [readable_name(name) for name in names], weight, chunk, [c for c in chunks if "names" not in c]
    )


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """One record a file, one at a time; what cannot be read is set aside with the reason."""
    if "rejected" in chunk:
        yield from (Rejected(*told) for told in chunk["rejected"])
        return
    place, names = chunk["place"], chunk["names"]
    said = dict(zip(names, chunk["said"], strict=True)) if "said" in chunk else None
    for name, data in contents(place, names):
        try:
            key = checked_name(name)
            if said is None:
                told: Said = {"label": folder_class(name, place, options.class_folders)}
            else:
                told = _listed(said[name], options)
            yield record_of(key, pixels_of(data, options), **told)
        except Unreadable as refused:
            yield rejected_as(readable_name(name), refused)


def folder_class(name: str, place: Place, levels: Sequence[int]) -> str | None:
    """The class of a file: the folders at `levels` below the root, joined; None where it lies higher up."""
    folders = name.split("/")[1 if place.get("top") else 0 : -1]
    if not levels or len(folders) < max(levels):
        return None
    return "/".join(folders[level - 1] for level in levels)


def _listed(said: Said | None, read: Read) -> Said:
    """What the CSV says of one file."""
    lacks = "row" if said is None else next((what for what, value in said.items() if value is None), None)
    if lacks is None or read.unlisted == "keep":
        return said or {}
    rule = "no-caption" if read.captions and lacks != "label" else "no-label"
    raise Unreadable(
        rule,
        f"'{read.labels}' has no {'row for it' if lacks == 'row' else f'{lacks} in its row'}",
        "complete the CSV, delete the file, or set data.read.unlisted: keep",
    )


def _without_file(name: str, labels: str) -> Rejected:
    reason = f"'{labels}' names the file '{name}', which is not among the images"
    return Rejected(
        f"{storage.last_part(labels)}:{name}", "missing-file", reason, "add the file or delete the row"
    )


def _seen_from(labels: str, place: Place) -> str:
    """Where the images' folder lies, seen from the CSV's; "" where that says nothing."""
    root = place.get("root")
    if not root or storage.is_remote(root) != storage.is_remote(labels):
        return ""
    folder = labels.rsplit("/", 1)[0] if "/" in labels else "."
    if storage.is_remote(root):
        return storage.relative(root, folder) if root.startswith(f"{folder}/") else ""
    seen = storage.relative(root, folder)
    return "" if seen == "." else seen
