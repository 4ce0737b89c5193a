"""Validate: gate 1 lets sound data through, and says in a sentence what is wrong with the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.artifacts import read_json, reading, write_json, writing
from components.errors import IntegrityError
from components.ingest import SPLITS, ingest
from components.schema import Schema, infer
from components.settings import DataSettings, GateSettings, ModelSettings, TrainSettings
from components.statistics import compact, statistics, summaries_of
from components.validate import validate
from tests.components.test_duplicates import pictures

HALF = {"train": 0.5, "validation": 0.25, "test": 0.25}


def judged(
    out: Path, batch_size: int = 8, schema: Schema | None = None, champion: Path | None = None, **data: Any
) -> dict[str, Any]:
    """The report on data that go through ingest and statistics."""
    settings = DataSettings.parse({"split": HALF, **data})
    ingest(settings, out / "records")
    found = statistics(out / "records", out / "statistics")
    assert read_json(out / "statistics/statistics.json") == found
    train = TrainSettings(batch_size=batch_size)
    report = validate(
        out / "records",
        out / "statistics",
        out / "report",
        settings,
        train,
        schema=schema,
        champion_statistics=champion,
    )
    assert read_json(out / "report/report.json") == report
    assert reading(out / "report")["fingerprint"] == report["data_fingerprint"]
    assert report["verdict"] == ("fail" if said(report) else "pass")
    return report


def said(report: dict[str, Any], severity: str = "error") -> list[str]:
    """The sentences of one severity."""
    return [one["message"] for one in report["anomalies"] if one["severity"] == severity]


def rules(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Severity and rule of every anomaly."""
    return [(one["severity"], one["rule"]) for one in report["anomalies"]]


def words(count: int) -> str:
    """A text in which no block is there twice."""
    return "".join(f"some word{number}\n" for number in np.random.default_rng(0).integers(0, 9999, count))


def picture(file: Path, seed: int, side: int = 4) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(values).save(file)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of two classes."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(60):
        picture(folder / "ab"[i % 2] / f"{i:02d}.png", i)
    return folder


@pytest.fixture
def folder(many: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(many, tmp_path / "pictures"))


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
