"""images: the 40 odd files and the crafted ones, each a record or rejected, strict and tolerant."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.anomalies import rejections
from components.ingest import SPLITS, ingest, shards_of
from components.modalities import Rejected
from components.settings import DataSettings
from tests.components.image_folders import found
from tests.components.odd_files import crafted


def test_each_of_the_40_odd_images_is_a_record_or_rejected(test_data: Path) -> None:
    every = found(test_data / "odd_images")
    assert len(every) == 40
    assert Counter(one.rule for one in every.values() if isinstance(one, Rejected)) == {
        "truncated": 5,
        "too-many-pixels": 1,
        "foreign-format": 1,
    }


# -- faults, row C: crafted files, strict and tolerant -------------------------------------------------


@pytest.fixture(scope="module")
def crafted_records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What ingest makes of all crafted files."""
    folder = tmp_path_factory.mktemp("crafted")
    for name, (data, _) in crafted().items():
        (folder / name).write_bytes(data)
    records = tmp_path_factory.mktemp("records") / "records"
    return records, ingest(DataSettings(source=f"images:{folder}"), records)


def test_crafted_files_are_written_or_rejected_by_their_rules(
    crafted_records: tuple[Path, dict[str, Any]],
) -> None:
    records, manifest = crafted_records
    lines = (records / "rejected/rejected.jsonl").read_text(encoding="utf-8").splitlines()
    rules = {line["key"]: line["rule"] for line in map(json.loads, lines)}
    assert rules == {name: rule for name, (_, rule) in crafted().items() if rule is not None}
    written = {
        key
        for split in SPLITS
        for shard in shards_of(records, split)
        for key in pq.read_table(shard)["key"].to_pylist()
    }
    assert written == {name for name, (_, rule) in crafted().items() if rule is None}
    assert manifest["counts"]["read"] == len(crafted()) >= 30


@pytest.mark.parametrize("tolerated", [0.0, 1.0])
def test_crafted_files_stop_the_line_only_where_it_is_strict(
    crafted_records: tuple[Path, dict[str, Any]], tolerated: float
) -> None:
    records, manifest = crafted_records
    (told,) = rejections(manifest["counts"], records, tolerated)
    assert told.severity == ("error" if tolerated == 0 else "warning")
    assert "the first is bomb.gif: the image has far more than" in told.message


@pytest.mark.parametrize("name", [name for name, (_, rule) in crafted().items() if rule is not None])
def test_each_broken_file_is_told_with_its_name_reason_and_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(crafted()[name][0])
    told = found(tmp_path)[name]
    assert isinstance(told, Rejected)
    assert told.reason
    assert told.remedy
    assert "\n" not in told.reason
