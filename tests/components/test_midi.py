"""MIDI: one test for each policy of components.midi, round trips, crafted files and mutants."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import midi
from components.midi import MOST_QUARTERS, WRITTEN_BY, Unreadable, read_midi, write_midi
from components.scores import MAJORS, MINORS, NOTE, Score, key_name, ordered

END = b"\x00\xff\x2f\x00"
ON, OFF = b"\x00\x90\x3c\x40", b"\x60\x80\x3c\x40"  # middle C at once; off 96 ticks later
NOTES = ON + OFF + END


def track(events: bytes, size: int | None = None) -> bytes:
    return b"MTrk" + (len(events) if size is None else size).to_bytes(4, "big") + events


def file(*tracks: bytes, form: int = 1, division: int = 96, count: int | None = None) -> bytes:
    """A MIDI file byte by byte, so that it may be wrong in any way."""
    head = b"".join(n.to_bytes(2, "big") for n in (form, len(tracks) if count is None else count, division))
    return b"MThd\x00\x00\x00\x06" + head + b"".join(tracks)


def notes(body: bytes) -> list[tuple[int, ...]]:
    """(onset, duration, pitch, velocity) of each note."""
    names = ["onset", "duration", "pitch", "velocity"]
    return [tuple(row) for row in read_midi(body).notes[names].tolist()]


def refusal(body: bytes, **limits: int) -> str:
    with pytest.raises(Unreadable) as caught:
        read_midi(body, **limits)
    assert str(caught.value)
    assert caught.value.remedy
    return caught.value.rule


# -- policies ------------------------------------------------------------------------------------------


def test_a_note_lasts_from_its_on_to_its_off() -> None:
    score = read_midi(file(track(NOTES)))
    assert notes(file(track(NOTES))) == [(0, 96, 60, 64)]
    assert (score.ticks_per_quarter, score.length, score.mended) == (96, 96, 0)


def test_velocity_zero_is_a_note_off_and_running_status_is_understood() -> None:
    events = b"\x00\x90\x3c\x40" + b"\x60\x3c\x00" + b"\x00\x40\x50" + b"\x30\x40\x00" + END
    assert notes(file(track(events))) == [(0, 96, 60, 64), (96, 48, 64, 80)]


def test_overlapping_equal_pitches_end_in_the_order_in_which_they_began() -> None:
    events = ON + b"\x0a\x90\x3c\x50" + b"\x0a\x80\x3c\x00" + b"\x0a\x80\x3c\x00" + END
    assert notes(file(track(events))) == [(0, 20, 60, 64), (10, 20, 60, 80)]


def test_equal_pitches_of_two_tracks_end_by_their_own_offs() -> None:
    early, late = ON + b"\x0a\x80\x3c\x00" + END, ON + b"\x60\x80\x3c\x00" + END
    assert notes(file(track(late), track(early))) == [(0, 10, 60, 64), (0, 96, 60, 64)]


def test_a_note_that_ends_where_it_begins_lasts_one_tick_and_is_counted() -> None:
    body = file(track(ON + b"\x00\x80\x3c\x00" + b"\x60\x90\x3c\x40" + OFF + END))
    assert notes(body)[0] == (0, 1, 60, 64)
    assert read_midi(body).mended == 1


def test_a_note_without_an_off_ends_with_its_track_and_is_counted() -> None:
    body = file(track(ON + b"\x60\xff\x2f\x00"))
    assert notes(body) == [(0, 96, 60, 64)]
    assert read_midi(body).mended == 1


def test_an_off_without_a_note_and_the_sustain_pedal_are_ignored() -> None:
    events = b"\x00\x80\x40\x00" + b"\x00\xb0\x40\x7f" + ON + OFF + b"\x60\xb0\x40\x00" + END
    assert notes(file(track(events))) == [(0, 96, 60, 64)]


def test_the_instrument_is_that_of_the_channel_wherever_it_was_set() -> None:
    score = read_midi(file(track(b"\x00\xc0\x13" + END), track(NOTES)))
    assert score.notes["program"].tolist() == [19]


def test_drums_are_the_notes_of_the_tenth_channel() -> None:
    score = read_midi(file(track(b"\x00\x99\x24\x40\x60\x89\x24\x00" + END), track(NOTES)))
    assert score.notes["pitch"][score.drums].tolist() == [36]


def test_the_first_tempo_is_noted_and_whether_others_follow() -> None:
    slow, fast = b"\x00\xff\x51\x03\x0f\x42\x40", b"\x10\xff\x51\x03\x07\xa1\x20"  # 60 and 120 a minute
    steady, changing = file(track(slow + NOTES)), file(track(slow + fast + NOTES))
    assert (read_midi(steady).tempo, read_midi(steady).tempo_changes) == (60.0, False)
    assert (read_midi(changing).tempo, read_midi(changing).tempo_changes) == (60.0, True)
    assert read_midi(file(track(NOTES))).tempo is None
    assert read_midi(file(track(b"\x00\xff\x51\x03\x00\x00\x00" + NOTES))).tempo is None


def test_the_first_key_and_time_signature_are_noted() -> None:
    signs = b"\x00\xff\x58\x04\x06\x03\x18\x08" + b"\x00\xff\x59\x02\xfa\x01"  # 6/8; six flats, minor
    score = read_midi(file(track(signs + NOTES)))
    assert (score.time_signature, score.key) == ("6/8", "Eb minor")


def test_silence_at_the_end_belongs_to_the_length() -> None:
    assert read_midi(file(track(ON + OFF + b"\x60\xff\x2f\x00"))).length == 192


# -- crafted files: what is refused, by which rule -------------------------------------------------------

VAST = b"\xff\xff\xff\x7f"  # the longest delta, 2^28 - 1 ticks
CRAFTED = {
    "empty": (b"", "not-midi"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "not-midi"),
    "half a head": (file(track(NOTES))[:11], "not-midi"),
    "a head that is too short": (b"MThd\x00\x00\x00\x02\x00\x01" + bytes(8), "not-midi"),
    "riff": (b"RIFF" + bytes(16) + file(track(NOTES)), "riff"),
    "type 2": (file(track(NOTES), form=2), "midi-type"),
    "type 9": (file(track(NOTES), form=9), "midi-type"),
    "SMPTE": (file(track(NOTES), division=0xE728), "smpte-time"),
    "no resolution": (file(track(NOTES), division=0), "no-resolution"),
    "65,535 tracks": (file(track(NOTES), count=65_535), "too-many-tracks"),
    "a track is missing": (file(track(NOTES), count=2), "broken-midi"),
    "breaks off": (file(track(NOTES))[:-5], "broken-midi"),
    "a track of 4 GB": (file(track(NOTES, size=2**32 - 1)), "broken-midi"),
    "a track too short by one": (file(track(NOTES, size=len(NOTES) - 1)), "broken-midi"),
    "running status before any": (file(track(b"\x00\x3c\x40" + END)), "broken-midi"),
    "a data byte above 127": (file(track(b"\x00\x90\x3c\x80" + END)), "broken-midi"),
    "an undefined status": (file(track(b"\x00\xf4" + END)), "broken-midi"),
    "a text of 256 MB": (file(track(b"\x00\xff\x01" + VAST)), "broken-midi"),
    "an empty tempo": (file(track(b"\x00\xff\x51\x00" + NOTES)), "broken-midi"),
    "a key with 99 sharps": (file(track(b"\x00\xff\x59\x02\x63\x00" + NOTES)), "broken-midi"),
    "no track": (file(count=0), "no-notes"),
    "no note": (file(track(END)), "no-notes"),
    "2,000 hours": (file(track((VAST + ON[1:]) * 8 + END), division=480), "too-long"),
}


@pytest.mark.parametrize(("body", "rule"), CRAFTED.values(), ids=CRAFTED)
def test_crafted_files_are_refused_by_rule(body: bytes, rule: str) -> None:
    assert refusal(body) == rule


def test_limits_are_the_last_that_is_read() -> None:
    body = file(track(NOTES))
    assert read_midi(body, most_bytes=len(body), most_events=3)
    assert refusal(body, most_bytes=len(body) - 1) == "too-many-bytes"
    assert refusal(body, most_events=2) == "too-many-events"
    long = MOST_QUARTERS * 96
    assert read_midi(write_midi(score_of([(0, 60, 0, long, 64, 0)], long, 96))).length == long
    too_long = score_of([(0, 60, 0, long + 96, 64, 0)], long + 96, 96)
    assert refusal(write_midi(too_long)) == "too-long"


def test_300000_events_are_not_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Watched(midi._Counted):
        def tell(self) -> int:
            asked.append(1)
            return super().tell()

    monkeypatch.setattr(midi, "_Counted", Watched)
    body = file(track(b"\x00\x90\x3c\x40" + b"\x00\x3c\x00" * 300_000 + END))
    assert refusal(body, most_bytes=4_000_000) == "too-many-events"
    assert 100_000 < len(asked) < 110_000


# -- round trips ---------------------------------------------------------------------------------------


def score_of(rows: list[tuple[int, ...]], length: int = 0, quarter: int = 480, **signs: object) -> Score:
    """From (onset, pitch, voice, duration, velocity, program)."""
    made = ordered(np.array(rows, NOTE))
    end = int((made["onset"] + made["duration"]).max())
    return Score(made, quarter, max(length, end), **signs)  # type: ignore[arg-type]


ROW = st.tuples(
    st.integers(0, 40),  # few places, so that notes touch and overlap
    st.integers(58, 61),
    st.sampled_from([0, 1, 9, 15]),
    st.integers(1, 30),
    st.integers(1, 127),
    st.integers(0, 2),
)
KEYS = [key_name(i, minor=False) for i in range(12)] + [key_name(i, minor=True) for i in range(12)]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=30),
    length=st.integers(0, 100),
    quarter=st.integers(1, 0x7FFF),
    microseconds=st.none() | st.integers(1, 2**24 - 1),
    metre=st.sampled_from([None, "4/4", "3/4", "12/8", "7/16"]),
    key=st.sampled_from([None, *KEYS]),
)
def test_a_score_written_and_read_is_the_same(
    rows: list[tuple[int, ...]],
    length: int,
    quarter: int,
    microseconds: int | None,
    metre: str | None,
    key: str | None,
) -> None:
    tempo = None if microseconds is None else 60e6 / microseconds
    score = score_of(rows, length, quarter, tempo=tempo, time_signature=metre, key=key)
    back = read_midi(write_midi(score))
    assert back.notes.tolist() == score.notes.tolist()
    assert {**vars(back), "notes": None} == {**vars(score), "notes": None}


def test_what_is_written_says_that_it_was_generated() -> None:
    body = write_midi(score_of([(0, 60, 0, 480, 80, 0)]), marks=[(0, "sample 1")])
    found = {message.type: message for message in mido.MidiFile(file=io.BytesIO(body)).tracks[0]}
    assert found["text"].text == WRITTEN_BY == "generated by Mozart"
    assert found["marker"].text == "sample 1"


def test_every_key_has_a_name_that_mido_knows() -> None:
    assert len(set(KEYS)) == 24 == len(MAJORS) + len(MINORS)
    for key in KEYS:
        assert read_midi(write_midi(score_of([(0, 60, 0, 1, 1, 0)], key=key))).key == key


# -- mutants -------------------------------------------------------------------------------------------


def valid_file() -> bytes:
    """Two voices with running status, an instrument, tempo, metre, key, a pedal and system messages."""
    signs = b"\x00\xff\x51\x03\x07\xa1\x20\x00\xff\x58\x04\x04\x02\x18\x08\x00\xff\x59\x02\x00\x00"
    odd = b"\x00\xf0\x03\x01\x02\xf7\x00\xb0\x40\x7f\x00\xc0\x13\x00\xe0\x00\x40"
    upper = b"\x00\x90\x3c\x40" + b"".join(bytes([24, p, 0, 0, p + 2, 70]) for p in range(60, 72, 2)) + END
    lower = b"".join(bytes([0, 0x91, p, 50, 48, 0x81, p, 0]) for p in range(48, 55)) + END
    return file(track(signs + END), track(odd + upper), track(lower))


def mutated(body: bytes, draw: random.Random) -> bytes:
    """One to eight bytes changed, cut out, put in, doubled or cut off."""
    found = bytearray(body)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(found)) if found else 0
        changes: list[Callable[[], object]] = [
            lambda at=at: found.__setitem__(slice(at, at + 1), bytes([draw.randrange(256)])),
            lambda at=at: found.__setitem__(slice(at, at + draw.randint(1, 9)), b""),
            lambda at=at: found.__setitem__(slice(at, at), draw.randbytes(draw.randint(1, 9))),
            lambda at=at: found.__setitem__(slice(at, at), found[at : at + draw.randint(1, 40)]),
            lambda at=at: found.__setitem__(slice(at, None), b"") if draw.random() < 0.1 else None,
        ]
        draw.choice(changes)()
    return bytes(found)


def test_4000_mutants_are_read_or_refused_and_nothing_else() -> None:
    body, draw = valid_file(), random.Random(4000)
    assert len(read_midi(body).notes) == 14
    rules: dict[str, int] = {}
    for _ in range(4000):
        try:
            score = read_midi(mutated(body, draw))
        except Unreadable as error:
            rules[error.rule] = rules.get(error.rule, 0) + 1
            continue
        rules["read"] = rules.get("read", 0) + 1
        assert (score.notes["duration"] >= 1).all()
        assert score.length <= (MOST_QUARTERS + 1) * score.ticks_per_quarter
    assert sum(rules.values()) == 4000
    assert rules["read"] > 100
    assert rules["broken-midi"] > 1000


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(events: bytes, more: bytes) -> None:
    for body in (events, file(track(events), track(more)), file(track(events + END)) + more):
        with contextlib.suppress(Unreadable):
            assert len(read_midi(body).notes)
