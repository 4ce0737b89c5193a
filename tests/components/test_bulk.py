"""Bulk samples: the same as few, whoever draws them and however often they are broken off."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import reading
from components.bulk import sample_in_bulk
from components.bundle import load_bundle
from components.errors import ConfigError, IntegrityError
from components.registry import Version
from components.settings import BeamSettings
from tests.components.publishing import bundle_folder, start

BULK = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from components.bulk import sample_in_bulk
from components.registry import Version
bundle = Path(sys.argv[1])
version = Version("tiny", 1, bundle, bundle.name, (), {}, {}, datetime.now(UTC))
sample_in_bulk(version, 40_000, 5, Path(sys.argv[2]), chunk=128)
print(json.dumps("whole"))
"""


def tiny() -> Version:
    return Version("tiny", 1, bundle_folder(), bundle_folder().name, (), {}, {}, datetime.now(UTC))


def drawn(out: Path) -> np.ndarray:
    return np.concatenate([np.load(file, allow_pickle=False) for file in sorted(out.glob("samples-*.npy"))])


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bulk") / "few"
    sample_in_bulk(tiny(), 1000, 5, out, chunk=256)
    return out


def test_many_begin_with_the_few(few: Path) -> None:
    np.testing.assert_array_equal(drawn(few), load_bundle(bundle_folder()).sample(1000, seed=5))
    assert [len(np.load(file)) for file in sorted(few.glob("*.npy"))] == [256, 256, 256, 232]


def test_the_manifest_says_where_they_come_from(few: Path) -> None:
    said = reading(few)
    assert said["generated"] is True
    expected = {"model": "tiny", "version": 1, "bundle": bundle_folder().name, "seed": 5, "count": 1000}
    assert {key: said[key] for key in expected} == expected
    assert set(said["files"]) == {"plan.json", "encoding.json", *(f.name for f in few.glob("*.npy"))}
    assert not few.with_name("few.part").exists()


def test_a_set_that_is_whole_is_checked_and_left_alone(few: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in few.iterdir()}
    assert sample_in_bulk(tiny(), 1000, 5, few, chunk=256) == reading(few)
    assert {file: file.stat().st_mtime_ns for file in few.iterdir()} == before
    with pytest.raises(ConfigError, match="is of another seed: name another folder"):
        sample_in_bulk(tiny(), 1000, 6, few, chunk=256)


def test_a_set_that_was_changed_is_refused(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "changed"
    sample_in_bulk(tiny(), 300, 5, out, chunk=256)
    file = out / "samples-00001-of-00002.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"samples-00001-of-00002\.npy is not the file"):
        sample_in_bulk(tiny(), 300, 5, out, chunk=256)


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds no bulk samples"):
        sample_in_bulk(tiny(), 300, 5, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_killed_set_goes_on_where_it_stopped_and_ends_the_same(few: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "killed", tmp_path / "killed.part"
    process = start(BULK, bundle_folder(), out)
    while len(list(part.glob("samples-*.npy"))) < 5:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    made = {file.name: file.stat().st_mtime_ns for file in part.glob("samples-*.npy")}
    with pytest.raises(ConfigError, match=r"killed\.part is of another seed"):
        sample_in_bulk(tiny(), 40_000, 6, out, chunk=128)
    manifest = sample_in_bulk(tiny(), 40_000, 5, out, chunk=128)
    assert not part.exists()
    assert {name: (out / name).stat().st_mtime_ns for name in made} == made
    assert manifest["count"] == len(drawn(out)) == 40_000
    np.testing.assert_array_equal(drawn(out)[:1000], drawn(few))
    assert json.loads((out / "plan.json").read_text())["seed"] == 5


@pytest.mark.slow  # two processes that import TensorFlow
def test_workers_draw_the_same(few: Path, tmp_path: Path) -> None:
    sample_in_bulk(tiny(), 1000, 5, tmp_path / "out", BeamSettings(workers=2), chunk=256)
    assert reading(tmp_path / "out")["files"] == reading(few)["files"]
