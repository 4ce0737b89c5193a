"""Music: MIDI files in folders, globs and archives, each a record or set aside, and the scores of records."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from components.errors import DataError
from components.midi import write_midi
from components.modalities import Record, Rejected, music
from components.scores import estimated_key, fields, scores_of
from tests.components.music_scores import TUNE, read_all, score_of, table_of

# -- MIDI files as a source ------------------------------------------------------------------------------


def write_tunes(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tune = [(row[0], row[1] + number % 60, *row[2:]) for row in TUNE]
        path.write_bytes(write_midi(score_of(tune, quarter=480)))


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
