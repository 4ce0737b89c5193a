"""What pieces of music are summarised by: pitches, durations, loudness, harmony, tempo, key, metre, length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.accumulators import Categorical, Numeric
from components.modalities import Anomaly, Summary
from components.scores import DRUMS, PITCH_CLASSES, notes_of


def summarise(table: pa.Table) -> dict[str, Any]:
    """The features of a table of records. `pitch`, `pitch_class` and `polyphony` are of notes that are not
    percussion; `duration` is in quarters."""
    notes, counts = notes_of(table)
    piece = np.repeat(np.arange(table.num_rows), counts)
    midi = pc.equal(table.column("layout"), "midi").to_numpy()
    drums = (notes["voice"] == DRUMS) & midi[piece]
    quarter = table.column("ticks_per_quarter").to_numpy()
    pitches = notes["pitch"][~drums]
    classes = np.bincount(pitches % 12, minlength=12).tolist()
    named = pc.fill_null(table.column("key_estimated"), True).to_numpy()
    return {
        "pitch": Numeric.of(pitches),
        "pitch_class": Categorical.of(dict(zip(PITCH_CLASSES, classes, strict=True))),
        "duration": Numeric.of(notes["duration"] / quarter[piece]),
        "velocity": Numeric.of(notes["velocity"]),
        "polyphony": Numeric.of(_polyphony(notes[~drums], piece[~drums])),
        "tempo": Numeric.of(table.column("tempo")),
        "tempo_changes": Categorical.of(_yes(table.column("tempo_changes").to_numpy())),
        "key": Categorical.of(table.column("key_name")),
        "key_source": Categorical.of(np.where(named, "estimated", "signature").tolist()),
        "time_signature": Categorical.of(table.column("time_signature")),
        "quarters": Numeric.of(table.column("quarters")),
        "notes": Numeric.of(counts),
        "drum_notes": Numeric.of(np.bincount(piece[drums], minlength=table.num_rows)),
        "layout": Categorical.of(table.column("layout")),
        "mended": Numeric.of(table.column("mended")),
    }


def _yes(flags: np.ndarray) -> list[str]:
    return ["yes" if flag else "no" for flag in flags]


def _polyphony(notes: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """How many notes sound at each moment at which one begins, int64, all pieces together."""
    onset = notes["onset"].astype(np.int64)
    far = int((onset + notes["duration"]).max(initial=0)) + 1  # pieces laid one after another
    starts = np.sort(piece * far + onset)
    stops = np.sort(piece * far + onset + notes["duration"])
    moments = np.unique(starts)
    begun = np.searchsorted(starts, moments, side="right")
    return begun - np.searchsorted(stops, moments, side="right")


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """Training pieces without pitches or with one only; notes whose ends were missing; percussion alone."""
    train = summaries["train"].features
    pitch = train.get("pitch")
    if pitch is None or not pitch.count:
        return [Anomaly("error", "no-notes", "the training pieces hold no note that has a pitch")]
    found = []
    if pitch.min == pitch.max:
        message = f"the training pieces hold one pitch only, {pitch.min:.0f}: there is nothing to learn"
        found.append(Anomaly("error", "one-pitch", message))
    mended = round(train["mended"].mean * train["mended"].count)
    if mended > 0.01 * train["velocity"].count:
        message = (
            f"{mended} of {train['velocity'].count} training notes have no end of their own in their file, "
            "so that their durations are guesses"
        )
        found.append(Anomaly("warning", "mended-notes", message))
    return found
