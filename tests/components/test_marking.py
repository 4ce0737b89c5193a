"""What leaves says that it is generated, in a way that ordinary readers find."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.artifacts import sha256_of
from components.marking import facts_of, mark, marked_midi, marked_png, write_manifest
from components.registry import Version

FACTS = facts_of(Version("tiny", 3, Path(), "ab" * 32, (), {}, {}, datetime.now(UTC)), seed=7)


def test_a_picture_keeps_its_pixels_and_says_what_made_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    file = tmp_path / "grid.png"
    Image.fromarray(pixels).save(file)
    mark(file, FACTS)
    with Image.open(file) as picture:
        picture.verify()  # every checksum
    with Image.open(file) as picture:
        assert picture.text == {
            "generated": "true",
            "made_by": "Mozart",
            "model": "tiny",
            "version": "3",
            "bundle": "ab" * 32,
            "seed": "7",
        }
        np.testing.assert_array_equal(np.asarray(picture), pixels)


@given(size=st.integers(0, 20_000))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_music_plays_as_before_and_says_what_made_it(size: int) -> None:
    track = mido.MidiTrack(
        [mido.Message("note_on", note=60, time=3), mido.Message("note_off", note=60, time=9)]
    )
    body = io.BytesIO()
    mido.MidiFile(type=1, tracks=[track, track]).save(file=body)
    facts = FACTS | {"note": "x" * size}
    read = mido.MidiFile(file=io.BytesIO(marked_midi(body.getvalue(), facts)))
    first, *rest = read.tracks[0]
    assert json.loads(first.text) == facts
    assert [m for m in rest if not m.is_meta] == list(track)
    assert [m for m in read.tracks[1] if not m.is_meta] == list(track)


@pytest.mark.parametrize("writer", [marked_png, marked_midi])
@pytest.mark.parametrize("body", [b"", b"GIF89a" + bytes(40)])
def test_what_is_of_another_kind_is_not_marked(writer, body: bytes) -> None:
    with pytest.raises(ValueError, match="to mark"):
        writer(body, FACTS)


def test_text_stays_text_and_a_manifest_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "made.txt"
    file.write_text("words")
    mark(file, FACTS)
    assert file.read_text() == "words"
    path = write_manifest([file], FACTS)
    assert path.name == "made.manifest.json"
    said = json.loads(path.read_text())
    assert said["generated"] is True
    assert said["files"] == {"made.txt": {"sha256": sha256_of(file), "bytes": 5}}
