"""Ingest: every record is counted, and where it lies depends on nothing but itself."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.artifacts import reading
from components.dataflow import join, options, run, unit_hash
from components.errors import ConfigError, DataError
from components.ingest import SPLITS, ingest, shards_of, source_fingerprint, split_of
from components.modalities import images
from components.settings import DataSettings, Split

ROOT = Path(__file__).parents[2]


def keys_of(records: Path) -> dict[str, str]:
    """Key → split of all records."""
    return {
        key: split
        for split in SPLITS
        for shard in shards_of(records, split)
        for key in pq.read_table(shard).column("key").to_pylist()
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "records"
    ingest(DataSettings(source="digits"), out)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures of two classes, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(40):
        file = folder / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4, 3), np.uint8)).save(file)
    for name in ("a/broken.png", "b/empty.jpg"):
        (folder / name).write_bytes(b"no picture"[: 10 * (name[0] == "a")])
    return folder


# -- counts and bytes ----------------------------------------------------------------------------------


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
        paths = chunk["paths"][::-1]
        return [{**chunk, "paths": paths[i : i + 5]} for i in range(0, len(paths), 5)]

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
    assert [json.loads(line)["key"] for line in lines] == ["a/broken.png", "b/empty.jpg"]
    assert all("cannot identify" in json.loads(line)["reason"] for line in lines)


@pytest.mark.parametrize("lost", ["rejected", "read"])
def test_records_that_a_runner_loses_are_missed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """As Beam's multi_threading mode does: a part of a shard does not arrive, and no error is raised."""
    from components import dataflow

    plan, write = images.plan, dataflow._Write.__call__

    def forgetful(self: Any, pair: tuple[Any, Any]) -> list[Any]:
        key, values = pair
        return write(self, (key, list(values)[1:] if key == lost else values))

    monkeypatch.setattr(dataflow._Write, "__call__", forgetful)
    monkeypatch.setattr(images, "plan", lambda source, read: 2 * plan(source, read))  # two parts a key
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
    with pytest.raises(DataError, match="there is no folder"):
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
    before = source_fingerprint(f"images:{folder}")
    assert source_fingerprint(f"images:{folder}") == before
    (folder / "dangling.png").symlink_to("nowhere")
    assert source_fingerprint(f"images:{folder}") == before
    (folder / "a/00.png").write_bytes(b"other")
    assert source_fingerprint(f"images:{folder}") != before


# -- splits --------------------------------------------------------------------------------------------


def test_a_record_keeps_its_split_when_data_are_added(pictures: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "copy")
    for i in range(0, 40, 2):
        (folder / "a" / f"{i:02d}.png").unlink()
    data = DataSettings(source=f"images:{folder}")
    ingest(data, tmp_path / "few")
    shutil.copytree(pictures, folder, dirs_exist_ok=True)
    ingest(data, tmp_path / "many")
    few, many = keys_of(tmp_path / "few"), keys_of(tmp_path / "many")
    assert len(few) == 20
    assert len(many) == 40
    assert few.items() <= many.items()


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2)])
def test_the_shares_are_near_the_asked(shares: tuple[float, float, float]) -> None:
    split = Split(train=shares[0], validation=shares[1], test=shares[2])
    n = 20_000
    given = [split_of(f"{i}.png", split, None) for i in range(n)]
    for name, share in zip(SPLITS, shares, strict=True):
        assert abs(given.count(name) / n - share) < 5 * np.sqrt(share * (1 - share) / n)
    assert {split_of(str(i), split, "test") for i in range(100)} == {"test"}
    official = [split_of(str(i), split, "train") for i in range(n)]
    share = shares[0] / (shares[0] + shares[1])
    assert set(official) == {"train", "validation"}
    assert abs(official.count("train") / n - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_split_and_order_are_independent() -> None:
    at = np.array([[unit_hash(str(i), purpose) for purpose in ("split", "order")] for i in range(5000)])
    assert abs(np.corrcoef(at.T)[0, 1]) < 5 / np.sqrt(5000)
    assert (at >= 0).all()
    assert (at < 1).all()


# -- Beam ----------------------------------------------------------------------------------------------


def test_the_runner_is_pinned() -> None:
    made = options(()).get_all_options()
    assert made["runner"] == "FnApiRunner"
    assert made["direct_running_mode"] == "in_memory"
    assert options(("--direct_running_mode=multi_processing",)).get_all_options()["runner"] == "FnApiRunner"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--direct_running_mode=multi_threading", "silently loses records"),
        ("--direct_num_worker=2", "Beam has no option '--direct_num_worker'"),
        ("--direct_running_m=multi_processing", "Beam has no option '--direct_running_m'"),
        ("2", "Beam has no option '2'"),
        ("--direct_num_workers=two", "invalid int value: 'two'"),
        ("--direct_running_mode=fast", "invalid choice: 'fast'"),
    ],
)
def test_options_that_beam_would_drop_or_die_of_are_refused(option: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"data.beam: .*{sentence}"):
        options((option,))


def test_an_unknown_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.beam: .*NoRunner"):
        ingest(DataSettings(source="digits", beam=("--runner=NoRunner",)), tmp_path / "records")


def test_the_pipeline_is_the_portable_subset(tmp_path: Path) -> None:
    """Dask and others drop what `finish_bundle` emits, mix tagged outputs, run only the last leaf and
    write nothing in Beam's sinks: so there is one chain, of one main output each, with our own writes."""
    import apache_beam as beam
    from apache_beam.pipeline import PipelineVisitor

    pipeline = beam.Pipeline(options=options(()))
    join(pipeline, [["a"]], _pairs, _length, tmp_path / "results.json")
    consumed, produced, problems = set(), set(), []

    class Walk(PipelineVisitor):
        def visit_transform(self, node: Any) -> None:
            transform = node.transform
            if isinstance(transform, beam.io.Read | beam.io.Write):
                problems.append(f"Beam's own source or sink: {node.full_label}")
            if set(node.outputs) - {None, "None"}:
                problems.append(f"tagged outputs: {node.full_label}")
            do = getattr(transform, "fn", None)
            if "finish_bundle" in vars(type(do)):
                problems.append(f"finish_bundle: {node.full_label}")
            consumed.update(node.inputs, (side.pvalue for side in node.side_inputs))
            produced.update(node.outputs.values())

    pipeline.visit(Walk())
    assert problems == []
    leaves = {leaf for leaf in produced - consumed if leaf is not None}
    assert [leaf.producer.full_label.split("/")[0] for leaf in leaves] == ["Keep"]


def test_no_results_are_an_empty_list(tmp_path: Path) -> None:
    assert run([], _pairs, _length, tmp_path) == []
    assert sorted(run([["a"], ["b", "a"]], _pairs, _length, tmp_path)) == [["a", 2], ["b", 1]]
    assert list(tmp_path.iterdir()) == []


def _pairs(chunk: list[str]) -> Iterator[tuple[str, int]]:
    for key in chunk:
        yield key, 1


def _length(key: str, values: list[int]) -> list[Any]:
    return [key, len(values)]


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    beam = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    ingest(DataSettings(source="digits", beam=beam), tmp_path / "records")
    assert bytes_of(tmp_path / "records") == bytes_of(digits)


# -- imports -------------------------------------------------------------------------------------------


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
