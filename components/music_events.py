"""Scores as events: a vocabulary of tokens in which a piece is written note by note.

    shift n      move on by n steps of the grid; several of them add up
    pitch p      a note begins; or drum p, percussion
    duration n   it lasts n steps; several of them add up
    velocity b   and is struck as loudly as bin b says
    end          of the piece, and padding

A note is pitch, duration and velocity, in this order; notes of one step follow by pitch. All voices and
instruments are written as one. A piece whose training split has one velocity only has no velocities.
What no piece looks like still decodes: a note without a duration lasts one step, and a duration or a
velocity without a note says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.music_grids import on_grid
from components.scores import DRUMS, NOTE, Score, ordered

END = 0
FIRST_PITCH = 1


@dataclass(frozen=True)
class Events:
    """The vocabulary: `end`, pitches from `low` to `high`, durations and shifts of 1 to `longest` steps,
    bins of velocity and, where there are `drums`, the 128 keys of percussion."""

    grid: int
    low: int
    high: int
    longest: int
    velocities: int
    drums: bool

    @classmethod
    def of(cls, encoding: dict[str, Any]) -> Events:
        """The vocabulary that an encoding names."""
        return cls(**{name: encoding[name] for name in cls.__dataclass_fields__})

    @property
    def duration(self) -> int:
        """The token before `duration 1`, so that `duration n` is this plus n; the others alike."""
        return FIRST_PITCH + self.high - self.low

    @property
    def shift(self) -> int:
        """See duration."""
        return self.duration + self.longest

    @property
    def velocity(self) -> int:
        """The token of `velocity 0`."""
        return self.shift + self.longest + 1

    @property
    def drum(self) -> int:
        """The token of `drum 0`."""
        return self.velocity + self.velocities

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self.drum + 128 * self.drums

    def names(self) -> list[str]:
        """What each token is called, in their order."""
        steps = range(1, self.longest + 1)
        return [
            "end",
            *(f"pitch {pitch}" for pitch in range(self.low, self.high + 1)),
            *(f"duration {n}" for n in steps),
            *(f"shift {n}" for n in steps),
            *(f"velocity {n}" for n in range(self.velocities)),
            *(f"drum {key}" for key in range(128 * self.drums)),
        ]


def tokens_of(score: Score, events: Events) -> np.ndarray:
    """int32 `[tokens]`, `end` last. Pitches outside of the vocabulary are the caller's to move."""
    starts, stops, _ = on_grid(score, events.grid)
    drums = score.drums
    kept = np.ones(len(drums), bool) if events.drums else ~drums
    notes = score.notes
    bins = (notes["velocity"].astype(np.int64) - 1) * events.velocities // 127
    columns = np.stack([starts, drums, notes["pitch"], stops - starts, bins])[:, kept]
    tokens: list[int] = []
    now = 0
    for start, drum, pitch, steps, loud in sorted(columns.T.tolist()):
        tokens += _in_parts(start - now, events.shift, events.longest)
        tokens.append(events.drum + pitch if drum else FIRST_PITCH + pitch - events.low)
        tokens += _in_parts(steps, events.duration, events.longest)
        if events.velocities:
            tokens.append(events.velocity + loud)
        now = start
    return np.array([*tokens, END], np.int32)


def _in_parts(steps: int, base: int, longest: int) -> list[int]:
    whole, rest = divmod(steps, longest)
    return [base + longest] * whole + [base + rest] * (rest > 0)


def notes_of_tokens(tokens: np.ndarray, events: Events, velocity: int) -> np.ndarray:
    """The notes up to the first `end`, a tick a step; percussion on its channel. `velocity` is that of notes
    without one."""
    rows: list[list[int]] = []
    now, fresh = 0, False
    for token in np.asarray(tokens).tolist():
        if token == END:
            break
        if events.shift < token < events.velocity:
            now += token - events.shift
            fresh = False
        elif events.duration < token <= events.shift:
            if fresh:
                rows[-1][3] += token - events.duration
        elif events.velocity <= token < events.drum:
            if fresh:
                middle = 2 * (token - events.velocity) + 1
                rows[-1][4] = 1 + middle * 127 // (2 * events.velocities)
        else:
            drum = token >= events.drum
            pitch = token - events.drum if drum else token - FIRST_PITCH + events.low
            rows.append([now, pitch, DRUMS if drum else 0, 0, velocity, 0])
            fresh = True
    notes = np.array([(*row[:3], max(row[3], 1), *row[4:]) for row in rows], NOTE)
    return ordered(notes)
