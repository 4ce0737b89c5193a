"""Files that are read shard by shard: the same bytes as by way of runs, and nothing lost or half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components import named, runs, shards
from components.errors import DataError, ResourceError
from components.image_sources import Read, files
from components.ingest import SPLITS, _ReadShard, ingest, shards_of
from components.modalities import images
from components.settings import BeamSettings, DataSettings
from tests.components.ingested import bytes_of, keys_of

SIDE = 24


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 smooth pictures of two classes, whose files are smaller than their pixels; a text, a link out of
    the folder, and a name that is not UTF-8."""
    folder = tmp_path_factory.mktemp("named_records") / "pictures"
    for i in range(300):
        file = folder / "ab"[i % 2] / f"{i:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(np.random.default_rng(i).integers(0, 256, (2, 2, 3), np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(file)
    (folder / "a/broken.png").write_bytes(b"no picture")
    shutil.copy(folder / "a/000.png", folder.parent / "outside.png")
    (folder / "b/link.png").symlink_to(folder.parent / "outside.png")
    (folder / "b/inside.png").symlink_to(folder / "a/000.png")
    (folder / "b" / os.fsdecode(b"\xff.png")).write_bytes((folder / "a/000.png").read_bytes())
    return folder


def settings(folder: Path, **changed: Any) -> DataSettings:
    return DataSettings(source=f"images:{folder}", max_rejected=0.1, **changed)


def known(folder: Path, **read: Any) -> named.Named | None:
    options = Read.parse(read)
    return images.named_records(images.plan(f"images:{folder}", options), options)


@pytest.mark.parametrize("read", [{}, {"resize": 8, "colour": "grey"}])
def test_the_same_bytes_as_by_way_of_runs(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: dict[str, Any]
) -> None:
    if read:
        monkeypatch.setattr(files, "pixel_bytes", lambda *told: 1000.0)  # they are smaller than the files now
    at_once = ingest(settings(pictures, read=read), tmp_path / "at_once")
    with monkeypatch.context() as patched:
        patched.delattr(images, "named_records")
        assert ingest(settings(pictures, read=read), tmp_path / "by_runs") == at_once
    assert bytes_of(tmp_path / "at_once") == bytes_of(tmp_path / "by_runs")
    assert at_once["rejected"] == {"foreign-format": 1, "not-utf8-name": 1, "outside-root": 1}
    assert (at_once["counts"]["read"], at_once["counts"]["rejected"]) == (304, 3)


def test_labels_of_a_table_go_with_their_files(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{'ab'[i % 2]}/{i:03d}.png,{i % 7},number {i}" for i in range(0, 300, 3)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label,caption", *rows, "a/none.png,1,one"]), "utf-8")
    data = settings(pictures, read={"labels": str(table), "captions": "caption"})
    at_once = ingest(data, tmp_path / "at_once")
    assert (at_once["counts"]["rejected"], at_once["counts"]["read"]) == (205, 305)
    monkeypatch.delattr(images, "named_records")
    assert ingest(data, tmp_path / "by_runs") == at_once


def test_many_shards_in_many_pieces_hold_the_same_records(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ingest(settings(pictures), tmp_path / "whole")
    monkeypatch.setattr(named, "SHARD_BYTES", 50 * SIDE * SIDE * 3)
    monkeypatch.setattr(runs, "RUN_BYTES", 20_000)
    ingest(settings(pictures), tmp_path / "cut")
    assert len(shards_of(tmp_path / "cut", "train")) == 5
    for split in SPLITS:
        tables = [
            pa.concat_tables(map(pq.read_table, shards_of(tmp_path / name, split)))
            for name in ("whole", "cut")
        ]
        assert tables[0].equals(tables[1])
    assert pq.ParquetFile(shards_of(tmp_path / "cut", "train")[0]).num_row_groups > 2


def test_a_shard_is_the_range_of_the_order_that_runs_are_cut_into() -> None:
    keys = sorted(f"{i}.png" for i in range(5000))
    known = named.Named(keys, shards.SHARD_BYTES / 1000, lambda rows: [keys[row] for row in rows], [])
    found = dict(named.shard_chunks(known, DataSettings(source="x").split))
    assert sorted(key for chunk in found.values() for key in chunk) == keys
    trains = [name for name in found if name.startswith("train")]
    assert trains == [f"train-{number:05d}-of-{len(trains):05d}" for number in range(len(trains))]
    for number, name in enumerate(trains):
        at = named.hashes(found[name], "order")
        assert (np.diff(at.astype(object)) > 0).all()
        assert at[0] >= number * 2**64 // len(trains)
        assert int(at[-1]) < (number + 1) * 2**64 // len(trains)


@pytest.mark.parametrize("lost", ["read", "shard"])
def test_what_a_runner_loses_is_missed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    from components import dataflow

    call = dataflow._Stage.__call__

    def forgetful(self: Any, pair: tuple[Any, Any]) -> Any:
        key, values = pair
        return call(self, (key, list(values)[1:] if key == lost else values))

    monkeypatch.setattr(dataflow._Stage, "__call__", forgetful)
    with pytest.raises(DataError, match="records were lost on the way"):
        ingest(settings(pictures), tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_where_the_files_are_the_larger_part_or_the_order_costs_they_are_read_as_they_lie(
    pictures: Path, tmp_path: Path
) -> None:
    assert known(pictures) is not None
    assert known(pictures, resize=4) is None, "decoding is the work: chunks of 8 MB of files are shared out"
    packed = shutil.make_archive(str(tmp_path / "pictures"), "zip", pictures / "a")
    assert known(Path(packed)) is None
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/none.png").write_bytes(b"")
    assert known(tmp_path / "empty") is None


def test_splitting_by_content_waits_for_the_content(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures / "a", tmp_path / "pictures/a", symlinks=True)
    for i in range(0, 300, 2):
        shutil.copy(pictures / f"a/{i:03d}.png", tmp_path / f"pictures/a/{i:03d}-again.png")
    ingest(settings(tmp_path / "pictures", split={"by": "content"}), tmp_path / "records")
    sides = keys_of(tmp_path / "records")
    assert len(sides) == 300
    assert all(sides[f"a/{i:03d}.png"] == sides[f"a/{i:03d}-again.png"] for i in range(0, 300, 2))


class Dying(_ReadShard):
    """Ends its process in the middle of the first train shard, once."""

    mark = Path(os.environ.get("MOZART_TEST_MARK", os.devnull))

    def __call__(self, numbered: tuple[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        name = numbered[1][0]
        if name.startswith("train") and not self.mark.exists():
            self.mark.touch()
            (Path(self.folder) / f".{name}.parquet.{os.getpid()}.tmp").write_bytes(b"half a shard")
            os._exit(9)
        yield from super().__call__(numbered)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Beam's own threads
def test_workers_write_the_same_bytes_also_after_one_died(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZART_TEST_MARK", str(tmp_path / "mark"))
    data = settings(pictures, beam=BeamSettings(workers=2))
    with monkeypatch.context() as patched:
        patched.setattr("components.ingest._ReadShard", Dying)
        with pytest.raises(ResourceError, match="a worker process of Beam ended"):
            ingest(data, tmp_path / "records")
    assert [path.name for path in tmp_path.iterdir()] == ["mark"], "nothing half-written is left"
    assert ingest(data, tmp_path / "records") == ingest(settings(pictures), tmp_path / "alone")
    assert bytes_of(tmp_path / "records") == bytes_of(tmp_path / "alone")
