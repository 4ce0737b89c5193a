"""Music: sources, what the encodings keep, the published numbers of the chorales, samples that play."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.accumulators import merged
from components.errors import ConfigError, DataError
from components.ingest import ingest
from components.midi import read_midi, write_midi
from components.modalities import Record, Rejected, Summary, music
from components.music_grids import HOLD, REST, notes_of_roll, notes_of_voice_tokens, voices_of
from components.scores import NOTE, Score, estimated_key, fields, ordered, scores_of
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform

# -- making scores ---------------------------------------------------------------------------------------


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


# -- MIDI files as a source ------------------------------------------------------------------------------

TUNE = [(i * 480, 60 + i, 0, 480, 80, 0) for i in range(5)]


def write_tunes(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tune = [(row[0], row[1] + number % 60, *row[2:]) for row in TUNE]
        path.write_bytes(write_midi(score_of(tune, quarter=480)))


def read_all(source: str, **options: Any) -> list[Record | Rejected]:
    read = music.Read.parse(options)
    music.preflight(source, read)
    return [found for chunk in music.plan(source, read) for found in music.read(chunk, read)]  # type: ignore[misc]


def test_a_folder_gives_its_midi_files_by_relative_path(tmp_path: Path) -> None:
    write_tunes(tmp_path, "b.mid", "bach/a.MIDI", "bach/old/c.midi")
    (tmp_path / "notes.txt").write_text("not music")
    keys = ["b.mid", "bach/a.MIDI", "bach/old/c.midi"]
    assert [record.key for record in read_all(f"music:{tmp_path}")] == keys
    assert [Path(file.path).name for file in music.files(f"music:{tmp_path}")] == [
        "b.mid",
        "a.MIDI",
        "c.midi",
    ]


def test_a_file_and_a_glob_are_sources_too(tmp_path: Path) -> None:
    write_tunes(tmp_path, "a.mid", "x/b.mid", "y/c.mid")
    assert [r.key for r in read_all(f"music:{tmp_path}/a.mid")] == ["a.mid"]
    assert [r.key for r in read_all(f"music:{tmp_path}/*/*.mid")] == ["x/b.mid", "y/c.mid"]


def test_an_archive_is_a_source_and_what_is_too_long_in_it_is_not_unpacked(tmp_path: Path) -> None:
    write_tunes(tmp_path, "a.mid", "bach/b.mid")
    with zipfile.ZipFile(tmp_path / "tunes.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bach/b.mid", "a.mid"):
            archive.write(tmp_path / name, name)
        archive.writestr("long.mid", bytes(2_000_000))
        archive.writestr("cut.mid", (tmp_path / "a.mid").read_bytes()[:-4])
        archive.writestr("notes.txt", "not music")
    found = {one.key: one for one in read_all(f"music:{tmp_path}/tunes.zip")}
    rules = {key: one.rule for key, one in found.items() if isinstance(one, Rejected)}
    assert rules == {"long.mid": "too-many-bytes", "cut.mid": "broken-midi"}
    for record in read_all(f"music:{tmp_path}/*.mid") + read_all(f"music:{tmp_path}/bach/b.mid"):
        assert isinstance(record, Record)
        in_archive = found[{"b.mid": "bach/b.mid"}.get(record.key, record.key)]
        assert isinstance(in_archive, Record)
        assert in_archive.fields == record.fields
    assert [Path(file.path).name for file in music.files(f"music:{tmp_path}/tunes.zip")] == ["tunes.zip"]


def test_the_files_of_a_folder_can_stay_on_one_side(tmp_path: Path) -> None:
    write_tunes(tmp_path, "a.mid", "bach/b.mid", "bach/c.mid")
    found = read_all(f"music:{tmp_path}", group="folder")
    assert [record.group for record in found if isinstance(record, Record)] == [".", "bach", "bach"]


def test_a_broken_file_is_set_aside_and_the_others_are_read(tmp_path: Path) -> None:
    write_tunes(tmp_path, "a.mid", "c.mid")
    (tmp_path / "b.mid").write_bytes((tmp_path / "a.mid").read_bytes()[:-4])
    a, b, c = read_all(f"music:{tmp_path}")
    assert isinstance(a, Record)
    assert isinstance(c, Record)
    assert isinstance(b, Rejected)
    assert (b.key, b.rule) == ("b.mid", "broken-midi")
    assert b.reason.startswith("b.mid: ")
    assert b.remedy


def test_the_limits_of_a_file_are_options(tmp_path: Path) -> None:
    rows = [(i, 60, 0, 1, 80, 0) for i in range(600)]
    (tmp_path / "a.mid").write_bytes(write_midi(score_of(rows)))
    (found,) = read_all(f"music:{tmp_path}", most_events=1000)
    assert isinstance(found, Rejected)
    assert found.rule == "too-many-events"
    (found,) = read_all(f"music:{tmp_path}")
    assert isinstance(found, Record)


def test_chunks_do_not_depend_on_anything_but_the_files(tmp_path: Path) -> None:
    write_tunes(tmp_path, *(f"{i:03d}.mid" for i in range(450)))
    chunks = music.plan(f"music:{tmp_path}", music.Read())
    assert [len(chunk["names"]) for chunk in chunks] == [200, 200, 50]
    assert chunks == json.loads(json.dumps(chunks))


@pytest.mark.parametrize("source", ["music:", "music:nowhere", "chorales:nowhere.json", "chorales:/tmp"])
def test_a_source_that_is_not_there_is_said(source: str) -> None:
    with pytest.raises(DataError, match=r"data\.source '"):
        music.preflight(source, music.Read())


def test_a_folder_without_midi_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.mid or \.midi file"):
        music.plan(f"music:{tmp_path}", music.Read())


# -- records -------------------------------------------------------------------------------------------


def test_a_record_gives_its_score_back() -> None:
    a = score_of(
        TUNE, 9999, 480, tempo=72.0, tempo_changes=True, time_signature="3/4", key="D minor", mended=2
    )
    b = score_of([(0, 40, 3, 7, 5, 19)], layout="voices")
    for before, after in zip([a, b], scores_of(table_of(a, b)), strict=True):
        assert before.notes.tolist() == after.notes.tolist()
        assert {**vars(before), "notes": 0} == {**vars(after), "notes": 0}
    assert list(scores_of(table_of())) == []


def test_the_key_of_a_scale_is_estimated_and_marked_so() -> None:
    major = [
        (i, 62 + step, 0, 4 if step in (0, 7) else 1, 80, 0) for i, step in enumerate((0, 2, 4, 5, 7, 9, 11))
    ]
    assert estimated_key(score_of(major)) == "D major"
    minor = [
        (i, 57 + step, 0, 4 if step in (0, 3, 7) else 1, 80, 0)
        for i, step in enumerate((0, 2, 3, 5, 7, 8, 10))
    ]
    assert estimated_key(score_of(minor)) == "A minor"
    told = fields(score_of(major, key="F# minor"))
    assert (told["key_name"], told["key_estimated"]) == ("F# minor", False)
    assert fields(score_of(major))["key_estimated"] is True


def test_drums_alone_have_no_key() -> None:
    assert estimated_key(score_of([(0, 36, 9, 1, 80, 0)])) is None
    assert estimated_key(score_of([(0, 60 + i, 0, 1, 80, 0) for i in range(12)])) is None


# -- the chorales ----------------------------------------------------------------------------------------

QUARTER, SIXTEENTH, VOICES = "jsb-chorales-quarter.json", "jsb-chorales-16th.json", "Jsb16thSeparated.json"
STEPS = {  # of train, validation and test, as they are published
    QUARTER: [13_807, 4_602, 4_725],
    SIXTEENTH: [55_228, 18_408, 18_900],
    VOICES: [55_228, 18_408, 18_900],
}


@pytest.fixture(scope="module")
def chorales(test_data: Path) -> Callable[[str], dict[str, pa.Table]]:
    """The tables of a file's parts."""

    def tables(name: str, **options: Any) -> dict[str, pa.Table]:
        parts: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
        for record in read_all(f"chorales:{test_data / 'jsb_chorales' / name}", **options):
            assert isinstance(record, Record), record
            parts[str(record.part)].append(record.fields)
        return {part: pa.Table.from_pylist(rows, pa.schema(music.RECORD)) for part, rows in parts.items()}

    return tables


