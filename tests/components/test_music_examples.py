"""Music as examples: windows, what is refused, transposing, and samples that play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.errors import ConfigError, DataError
from components.midi import read_midi
from components.modalities import Summary, music
from components.scores import Score
from tests.components.music_scores import TUNE, fitted, score_of, table_of, there_and_back


def test_windows_cover_a_piece_and_say_how_long_they_are() -> None:
    score = score_of([(0, 60, 0, 10, 80, 0)], layout="chords")
    for stride, lengths in ((None, [4, 4, 2]), (2, [4, 4, 4, 4]), (3, [4, 4, 4])):
        options = {"form": "steps", "length": 4, "stride": stride}
        found = music.encode(table_of(score), fitted(score, **options))
        assert found["length"].tolist() == lengths
        assert found["x"].shape == (len(lengths), 4)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    form=st.sampled_from(["events", "roll", "steps"]),
    length=st.integers(2, 30),
    stride=st.integers(1, 30),
)
def test_there_are_at_least_as_many_examples_as_promised(
    lengths: list[int], form: str, length: int, stride: int
) -> None:
    scores = [score_of([(i, 60, 0, 1, 80, 0) for i in range(n)], layout="chords") for n in lengths]
    stride = min(max(stride, -(-length // 16)), length)
    table = table_of(*scores)
    options = {"form": form, "length": length, "stride": stride}
    count = len(music.encode(table, fitted(*scores, **options))["x"])
    least = music.examples(Summary(table.num_rows, music.summarise(table)), music.Encode.parse(options))
    assert table.num_rows <= least <= count
    if form != "events":
        assert least > 0.5 * (count - table.num_rows)


def test_pitches_out_of_range_are_refused_or_moved_by_octaves() -> None:
    score = score_of(
        [(0, 20, 0, 1, 80, 0), (1, 110, 0, 1, 80, 0), (2, 127, 0, 1, 80, 0), (3, 0, 9, 1, 80, 0)]
    )
    with pytest.raises(DataError, match=r"the train split has pitches from 20 to 127.*21 to 108"):
        fitted(score)
    back = there_and_back(score, outside="octave", drums=True)
    assert back.notes["pitch"].tolist() == [32, 98, 103, 0]


def test_voices_are_refused_where_there_are_none() -> None:
    with pytest.raises(DataError, match="needs pieces of four voices, and those of the train split are midi"):
        fitted(score_of(TUNE), form="voices")


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 129},
        {"stride": 7},
        {"low": 60, "high": 70},
        {"form": "roll", "drums": True},
        {"grid": 5},
        {"form": "notes"},
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        music.Encode.parse(options)


# -- augmentation ----------------------------------------------------------------------------------------


def moved(
    score: Score, form: str, most: int, count: int = 300
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The example, and `count` draws of it moved."""
    encoding = fitted(score, form=form, length=8, low=48, high=72, grid=4)
    batch = music.batch(
        music.encode(table_of(*[score] * count), encoding), encoding, np.random.default_rng(0)
    )
    options = music.Augment.parse({"transpose": most})
    found = music.augment(batch, options, encoding, np.random.default_rng(1))
    assert found["x"].dtype == batch["x"].dtype
    return batch["x"][0], found["x"], encoding


@pytest.mark.parametrize("form", ["events", "roll", "voices"])
def test_transposing_moves_all_pitches_alike_and_stays_in_range(form: str) -> None:
    score = score_of([(0, 50, 0, 2, 80, 0), (1, 67, 3, 3, 80, 0)], layout="voices")
    _, found, encoding = moved(score, form, 6)
    heights = set()
    for x in found:
        (back,) = music.decode(x[None], encoding)
        heights.add(tuple(back.notes["pitch"].tolist()))
    assert heights == {(50 + move, 67 + move) for move in range(-2, 6)}  # -2: as low as it goes; 5: as high


@pytest.mark.parametrize("form", ["events", "roll"])
def test_transposing_is_off_by_default_and_leaves_drums_and_silence(form: str) -> None:
    drums = score_of([(0, 50, 9, 2, 80, 0)])
    x, found, _ = moved(drums, form, 12, count=20)
    assert (found == x).all()
    x, found, _ = moved(score_of([(0, 60, 0, 1, 80, 0)]), form, 0, count=20)
    assert (found == x).all()


def test_chords_cannot_be_moved() -> None:
    with pytest.raises(ConfigError, match=r"data\.augment\.transpose"):
        moved(score_of([(0, 60, 0, 1, 80, 0)]), "steps", 1, count=2)


# -- samples ---------------------------------------------------------------------------------------------


def test_samples_are_a_midi_file_that_plays_them_in_turn_and_a_picture(tmp_path: Path) -> None:
    from PIL import Image

    score = score_of([(0, 60, 0, 4, 80, 0), (4, 64, 0, 4, 80, 0)], 12, layout="chords", tempo=100.0)
    encoding = fitted(score, form="roll", length=12)
    x = music.encode(table_of(score, score, score), encoding)["x"]
    written = music.write_samples(x, encoding, tmp_path / "samples")
    assert written == tmp_path / "samples.mid"
    body = written.read_bytes()
    back = read_midi(body)
    each = (3 + 4) * 480  # three quarters and a bar of silence
    assert back.notes["onset"].tolist() == [at + n * each for n in range(3) for at in (0, 480)]
    assert back.tempo == 100.0
    for text in (b"generated by Mozart", b"sample 1", b"sample 3"):
        assert text in body
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.format == "PNG"
        assert len(set(picture.convert("L").getdata())) > 2
    before = (tmp_path / "samples.png").read_bytes()
    music.write_samples(x, encoding, tmp_path / "samples.mid")
    assert (tmp_path / "samples.png").read_bytes() == before
    assert written.read_bytes() == body


@pytest.mark.parametrize("form", ["events", "roll", "steps", "voices", "bars"])
def test_samples_without_a_note_are_written_too(tmp_path: Path, form: str) -> None:
    layout = "voices" if form == "voices" else "chords"
    encoding = fitted(score_of([(0, 60, 0, 4, 80, 0)], layout=layout), form=form, length=8)
    silent = np.zeros((2, *music.spec(encoding).shape), np.float32 if form == "roll" else np.int32)
    music.write_samples(silent, encoding, tmp_path / "silent")
    assert (tmp_path / "silent.mid").stat().st_size > 0
    assert (tmp_path / "silent.png").stat().st_size > 0
