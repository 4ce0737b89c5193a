"""Samples on disk: what comes with them, such as a picture of the music, has the same stem; so has a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import ConfigError
from components.modalities import Summary, music
from pipelines import sampling
from pipelines.serving_commands import whole_number


def test_music_comes_with_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = music.Encode.parse({"form": "roll", "length": 8})
    features = music.summarise(_no_records())
    encoding = music.fit({"train": Summary(0, features)}, encode, list)
    (tmp_path / "encoding.json").write_text(json.dumps(encoding))
    model = SimpleNamespace(sample=lambda count, seed: np.ones((count, 8, 88), np.float32))
    monkeypatch.setattr(sampling, "load_bundle", lambda path: model)
    version: Any = SimpleNamespace(name="chorales", version=3, bundle_path=tmp_path, digest="cafe")
    out = tmp_path / "out"
    out.mkdir()
    assert sampling.sample_to_file(version, 2, 7, str(out)) == out / "chorales-3-seed7.mid"
    names = [f"chorales-3-seed7.{suffix}" for suffix in ("manifest.json", "mid", "png")]
    assert sorted(path.name for path in out.iterdir()) == names
    manifest = json.loads((out / names[0]).read_text())
    assert (manifest["model"], manifest["seed"], sorted(manifest["files"])) == ("chorales", 7, names[1:])
    with Image.open(out / names[2]) as picture:
        assert (picture.text["generated"], picture.text["version"]) == ("true", "3")
    assert sampling.sample_to_file(version, 2, 7, str(out / "mine")) == out / "mine.mid"
    assert (out / "mine.png").is_file()


def _no_records() -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([], pa.schema(music.RECORD))


@pytest.mark.parametrize(("text", "number"), [("64", 64), ("1e6", 1_000_000), ("10_000", 10_000)])
def test_a_number_of_samples_may_be_written_as_people_do(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "nan", "inf", "1e10", ""])
def test_what_is_no_number_of_samples_is_said_to_be(text: str) -> None:
    with pytest.raises(ConfigError, match="a whole number from 1 to 1e9"):
        whole_number(text)
