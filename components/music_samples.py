"""Samples of music as scores, as a MIDI file that plays and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components import music_grids as grids
from components.midi import write_midi
from components.music_bars import Table
from components.music_events import Events, notes_of_tokens
from components.scores import Score, ordered

TICKS = 480  # in a quarter of what is written; every grid divides it


def decode(samples: np.ndarray, encoding: dict[str, Any]) -> list[Score]:
    """Samples shaped like examples (of a roll, above a half is a note) → scores on the grid, with the
    velocity and the tempo that are usual in the training split."""
    found = []
    bars = Table(encoding["bars"], encoding["grid"], encoding["bar"]) if "bars" in encoding else None
    for sample in np.asarray(samples):
        notes, steps = _notes(sample, encoding, bars)
        step = TICKS // encoding["grid"]
        notes["onset"] *= step
        notes["duration"] *= step
        found.append(Score(notes, TICKS, steps * step, tempo=encoding["tempo"]))
    return found


def _notes(sample: np.ndarray, encoding: dict[str, Any], bars: Table | None) -> tuple[np.ndarray, int]:
    """The notes of one sample, a tick a step, and its number of steps."""
    form = encoding["form"]
    if form == "events":
        notes = notes_of_tokens(sample, Events.of(encoding), encoding["velocity"])
        return notes, int((notes["onset"] + notes["duration"]).max(initial=1))
    steps = len(sample)
    if bars is not None:
        notes, steps = bars.notes(sample), steps * bars.steps
    elif form == "roll":
        notes = grids.notes_of_roll(sample > 0.5, low=encoding["low"])
    elif form == "voices":
        notes, steps = grids.notes_of_voice_tokens(sample, encoding["low"]), steps // grids.VOICES
    else:
        chords = [None, *encoding["chords"]]
        notes = grids.notes_of_roll(grids.roll_of_chords(chords[symbol] for symbol in sample))
    notes["velocity"] = encoding["velocity"]
    return notes, steps


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A MIDI file of all samples one after another, a bar of silence between, each with a marker; beside it
    a picture of the first ones, with the same stem."""
    from components.music_pictures import save_piano_rolls

    out = out if out.suffix.lower() in (".mid", ".midi") else out.with_suffix(".mid")
    scores = decode(samples, encoding)
    out.write_bytes(write_midi(*_one_after_another(scores, encoding)))
    save_piano_rolls(scores, out.with_suffix(".png"))
    return out


def _one_after_another(scores: list[Score], encoding: dict[str, Any]) -> tuple[Score, list[tuple[int, str]]]:
    """One score and the ticks at which each begins, on a quarter."""
    pieces, marks, start = [], [], 0
    for number, score in enumerate(scores, 1):
        notes = score.notes.copy()
        notes["onset"] += start
        pieces.append(notes)
        marks.append((start, f"sample {number}"))
        start += (-(-score.length // TICKS) + 4) * TICKS
    notes = ordered(np.concatenate(pieces))
    return Score(notes, TICKS, start, tempo=encoding["tempo"]), marks
