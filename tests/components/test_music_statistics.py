"""Music: the features of pieces, how those of parts merge, and what makes pieces unfit."""

from __future__ import annotations

import numpy as np
import pytest

from components.accumulators import merged
from components.modalities import Summary, music
from components.scores import Score
from tests.components.music_scores import TUNE, score_of, table_of


def test_the_features_of_two_pieces() -> None:
    rows = [(0, 60, 0, 4, 80, 0), (0, 64, 0, 8, 90, 0), (4, 60, 0, 4, 80, 0), (0, 36, 9, 1, 100, 0)]
    a = score_of(rows, 8, tempo=90.0, time_signature="3/4", key="C major", mended=1)
    b = score_of([(0, 72, 0, 2, 80, 0)], 4, layout="chords")
    found = music.summarise(table_of(a, b))
    assert dict(zip(found["pitch"].values, found["pitch"].counts, strict=True)) == {60: 2, 64: 1, 72: 1}
    assert found["pitch_class"].counts == {"C": 3, "E": 1}
    assert (found["duration"].min, found["duration"].max) == (0.25, 2.0)
    assert dict(zip(found["polyphony"].values, found["polyphony"].counts, strict=True)) == {1: 1, 2: 2}
    assert (found["tempo"].count, found["tempo"].missing, found["tempo"].mean) == (1, 1, 90.0)
    assert (found["time_signature"].counts, found["time_signature"].missing) == ({"3/4": 1}, 1)
    assert found["key_source"].counts == {"signature": 1, "estimated": 1}
    assert (found["quarters"].count, found["quarters"].mean) == (2, 1.5)
    assert found["notes"].values.tolist() == [1, 4]
    assert found["drum_notes"].mean == 0.5
    assert found["velocity"].count == 5
    assert found["layout"].counts == {"midi": 1, "chords": 1}


def test_features_of_parts_merge_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    scores = [
        score_of([(*rng.integers(0, 100, 2), 0, *rng.integers(1, 100, 2), 0) for _ in range(50)])
        for _ in range(6)
    ]
    whole = music.summarise(table_of(*scores))
    parts = merged([music.summarise(table_of(*scores[:2])), music.summarise(table_of(*scores[2:]))])
    assert set(parts) == set(whole)
    for name, feature in whole.items():
        if hasattr(feature, "places"):
            assert feature.places.tolist() == parts[name].places.tolist(), name
            assert feature.counts.tolist() == parts[name].counts.tolist(), name
            assert feature.mean == pytest.approx(parts[name].mean), name
        else:
            assert feature == parts[name], name


def test_what_makes_pieces_unfit_is_said() -> None:
    def rules(*scores: Score) -> list[tuple[str, str]]:
        table = table_of(*scores)
        summaries = {"train": Summary(table.num_rows, music.summarise(table))}
        return [(anomaly.severity, anomaly.rule) for anomaly in music.anomalies(summaries)]

    assert rules(score_of(TUNE)) == []
    assert rules(score_of([(0, 36, 9, 1, 80, 0)])) == [("error", "no-notes")]
    assert rules(score_of([(0, 60, 0, 1, 80, 0), (4, 60, 0, 1, 80, 0)])) == [("error", "one-pitch")]
    assert rules(score_of(TUNE, mended=1)) == [("warning", "mended-notes")]