@pytest.mark.parametrize("name", STEPS)
def test_the_chorales_have_their_published_parts(chorales: Any, name: str) -> None:
    tables = chorales(name)
    assert [table.num_rows for table in tables.values()] == [229, 76, 77]
    steps = [sum(table.column("length").to_pylist()) for table in tables.values()]
    assert steps == STEPS[name]
    quarter = 1 if name == QUARTER else 4
    assert set(tables["train"].column("ticks_per_quarter").to_pylist()) == {quarter}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("repeats", ["held", "struck"])
def test_a_roll_is_the_published_data(chorales: Any, test_data: Path, name: str, repeats: str) -> None:
    tables = chorales(name, repeats=repeats)
    options = music.Encode.parse({"form": "roll", "grid": 1 if name == QUARTER else 4, "length": 640})
    encoding = music.fit(summaries_of(tables), options, lambda: [tables["train"]])
    assert music.spec(encoding).shape == (640, 88)
    arrays = music.encode(tables["test"], encoding)
    published = json.loads((test_data / "jsb_chorales" / name).read_text())["test"]
    for x, length, piece in zip(arrays["x"], arrays["length"], published, strict=True):
        sounding = [sorted({int(p) - 21 for p in step if p >= 0}) for step in piece]
        assert [np.flatnonzero(step).tolist() for step in x[:length]] == sounding
        assert not x[length:].any()


