"""Music: what each encoding keeps of a score, there and back, and the words of its vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.midi import read_midi, write_midi
from components.modalities import music
from components.music_grids import HOLD, REST, notes_of_roll, notes_of_voice_tokens, voices_of
from components.scores import Score
from tests.components.music_scores import fitted, score_of, table_of, there_and_back

SETTINGS = settings(max_examples=100, derandomize=True, deadline=None)
EVENT_ROW = st.tuples(
    st.integers(0, 90),
    st.integers(21, 108),
    st.sampled_from([0, 9]),
    st.integers(1, 90),
    st.sampled_from([8, 24, 40, 56, 72, 88, 104, 120]),  # the middles of eight bins
    st.just(0),
)


@SETTINGS
@given(rows=st.lists(EVENT_ROW, min_size=1, max_size=20), longest=st.sampled_from([1, 7, 32]))
def test_events_keep_every_note_at_its_place_on_the_grid(rows: Any, longest: int) -> None:
    score = score_of(rows)
    if len(set(score.notes["velocity"])) == 1:  # then it is no token but a fact of the encoding
        assert fitted(score)["velocities"] == 0
    back = there_and_back(score, form="events", drums=True, longest=longest)
    assert back.notes.tolist() == score.notes.tolist()


@SETTINGS
@given(
    st.lists(
        st.lists(st.sets(st.integers(0, 87), max_size=5), min_size=1, max_size=40), min_size=1, max_size=1
    )
)
def test_a_roll_keeps_what_sounds_at_each_step(pieces: Any) -> None:
    roll = np.zeros((len(pieces[0]), 88), bool)
    for step, pitches in enumerate(pieces[0]):
        roll[step, sorted(pitches)] = True
    notes = notes_of_roll(roll, low=21)
    notes["velocity"] = 80
    score = Score(notes, 4, len(roll), "chords")
    for form in ("roll", "steps"):
        back = there_and_back(score, form=form)
        assert back.notes.tolist() == score.notes.tolist()
        assert back.length == score.length
    arrays = music.encode(table_of(score), fitted(score, form="roll", length=64))
    assert np.array_equal(arrays["x"][0, : len(roll)], roll)


VOICE = st.one_of(st.just(REST), st.just(HOLD), st.integers(2, 20))


@SETTINGS
@given(st.lists(st.tuples(VOICE, VOICE, VOICE, VOICE), min_size=1, max_size=40))
def test_voices_keep_every_note_of_every_voice(steps: Any) -> None:
    notes = notes_of_voice_tokens(np.array(steps).reshape(-1), low=40)
    notes["velocity"] = 80
    score = Score(notes, 4, len(steps), "voices")
    back = there_and_back(score, form="voices", low=40, high=60)
    assert back.notes.tolist() == score.notes.tolist()
    assert back.length == score.length


def test_the_tokens_of_a_voice_are_pitches_holds_and_rests() -> None:
    score = score_of([(0, 72, 0, 3, 80, 0), (1, 48, 3, 1, 80, 0)], 4, layout="voices")
    encoding = fitted(score, form="voices", length=4, grid=4, low=48, high=72)
    names = music.vocabulary(encoding)
    said = [names[token] for token in music.encode(table_of(score), encoding)["x"][0]]
    assert said[0::4] == ["pitch 72", "hold", "hold", "rest"]
    assert said[1::4] == said[2::4] == ["rest"] * 4
    assert said[3::4] == ["rest", "pitch 48", "rest", "rest"]


def test_a_window_of_voices_begins_with_the_pitches_that_are_held() -> None:
    score = score_of([(0, 60, voice, 8, 80, 0) for voice in range(4)], layout="voices")
    encoding = fitted(score, form="voices", length=4)
    x = music.encode(table_of(score), encoding)["x"]
    assert x.shape == (2, 16)
    assert (x[0] == x[1]).all()
    assert voices_of(score, 4)[1].sum() == 4  # struck once each


def test_the_words_of_events() -> None:
    score = score_of([(0, 60, 0, 1, 120, 0), (3, 64, 0, 40, 8, 0), (3, 36, 9, 1, 8, 0)])
    encoding = fitted(score, drums=True)
    names = music.vocabulary(encoding)
    assert music.spec(encoding).vocabulary == len(names) == 1 + 88 + 32 + 32 + 8 + 128
    x = music.encode(table_of(score), encoding)["x"]
    said = [names[token] for token in x[0]]
    assert said[:11] == [
        *("pitch 60", "duration 1", "velocity 7"),
        *("shift 3", "pitch 64", "duration 32", "duration 8", "velocity 0"),
        *("drum 36", "duration 1", "velocity 0"),
    ]
    assert set(said[11:]) == {"end"}


@SETTINGS
@given(st.lists(st.integers(0, 161), max_size=60))
def test_any_tokens_decode_to_notes_that_can_be_written(tokens: list[int]) -> None:
    encoding = fitted(score_of([(0, 60, 0, 1, 1, 0), (1, 60, 0, 1, 127, 0)]))
    assert len(music.vocabulary(encoding)) == 161
    (score,) = music.decode(np.array([tokens], np.int64).reshape(1, -1) % 161, encoding)
    if len(score.notes):
        assert read_midi(write_midi(score)).notes.tolist() == score.notes.tolist()


def test_notes_move_to_the_nearest_step_and_last_one_at_least() -> None:
    score = score_of([(7, 60, 0, 1, 80, 0), (8, 62, 0, 3, 80, 0)], quarter=48)  # a sixteenth has 12 ticks
    assert there_on(score, 4) == [(1, 60, 1), (1, 62, 1)]


def there_on(score: Score, grid: int) -> list[tuple[int, ...]]:
    encoding = fitted(score, grid=grid)
    (back,) = music.decode(music.encode(table_of(score), encoding)["x"], encoding)
    step = back.ticks_per_quarter // grid
    return [(n["onset"] // step, n["pitch"], n["duration"] // step) for n in back.notes]


def test_an_unknown_chord_is_symbol_zero_and_holds_the_one_before() -> None:
    known = score_of([(0, 60, 0, 2, 80, 0), (2, 62, 0, 1, 80, 0)], layout="chords")
    encoding = fitted(known, form="steps", grid=4, length=4)
    assert encoding["chords"] == [[60], [62]]
    other = score_of([(0, 62, 0, 1, 80, 0), (1, 99, 0, 2, 80, 0), (3, 60, 0, 1, 80, 0)], layout="chords")
    x = music.encode(table_of(other), encoding)["x"]
    assert x.tolist() == [[2, 0, 0, 1]]
    (back,) = music.decode(x, encoding)
    assert back.notes[["pitch", "duration"]].tolist() == [(62, 360), (60, 120)]
    assert fitted(known, form="steps", chords=1)["chords"] == [[60]]
