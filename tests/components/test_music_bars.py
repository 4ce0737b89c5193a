"""Bars as symbols: cut and moved to C, the table that stands for all, and back to notes."""

import numpy as np
import pyarrow as pa
import pytest

from components.errors import ConfigError
from components.modalities import Summary, music
from components.music_bars import Table, bars_of, table_of, to_c
from components.scores import NOTE, Score, fields, ordered

QUARTER = 4  # ticks, and steps of the grid


def score_of(rows, key="C major"):
    """From (onset, pitch, duration)."""
    notes = np.zeros(len(rows), NOTE)
    notes["onset"], notes["pitch"], notes["duration"] = np.array(rows).T
    notes["velocity"] = 80
    end = int((notes["onset"] + notes["duration"]).max())
    return Score(ordered(notes), QUARTER, end, "chords", key=key)


def chord(onset, *pitches):
    """A bar of four quarters that begins at `onset`."""
    return [(onset, pitch, 4 * QUARTER) for pitch in pitches]


def encoding_of(*scores, **options):
    table = pa.Table.from_pylist([fields(score) for score in scores], pa.schema(music.RECORD))
    encode = music.Encode.parse({"form": "bars", "grid": QUARTER, "length": 4, **options})
    summaries = {"train": Summary(table.num_rows, music.summarise(table))}
    return music.fit(summaries, encode, lambda: [table]), table


@pytest.mark.parametrize(
    ("key", "semitones"),
    [
        ("C major", 0),
        ("A minor", 0),
        ("Bb major", 2),
        ("G major", 5),
        ("F# major", -6),
        ("G# minor", 1),
        (None, 0),
    ],
)
def test_pieces_move_to_c_the_short_way(key, semitones):
    assert to_c(key) == semitones


def test_a_note_over_a_bar_line_is_struck_again():
    (first, second) = bars_of(score_of([(12, 60, 8)]), QUARTER, 4)
    assert first == ((12, 4, 60),)
    assert second == ((0, 4, 60),)


def test_equal_bars_of_different_keys_are_one_symbol():
    one = score_of([*chord(0, 60, 64, 67), *chord(16, 59, 62, 67)])
    other = score_of([*chord(0, 62, 66, 69)], key="D major")
    encoding, table = encoding_of(one, other)
    assert len(encoding["bars"]) == 2
    found = music.encode(table, encoding)
    assert found["x"][:, 0].tolist() == [1, 1]
    assert found["x"][0, 1] == 2
    assert found["length"].tolist() == [2, 1]
    assert music.spec(encoding).vocabulary == 3


def test_an_unknown_bar_is_the_one_that_sounds_most_alike():
    table = Table(
        [[(0, 16, 60), (0, 16, 64), (0, 16, 67)], [(0, 16, 65), (0, 16, 69), (0, 16, 72)]], QUARTER, 4
    )
    near_c = score_of([*chord(0, 60, 64), (0, 67, 12), (12, 69, 4)])
    octave_up = score_of(chord(0, 77, 81, 84))
    assert table.tokens(near_c).tolist() == [1]
    assert table.tokens(octave_up).tolist() == [2]


def test_silence_is_symbol_zero():
    piece = score_of([*chord(0, 60), *chord(32, 60)])
    assert Table([[(0, 16, 60)]], QUARTER, 4).tokens(piece).tolist() == [1, 0, 1]


def test_what_the_table_holds_comes_back_note_by_note():
    one = score_of([*chord(0, 60, 64, 67), (16, 62, 4), (20, 64, 12), *chord(32, 59, 62, 67)])
    encoding, table = encoding_of(one)
    x = music.encode(table, encoding)["x"]
    (back,) = music.decode(x[:, :3], encoding)
    step = back.ticks_per_quarter // QUARTER
    played = [(n["onset"] // step, n["pitch"], n["duration"] // step) for n in back.notes]
    assert sorted(played) == sorted((n["onset"], n["pitch"], n["duration"]) for n in one.notes)
    assert back.length == 3 * 4 * back.ticks_per_quarter


def test_a_small_table_has_one_bar_of_each_group():
    random = np.random.default_rng(0)
    pieces = [
        score_of([*chord(0, *rows), (12, int(random.integers(72, 90)), 4)])
        for rows in ((48, 52, 55), (53, 57, 60), (55, 59, 62))
        for _ in range(6)
    ]
    table = table_of(pieces, QUARTER, 4, 3)
    assert {bar[0][2] for bar in table} == {48, 53, 55}
    assert table == table_of(pieces, QUARTER, 4, 3)


def test_bars_are_in_one_key_and_do_not_move():
    encoding, _ = encoding_of(score_of(chord(0, 60, 64)))
    batch = {"x": np.ones((1, 4), np.int32)}
    with pytest.raises(ConfigError, match="set it to 0"):
        music.augment(batch, music.Augment(transpose=2), encoding, np.random.default_rng(0))


def test_there_are_as_many_windows_as_promised():
    pieces = [score_of([(0, 60, 16 * n)]) for n in (1, 4, 5, 9)]
    encoding, table = encoding_of(*pieces)
    found = len(music.encode(table, encoding)["x"])
    encode = music.Encode.parse({"form": "bars", "grid": QUARTER, "length": 4})
    assert 4 <= music.examples(Summary(table.num_rows, music.summarise(table)), encode) <= found == 7
