"""Pieces of music cut into examples, and examples moved to another key. The forms: components.modalities.music."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from components import music_grids as grids
from components.music_bars import Table
from components.music_events import FIRST_PITCH, Events, tokens_of
from components.scores import Score, scores_of


def shape_of(encoding: dict[str, Any]) -> tuple[int, ...]:
    """Of one example."""
    length, pitches = encoding["length"], encoding["high"] - encoding["low"] + 1
    by_form = {"roll": (length, pitches), "voices": (grids.VOICES * length,)}
    return by_form.get(encoding["form"], (length,))


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` int32 `[n, length]`, or of a roll uint8 `[n, length, pitches]`, and `length` int32 `[n]`: the windows
    of each piece, the last one padded with zeros."""
    shape = shape_of(encoding)
    chords = {tuple(chord): symbol for symbol, chord in enumerate(encoding.get("chords", []), 1)}
    table_of_bars = Table(encoding["bars"], encoding["grid"], encoding["bar"]) if "bars" in encoding else None
    windows = [
        window for score in scores_of(table) for window in _windows(score, encoding, chords, table_of_bars)
    ]
    x = np.zeros((len(windows), *shape), np.uint8 if encoding["form"] == "roll" else np.int32)
    for row, window in zip(x, windows, strict=True):
        row[: len(window)] = window
    return {"x": x, "length": np.array([len(window) for window in windows], np.int32)}


def _windows(
    score: Score, encoding: dict[str, Any], chords: dict[tuple[int, ...], int], bars: Table | None
) -> Iterable[np.ndarray]:
    """The windows of one piece, not padded."""
    form, grid, low = encoding["form"], encoding["grid"], encoding["low"]
    if bars is not None:
        return _cut(bars.tokens(score), encoding)
    if form == "steps":
        found = grids.chords_of(grids.roll_of(score, grid))
        return _cut(np.array([chords.get(chord, grids.UNKNOWN) for chord in found], np.int32), encoding)
    score = _in_range(score, encoding)
    if form == "events":
        return _cut(tokens_of(score, Events.of(encoding)), encoding)
    if form == "roll":
        return _cut(grids.roll_of(score, grid)[:, low : encoding["high"] + 1], encoding)
    sounds, struck = (_cut(part, encoding) for part in grids.voices_of(score, grid))
    return [grids.voice_tokens(a, b, low) for a, b in zip(sounds, struck, strict=True)]


def _cut(piece: np.ndarray, encoding: dict[str, Any]) -> list[np.ndarray]:
    length, stride = encoding["length"], encoding["stride"]
    return [piece[start : start + length] for start in range(0, max(len(piece) - length + stride, 1), stride)]


def _in_range(score: Score, encoding: dict[str, Any]) -> Score:
    """The score with every pitch from low to high, moved by octaves where it has to be."""
    low, high = encoding["low"], encoding["high"]
    pitch = score.notes["pitch"].astype(np.int64)
    moved = np.where(pitch < low, low + (pitch - low) % 12, pitch)
    moved = np.where(pitch > high, high - (high - pitch) % 12, moved)
    notes = score.notes.copy()
    notes["pitch"] = np.where(score.drums, pitch, moved)
    return Score(notes, score.ticks_per_quarter, score.length, score.layout)


def transposed(x: np.ndarray, most: int, encoding: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Rolls `[n, length, pitches]`, or tokens `[n, length]` of events or voices, each moved by its own interval
    of up to `most` semitones: of those that keep all of it in range, each is as likely."""
    last = encoding["high"] - encoding["low"]
    if x.ndim == 3:
        sounding = np.asarray(x.any(axis=1))
        lowest, highest = sounding.argmax(axis=1), last - sounding[:, ::-1].argmax(axis=1)
        moves = _moves(lowest, highest, sounding.any(axis=1), most, last, rng)
        columns = (np.arange(last + 1) - moves[:, None]) % (last + 1)  # what wraps around is silent
        return np.take_along_axis(x, columns[:, None, :], axis=2)
    first = FIRST_PITCH if encoding["form"] == "events" else grids.FIRST_PITCH
    pitched = (x >= first) & (x <= first + last)
    lowest = np.where(pitched, x - first, last).min(axis=1)
    highest = np.where(pitched, x - first, 0).max(axis=1)
    moves = _moves(lowest, highest, pitched.any(axis=1), most, last, rng)
    return np.where(pitched, x + moves[:, None].astype(x.dtype), x)


def _moves(
    lowest: np.ndarray, highest: np.ndarray, any_pitch: Any, most: int, last: int, rng: np.random.Generator
) -> np.ndarray:
    """Semitones for each example; none where nothing sounds."""
    down = np.where(any_pitch, np.minimum(most, lowest), 0)
    up = np.where(any_pitch, np.minimum(most, last - highest), 0)
    return rng.integers(-down, up + 1)
