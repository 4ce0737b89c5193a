"""Validate: gate 1 lets sound data through, and says in a sentence what is wrong with the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import IntegrityError
from components.ingest import SPLITS, ingest
from components.settings import DataSettings, GateSettings, ModelSettings, TrainSettings
from components.statistics import statistics
from components.validate import validate
from tests.components.judged_data import judged, labelled_pictures, picture, said


def words(count: int) -> str:
    """A text in which no block is there twice."""
    return "".join(f"some word{number}\n" for number in np.random.default_rng(0).integers(0, 9999, count))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures to spoil."""
    return labelled_pictures(tmp_path / "pictures")


def test_sound_pictures_pass(folder: Path, tmp_path: Path) -> None:
    report = judged(tmp_path, source=f"images:{folder}")
    assert report["anomalies"] == []
    assert report["counts"]["read"] == 60


def test_sound_text_passes(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(words(600), "utf-8")
    report = judged(tmp_path, source=f"text:{tmp_path / 'words.txt'}", read={"block": 100})
    assert report["anomalies"] == []


@pytest.mark.parametrize(("broken", "verdict"), [(3, "pass"), (4, "fail")])
def test_more_unreadable_records_than_tolerated(
    folder: Path, tmp_path: Path, broken: int, verdict: str
) -> None:
    for i in range(broken):
        (folder / "a" / f"broken{i}.png").write_bytes(b"none")
    report = judged(tmp_path, source=f"images:{folder}", max_rejected=0.05)
    assert report["verdict"] == verdict
    if verdict == "fail":
        (sentence,) = said(report)
        assert f"{broken} of {60 + broken} records (6.2%) cannot be read, and" in sentence
        assert "tolerates 5.0% (data.max_rejected)" in sentence
        assert "the first is a/broken0.png: " in sentence
        assert str(tmp_path / "records/rejected/rejected.jsonl") in sentence


def test_nothing_but_unreadable_records(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/broken.png").write_bytes(b"none")
    report = judged(tmp_path, source=f"images:{tmp_path / 'pictures'}", max_rejected=1.0)
    assert [sentence.split(":")[0] for sentence in said(report)] == [
        f"the {split} split holds no record (1 were read)" for split in SPLITS
    ]


def test_a_bad_row_of_a_series_is_one_of_its_rows(tmp_path: Path) -> None:
    lines = [f"{1900 + i},{i * i % 17}" for i in range(200)]
    lines[50] = "1950,soon"
    (tmp_path / "s.csv").write_text("\n".join(["year,value", *lines]) + "\n", "utf-8")
    data = DataSettings(source=f"series:{tmp_path / 's.csv'}")
    ingest(data, tmp_path / "records")
    statistics(tmp_path / "records", tmp_path / "statistics")
    report = validate(
        tmp_path / "records", tmp_path / "statistics", tmp_path / "report", data, TrainSettings(batch_size=1)
    )
    (told,) = (one for one in report["anomalies"] if one["rule"] == "rejected")
    assert told["severity"] == "warning"
    assert told["message"].startswith("1 of 201 rows (0.5%) cannot be read and are left out")


def test_a_split_without_a_record(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one block of text\n", "utf-8")
    report = judged(tmp_path, batch_size=1, source=f"text:{tmp_path / 'one.txt'}")
    assert len(said(report)) == 2
    for sentence in said(report):
        assert "split holds no record (1 were read): give more data or change data.split" in sentence


def test_fewer_records_than_a_batch(folder: Path, tmp_path: Path) -> None:
    report = judged(tmp_path, batch_size=64, source=f"images:{folder}")
    count = report["counts"]["train"]
    assert said(report) == [
        f"the train split holds {count} examples, fewer than one batch of 64: "
        "give more data or set train.batch_size lower"
    ]


def test_the_examples_of_a_text_are_its_windows_not_its_blocks(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(words(2400), "utf-8")
    source = {"source": f"text:{tmp_path / 'words.txt'}", "encode": {"length": 16}}
    report = judged(tmp_path, batch_size=64, **source)
    assert report["counts"]["train"] < 64
    assert report["anomalies"] == []


@pytest.mark.parametrize(
    ("model", "gates", "asked"),
    [
        ("normal", {"metric": "classifier_fid"}, "classifier_fid"),
        ("normal", {"limits": {"classes_covered": {"min": 2}, "nats": {"max": 9}}}, "classes_covered"),
        ("dcgan", {}, ""),  # an encoder without labels judges it
        ("dcgan", {"limits": {"recall": {"min": 0.1}}}, ""),
        ("normal", {}, ""),
        ("dcgan", {"metric": "copy_rate"}, ""),
    ],
)
def test_what_gate_2_will_ask_for_needs_classes(
    folder: Path, tmp_path: Path, model: str, gates: dict[str, Any], asked: str
) -> None:
    shutil.rmtree(folder / "b")
    judged(tmp_path, source=f"images:{folder}")
    report = validate(
        tmp_path / "records",
        tmp_path / "statistics",
        tmp_path / "again",
        DataSettings(source=f"images:{folder}"),
        TrainSettings(batch_size=8),
        ModelSettings(family=model),
        GateSettings.parse(gates),
    )
    if asked:
        (sentence,) = said(report)
        assert sentence.startswith(
            f"gate 2 asks for {asked}, which needs labelled images of two classes or more, and these have one:"
        )
    else:
        assert report["anomalies"] == []


def test_mixed_sizes_and_the_remedy(folder: Path, tmp_path: Path) -> None:
    picture(folder / "a/large.png", 0, side=6)
    report = judged(tmp_path / "mixed", source=f"images:{folder}")
    assert said(report) == [
        "the images have 2 different sizes (4x4x3: 60, 6x6x3: 1): set data.read.resize, e.g. 32"
    ]
    mended = judged(tmp_path / "mended", source=f"images:{folder}", read={"resize": 4})
    assert mended["verdict"] == "pass"


def test_a_class_that_a_split_lacks_wherever_it_is(folder: Path, tmp_path: Path) -> None:
    """One picture lies in one split: the two others lack its class, the training split perhaps."""
    lacking = set()
    for i, name in enumerate("0123456789"):
        if lacking == set(SPLITS):
            break
        picture(folder / "rare" / f"{name}.png", 100)
        report = judged(tmp_path / name, source=f"images:{folder}")
        assert len(said(report)) == 2, i
        for sentence in said(report):
            assert sentence.endswith(" split has no example of class rare: give more data")
            lacking.add(sentence.split()[1])
        shutil.rmtree(folder / "rare")
    assert lacking == set(SPLITS)


def test_pictures_outside_of_the_class_folders(folder: Path, tmp_path: Path) -> None:
    for i in range(3):
        picture(folder / f"{i}.png", 100 + i)
    report = judged(tmp_path, source=f"images:{folder}")
    (sentence,) = said(report)
    assert sentence.startswith(
        "3 images have no class among 60 that have one: move each into its class's folder"
    )


def test_pictures_without_classes_pass(tmp_path: Path) -> None:
    for i in range(40):
        picture(tmp_path / "pictures" / f"{i}.png", i)
    assert judged(tmp_path, source=f"images:{tmp_path / 'pictures'}")["verdict"] == "pass"


def test_pictures_of_one_value(folder: Path, tmp_path: Path) -> None:
    for file in folder.rglob("*.png"):
        Image.new("RGB", (4, 4), (9, 9, 9)).save(file)
    report = judged(tmp_path, source=f"images:{folder}", max_leaked=1.0)
    assert said(report) == ["every training image is of one single value: there is nothing to learn"]


def test_a_text_of_one_character(tmp_path: Path) -> None:
    (tmp_path / "rule.txt").write_text("\n" * 5000, "utf-8")
    report = judged(tmp_path, source=f"text:{tmp_path / 'rule.txt'}", read={"block": 50}, max_leaked=1.0)
    assert said(report) == ["the training text repeats one single character: there is nothing to learn"]


def test_statistics_that_were_changed_are_not_judged(folder: Path, tmp_path: Path) -> None:
    judged(tmp_path, source=f"images:{folder}")
    (tmp_path / "statistics/statistics.json").write_text("{}", "utf-8")
    with pytest.raises(IntegrityError, match=r"statistics\.json"):
        validate(
            tmp_path / "records",
            tmp_path / "statistics",
            tmp_path / "again",
            DataSettings(source=f"images:{folder}"),
            TrainSettings(),
        )
