"""Samples on disk: a second file, such as a picture of the music, comes along under the same stem."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.modalities import Summary, music
from pipelines import sampling


def test_music_comes_with_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = music.Encode.parse({"form": "roll", "length": 8})
    features = music.summarise(_no_records())
    encoding = music.fit({"train": Summary(0, features)}, encode, list)
    (tmp_path / "encoding.json").write_text(json.dumps(encoding))
    model = SimpleNamespace(sample=lambda count, seed: np.ones((count, 8, 88), np.float32))
    monkeypatch.setattr(sampling, "load_bundle", lambda path: model)
    version: Any = SimpleNamespace(name="chorales", version=3, bundle_path=tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    assert sampling.sample_to_file(version, 2, 7, str(out)) == out / "chorales-3-seed7.mid"
    assert sorted(path.name for path in out.iterdir()) == ["chorales-3-seed7.mid", "chorales-3-seed7.png"]
    assert sampling.sample_to_file(version, 2, 7, str(out / "mine")) == out / "mine.mid"
    assert (out / "mine.png").is_file()


def _no_records() -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([], pa.schema(music.RECORD))
