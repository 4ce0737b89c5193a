"""Scores from rows of notes, their tables and encodings, and the records that a source of music gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from components.modalities import Record, Rejected, Summary, music
from components.scores import NOTE, Score, fields, ordered

TUNE = [(i * 480, 60 + i, 0, 480, 80, 0) for i in range(5)]


def score_of(rows: Any, length: int = 0, quarter: int = 4, layout: Any = "midi", **signs: Any) -> Score:
    """From (onset, pitch, voice, duration, velocity, program)."""
    made = ordered(np.array([tuple(row) for row in rows], NOTE))
    end = int((made["onset"] + made["duration"]).max(initial=0))
    return Score(made, quarter, max(length, end), layout, **signs)


def table_of(*scores: Score) -> pa.Table:
    return pa.Table.from_pylist([fields(score) for score in scores], pa.schema(music.RECORD))


def fitted(*scores: Score, **options: Any) -> dict[str, Any]:
    """The encoding fitted on these scores."""
    table = table_of(*scores)
    encode = music.Encode.parse(options)
    summaries = {"train": Summary(table.num_rows, music.summarise(table))}
    return music.fit(summaries, encode, lambda: [table])


def there_and_back(score: Score, **options: Any) -> Score:
    """Encoded as one example and decoded, on the grid of the score."""
    encoding = fitted(score, length=4096, grid=score.ticks_per_quarter, **options)
    arrays = music.encode(table_of(score), encoding)
    assert len(arrays["x"]) == 1
    length = int(arrays["length"][0])
    (back,) = music.decode(arrays["x"][:, :length], encoding)
    notes = back.notes.copy()
    step = back.ticks_per_quarter // score.ticks_per_quarter
    assert not (notes["onset"] % step).any()
    notes["onset"] //= step
    notes["duration"] //= step
    return Score(notes, score.ticks_per_quarter, back.length // step)


def read_all(source: str, **options: Any) -> list[Record | Rejected]:
    read = music.Read.parse(options)
    music.preflight(source, read)
    return [found for chunk in music.plan(source, read) for found in music.read(chunk, read)]  # type: ignore[misc]
