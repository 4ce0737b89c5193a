"""Ingest: every record is counted once, a second run gives the same bytes, and what goes wrong is said."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.artifacts import reading
from components.errors import ConfigError, DataError
from components.ingest import SPLITS, ingest, shards_of, source_fingerprint
from components.modalities import images
from components.settings import DataSettings
from tests.components.ingested import bytes_of, keys_of, pictures_and_broken_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "records"
    ingest(DataSettings(source="digits"), out)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_and_broken_files(tmp_path_factory.mktemp("pictures"))


def test_all_1797_digits_are_there_once_with_their_pixels(digits: Path) -> None:
    from sklearn.datasets import load_digits

    counts = reading(digits)["counts"]
    assert counts["read"] == 1797
    assert counts["rejected"] == 0
    keys = keys_of(digits)
    assert sorted(keys) == [f"digits/{i:05d}" for i in range(1797)]
    assert {split: list(keys.values()).count(split) for split in SPLITS} == {
        split: counts[split] for split in SPLITS
    }
    data = load_digits()
    for row in pq.read_table(shards_of(digits, "test")[0]).to_pylist():
        i = int(row["key"][-5:])
        assert row["label"] == str(data.target[i])
        original = np.frombuffer(row["pixels"], np.uint8).reshape(8, 8) * (16 / 255)
        np.testing.assert_array_equal(np.rint(original), data.images[i])


def test_a_second_run_gives_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    ingest(DataSettings(source="digits"), tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(digits)


def test_the_order_in_which_records_lie_is_not_that_of_the_source(digits: Path) -> None:
    keys = pq.read_table(shards_of(digits, "train")[0]).column("key").to_pylist()
    followers = sum(a < b for a, b in itertools.pairwise(keys)) / len(keys)
    assert 0.45 < followers < 0.55


def test_the_number_and_order_of_chunks_change_nothing(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings(source=f"images:{pictures}", max_rejected=0.1)
    whole = ingest(data, tmp_path / "whole")
    plan = images.plan

    def in_pieces(source: str, read: images.Read) -> list[dict[str, Any]]:
        (chunk,) = plan(source, read)
        paths = chunk["names"][::-1]
        return [{**chunk, "names": paths[i : i + 5]} for i in range(0, len(paths), 5)]

    monkeypatch.setattr(images, "plan", in_pieces)
    pieces = ingest(data, tmp_path / "pieces")
    assert pieces == whole
    assert bytes_of(tmp_path / "pieces") == bytes_of(tmp_path / "whole")
    assert whole["counts"]["read"] == 42


def test_what_cannot_be_read_is_counted_and_listed(pictures: Path, tmp_path: Path) -> None:
    counts = ingest(DataSettings(source=f"images:{pictures}"), tmp_path / "records")["counts"]
    assert counts["rejected"] == 2
    assert counts["read"] == 42 == sum(counts[part] for part in (*SPLITS, "rejected"))
    lines = (tmp_path / "records/rejected/rejected.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["key"] for line in told] == ["a/broken.png", "b/empty.jpg"]
    assert all(set(line) == {"key", "rule", "reason", "remedy"} and all(line.values()) for line in told)


@pytest.mark.parametrize("lost", ["", "read", "train-00000-of-00001"])
def test_records_that_a_runner_loses_are_missed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """As Beam's multi_threading mode does: one value of a group does not arrive, and no error is raised."""
    from components import dataflow

    plan, call = images.plan, dataflow._Stage.__call__

    def forgetful(self: Any, pair: tuple[Any, Any]) -> Any:
        key, values = pair
        kept = list(values)[1:] if key == lost else list(values)
        return call(self, (key, kept)) if kept else iter(())

    def in_halves(source: str, read: images.Read) -> list[dict[str, Any]]:
        (chunk,) = plan(source, read)
        return [{**chunk, "names": chunk["names"][i::2]} for i in range(2)]

    monkeypatch.setattr(dataflow._Stage, "__call__", forgetful)
    monkeypatch.setattr(images, "plan", in_halves)
    with pytest.raises(DataError, match="records were lost on the way"):
        ingest(DataSettings(source=f"images:{pictures}"), tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_mnist_is_whole_and_its_test_part_stays_the_test_split(test_data: Path, tmp_path: Path) -> None:
    counts = ingest(DataSettings(source=f"idx:{test_data / 'mnist'}"), tmp_path / "records")["counts"]
    assert counts["read"] == 70_000
    assert counts["test"] == 10_000
    assert counts["rejected"] == 0
    assert abs(counts["validation"] / 60_000 - 1 / 9) < 0.005
    keys = keys_of(tmp_path / "records")
    assert {key.split("/")[0] for key, split in keys.items() if split == "test"} == {"test"}
    assert len(keys) == 70_000


def test_a_source_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        ingest(DataSettings(source=f"images:{tmp_path / 'nowhere'}"), tmp_path / "records")
    with pytest.raises(ConfigError, match="did you mean 'images'"):
        ingest(DataSettings(source="image:x"), tmp_path / "records")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_stops_with_its_own_sentence(tmp_path: Path) -> None:
    for part, rank in (("images", 3), ("labels", 1)):
        header = bytes([0, 0, 8, rank]) + b"".join(n.to_bytes(4, "big") for n in (3, 2, 2)[:rank])
        (tmp_path / f"train-{part}-idx{rank}-ubyte").write_bytes(header + bytes(3))
    with pytest.raises(DataError) as error:
        ingest(DataSettings(source=f"idx:{tmp_path}"), tmp_path / "records")
    assert str(error.value).endswith("holds 3 bytes: it is cut short or too long")
    assert "train-images" in str(error.value)
    assert not (tmp_path / "records").exists()


def test_the_fingerprint_of_a_source_sees_a_changed_file(pictures: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "copy")
    before = source_fingerprint(DataSettings(source=f"images:{folder}"))
    assert source_fingerprint(DataSettings(source=f"images:{folder}")) == before
    (folder / "dangling.png").symlink_to("nowhere")
    assert source_fingerprint(DataSettings(source=f"images:{folder}")) == before
    (folder / "a/00.png").write_bytes(b"other")
    assert source_fingerprint(DataSettings(source=f"images:{folder}")) != before


def test_the_data_steps_import_no_tensorflow(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from components import gates, publish, report, step
from components.ingest import ingest
from components.settings import DataSettings, TrainSettings
from components.statistics import statistics
from components.transform import transform
from components.validate import validate
out = Path({str(tmp_path)!r})
data = DataSettings(source="digits")
ingest(data, out / "records")
statistics(out / "records", out / "statistics")
verdict = validate(out / "records", out / "statistics", out / "report", data, TrainSettings())["verdict"]
counts = transform(out / "records", out / "statistics", out / "examples", data)["counts"]
print(verdict, sum(counts.values()), sorted({{"tensorflow", "keras", "mlflow", "kfp"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "pass 1797 []"
