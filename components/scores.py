"""A score: the notes of one piece in musical time, as columns of a record and as an array.

Time counts in ticks, `ticks_per_quarter` of them in a quarter note, and never in seconds: a change of
tempo does not move a note. A piece without a key signature has its key estimated: the correlation of
its pitch classes, weighted by duration, with the 24 profiles of Krumhansl & Kessler 1982 (the method
of Krumhansl and Schmuckler; Krumhansl 1990, Cognitive Foundations of Musical Pitch).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

Layout = Literal["midi", "chords", "voices"]

NOTE = np.dtype(
    [
        ("onset", np.int32),  # ticks
        ("pitch", np.uint8),  # MIDI number, 60 is middle C
        ("voice", np.uint8),  # the MIDI channel from 0, or soprano 0 to bass 3
        ("duration", np.int32),  # ticks, at least 1
        ("velocity", np.uint8),  # 1 to 127
        ("program", np.uint8),  # MIDI instrument from 0
    ]
)
RECORD = [
    *(pa.field(name, pa.list_(pa.from_numpy_dtype(NOTE[name]))) for name in NOTE.names or ()),
    pa.field("ticks_per_quarter", pa.int32()),
    pa.field("length", pa.int32()),  # ticks, the silence at the end included
    pa.field("quarters", pa.float64()),  # the same in quarter notes
    pa.field("layout", pa.string()),  # see Score
    pa.field("tempo", pa.float64()),  # quarter notes a minute, the first one stated; null: none is
    pa.field("tempo_changes", pa.bool_()),  # whether it has another one later
    pa.field("time_signature", pa.string()),  # "3/4", the first one stated; null: none is
    pa.field("key_name", pa.string()),  # "C major"
    pa.field("key_estimated", pa.bool_()),  # from the notes, for want of a key signature
    pa.field("mended", pa.int32()),  # notes whose end was missing or lay on their beginning
]
CONTENT = (*(NOTE.names or ()), "ticks_per_quarter", "length")

DRUMS = 9  # the channel of percussion, the tenth
PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJORS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINORS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True, eq=False)
class Score:
    """One piece.

    Attributes:
        notes: NOTE `[n]`, in the order of `ordered`.
        length: ticks, the silence at the end included.
        layout: `midi`: voices are channels; `chords`: there is one voice; `voices`: soprano to bass, each
            with one note at a time.
        tempo: quarter notes a minute, where it is stated.
        key: the key signature as "C major", where there is one.
    """

    notes: np.ndarray
    ticks_per_quarter: int
    length: int
    layout: Layout = "midi"
    tempo: float | None = None
    tempo_changes: bool = False
    time_signature: str | None = None
    key: str | None = None
    mended: int = 0

    @property
    def drums(self) -> np.ndarray:
        """Which notes are percussion, bool `[n]`."""
        return (self.notes["voice"] == DRUMS) & (self.layout == "midi")


def ordered(notes: np.ndarray) -> np.ndarray:
    """The notes by onset, then pitch, voice, duration, velocity and program."""
    return np.sort(notes, order=NOTE.names)


def fields(score: Score) -> dict[str, Any]:
    """The columns of a record; `scores_of` reads them back."""
    columns = {name: score.notes[name].tolist() for name in NOTE.names or ()}
    return columns | {
        "ticks_per_quarter": score.ticks_per_quarter,
        "length": score.length,
        "quarters": score.length / score.ticks_per_quarter,
        "layout": score.layout,
        "tempo": score.tempo,
        "tempo_changes": score.tempo_changes,
        "time_signature": score.time_signature,
        "key_name": score.key or estimated_key(score),
        "key_estimated": score.key is None,
        "mended": score.mended,
    }


def scores_of(table: pa.Table) -> Iterator[Score]:
    """The pieces of a table of records, in its order."""
    notes, counts = notes_of(table)
    stops = np.cumsum(counts)
    names = [field.name for field in RECORD if field.name not in (NOTE.names or ())]
    for i, row in enumerate(table.select(names).to_pylist()):
        yield Score(
            notes=notes[stops[i] - counts[i] : stops[i]],
            ticks_per_quarter=row["ticks_per_quarter"],
            length=row["length"],
            layout=row["layout"],
            tempo=row["tempo"],
            tempo_changes=row["tempo_changes"],
            time_signature=row["time_signature"],
            key=None if row["key_estimated"] else row["key_name"],
            mended=row["mended"],
        )


def notes_of(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The notes of all records one after another, NOTE `[n]`, and how many each record has."""
    counts = np.zeros(table.num_rows, np.int64)
    columns = {}
    for name in NOTE.names or ():
        lists = (
            pa.concat_arrays(table.column(name).chunks) if table.num_rows else pa.array([], RECORD[0].type)
        )
        columns[name] = lists.flatten().to_numpy(zero_copy_only=False)
        counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    notes = np.empty(len(columns["onset"]), NOTE)
    for name, values in columns.items():
        notes[name] = values
    return notes, counts


def estimated_key(score: Score) -> str | None:
    """The key whose profile correlates best with the pitch classes, of equals the first from C major up;
    None where all twelve weigh the same or nothing but drums sounds."""
    notes = score.notes[~score.drums]
    weights = np.bincount(notes["pitch"] % 12, notes["duration"], minlength=12).astype(np.float64)
    weights -= weights.mean()
    if not np.abs(weights).max() > 0:
        return None
    profiles = np.array([np.roll(p, tonic) for p in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)])
    profiles -= profiles.mean(axis=1, keepdims=True)
    best = int(np.argmax(profiles @ weights / np.linalg.norm(profiles, axis=1)))
    return key_name(best % 12, minor=best >= 12)


def key_name(tonic: int, minor: bool) -> str:
    """The name of a key by its pitch class, in its commonest spelling."""
    return f"{MINORS[tonic]} minor" if minor else f"{MAJORS[tonic]} major"
