"""Validate: gate 1 compares data with their schema, with the champion's data, and one split with another."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.artifacts import read_json, write_json, writing
from components.schema import infer
from components.settings import DataSettings, TrainSettings
from components.statistics import compact, summaries_of
from components.validate import validate
from tests.components.judged_data import judged, labelled_pictures, rules, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures to spoil."""
    return labelled_pictures(tmp_path / "pictures")


def test_data_that_do_not_meet_the_schema(folder: Path, tmp_path: Path) -> None:
    judged(tmp_path / "first", source=f"images:{folder}")
    schema = infer(summaries_of(read_json(tmp_path / "first/statistics/statistics.json")), "images")
    assert judged(tmp_path / "again", schema=schema, source=f"images:{folder}")["anomalies"] == []
    shutil.copytree(folder / "b", folder / "c")
    report = judged(tmp_path / "more", schema=schema, source=f"images:{folder}", max_leaked=1.0)
    assert ("error", "unknown-value") in rules(report)
    other = schema.model_copy(update={"modality": "text"})
    (sentence,) = said(judged(tmp_path / "other", schema=other, source=f"images:{folder}", max_leaked=1.0))
    assert sentence.startswith("the schema is of text and these data are images")


def champions(folder: Path, out: Path) -> Path:
    """What the bundle of a model that learnt from `folder` carries."""
    judged(out, source=f"images:{folder}")
    write_json(out / "carried.json", compact(read_json(out / "statistics/statistics.json")))
    return out / "carried.json"


def test_drift_since_the_champion_is_told_or_stops_the_line(folder: Path, tmp_path: Path) -> None:
    champion = champions(folder, tmp_path / "champion")
    same = judged(tmp_path / "same", champion=champion, source=f"images:{folder}")
    assert same["anomalies"] == []
    assert {entry["against"] for entry in same["drift"]} == {"train", "champion"}
    for file in folder.rglob("*.png"):
        pixels = np.asarray(Image.open(file))
        Image.fromarray(pixels // 4).save(file)
    dark = judged(tmp_path / "dark", champion=champion, source=f"images:{folder}")
    assert dark["verdict"] == "pass"
    assert {rule for _, rule in rules(dark)} == {"drift"}
    (sentence,) = [one for one in said(dark, "warning") if "'brightness'" in one]
    assert sentence.startswith(
        "feature 'brightness' of the train split differs from that of the champion's training split: "
        "Kolmogorov-Smirnov distance 1.000"
    )
    stopped = judged(
        tmp_path / "stopped", champion=champion, source=f"images:{folder}", drift={"action": "stop"}
    )
    assert stopped["verdict"] == "fail"


def test_a_champion_of_other_data_is_not_compared(folder: Path, tmp_path: Path) -> None:
    champion = champions(folder, tmp_path / "champion")
    told = read_json(champion)
    write_json(champion, {**told, "modality": "text"})
    assert rules(judged(tmp_path / "other", champion=champion, source=f"images:{folder}")) == [
        ("warning", "other-modality")
    ]
    del told["splits"]["train"]["features"]["contrast"]
    write_json(champion, told)
    report = judged(tmp_path / "fewer", champion=champion, source=f"images:{folder}")
    assert said(report, "warning") == [
        "features that only these data or those of the champion have: contrast"
    ]


def test_a_split_that_is_unlike_the_others_is_told(folder: Path, tmp_path: Path) -> None:
    """A hash never makes such a split, but a source with official parts may."""
    report = judged(tmp_path, source=f"images:{folder}")
    assert not [entry for entry in report["drift"] if entry["drifted"]]
    found = read_json(tmp_path / "statistics/statistics.json")
    dark = {**found["splits"]["test"]["features"]}
    dark["brightness"] = {
        **dark["brightness"],
        "places": [place / 100 for place in dark["brightness"]["places"]],
    }
    found["splits"]["test"]["features"] = dark
    with writing(tmp_path / "statistics", "statistics") as (out, _):
        write_json(out / "statistics.json", found)
    again = validate(
        tmp_path / "records",
        tmp_path / "statistics",
        tmp_path / "again",
        DataSettings(source=f"images:{folder}"),
        TrainSettings(batch_size=8),
    )
    assert rules(again) == [("warning", "skew")]


@pytest.mark.parametrize(
    "source",
    [
        "digits",
        "idx:mnist",
        "text:tinyshakespeare/input.txt",
        "chorales:jsb_chorales/Jsb16thSeparated.json",
    ],
)
def test_the_splits_of_real_data_are_no_alarm(test_data: Path, tmp_path: Path, source: str) -> None:
    scheme, _, place = source.partition(":")
    report = judged(tmp_path, source=f"{scheme}:{test_data / place}" if place else scheme, split={})
    assert report["verdict"] == "pass"
    assert report["drift"]
    assert not [entry for entry in report["drift"] if entry["drifted"]]
