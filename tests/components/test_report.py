"""The report of a run: the numbers and the reasons are there, nothing comes from outside, nothing breaks."""

from __future__ import annotations

import copy
import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from components.accumulators import Categorical, Feature, Numeric
from components.artifacts import write_json
from components.errors import ResourceError
from components.modalities.images import write_samples
from components.modalities.text import write_samples as write_texts
from components.report import number, write_report

HOSTILE = "--></text><script>alert(1)</script>"
VOID = {"meta", "link", "img", "br"}
COUNTS = {"read": 12, "rejected": 2, "train": 6, "validation": 2, "test": 2}


def numbers(value: float | None, split: str, **protocol: object) -> dict:
    entry = {"value": value, "n": 16, "split": split, "seed": 3, **protocol}
    return {"classifier_fid": {**entry, "features": "classifier@abc"}, "precision": {**entry, "value": 0.625}}


ANOMALIES = [
    {"severity": "error", "rule": "empty-split", "message": "too few records"},
    {"severity": "warning", "rule": "rejected", "message": "a stray file"},
]
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


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Path]:
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


class _Tags(HTMLParser):
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
    return " ".join(" ".join(_Tags(page).texts).split())


def change(folder: Path, file: str, **values: object) -> None:
    known = json.loads((folder / file).read_text())
    write_json(folder / file, {**known, **values})


def test_whole_run_says_its_numbers_reasons_and_origin(tmp_path, run):
    page = page_of(tmp_path, run)
    words = words_of(page)
    assert "published as version 8" in words
    for said in ("5.828", "4.125", "39.63", "96.49", "3.325", "6.013", "0.625", "champion, version 7"):
        assert said in words, said
    assert "✓ classifier_fid is 4.125." in words
    assert "✗ copy_rate is 0.5, above its maximum 0.05." in words
    assert "n 16 · features classifier@abc · seed 3" in words
    assert "names 97.3 % of the test split" in words
    assert "12 records read, 2 rejected · size 4x4x1" in words
    assert "loss: 1.25 at the end" in words
    assert "log-odds" in words  # the unit of real_logit
    for said in ("f00d", "c0de", "d16e57", "keras 3.15.1", "width 32", "source: images:<pets>"):
        assert said in words, said
    assert not [said for said in MISSING.values() if said in words]
    assert page.count('src="data:image/png;base64,') == 3  # samples, real ones, samples over neighbours
    assert page.count("<svg") == 4  # two curves, classes, levels
    assert len(page) < 200_000


def test_main_metric_comes_first_and_its_best_floor_is_the_lowest(tmp_path, run):
    words = words_of(page_of(tmp_path, run))
    assert re.search(r"best floor 39\.63 normal \(covariance full\)", words)
    table = words[words.index("metric validation test") :]
    assert table.index("classifier_fid") < table.index("precision")


def test_an_open_verdict_says_so(tmp_path, run):
    del run["release"]
    verdict = {
        "blessed": False,
        "outcome": "inconclusive",
        "reasons": ["inconclusive: recall is 0.5.", "noted: x."],
    }
    change(run["evaluation"], "evaluation.json", verdict=verdict)
    words = words_of(page_of(tmp_path, run))
    assert "tiny inconclusive, not published" in words
    assert "Verdict: inconclusive" in words
    assert "? recall is 0.5. ! x." in words


def test_slices_notes_and_intervals_are_told(tmp_path, run):
    measured = copy.deepcopy(MEASURED)
    measured["test"]["classifier_fid"] |= {
        "low": 5.1,
        "high": 6.6,
        "interval": "jackknife of 20 shards",
        "plain": 9.5,
    }
    measured |= {
        "notes": {"path_length": HOSTILE},
        "slices": {"validation": {HOSTILE: {"recall": {"value": 0.25, "low": 0.125, "high": 0.5}}}},
        "samples": 4000,
        "settings": {"samples": 1000},
    }
    write_json(run["evaluation"] / "evaluation.json", measured)
    page = page_of(tmp_path, run)
    words = words_of(page)
    for said in (
        "5.828 5.1 to 6.6",
        "uncorrected 9.5 · n 16",
        "interval by jackknife of 20 shards",
        "Worst by recall: 1 of 1 slices",
        "0.25 0.125 to 0.5",
        f"Not measured path_length {HOSTILE}",
        "4,000 samples of each model, 1,000 at first",
    ):
        assert said in words, said
    assert "<script" not in page


def test_pictures_of_latents_and_reconstructions(tmp_path, run):
    images = np.random.default_rng(0).random((16, 4, 4, 1), np.float32)
    for part in ("reconstructions", "interpolations", "traversals"):
        write_samples(images, {}, run["evaluation"] / part)
    far = np.full(16, 2.0)
    np.savez(
        run["evaluation"] / "pictures.npz",
        samples=images,
        nearest=images,
        distances=0.5 * far,
        real_distances=far,
        traversed=np.array([11, 4]),
    )
    page = page_of(tmp_path, run)
    words = words_of(page)
    assert page.count('src="data:image/png;base64,') == 6
    assert "Those of largest effect, from above: 11, 4." in words
    assert page.count('class="open" title="nearer than any') == 16


def test_where_higher_is_better_the_best_floor_is_the_highest(tmp_path, run):
    measured = copy.deepcopy(MEASURED) | {"metric": "precision"}
    measured["floors"]["normal (covariance full)"]["test"]["precision"]["value"] = 0.71
    write_json(run["evaluation"] / "evaluation.json", measured)
    assert "best floor 0.71 normal (covariance full)" in words_of(page_of(tmp_path, run))


