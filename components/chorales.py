"""Chorales as JSON: {"train": [piece, ...], "valid": [...], "test": [...]}, a piece a list of time steps.

A step is either the list of pitches that sound, in any order and number, or, where every step of the file
has four, soprano to bass with -1 for silence. Whether equal pitches in successive steps are one note or several is not in
such a file; the recipe says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import numpy as np

from components.errors import DataError
from components.midi import MOST_QUARTERS, Unreadable
from components.modalities import Part
from components.music_grids import notes_of_roll, notes_of_voices
from components.scores import Layout, Score

MOST_BYTES = 64_000_000
PARTS: dict[str, Part] = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}
VELOCITY = 80  # such a file has no dynamics

Repeats = Literal["held", "struck"]


def pieces_of(stream: BinaryIO, path: str) -> dict[str, list[Any]]:
    """Name of the part in the file → its pieces, not yet checked.

    Raises:
        DataError: it is no such file.
    """
    body = stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise DataError(f"'{path}' has more than {MOST_BYTES} bytes: cut it into several files")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON ({str(error)[:100]})") from error
    if not isinstance(found, dict) or not found or not set(found) <= set(PARTS):
        raise DataError(f"'{path}' is not a file of chorales: its top level has the keys train, valid, test")
    if not all(isinstance(pieces, list) for pieces in found.values()):
        raise DataError(f"'{path}' is not a file of chorales: train, valid and test are lists of pieces")
    return found


def layout_of(found: dict[str, list[Any]]) -> Layout:
    """`voices` where every step of every piece has four pitches, `chords` otherwise."""
    steps = (
        step for pieces in found.values() for piece in pieces if isinstance(piece, list) for step in piece
    )
    return "voices" if all(isinstance(step, list) and len(step) == 4 for step in steps) else "chords"


def score_of(piece: Any, layout: Layout, steps_per_quarter: int, repeats: Repeats) -> Score:
    """The score of one piece, a tick a step.

    Raises:
        Unreadable: it is refused.
    """
    steps = list(_checked(piece, layout))
    if len(steps) > MOST_QUARTERS * steps_per_quarter:
        raise Unreadable("too-long", f"it has {len(steps)} steps", "cut it into pieces")
    held = repeats == "held"
    if layout == "voices":
        notes = notes_of_voices(np.array(steps, np.int64).reshape(-1, 4), held)
    else:
        roll = np.zeros((len(steps), 128), bool)
        for i, step in enumerate(steps):
            roll[i, step] = True
        notes = notes_of_roll(roll, held)
    if not len(notes):
        raise Unreadable("no-notes", "it holds no note", "leave it out")
    notes["velocity"] = VELOCITY
    return Score(notes, steps_per_quarter, len(steps), layout)


def _checked(piece: Any, layout: Layout) -> Iterator[list[int]]:
    if not isinstance(piece, list):
        raise Unreadable("not-steps", "it is not a list of steps", "write a list of lists of pitches")
    least = -1 if layout == "voices" else 0
    for i, step in enumerate(piece):
        if not isinstance(step, list) or len(step) > 128:
            raise Unreadable("not-steps", f"step {i} is not a list of pitches", "write a list of numbers")
        for pitch in step:
            if not _is_whole(pitch) or not least <= pitch <= 127:
                raise Unreadable(
                    "not-a-pitch",
                    f"step {i} holds {str(pitch)[:20]}, and a pitch is a whole number from 0 to 127",
                    "write MIDI numbers; -1 is silence where every step of the file has four of them",
                )
        yield [int(pitch) for pitch in step]


def _is_whole(value: Any) -> bool:
    """Some of these files write 73.0 for 73."""
    return type(value) is int or (type(value) is float and value.is_integer())
