"""Spans: a source that arrives in pieces, of which a run learns from the last few.

    data:
      source: images:photos/day-{SPAN}                 or s3://bucket/day-{SPAN}, text:logs/{SPAN}.txt
      spans: {window: 7, fewest: 3, exclude: ["2026-11-03"]}

The window ends with the newest span that holds a file, not with today: where nothing arrived, nothing
changed. It goes back so many days or numbers, whether each of them arrived or not.

A record's key begins with its span, `2026-11-01/cats/7.png`: by it the record is on the same side of the
split in every window.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from components import storage
from components.errors import DataError, NothingToDo
from components.modalities import Block, Record, Rejected
from components.settings import DataSettings, SpanSettings
from components.span import HOW, PATTERN, Span, span_range

MARK = "{SPAN}"


def has_spans(data: DataSettings) -> bool:
    """Whether the source arrives in spans."""
    return MARK in data.source


def problems(data: DataSettings) -> list[str]:
    """What is wrong with a source in spans, seen before anything is looked up."""
    if not has_spans(data):
        if data.spans is None:
            return []
        return [f"data.spans: data.source '{data.source}' has no {MARK}: write e.g. images:FOLDER/day-{MARK}"]
    head, _, rest = data.source.partition(MARK)
    if MARK in rest:
        return [f"data.source: {MARK} stands in '{data.source}' more than once"]
    if ":" not in head:
        return [f"data.source: {MARK} stands before the ':' in '{data.source}'; write e.g. images:day-{MARK}"]
    if storage.has_magic(head):
        return [
            f"data.source: a wildcard stands before {MARK} in '{data.source}'; only what follows it may vary"
        ]
    return []


def sources(data: DataSettings) -> list[tuple[str, str]]:
    """(span, source) of each span in the window, oldest first; ("", source) where a source has no spans.

    Raises:
        DataError: there is no span at all. NothingToDo: fewer than `data.spans.fewest`.
    """
    if not has_spans(data):
        return [("", data.source)]
    _, chosen = _window(data)
    return [(one.text, data.source.replace(MARK, one.text)) for one in chosen]


def pinned(data: DataSettings) -> DataSettings:
    """`data` with the window of this moment in `spans.only`, for the record; as it is without spans.

    Raises: see `sources`.
    """
    if not has_spans(data):
        return data
    window, _ = _window(data)
    settings = data.spans or SpanSettings()
    return data.model_copy(update={"spans": settings.model_copy(update={"only": window})})


def within(found: Record | Block | Rejected, span: str) -> Record | Block | Rejected:
    """What was read of a span, with keys and groups of its own; as it is without a span."""
    if not span:
        return found
    if isinstance(found, Block):
        groups = found.groups and [group and f"{span}/{group}" for group in found.groups]
        return replace(found, keys=[f"{span}/{key}" for key in found.keys], groups=groups)
    if isinstance(found, Record) and found.group is not None:
        return replace(found, key=f"{span}/{found.key}", group=f"{span}/{found.group}")
    return replace(found, key=f"{span}/{found.key}")


def _window(data: DataSettings) -> tuple[str, list[Span]]:
    """The window as `FIRST..LAST`, and the spans in it that arrived: enough of them."""
    settings = data.spans or SpanSettings()
    excluded = {Span.parse(text).place for text in settings.exclude}
    arrived = [one for one in _arrived(data.source) if one.place not in excluded]
    if not arrived:
        raise DataError(
            f"data.source '{data.source}': nothing lies there in the place of {MARK}"
            f"{' but what data.spans.exclude names' if excluded else ''}; a span is {HOW} "
            f"(seen from {Path.cwd()})"
        )
    if settings.only:
        low, high = span_range(settings.only)
        if low.is_day != arrived[0].is_day:
            raise DataError(
                f"data.spans.only is '{settings.only}', and '{data.source}' holds spans such as '{arrived[0].text}'"
            )
    else:
        high = arrived[-1]
        low = high.earlier(settings.window - 1)
    chosen = [one for one in arrived if low.place <= one.place <= high.place]
    if len(chosen) < max(settings.fewest, 1):
        told = f" ({', '.join(one.text for one in chosen)})" if chosen else ""
        raise NothingToDo(
            f"nothing was trained: of the spans {low.text}..{high.text} of '{data.source}' {len(chosen)} arrived"
            f"{told}, and data.spans.fewest is {settings.fewest}"
        )
    return f"{low.text}..{high.text}", chosen


# -- what has arrived ----------------------------------------------------------------------------------


def _arrived(source: str) -> list[Span]:
    """The spans that hold a file, in order; other things may lie beside them.

    Raises:
        DataError: days and numbers, or one span under two names.
    """
    found = set()
    for name in _names(source.partition(":")[2]):
        try:
            found.add(Span.parse(name))
        except ValueError:  # 2026-02-30
            continue
    ordered = sorted(found)
    days = [one.text for one in ordered if one.is_day]
    numbers = [one.text for one in ordered if not one.is_day]
    if days and numbers:
        raise DataError(
            f"data.source '{source}': '{days[0]}' is a day and '{numbers[0]}' a number: name the spans alike"
        )
    for one, other in pairwise(ordered):
        if one.place == other.place:
            raise DataError(f"data.source '{source}': '{one.text}' and '{other.text}' are one span: keep one")
    return ordered


def _names(where: str) -> Iterable[str]:
    """What stands in the place of the mark, wherever there is a file that is not empty."""
    head, _, rest = where.partition(MARK)
    rest = rest.rstrip("/")
    begins = f"{re.escape(head)}({PATTERN})"
    if storage.is_remote(where):
        shapes = [re.compile(begins + fnmatch.translate(end)) for end in (rest, f"{rest}/*")]
        paths = (entry.path for entry in storage.listing(f"{head}**") if entry.bytes)
        return {match[1] for path in paths for shape in shapes if (match := shape.match(path))}
    return {name for name in _local_names(head, rest, begins) if _holds_a_file(f"{head}{name}{rest}")}


def _local_names(head: str, rest: str, begins: str) -> Iterator[str]:
    shape = re.compile(begins + fnmatch.translate(rest.partition("/")[0]))
    for path in glob.iglob(f"{glob.escape(head)}*"):
        if match := shape.match(path):
            yield match[1]


def _holds_a_file(path: str) -> bool:
    """Whether a file, a folder or a pattern of a span stands for at least one file that is not empty."""
    found = glob.iglob(path, recursive=True) if storage.has_magic(path) else [path]
    try:
        return any(
            any(entry.bytes for entry in storage.walk(one)) if os.path.isdir(one) else _bytes(one) > 0
            for one in found
        )
    except PermissionError as error:
        raise DataError(f"'{error.filename}' may not be read: see to its permissions") from error


def _bytes(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0
