"""Scores on a grid of time steps: piano rolls, chords and four voices, and back to notes.

A tick goes to the nearest step, halves upwards, and a note lasts at least one step. A roll and a chord say
what sounds, not what is struck: a note repeated without a rest between comes back as one long note.
Voices keep them apart: a step is a pitch that is struck, a hold or a rest (the idea of a hold symbol is
that of DeepBach; Hadjeres, Pachet & Nielsen 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from components.scores import NOTE, Score, ordered

REST, HOLD, FIRST_PITCH = 0, 1, 2  # symbols of a voice; pitches follow
UNKNOWN = 0  # the symbol of a chord that the training split lacks
VOICES = 4


def on_grid(score: Score, grid: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First step and step behind the last of each note, int64 `[n]`, and the number of steps of the piece;
    `grid` steps in a quarter."""
    starts = _step(score.notes["onset"], score, grid)
    stops = _step(score.notes["onset"].astype(np.int64) + score.notes["duration"], score, grid)
    stops = np.maximum(stops, starts + 1)
    steps = int(_step(np.array(score.length), score, grid))
    return starts, stops, max(steps, int(stops.max(initial=1)))


def _step(ticks: np.ndarray, score: Score, grid: int) -> np.ndarray:
    quarter = score.ticks_per_quarter
    return (2 * ticks.astype(np.int64) * grid + quarter) // (2 * quarter)


# -- rolls and chords ----------------------------------------------------------------------------------


def roll_of(score: Score, grid: int) -> np.ndarray:
    """Which pitches sound at each step, bool `[steps, 128]`; drums are left out."""
    starts, stops, steps = on_grid(score, grid)
    roll = np.zeros((steps, 128), bool)
    kept = ~score.drums
    for start, stop, pitch in zip(
        starts[kept].tolist(), stops[kept].tolist(), score.notes["pitch"][kept].tolist(), strict=True
    ):
        roll[start:stop, pitch] = True
    return roll


def notes_of_roll(roll: np.ndarray, held: bool = True, low: int = 0) -> np.ndarray:
    """The notes of bool `[steps, pitches]`, a tick a step, without velocities. Equal pitches in successive
    steps are one note where `held`, else one a step. The first column is the pitch `low`."""
    by_pitch = np.zeros((roll.shape[1], roll.shape[0] + 2), bool)
    by_pitch[:, 1:-1] = roll.T
    inside = by_pitch[:, 1:-1]
    pitches, onsets = np.nonzero(inside & ~by_pitch[:, :-2] if held else inside)
    stops = np.nonzero(inside & ~by_pitch[:, 2:])[1] if held else onsets
    return _notes(onsets, stops + 1, pitches + low, 0)


def chords_of(roll: np.ndarray) -> list[tuple[int, ...]]:
    """The pitches of each step, rising."""
    return [tuple(np.flatnonzero(step).tolist()) for step in roll]


def roll_of_chords(chords: Iterable[Sequence[int] | None]) -> np.ndarray:
    """Bool `[steps, 128]`; None, a chord nobody knows, holds the one before."""
    rows: list[np.ndarray] = []
    for chord in chords:
        row = np.zeros(128, bool)
        if chord is not None:
            row[list(chord)] = True
        elif rows:
            row = rows[-1]
        rows.append(row)
    return np.array(rows, bool).reshape(-1, 128)


# -- four voices ---------------------------------------------------------------------------------------


def voices_of(score: Score, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """By step and voice, both int64 `[steps, 4]`: the pitch that sounds, or -1; and whether it is struck."""
    starts, stops, steps = on_grid(score, grid)
    sounds = np.full((steps, VOICES), -1, np.int64)
    struck = np.zeros((steps, VOICES), np.int64)
    notes = score.notes
    for start, stop, pitch, voice in zip(
        starts.tolist(), stops.tolist(), notes["pitch"].tolist(), notes["voice"].tolist(), strict=True
    ):
        sounds[start:stop, voice] = pitch
        struck[start, voice] = 1
    return sounds, struck


def voice_tokens(sounds: np.ndarray, struck: np.ndarray, low: int) -> np.ndarray:
    """int32 `[4 * steps]`, soprano to bass step by step. What sounds at the first step is struck there, so
    that a window stands by itself."""
    tokens = np.where(sounds < 0, REST, np.where(struck == 1, sounds - low + FIRST_PITCH, HOLD))
    tokens[:1] = np.where(sounds[:1] < 0, REST, sounds[:1] - low + FIRST_PITCH)
    return tokens.astype(np.int32).reshape(-1)


def notes_of_voice_tokens(tokens: np.ndarray, low: int) -> np.ndarray:
    """The notes of int `[4 * steps]`, a tick a step; a hold after a rest is a rest."""
    steps = tokens.reshape(-1, VOICES)
    found = [np.empty(0, NOTE)]
    for voice in range(VOICES):
        line = steps[:, voice]
        breaks = np.append(np.flatnonzero(line != HOLD), len(line))
        onsets, stops = breaks[:-1], breaks[1:]
        pitched = line[onsets] >= FIRST_PITCH
        pitches = line[onsets][pitched] - FIRST_PITCH + low
        found.append(_notes(onsets[pitched], stops[pitched], pitches, voice))
    return ordered(np.concatenate(found))


def notes_of_voices(steps: np.ndarray, held: bool) -> np.ndarray:
    """The notes of pitches int `[steps, 4]`, -1 for silence, a tick a step. Equal pitches in successive steps
    are one note where `held`, else one a step."""
    found = [np.empty(0, NOTE)]
    for voice in range(VOICES):
        line = steps[:, voice]
        changes = line[1:] != line[:-1] if held else np.ones(max(len(line) - 1, 0), bool)
        onsets = np.flatnonzero(np.concatenate([np.ones(min(len(line), 1), bool), changes]))
        stops = np.append(onsets[1:], len(line))
        pitched = line[onsets] >= 0
        found.append(_notes(onsets[pitched], stops[pitched], line[onsets][pitched], voice))
    return ordered(np.concatenate(found))


def _notes(onsets: np.ndarray, stops: np.ndarray, pitches: np.ndarray, voice: int) -> np.ndarray:
    notes = np.zeros(len(onsets), NOTE)
    notes["onset"], notes["duration"], notes["pitch"] = onsets, stops - onsets, pitches
    notes["voice"], notes["velocity"] = voice, 1
    return ordered(notes)
