"""Metrics of music: features by hand, Bach's chorales against themselves, shuffled, copied in another key."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import music_samples
from components.chorales import layout_of, pieces_of, score_of
from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.music import ABOUT, FEATURES, HISTOGRAMS, events, features, histograms, music_metrics
from components.music_grids import roll_of
from components.music_windows import encode
from components.scores import DRUMS, NOTE, Score, fields, ordered


def score(*notes: tuple[int, int, int], length: int = 0, quarter: int = 4, voice: int = 0) -> Score:
    """Of (onset, pitch, duration) in ticks."""
    rows = np.array([(onset, pitch, voice, duration, 80, 0) for onset, pitch, duration in notes], NOTE)
    last = max((onset + duration for onset, _, duration in notes), default=0)
    return Score(ordered(rows), quarter, max(length, last, 1))


SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def test_features_of_a_scale_and_a_chord_by_hand() -> None:
    scale = score(*((4 * i, pitch, 4) for i, pitch in enumerate(SCALE)))
    chord = score((0, 60, 8), (0, 64, 4), (0, 67, 4), (0, 67, 8), length=16)
    found = {name: values.tolist() for name, values in features([scale, chord]).items()}
    assert found["pitches_used"] == [8, 3]
    assert found["pitch_range"] == [12, 7]
    assert found["pitch_class_entropy"] == pytest.approx([6 / 8 * 3 + 2 / 8 * 2, 1.5])
    assert found["in_key_ratio"] == [1, 1]
    assert found["polyphony"] == [1, 2.5]  # 8 + 4 + 8 ticks of pitches in 8 ticks of sound; 67 sounds once
    assert found["polyphony_rate"] == [0, 4 / 16]
    assert found["empty_beat_rate"] == [0, 2 / 4]
    assert found["note_density"] == [1, 1]
    assert found["note_length"] == [1, 1.5]
    assert found["groove_consistency"][0] == 1
    assert found["inter_onset"][0] == 1
    assert math.isnan(found["groove_consistency"][1])  # one bar
    assert math.isnan(found["inter_onset"][1])  # one onset


def test_in_key_ratio_takes_the_best_of_all_keys() -> None:
    chromatic = score(*((i, 60 + i, 1) for i in range(12)))
    d_major = score(*((i, 62 + step, 1) for i, step in enumerate((0, 2, 4, 5, 7, 9, 11, 1))))
    assert features([chromatic, d_major])["in_key_ratio"] == pytest.approx([7 / 12, 7 / 8])


def test_groove_is_the_places_of_onsets_from_bar_to_bar() -> None:
    """Bars of 16 ticks have 48 places: the second bar lacks one onset of the first, the third is the second."""
    first, second = [0, 4, 8], [0, 8]
    onsets = [*first, *(16 + n for n in second), *(32 + n for n in second)]
    found = features([score(*((onset, 60, 1) for onset in onsets))])["groove_consistency"]
    assert found == pytest.approx([1 - (1 / 48 + 0) / 2])


@settings(derandomize=True, max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(60, 66), st.integers(1, 12)), min_size=1, max_size=20),
    st.integers(0, 60),
)
def test_what_sounds_is_what_the_piano_roll_shows(notes: list[tuple[int, int, int]], length: int) -> None:
    piece = score(*notes, length=length)
    roll = roll_of(piece, 4)
    sounding = roll.sum(axis=1)
    beats = -(-len(roll) // 4)
    heard = np.pad(sounding, (0, 4 * beats - len(roll))).reshape(beats, 4).any(axis=1)
    found = features([piece])
    assert found["polyphony"][0] == pytest.approx(sounding[sounding > 0].mean())
    assert found["polyphony_rate"][0] == pytest.approx((sounding > 2).mean())
    assert found["empty_beat_rate"][0] == pytest.approx(1 - heard.mean())


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 120]))
def test_ticks_do_not_matter(seed: int, factor: int) -> None:
    random = np.random.default_rng(seed)
    notes = np.stack([random.integers(0, 80, 30), random.integers(40, 80, 30), random.integers(1, 9, 30)], 1)
    piece = score(*map(tuple, notes.tolist()))
    finer = score(*((factor * a, b, factor * c) for a, b, c in notes.tolist()), quarter=4 * factor)
    one, other = features([piece]), features([finer])
    for name in FEATURES:
        assert one[name][0] == pytest.approx(other[name][0], nan_ok=True)
    one, other = histograms([piece]), histograms([finer])
    for name in HISTOGRAMS:
        assert one[name].tolist() == other[name].tolist()
    assert events([piece]).tokens.tolist() == events([finer]).tokens.tolist()


def test_histograms_by_hand() -> None:
    piece = score((0, 60, 2), (0, 64, 4), (8, 67, 400), (8, 72, 4))
    found = {name: rows[0] for name, rows in histograms([piece]).items()}
    assert np.flatnonzero(found["pitch_class"]).tolist() == [0, 4, 7]
    assert found["pitch_class"][0] == 2
    assert {i: int(found["note_length"][i]) for i in np.flatnonzero(found["note_length"])} == {
        6: 1,
        12: 2,
        96: 1,
    }
    assert np.flatnonzero(found["inter_onset"]).tolist() == [24]
    assert found["pitch_class_transition"].sum() == 3


def test_another_key_changes_neither_transitions_nor_events() -> None:
    piece = score(*((4 * i, pitch, 4) for i, pitch in enumerate([*SCALE, 67, 64, 60])))
    moved = replace(piece, notes=piece.notes.copy())
    moved.notes["pitch"] += 5
    one, other = histograms([piece]), histograms([moved])
    assert one["pitch_class_transition"].tolist() == other["pitch_class_transition"].tolist()
    assert one["pitch_class"].tolist() != other["pitch_class"].tolist()
    assert events([piece]).tokens.tolist() == events([moved]).tokens.tolist()


def test_pieces_without_pitched_notes_have_no_features() -> None:
    drums = score((0, 36, 4), (4, 38, 4), voice=DRUMS)
    found = features([score(), drums])
    assert all(np.isnan(values).all() for values in found.values())
    assert all(not rows.any() for rows in histograms([score(), drums]).values())
    assert events([score(), drums]).lengths.tolist() == [0, 0]


# -- chorales ------------------------------------------------------------------------------------------

ENCODING = {
    "form": "voices",
    "grid": 4,
    "length": 64,
    "stride": 64,
    "low": 30,
    "high": 90,
    "velocity": 80,
    "tempo": 90.0,
}


def windows(scores: list[Score]) -> list[Score]:
    """As samples are: examples of four bars, decoded."""
    import pyarrow as pa

    from components.scores import RECORD

    table = pa.Table.from_pylist([fields(one) for one in scores], pa.schema(RECORD))
    arrays = encode(table, ENCODING)
    return music_samples.decode(arrays["x"][arrays["length"] == 256], ENCODING)


@pytest.fixture(scope="module")
def chorales(test_data: Path) -> tuple[list[Score], list[Score], list[Score]]:
    """Whole pieces of training, and two halves of the held-out windows in a random order."""
    with (test_data / "jsb_chorales" / "Jsb16thSeparated.json").open("rb") as stream:
        found = pieces_of(stream, "chorales")
    layout = layout_of(found)
    scores = {part: [score_of(one, layout, 4, "held") for one in pieces] for part, pieces in found.items()}
    held = windows(scores["valid"] + scores["test"])
    rows = np.random.default_rng(0).permutation(len(held))
    half = len(held) // 2
    return scores["train"], [held[i] for i in rows[:half]], [held[i] for i in rows[half:]]


def shuffled(piece: Score, random: np.random.Generator) -> Score:
    """The same notes at other times."""
    notes = piece.notes.copy()
    notes["onset"] = random.integers(0, piece.length, len(notes))
    notes["pitch"] = random.permutation(notes["pitch"])
    return replace(piece, notes=ordered(notes))


@pytest.fixture(scope="module")
def measured(chorales: tuple[list[Score], list[Score], list[Score]]) -> dict[str, dict[str, Estimate]]:
    """Real windows; with their notes shuffled; 5 % of them from training, in another key; a fifth of them
    empty."""
    training, own, real = chorales
    random = np.random.default_rng(1)
    planted = list(own)
    copies = windows(training)
    rows = random.permutation(len(own))[: round(0.05 * len(own))]
    for row in rows:
        notes = copies[random.integers(len(copies))].notes.copy()
        notes["pitch"] += 3
        planted[row] = replace(own[row], notes=notes)
    some_empty = [replace(one, notes=one.notes[:0]) if i % 5 == 0 else one for i, one in enumerate(own)]
    sets = {
        "real": own,
        "shuffled": [shuffled(one, random) for one in own],
        "planted": planted,
        "some_empty": some_empty,
    }
    return {name: music_metrics(one, real, training) for name, one in sets.items()}


def test_every_metric_is_about_something_and_known_of_chorales(
    measured: dict[str, dict[str, Estimate]],
) -> None:
    assert len({*FEATURES, *HISTOGRAMS}) == len(FEATURES) + len(HISTOGRAMS) - 2  # two are both
    for found in measured.values():
        assert list(found) == list(ABOUT)
        assert all(one.estimable for one in found.values())


def test_bach_is_near_to_bach_and_shuffled_notes_are_not(measured: dict[str, dict[str, Estimate]]) -> None:
    real, mixed = measured["real"], measured["shuffled"]
    assert real["feature_overlap"].value > 0.93
    assert real["feature_overlap"].high == pytest.approx(1, abs=0.02)
    assert mixed["feature_overlap"].high < real["feature_overlap"].low
    for name in ("polyphony", "polyphony_rate", "groove_consistency", "inter_onset"):
        assert mixed[f"{name}_overlap"].high < 0.5 < 0.8 < real[f"{name}_overlap"].low
        assert mixed[f"{name}_kl"].low > 1 > 0.1 > real[f"{name}_kl"].value
    for name in ("pitch_class_transition", "inter_onset"):
        assert mixed[f"{name}_js"].low > real[f"{name}_js"].high
        assert real[f"{name}_js"].low < 0.002
    assert mixed["training_overlap_8"].value < 0.001 < 0.05 < real["training_overlap_8"].value


def test_planted_copies_in_another_key_are_found(measured: dict[str, dict[str, Estimate]]) -> None:
    planted, real = measured["planted"]["copy_excess"], measured["real"]["copy_excess"]
    assert planted.value == pytest.approx(0.05, abs=0.015)
    assert planted.low > 0
    assert real.low <= 0 <= real.high
    assert measured["planted"]["longest_training_run"].extra["longest"] > 50


def test_empty_pieces_are_counted_and_the_others_measured(measured: dict[str, dict[str, Estimate]]) -> None:
    found, real = measured["some_empty"], measured["real"]
    assert found["empty_share"].value == pytest.approx(0.2, abs=0.01)
    assert found["polyphony_overlap"].extra["empty"] == round(found["empty_share"].value * 265)
    assert found["polyphony_overlap"].value == pytest.approx(real["polyphony_overlap"].value, abs=0.1)


def test_nothing_crashes_where_all_samples_are_empty(
    chorales: tuple[list[Score], list[Score], list[Score]],
) -> None:
    training, _, real = chorales
    found = music_metrics([score()] * 50, real, training)
    assert list(found) == list(ABOUT)
    assert (found["empty_share"].value, found["feature_overlap"].value, found["copy_rate"].value) == (1, 0, 0)
    for name in ("polyphony_overlap", "pitch_range_kl", "pitch_class_js", "training_overlap_8"):
        assert math.isnan(found[name].value)
        assert found[name].why
    with pytest.raises(DataError, match="0 samples"):
        music_metrics([], real, training)


def test_real_pieces_without_notes_give_no_overlap() -> None:
    empty, scale = [score()] * 40, [score(*((4 * i, pitch, 4) for i, pitch in enumerate(SCALE)))] * 40
    assert math.isnan(music_metrics(scale, empty, scale)["feature_overlap"].value)
    few = music_metrics(scale[:10], scale, scale)["feature_overlap"]
    assert few.value == pytest.approx(1)
    assert "two a shard" in few.why
