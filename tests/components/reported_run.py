"""The folders of a whole run to report on, and the words of the page that a report writes of them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from components.accumulators import Categorical, Feature, Numeric
from components.artifacts import write_json
from components.modalities.images import write_samples
from components.report import write_report

HOSTILE = "--></text><script>alert(1)</script>"
VOID = {"meta", "link", "img", "br"}
COUNTS = {"read": 12, "rejected": 2, "train": 6, "validation": 2, "test": 2}


def numbers(value: float | None, split: str, **protocol: object) -> dict:
    entry = {"value": value, "n": 16, "split": split, "seed": 3, **protocol}
    return {"classifier_fid": {**entry, "features": "classifier@abc"}, "precision": {**entry, "value": 0.625}}


MISSING = {  # the folder that is not there, and what the page says instead
    "statistics": "train 6, validation 2, test 2",  # what gate 1 knows still
    "validation": "The data were not validated",
    "model": "Nothing was trained",
    "evaluation": "Nothing was measured",
    "release": "passed its gates",
}
MEASURED = {
    "family": "dcgan",
    "metric": "classifier_fid",
    "validation": numbers(4.125, "validation"),
    "test": numbers(5.8284, "test"),
    "floors": {
        "normal (covariance full)": {"validation": {}, "test": numbers(39.634, "test")},
        "normal (covariance diagonal)": {"validation": {}, "test": numbers(96.49, "test")},
    },
    "reference": {"validation": {}, "test": numbers(3.3249, "test")},
    "champion": {
        "version": 7,
        "comparable": True,
        "why_not": "",
        "validation": {},
        "test": numbers(6.0125, "test"),
    },
    "features": {"name": "classifier@abc", "test_accuracy": 0.9731, "trusted": True},
    "verdict": {
        "blessed": True,
        "reasons": ["passed: classifier_fid is 4.125.", "failed: copy_rate is 0.5, above its maximum 0.05."],
    },
}


def splits_of(features: dict[str, Feature]) -> dict:
    """The splits of a `statistics.json` whose training records have these features."""
    told = {name: feature.as_json() for name, feature in features.items()}
    return {
        "train": {"records": 6, "features": told},
        "validation": {"records": 2, "features": {}},
        "test": {"records": 2, "features": {}},
    }


def written(folder: Path, **files: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        write_json(folder / f"{name}.json", value)
    return folder


def whole_run(tmp_path: Path) -> dict[str, Path]:
    """The folders of a whole run of two classes of 4x4 images."""
    features = {
        "size": Categorical({"4x4x1": 6}),
        "class": Categorical({"cat": 4, HOSTILE: 2}),
        "value": Numeric.of_counts(range(256), [10] * 256),
    }
    splits = splits_of(features)
    statistics = {"counts": COUNTS, "splits": splits, "data_fingerprint": "f00d", "modality": "images"}
    provenance = {
        "recipe": {"name": "tiny", "data": {"source": "images:<pets>"}},
        "data_fingerprint": "f00d",
        "code_version": "c0de",
        "git_commit": None,
        "versions": {"keras": "3.15.1"},
        "environment": {"cores": 2},
        "seed": 11,
        "created": "2026-11-21T03:17:37+00:00",
    }
    model = {
        "family": "dcgan",
        "config": {"width": 32},
        "spec": {"kind": "image", "shape": [4, 4, 1]},
        "digest": "d16e57",
    }
    release = {
        "name": "tiny",
        "version": 8,
        "bundle": "/b",
        "digest": "d",
        "champion": True,
        "previous": 7,
        "message": "version 8 is the champion",
    }
    folders = {
        "statistics": written(tmp_path / "statistics", statistics=statistics),
        "validation": written(
            tmp_path / "report", report={"verdict": "pass", "anomalies": [], "counts": COUNTS}
        ),
        "model": written(tmp_path / "model", model=model, provenance=provenance),
        "evaluation": written(tmp_path / "evaluation", evaluation=MEASURED),
        "release": written(tmp_path / "release", release=release),
    }
    (folders["model"] / "history.csv").write_text("epoch,loss,real_logit\n1,2.5,0.5\n2,1.25,0.75\n")
    images = np.random.default_rng(0).random((16, 4, 4, 1), np.float32)
    write_samples(images, {}, folders["evaluation"] / "samples")
    write_samples(images, {}, folders["evaluation"] / "real")
    np.savez(folders["evaluation"] / "pictures.npz", samples=images, nearest=images)
    return folders


def page_of(tmp_path: Path, folders: dict[str, Path], **options: object) -> str:
    page = tmp_path / "run" / "report.html"
    write_report(page, name="tiny", **folders, **options)
    assert [file.name for file in page.parent.iterdir()] == ["report.html"]  # nothing half-written beside
    return page.read_text("utf-8")


class Tags(HTMLParser):
    """Checks that tags close in order and collects them with their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)


def words_of(page: str) -> str:
    return " ".join(" ".join(Tags(page).texts).split())


def change(folder: Path, file: str, **values: object) -> None:
    known = json.loads((folder / file).read_text())
    write_json(folder / file, {**known, **values})
