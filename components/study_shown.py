"""What a study's page shows of a sample, of a model's or of a file that anybody made.

images   uint8 [height, width, channels]
text     a string
music    {"notes": [[onset, duration, pitch, velocity, voice], ...], "seconds": length}; voice 9 is drums
series   {"channels": [name, ...], "values": [[step, ...] of each channel]}, None where there is no value
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import decoding
from components.errors import DataError
from components.modalities import modalities
from components.scores import Score

SUFFIXES = {
    "images": decoding.SUFFIXES,
    "music": (".mid", ".midi"),
    "text": (".txt", ".text", ".md"),
    "series": (".csv",),
}
SHOWN_SIDE = 1024  # pixels; a larger picture is made smaller
SHOWN_SECONDS = 60.0  # of a piece: who judges fifty pairs hears no more
SHOWN_CHARACTERS = 4000
USUAL_TEMPO = 120.0  # of MIDI, where none is stated


def shown(kind: str, samples: Any, encoding: dict[str, Any]) -> list[Any]:
    """Samples as a model gives them → what is shown."""
    if kind == "images":
        return list(np.rint(np.clip(samples, 0, 1) * 255).astype(np.uint8))
    if kind == "text":
        if isinstance(samples, Mapping):  # with tags: the words are shown
            lengths = samples.get("length", [None] * len(samples["x"]))
            pairs = zip(samples["x"], lengths, strict=True)
            return [_text(modalities()[kind].decode(row[None, :end], encoding)[0]) for row, end in pairs]
        return [_text(text) for text in modalities()[kind].decode(samples, encoding)]
    decoded = modalities()[kind].decode(samples, encoding)
    if kind == "music":
        return [_music(score) for score in decoded]
    return [_lines(values.T, encoding["channels"]) for values in decoded]


def _text(text: str) -> str:
    text = text.strip("\r\n")
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS].rstrip() + " …"


def _music(score: Score) -> dict[str, Any]:
    """In seconds of its first tempo, the silence at the end left out. Voices and instruments, which nobody
    hears here, are left out too: a file of one track would tell who made it."""
    second = score.ticks_per_quarter * (score.tempo or USUAL_TEMPO) / 60  # in ticks
    notes = []
    for (onset, pitch, _, duration, velocity, _), drum in zip(score.notes.tolist(), score.drums, strict=True):
        start = onset / second
        if start < SHOWN_SECONDS:
            length = min(duration / second, SHOWN_SECONDS - start)
            notes.append([round(start, 3), round(length, 3), pitch, velocity, int(drum)])
    end = max((start + length for start, length, *_ in notes), default=0.0)
    return {"notes": notes, "seconds": round(end, 3)}


def _lines(values: np.ndarray, channels: Sequence[str]) -> dict[str, Any]:
    """Four digits of each channel `[channels, steps]`: how many digits are stored would tell who made it."""
    rows = [[float(f"{one:.4g}") if math.isfinite(one) else None for one in row] for row in values.tolist()]
    return {"channels": list(channels), "values": rows}


# -- files of others -----------------------------------------------------------------------------------


def _read_image(file: Path) -> list[np.ndarray]:
    try:
        pixels = decoding.pixels_of(file, decoding.Look.parse({}))
    except decoding.Unreadable as error:
        raise DataError(str(error)) from error
    large = max(pixels.shape[:2]) > SHOWN_SIDE
    return [decoding.resized(pixels, (SHOWN_SIDE, SHOWN_SIDE), "fit") if large else pixels]


def _read_music(file: Path) -> list[dict[str, Any]]:
    from components.midi import Unreadable, read_midi

    try:
        return [_music(read_midi(file.read_bytes()))]
    except Unreadable as error:
        raise DataError(str(error)) from error


def _read_text(file: Path) -> list[str]:
    """One text, or several apart by a ruled line as `mozart sample` writes them."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("it is not UTF-8") from error
    pieces = [_text(piece) for piece in text.replace("\r\n", "\n").split(modalities()["text"].RULE)]
    return [piece for piece in pieces if piece.strip()]


def _read_series(file: Path) -> list[dict[str, Any]]:
    """A table with a head, a row a step; columns `sample` and `step` as `mozart sample` writes them make it
    several."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            head, *rows = [row for row in csv.reader(stream) if row]
        whose = head.index("sample") if head[:2] == ["sample", "step"] else None
        first = 0 if whose is None else 2
        samples: dict[str, list[list[float]]] = {}
        for row in rows:
            values = [float(cell) if cell.strip() else math.nan for cell in row[first:]]
            if len(row) != len(head):
                raise ValueError(f"a row of {len(row)} cells under a head of {len(head)}")
            samples.setdefault("" if whose is None else row[whose], []).append(values)
    except (ValueError, csv.Error) as error:
        raise DataError(f"it is no table of numbers with a head ({error})") from error
    if not head[first:]:
        raise DataError("it has no column of numbers")
    return [_lines(np.array(values).T, head[first:]) for values in samples.values()]


READ: dict[str, Callable[[Path], list[Any]]] = {
    "images": _read_image,
    "music": _read_music,
    "text": _read_text,
    "series": _read_series,
}


def read_samples(kind: str, file: Path) -> list[Any]:
    """What is shown of the samples in a file.

    Raises:
        DataError, OSError: it cannot be read as such.
    """
    return READ[kind](file)