def test_nothing_comes_from_outside_and_nothing_runs(tmp_path, run):
    page = page_of(tmp_path, run)
    assert "default-src 'none'" in page
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", page)
    assert sources
    for first, second in sources:
        assert (first or second).startswith(("data:", "#")), first or second
    assert "@import" not in page


def test_hostile_names_stay_text(tmp_path, run):
    (run["model"] / "history.csv").write_text('epoch,"<script>x"\n1,2.5\n')
    measured = copy.deepcopy(MEASURED)
    measured["floors"][HOSTILE] = measured["floors"].pop("normal (covariance full)")
    measured["verdict"]["reasons"].append(f"failed: {HOSTILE}")
    write_json(run["evaluation"] / "evaluation.json", measured)
    page = page_of(tmp_path, run, failure=HOSTILE, recipe={"name": HOSTILE})
    tags = _Tags(page)
    assert "script" not in tags.seen
    assert sum(HOSTILE in text for text in tags.texts) >= 4  # failure, recipe, floor, reason
    assert "<script" not in page
    assert html.escape(HOSTILE[:13]) in page  # the class, in the chart, cut to fit


@pytest.mark.parametrize(("gone", "said"), MISSING.items())
def test_each_section_can_be_missing(tmp_path, run, gone, said):
    del run[gone]
    assert said in words_of(page_of(tmp_path, run))


def test_stopped_before_anything_was_written(tmp_path):
    words = words_of(page_of(tmp_path, {}, failure="the disk is full", recipe={"model": {"family": "vae"}}))
    assert "tiny stopped VAE" in words
    assert "The disk is full" in words
    for said in ("Nothing was measured", "Nothing was trained", "not validated", "They were not summarised"):
        assert said in words, said
    assert "family: vae" in words


def test_badge_of_every_end(tmp_path, run):
    change(run["release"], "release.json", champion=False)
    assert "version 8, not promoted" in words_of(page_of(tmp_path, run))
    del run["release"]
    assert "tiny stopped" in words_of(page_of(tmp_path, run, failure="the registry is gone"))
    change(run["evaluation"], "evaluation.json", verdict={"blessed": False, "reasons": ["failed: no."]})
    assert "tiny refused" in words_of(page_of(tmp_path, run, failure="gate 2 refused the model"))
    del run["evaluation"], run["model"]
    change(run["validation"], "report.json", verdict="fail", anomalies=ANOMALIES)
    words = words_of(page_of(tmp_path, run, failure="gate 1 refused the data"))
    assert "tiny data refused" in words
    assert "✗ too few records ! a stray file" in words


def test_what_was_not_measured_is_a_dash(tmp_path, run):
    measured = copy.deepcopy(MEASURED)
    measured["test"]["classifier_fid"]["value"] = None
    measured["champion"] |= {"comparable": False, "why_not": "another size", "test": {}}
    measured |= {"reference": {"validation": {}, "test": {}}, "features": None}
    write_json(run["evaluation"] / "evaluation.json", measured)
    words = words_of(page_of(tmp_path, run))
    assert "classifier_fid, test split — validation split 4.125" in words
    assert "real against real — none for this metric" in words
    assert "champion — version 7, not comparable" in words
    assert not re.search(r"\b(nan|None|inf)\b", words)


def test_text_is_shown_as_text(tmp_path, run):
    for file in ("samples.png", "real.png", "pictures.npz"):
        (run["evaluation"] / file).unlink()
    tokens = np.array([[1, 2, 3], [2, 2, 1]])
    encoding = {"vocabulary": ["?", "<", "\n", "b"]}
    write_texts(tokens, encoding, run["evaluation"] / "samples")
    write_texts(tokens[:1], encoding, run["evaluation"] / "real")
    rare = {chr(0x100 + i): 1 for i in range(40)}
    characters = {"character": Categorical({"<": 3, "\n": 5, "$": 2, **rare})}
    change(run["statistics"], "statistics.json", splits=splits_of(characters))
    page = page_of(tmp_path, run)
    assert page.count("<pre>") == 4  # two samples, a real one, the recipe
    assert "<pre>\n&lt;\nb</pre>" in page
    assert "<img" not in page
    words = words_of(page)
    assert "distinct character 43" in words
    assert "↵ < $" in words  # commonest first, the line's end made visible


def test_page_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").mkdir()
    with pytest.raises(ResourceError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "run" / "report.html", name="tiny")
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_tensorflow_stays_out(tmp_path, run):
    told = {key: str(folder) for key, folder in run.items()}
    code = (
        "import json, sys; from pathlib import Path; from components.report import write_report\n"
        f"folders = {{key: Path(value) for key, value in json.loads({json.dumps(told)!r}).items()}}\n"
        f"write_report(Path({str(tmp_path / 'r.html')!r}), name='tiny', **folders)\n"
        "print(sorted({'tensorflow', 'apache_beam', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5.82885, "5.829"),
        (10.0, "10"),
        (0.002, "0.002"),
        (-56.8006, "−56.8"),
        (0.0, "0"),
        (123456.7, "123,457"),
        (float("nan"), "—"),
        (float("inf"), "—"),
        (None, "—"),
    ],
)
def test_number(value, said):
    assert number(value) == said
