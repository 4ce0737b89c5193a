"""pairs: an image and its counterpart (pix2pix); unpaired: two sets of images (CycleGAN).

Of two folders or archives those images are a pair whose paths below them are equal but for the suffix; the
key is A's path. In one folder each image holds both halves: `side_by_side: ab` has A on the left. Of an
unpaired source the sets are independent: a record is of `domain` A or B, and its key begins so.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from components import storage
from components.decoding import Unreadable, resized
from components.errors import ConfigError, DataError
from components.image_files import (
    Found,
    Place,
    checked_name,
    contents,
    entries,
    found,
    grouped,
    pixels_of,
    readable_name,
    record_of,
    rejected_as,
)
from components.image_sources import Read
from components.modalities import Record, Rejected, location

SOURCES = {
    "pairs": "pairs:A,B             images of the same name in two folders; or pairs:FOLDER, side by side",
    "unpaired": "unpaired:A,B          two folders of images, each a set of its own",
}


def preflight(source: str, read: Read) -> None:
    """Raises DataError where a folder has no image, ConfigError where the source or an option is not meant so."""
    if read.labels or read.captions:
        raise ConfigError(
            f"data.read.labels and captions say nothing of data.source '{source}': leave them out"
        )
    folders = _folders(source)
    scheme = source.split(":", 1)[0]
    if len(folders) == 1 and (scheme == "unpaired" or not read.side_by_side):
        other = "" if scheme == "unpaired" else ", or say which half is A by data.read.side_by_side: ab or ba"
        raise ConfigError(f"data.source '{source}': name two folders, {scheme}:A,B{other}")
    if len(folders) == 2 and read.side_by_side:
        raise ConfigError("data.read.side_by_side is for one folder of double images, pairs:FOLDER")
    for folder in folders:
        found(folder, f"data.source '{source}'")


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The files of both."""
    return [entry for folder in _folders(source) for entry in entries(folder)]


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of at most 256 pairs or images, of together 8 MB."""
    scheme = source.split(":", 1)[0]
    chunks: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    sides = [found(folder, f"data.source '{source}'") for folder in _folders(source)]
    if scheme == "unpaired" or len(sides) == 1:
        for domain, (place, listed, links) in zip("AB", sides, strict=False):
            prefix = f"{domain}/" if scheme == "unpaired" else ""
            rejected += [Rejected(prefix + one.key, one.rule, one.reason, one.remedy) for one in links]
            for group in grouped(listed, place):
                names = [name for name, _ in group]
                chunks.append({"scheme": scheme, "place": place, "names": names, "prefix": prefix})
    else:
        (place_a, in_a, links_a), (place_b, in_b, links_b) = sides
        partner, lone = _matched(_by_stem(in_a, place_a), _by_stem(in_b, place_b), _folders(source))
        rejected += [
            *links_a,
            *(one for one in links_b if one.key not in {link.key for link in links_a}),
            *lone,
        ]
        if not partner:
            raise DataError(
                f"data.source '{source}': no image of the one has the name of an image of the other"
            )
        sizes = dict(in_b)
        both = [(name, size + sizes[partner[name]]) for name, size in in_a if name in partner]
        for group in grouped(both, {}):
            pairs = [[name, partner[name]] for name, _ in group]
            chunks.append({"scheme": scheme, "a": place_a, "b": place_b, "pairs": pairs})
    if rejected:
        told = [[one.key, one.rule, one.reason, one.remedy] for one in rejected]
        chunks.append({"scheme": scheme, "rejected": told})
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """One record a pair, a double image or an image of a set."""
    if "rejected" in chunk:
        yield from (Rejected(*told) for told in chunk["rejected"])
    elif "a" in chunk:
        yield from _pairs(chunk, options)
    else:
        prefix = chunk["prefix"]
        for name, data in contents(chunk["place"], chunk["names"]):
            try:
                key = prefix + checked_name(name)
                if prefix:
                    yield record_of(key, pixels_of(data, options), domain=prefix[0])
                else:
                    yield record_of(key, *_halves(data, options))
            except Unreadable as refused:
                yield rejected_as(prefix + readable_name(name), refused)


def _pairs(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    partner = dict(chunk["pairs"])
    second = dict(contents(chunk["b"], list(partner.values())))  # a chunk's files are at most 8 MB
    for name, data in contents(chunk["a"], list(partner)):
        try:
            key = checked_name(name)
            x = pixels_of(data, options)
            try:
                y = pixels_of(second.pop(partner[name]), options)
            except Unreadable as refused:
                raise Unreadable(
                    refused.rule, f"its partner in B: {refused.reason}", refused.remedy
                ) from refused
            yield record_of(key, x, y)
        except Unreadable as refused:
            yield rejected_as(readable_name(name), refused)


def _halves(data: bytes | Unreadable, read: Read) -> tuple[np.ndarray, np.ndarray]:
    """A and B of a double image; each half is resized by itself."""
    whole = pixels_of(data, read.model_copy(update={"resize": None}))
    width = whole.shape[1]
    if width % 2:
        reason = f"it is {width} pixels wide, which are not two halves"
        raise Unreadable("odd-width", reason, "cut it to an even width")
    left, right = (
        resized(np.ascontiguousarray(half), read.resize, read.policy, read.alpha)
        for half in (whole[:, : width // 2], whole[:, width // 2 :])
    )
    return (left, right) if read.side_by_side == "ab" else (right, left)


# -- who belongs to whom -------------------------------------------------------------------------------


def _folders(source: str) -> list[str]:
    """The one or two folders that the source names; a comma may be in the name of one."""
    where = location(source)
    if storage.exists(where):
        return [where]
    folders = [folder.strip() for folder in where.split(",")]
    if len(folders) > 2:
        raise ConfigError(
            f"data.source '{source}' names {len(folders)} folders: two are meant, {source[:5]}...:A,B"
        )
    return folders


def _by_stem(files: Iterable[Found], place: Place) -> dict[str, list[str]]:
    """Path without suffix, seen from the top → the names that have it."""
    start = len(place["top"]) + 1 if place.get("top") else 0
    names: dict[str, list[str]] = {}
    for name, _ in files:
        names.setdefault(posixpath.splitext(name[start:])[0], []).append(name)
    return names


def _matched(
    in_a: dict[str, list[str]], in_b: dict[str, list[str]], folders: list[str]
) -> tuple[dict[str, str], list[Rejected]]:
    """A's name → B's name; and those without a partner, or with two."""
    partner: dict[str, str] = {}
    lone: list[Rejected] = []
    for stem in sorted(in_a.keys() | in_b.keys()):
        of_a, of_b = in_a.get(stem, []), in_b.get(stem, [])
        if len(of_a) == len(of_b) == 1:
            partner[of_a[0]] = of_b[0]
            continue
        rule = "two-partners" if of_a and of_b else "no-partner"
        for names, other, folder in ((of_a, of_b, folders[1]), (of_b if not of_a else [], of_a, folders[0])):
            for name in map(readable_name, names):
                reason = f"'{name}': {len(other) or 'no'} image of '{folder}' has its name"
                if rule == "two-partners":
                    reason = f"'{name}': {', '.join(map(readable_name, of_a + of_b))} share one name"
                lone.append(Rejected(name, rule, reason, "add or rename its partner, or delete it"))
    return partner, lone
