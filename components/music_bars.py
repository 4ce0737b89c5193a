"""Bars as symbols: what a musical dice game throws for (as in the table ascribed to Mozart, K. 516f).

A piece is moved to C major or A minor, so that bars of different pieces fit together, and cut from its beginning
into bars of equal length; a note that crosses a bar line is struck again. The training split's bars are grouped
by their pitch classes and their bass, step by step (k-means), and the bar nearest to the middle of each group
stands for it: the table. Any bar is the symbol of the nearest one in the table, and symbol 0 is silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from components.music_grids import on_grid
from components.scores import NOTE, PITCH_CLASSES, Score, estimated_key, ordered

SILENCE = 0
MOST_BARS = 50_000  # different ones that a table is made from
BASS = 0.5  # weight of the lowest pitch class beside the others
SPELLINGS = {"Db": "C#", "G#": "Ab"} | {name: name for name in PITCH_CLASSES}

Bar = tuple[tuple[int, int, int], ...]  # onset in the bar and duration, in steps, and pitch of each note


def bars_of(score: Score, grid: int, quarters: int) -> list[Bar]:
    """The bars of `quarters` of a piece, moved to C major or A minor; drums are left out."""
    size = quarters * grid
    starts, stops, steps = on_grid(score, grid)
    found: list[list[tuple[int, int, int]]] = [[] for _ in range(-(-steps // size))]
    pitches = score.notes["pitch"].astype(np.int64) + to_c(score.key or estimated_key(score))
    pitches = np.where(pitches > 127, pitches - 12, np.where(pitches < 0, pitches + 12, pitches))
    kept = ~score.drums
    rows = zip(starts[kept].tolist(), stops[kept].tolist(), pitches[kept].tolist(), strict=True)
    for start, stop, pitch in rows:
        for number in range(start // size, (stop - 1) // size + 1):
            first, last = max(start, number * size), min(stop, (number + 1) * size)
            found[number].append((first - number * size, last - first, pitch))
    return [tuple(sorted(set(bar))) for bar in found]


def to_c(key: str | None) -> int:
    """Semitones, from -6 to 5, from a key like "Eb major" to C major, or of a minor one to A minor."""
    if key is None:
        return 0
    name, mode = key.split()
    home = 9 if mode == "minor" else 0
    return (home - PITCH_CLASSES.index(SPELLINGS[name]) + 6) % 12 - 6


def table_of(scores: Iterable[Score], grid: int, quarters: int, size: int) -> list[Bar]:
    """At most `size` bars that stand for all, those of many bars first."""
    counts: Counter[Bar] = Counter()
    for score in scores:
        for bar in bars_of(score, grid, quarters):
            if bar and (bar in counts or len(counts) < MOST_BARS):
                counts[bar] += 1
    bars = sorted(counts, key=lambda bar: (-counts[bar], bar))
    if len(bars) <= size:
        return bars
    from sklearn.cluster import KMeans

    looks, weights = features(bars, grid * quarters), np.array([counts[bar] for bar in bars])
    groups = KMeans(size, n_init=1, random_state=0).fit(looks, sample_weight=weights)
    away = np.sum((looks - groups.cluster_centers_[groups.labels_]) ** 2, axis=1)
    order = np.lexsort((away, groups.labels_))
    first = order[np.r_[True, np.diff(groups.labels_[order]) > 0]]
    share = np.bincount(groups.labels_, weights, minlength=size)
    return [bars[i] for i in sorted(first.tolist(), key=lambda i: (-share[groups.labels_[i]], i))]


def features(bars: Iterable[Bar], steps: int) -> np.ndarray:
    """What bars are compared by, float32 `[n, 24 * steps]`: which pitch classes sound at each step, and which
    is the lowest."""
    rows = []
    for bar in bars:
        sounding = np.zeros((steps, 128), bool)
        for onset, duration, pitch in bar:
            sounding[onset : onset + duration, pitch] = True
        row = np.zeros((steps, 24), np.float32)
        when, pitches = np.nonzero(sounding)
        row[when, pitches % 12] = 1
        any_of_them = sounding.any(axis=1)
        row[any_of_them, 12 + sounding[any_of_them].argmax(axis=1) % 12] = BASS
        rows.append(row.ravel())
    return np.array(rows, np.float32).reshape(-1, 24 * steps)


class Table:
    """The bars that symbols from 1 on stand for."""

    def __init__(self, bars: Iterable[Iterable[Iterable[int]]], grid: int, quarters: int) -> None:
        self.bars: list[Bar] = [tuple((a, b, c) for a, b, c in bar) for bar in bars]
        self.grid, self.quarters, self.steps = grid, quarters, grid * quarters
        self.index = {bar: symbol for symbol, bar in enumerate(self.bars, 1)}
        self.looks = features(self.bars, self.steps)

    def tokens(self, score: Score) -> np.ndarray:
        """The symbols of a piece, int32 `[bars]`."""
        found = bars_of(score, self.grid, self.quarters)
        return np.array([self._symbol(bar) for bar in found], np.int32)

    def notes(self, tokens: np.ndarray) -> np.ndarray:
        """The notes of symbols, a tick a step, without velocities."""
        rows = [
            (number * self.steps + onset, duration, pitch)
            for number, token in enumerate(tokens.tolist())
            for onset, duration, pitch in (self.bars[token - 1] if token != SILENCE else ())
        ]
        notes = np.zeros(len(rows), NOTE)
        notes["onset"], notes["duration"], notes["pitch"] = np.array(rows, np.int64).reshape(-1, 3).T
        notes["velocity"] = 1
        return ordered(notes)

    def _symbol(self, bar: Bar) -> int:
        if not bar:
            return SILENCE
        if bar not in self.index:
            away = np.sum((self.looks - features([bar], self.steps)) ** 2, axis=1)
            self.index[bar] = int(away.argmin()) + 1
        return self.index[bar]
