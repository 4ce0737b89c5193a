"""Ingest: the split and the place of a record depend on its key, its group or its content alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import runs, shards
from components.errors import DataError
from components.ingest import SPLITS, ingest, shards_of
from components.modalities import Record
from components.settings import DataSettings, Settings, Split
from components.splits import split_codes, units
from tests.components.ingested import keys_of, pictures_and_broken_files


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_and_broken_files(tmp_path_factory.mktemp("pictures"))


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
    given = named(split_codes([f"{i}.png" for i in range(n)], split, None))
    for name, share in zip(SPLITS, shares, strict=True):
        assert abs(given.count(name) / n - share) < 5 * np.sqrt(share * (1 - share) / n)
    for part in SPLITS:
        assert set(named(split_codes([str(i) for i in range(100)], split, part))) == {part}
    shared = named(split_codes([str(i) for i in range(n)], split, "development"))
    share = shares[0] / (shares[0] + shares[1])
    assert set(shared) == {"train", "validation"}
    assert abs(shared.count("train") / n - share) < 5 * np.sqrt(share * (1 - share) / n)


def named(codes: np.ndarray) -> list[str]:
    return [SPLITS[code] for code in codes]


def test_split_and_order_are_independent() -> None:
    names = [str(i) for i in range(5000)]
    at = np.array([units(names, purpose) for purpose in ("split", "order")])
    assert abs(np.corrcoef(at)[0, 1]) < 5 / np.sqrt(5000)
    assert (at >= 0).all()
    assert (at < 1).all()


class Tiny:
    """A kind of data for these tests: numbered lines, in groups, with a key or a content twice if asked."""

    __name__ = "components.modalities.tiny"
    KIND, SOURCES, Read = "tokens", {"tiny": "tiny"}, Settings
    RECORD, CONTENT = [pa.field("text", pa.string())], ("text",)

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def preflight(self, source: str, read: Settings) -> None:
        """It is always there."""

    def files(self, source: str) -> list[Any]:
        return []

    def plan(self, source: str, read: Settings) -> list[dict[str, Any]]:
        return [{"start": start} for start in range(0, len(self.records), 7)]

    def read(self, chunk: dict[str, Any], read: Settings) -> Iterator[Record]:
        yield from self.records[chunk["start"] : chunk["start"] + 7]


@pytest.fixture
def ingest_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(records: list[Record], **settings: Any) -> Path:
        tiny = Tiny(records)
        for module in ("components.modalities", "components.duplicates", "components.ingest"):
            monkeypatch.setattr(f"{module}.modalities", lambda: {"tiny": tiny})
        out = tmp_path / f"records{len(list(tmp_path.iterdir()))}"
        ingest(DataSettings(source="tiny", **settings), out)
        return out

    return run


def test_the_records_of_a_group_are_on_one_side(ingest_records: Any) -> None:
    records = [Record(f"{i}", {"text": f"{i}"}, group=f"person {i % 20}") for i in range(200)]
    sides = keys_of(ingest_records(records))
    assert len(sides) == 200
    assert all(len({sides[str(i)] for i in range(person, 200, 20)}) == 1 for person in range(20))
    assert len(set(sides.values())) == 3


def test_two_records_with_one_key_are_an_error_with_their_count(ingest_records: Any) -> None:
    records = [Record(str(i % 27), {"text": f"{i}"}) for i in range(30)]
    with pytest.raises(DataError, match=r"3 keys stand for more than one record, the first is '\d+'"):
        ingest_records(records)


def test_equal_records_are_found_and_splitting_by_content_puts_them_on_one_side(ingest_records: Any) -> None:
    records = [Record(str(i), {"text": f"{i % 60}"}) for i in range(120)]
    by_key = ingest_records(records)
    sides = keys_of(by_key)
    apart = [i for i in range(60) if sides[str(i)] != sides[str(i + 60)]]
    leaked = {"validation": 0, "test": 0}
    for i in apart:
        pair = {sides[str(i)], sides[str(i + 60)]}
        for split in pair - {"train"}:
            leaked[split] += "train" in pair
    told = json.loads((by_key / "duplicates.json").read_text("utf-8"))["exact"]
    assert (told["groups"], told["records"], told["leaked"]) == (60, 60, leaked)
    assert sum(leaked.values()) > 5
    by_content = ingest_records(records, split={"by": "content"})
    sides = keys_of(by_content)
    assert all(sides[str(i)] == sides[str(i + 60)] for i in range(60))
    told = json.loads((by_content / "duplicates.json").read_text("utf-8"))["exact"]
    assert told["leaked"] == {"validation": 0, "test": 0}


def test_small_runs_and_many_shards_hold_the_same_records(
    ingest_records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [Record(str(i), {"text": f"{i}" * (i % 9)}) for i in range(500)]
    whole = ingest_records(records)
    monkeypatch.setattr(runs, "RUN_BYTES", 300)
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    cut = ingest_records(records)
    assert len(shards_of(cut, "train")) > 5
    for split in SPLITS:
        tables = [pa.concat_tables(map(pq.read_table, shards_of(folder, split))) for folder in (whole, cut)]
        assert tables[0].equals(tables[1]), "the order of the records depends on nothing but their keys"
