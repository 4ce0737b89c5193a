"""Validate: gate 1 tells of records that lie in the training split too, and of nearly equal ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import read_json
from components.settings import DataSettings, TrainSettings
from components.validate import validate
from tests.components.judged_data import HALF, judged, labelled_pictures, rules, said
from tests.components.test_duplicates import pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures to spoil."""
    return labelled_pictures(tmp_path / "pictures")


def again(out: Path, limit: float, source: Path) -> dict[str, Any]:
    """The report on the same records, where `limit` is the share of copies that is tolerated."""
    data = DataSettings(source=f"images:{source}", max_leaked=limit)
    report = validate(out / "records", out / "statistics", out / "again", data, TrainSettings(batch_size=8))
    shutil.rmtree(out / "again")
    return report


def leaked(out: Path, kind: str) -> dict[str, float]:
    """The share of validation and test records that train holds too."""
    found = read_json(out / "statistics/statistics.json")
    counts = found["counts"]
    return {split: number / counts[split] for split, number in found["duplicates"][kind]["leaked"].items()}


def test_records_that_train_holds_too(folder: Path, tmp_path: Path) -> None:
    for i in range(12):
        shutil.copyfile(folder / "a/00.png", folder / "a" / f"copy{i}.png")
    report = judged(tmp_path / "leaking", source=f"images:{folder}")
    leaking = [sentence for sentence in said(report) if "are in the training split too" in sentence]
    assert leaking
    assert all("set data.split.by to content" in sentence for sentence in leaking)
    tolerant = judged(tmp_path / "tolerant", source=f"images:{folder}", max_leaked=1.0)
    assert rules(tolerant).count(("warning", "leakage")) == len(leaking)
    mended = judged(tmp_path / "mended", source=f"images:{folder}", split={**HALF, "by": "content"})
    assert ("error", "leakage") not in rules(mended)


def test_copies_up_to_the_limit_are_a_warning_and_above_it_an_error(folder: Path, tmp_path: Path) -> None:
    for i in range(12):
        shutil.copyfile(folder / "a/00.png", folder / "a" / f"copy{i}.png")
    judged(tmp_path, source=f"images:{folder}", max_leaked=1.0)
    shares = leaked(tmp_path, "exact")
    assert 0 < min(shares.values()) < max(shares.values()), "else the limits below would not tell them apart"
    most = max(shares.values())
    below = again(tmp_path, most, folder)
    assert below["verdict"] == "pass"
    assert rules(below).count(("warning", "leakage")) == 2
    assert not said(below)
    above = again(tmp_path, most - 1e-9, folder)
    assert above["verdict"] == "fail"
    assert rules(above) == [("error", "leakage"), ("warning", "leakage")]
    (sentence,) = said(above, "warning")
    assert "records (" in sentence
    assert "are in the training split too (e.g. a/" in sentence


def test_near_copies_are_a_warning_above_the_limit_and_never_an_error(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", 80, 60)
    judged(tmp_path, source=f"images:{tmp_path / 'pictures'}", max_leaked=0.0)
    shares = leaked(tmp_path, "near")
    assert set(leaked(tmp_path, "exact").values()) == {0.0}
    assert 0 < min(shares.values()) < max(shares.values())
    for limit, told in ((max(shares.values()), 0), (max(shares.values()) - 1e-9, 1), (0.0, 2)):
        report = again(tmp_path, limit, tmp_path / "pictures")
        assert report["verdict"] == "pass"
        assert rules(report).count(("warning", "near-leakage")) == told
    for sentence in (one for one in said(report, "warning") if "nearly equal" in one):
        assert "what is measured there may be flattered (e.g. " in sentence