def test_the_unigram_floor_is_the_published_one(chorales: Any) -> None:
    """A Bernoulli for each of 88 keys: 11.060 nats a step on the test part (Boulanger-Lewandowski 2012 has
    11.06)."""
    tables = chorales(QUARTER)
    options = music.Encode.parse({"form": "roll", "grid": 1, "length": 160})
    encoding = music.fit(summaries_of(tables), options, lambda: [tables["train"]])
    train, test = (music.encode(tables[part], encoding) for part in ("train", "test"))
    on = (train["x"].sum((0, 1)) + 0.5) / (train["length"].sum() + 1)
    steps, sounding = test["length"].sum(), test["x"].sum((0, 1)).astype(np.float64)
    nats = -(sounding * np.log(on) + (steps - sounding) * np.log1p(-on)).sum() / steps
    assert nats == pytest.approx(11.060, abs=5e-4)


def summaries_of(tables: dict[str, pa.Table]) -> dict[str, Summary]:
    return {part: Summary(table.num_rows, music.summarise(table)) for part, table in tables.items()}


def write_chorales(path: Path, found: Any) -> str:
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return f"chorales:{path}"


@pytest.mark.parametrize(
    ("piece", "rule"),
    [
        ("no list", "not-steps"),
        ([[60], 61], "not-steps"),
        ([[60], [60.5]], "not-a-pitch"),
        ([[60], [128]], "not-a-pitch"),
        ([[60], [-1]], "not-a-pitch"),
        ([[60], [True]], "not-a-pitch"),
        ([[60], ["60"]], "not-a-pitch"),
        ([[60], [None]], "not-a-pitch"),
        ([[60]] * 20_001, "too-long"),
        ([], "no-notes"),
        ([[], []], "no-notes"),
    ],
)
def test_a_piece_that_is_none_is_set_aside(tmp_path: Path, piece: Any, rule: str) -> None:
    source = write_chorales(tmp_path / "quarter.json", {"train": [[[60], [62, 64.0]], piece], "valid": []})
    good, bad = read_all(source)
    assert isinstance(good, Record)
    assert isinstance(bad, Rejected)
    assert (bad.key, bad.rule) == ("quarter.json#train/1", rule)
    assert good.fields["pitch"] == [60, 62, 64]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"train": {}}', '{"training": []}', "[" * 100_000])
def test_a_file_that_holds_no_chorales_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"quarter\.json"):
        read_all(write_chorales(tmp_path / "quarter.json", text))


def test_the_length_of_a_step_is_in_the_name_or_an_option(tmp_path: Path) -> None:
    source = write_chorales(tmp_path / "chorales.json", {"train": [[[60], [62]]]})
    with pytest.raises(DataError, match=r"data\.read\.steps_per_quarter"):
        read_all(source)
    (record,) = read_all(source, steps_per_quarter=2)
    assert isinstance(record, Record)
    assert (record.fields["ticks_per_quarter"], record.fields["quarters"]) == (2, 1.0)


def test_equal_pitches_in_successive_steps_are_held_or_struck(tmp_path: Path) -> None:
    for name, steps in (
        ("16th.json", [[60], [60], [62]]),
        ("v16th.json", [[60, -1, -1, 40]] * 2 + [[62, -1, -1, 41]]),
    ):
        source = write_chorales(tmp_path / name, {"train": [steps]})
        (held,), (struck,) = read_all(source), read_all(source, repeats="struck")
        assert isinstance(held, Record)
        assert isinstance(struck, Record)
        assert len(struck.fields["onset"]) == 1.5 * len(held.fields["onset"])
        assert set(held.fields["duration"]) == {2, 1}


# -- what the encodings keep -----------------------------------------------------------------------------

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


def test_windows_cover_a_piece_and_say_how_long_they_are() -> None:
    score = score_of([(0, 60, 0, 10, 80, 0)], layout="chords")
    for stride, lengths in ((None, [4, 4, 2]), (2, [4, 4, 4, 4]), (3, [4, 4, 4])):
        options = {"form": "steps", "length": 4, "stride": stride}
        found = music.encode(table_of(score), fitted(score, **options))
        assert found["length"].tolist() == lengths
        assert found["x"].shape == (len(lengths), 4)


@SETTINGS
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


# -- statistics ------------------------------------------------------------------------------------------


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


# -- the whole line and samples ----------------------------------------------------------------------------


def test_the_line_from_chorales_to_examples(test_data: Path, tmp_path: Path) -> None:
    data = DataSettings.parse(
        {
            "source": f"chorales:{test_data / 'jsb_chorales' / QUARTER}",
            "encode": {"form": "steps", "grid": 1, "length": 160},
        }
    )
    manifest = ingest(data, tmp_path / "records")
    assert manifest["counts"] == {"train": 229, "validation": 76, "test": 77, "rejected": 0, "read": 382}
    again = ingest(data, tmp_path / "again")
    assert again["fingerprint"] == manifest["fingerprint"]
    found = statistics(tmp_path / "records", tmp_path / "statistics")
    assert found["splits"]["test"]["features"]["quarters"]["mean"] * 77 == pytest.approx(4725)
    made = transform(tmp_path / "records", tmp_path / "statistics", tmp_path / "examples", data)
    assert made["counts"] == {"train": 229, "validation": 76, "test": 77}


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
